/**
 * Merging datagrams: 64 of one flow, 18 bytes of payload, into one super-frame; per datagram. Argument: "merge", or "pass" for the same frames on
 * their way to a port that takes no super-frames of datagrams (nothing may merge).
 */
import { Transmit } from '../../dist/core/transmit.js';
import { emitCoalesced } from '../../dist/offload/coalesce.js';
import { fillDatagram, layOut, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const BURST = 64;
const ROUNDS = 16;
const merge = (process.argv[2] ?? 'merge') === 'merge';

const { io, batch } = makeRig(2);
layOut(batch, BURST, 1, SMALL_FRAME_BYTES);
const order = new Int32Array(BURST);
for (let frame = 0; frame < BURST; frame++) {
  fillDatagram(batch, frame, 0, 1, frame);
  order[frame] = frame;
}
let descriptors = 0;
const ring = new Transmit(io.arena, io.transmit, 3 << 20, 4 << 20, { flush: (full) => full.clear() });

measure({
  units: BURST * ROUNDS,
  run() {
    for (let round = 0; round < ROUNDS; round++) {
      emitCoalesced(batch.bytes, batch.ingress, batch.at, batch.length, order, BURST, 1, ring, merge);
      for (let word = 0; word < ring.used; word += 2 + ring.words[word + 1] * 2) descriptors++;
      ring.clear();
    }
  },
  check: (runs) => expectEqual('super-frames', descriptors, runs * ROUNDS * (merge ? 1 : BURST)),
});
