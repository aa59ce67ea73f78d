/**
 * A whole pass of the engine without the kernel: both passes, all checks, counters, the transmit ring. Argument:
 *   unicast    64-frame bursts from 16 ports, each a conversation with another port; per frame
 *   flood-8    broadcast from one port to 8 others; per copy
 *   flood-64   broadcast from one port to 64 others; per copy
 */
import { PORT } from '../../dist/core/counters.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import { layOut, macOf, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const variant = process.argv[2] ?? 'unicast';
const copies = variant === 'unicast' ? 1 : Number(variant.slice('flood-'.length));
const ports = variant === 'unicast' ? 16 : copies + 1;
const FRAMES = variant === 'unicast' ? 1024 : 64;

const { io, engine, batch, bridge } = makeRig(ports);
layOut(batch, FRAMES, variant === 'unicast' ? ports : 1, SMALL_FRAME_BYTES);
for (let port = 0; port < ports; port++) {
  const mac = macOf(port);
  bridge.fdb.learn(mac.low, mac.high, port, 0, 0);
}
for (let frame = 0; frame < FRAMES; frame++) {
  const at = batch.at[frame];
  const source = macOf(batch.ingress[frame]);
  ethernet.setSource(batch.bytes, at, source.high, source.low);
  if (variant === 'unicast') {
    const target = macOf((batch.ingress[frame] + 1) % ports);
    ethernet.setDestination(batch.bytes, at, target.high, target.low);
  } else {
    ethernet.setDestination(batch.bytes, at, 0xffff, -1);
  }
}
io.frames = FRAMES;

measure({
  units: FRAMES * copies,
  run: () => void engine.step(0),
  check(runs) {
    let sent = 0;
    for (let port = 0; port < ports; port++) sent += engine.portCounters.get(port, PORT.tx_frames);
    expectEqual('frames sent', sent, runs * FRAMES * copies);
  },
});
