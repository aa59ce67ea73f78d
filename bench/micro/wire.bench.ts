/** Accessors: MACs, EtherType, addresses, protocol and ports of a UDP frame, read in place; per frame. */
import * as ethernet from '../../dist/wire/ethernet.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as udp from '../../dist/wire/udp.js';
import { fillDatagram, layOut, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const FRAMES = 1024;
const ROUNDS = 16;
const { batch } = makeRig(2);
layOut(batch, FRAMES, 1, SMALL_FRAME_BYTES);
for (let frame = 0; frame < FRAMES; frame++) fillDatagram(batch, frame, frame, frame + 1, frame);

let mixed = 0;
let datagrams = 0;
measure({
  units: FRAMES * ROUNDS,
  run() {
    const { bytes, at: offsets } = batch;
    let mix = mixed;
    let seen = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let frame = 0; frame < FRAMES; frame++) {
        const at = offsets[frame];
        mix ^= ethernet.destinationHigh(bytes, at) ^ ethernet.destinationLow(bytes, at);
        mix ^= ethernet.sourceHigh(bytes, at) ^ ethernet.sourceLow(bytes, at);
        if (ethernet.etherType(bytes, at) !== ethernet.EtherType.ipv4) continue;
        const ip = at + ethernet.HEADER_BYTES;
        mix ^= ipv4.source(bytes, ip) ^ ipv4.destination(bytes, ip);
        if (ipv4.protocol(bytes, ip) !== ipv4.Protocol.udp) continue;
        const transport = ip + ipv4.headerBytes(bytes, ip);
        mix ^= udp.sourcePort(bytes, transport) ^ udp.destinationPort(bytes, transport);
        seen++;
      }
    }
    mixed = mix;
    datagrams += seen;
  },
  check(runs) {
    expectEqual('datagrams', datagrams, runs * FRAMES * ROUNDS);
    expectEqual('mixed fields are a number', Number(Number.isInteger(mixed)), 1);
  },
});
