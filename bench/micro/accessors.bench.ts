/**
 * How the same fields can be read: both MACs and the EtherType of a frame; per frame. Argument:
 *   bytes      the accessors of src/wire, byte by byte
 *   dataview   one cached DataView over the arena, 16 and 32 bits at a time
 *   words      an Int32Array over the arena (a frame lies at 2 mod 4), in the machine's byte order
 */
import * as ethernet from '../../dist/wire/ethernet.js';
import { fillDatagram, layOut, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const FRAMES = 1024;
const ROUNDS = 16;
const variant = process.argv[2] ?? 'bytes';
const { batch, io } = makeRig(2);
layOut(batch, FRAMES, 1, SMALL_FRAME_BYTES);
for (let frame = 0; frame < FRAMES; frame++) fillDatagram(batch, frame, frame, frame + 1, frame);
const { bytes, at: offsets } = batch;
const view = new DataView(io.arena);
const words = new Int32Array(io.arena);
const IPV4_SWAPPED = 0x0008;

function byBytes(): number {
  let mix = 0;
  for (let frame = 0; frame < FRAMES; frame++) {
    const at = offsets[frame];
    mix += ethernet.destinationHigh(bytes, at) ^ ethernet.destinationLow(bytes, at);
    mix += ethernet.sourceHigh(bytes, at) ^ ethernet.sourceLow(bytes, at);
    mix += ethernet.etherType(bytes, at) === ethernet.EtherType.ipv4 ? 1 : 0;
    mix |= 0;
  }
  return mix;
}

function byView(): number {
  let mix = 0;
  for (let frame = 0; frame < FRAMES; frame++) {
    const at = offsets[frame];
    mix += view.getUint16(at) ^ view.getInt32(at + 2);
    mix += view.getUint16(at + 6) ^ view.getInt32(at + 8);
    mix += view.getUint16(at + 12) === ethernet.EtherType.ipv4 ? 1 : 0;
    mix |= 0;
  }
  return mix;
}

function byWords(): number {
  let mix = 0;
  for (let frame = 0; frame < FRAMES; frame++) {
    const word = (offsets[frame] - 2) >> 2;
    const middle = words[word + 2];
    const last = words[word + 3];
    mix += (words[word] >>> 16) ^ words[word + 1];
    mix += (middle & 0xffff) ^ ((middle >>> 16) | (last << 16));
    mix += last >>> 16 === IPV4_SWAPPED ? 1 : 0;
    mix |= 0;
  }
  return mix;
}

const read = { bytes: byBytes, dataview: byView, words: byWords }[variant] ?? byBytes;
let total = 0;
measure({
  units: FRAMES * ROUNDS,
  run() {
    for (let round = 0; round < ROUNDS; round++) total = (total + read()) | 0;
  },
  check(runs) {
    const once = read();
    const expected = Number(BigInt.asIntN(32, BigInt(once) * BigInt(runs) * BigInt(ROUNDS)));
    expectEqual('sum of all fields', total, expected);
  },
});
