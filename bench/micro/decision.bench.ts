/**
 * The forwarding decision: FDB learn and lookup, classification, egress lists. 1,024 frames of 60 bytes in bursts of 64 from 16 ports; source and
 * destination change with every frame, so nothing is remembered from one to the next. Argument: entries in the FDB, or "stream" for bursts
 * that are one conversation each.
 */
import { Egress } from '../../dist/bridge/egress.js';
import { PORT } from '../../dist/core/counters.js';
import { Random } from '../../dist/core/random.js';
import * as ethernet from '../../dist/wire/ethernet.js';
import { layOut, macOf, makeRig, SMALL_FRAME_BYTES } from './frames.js';
import { expectEqual, measure } from './measure.js';

const PORTS = 16;
const FRAMES = 1024;
const BURST = 64;
/** Frames with a source and destination of their own before they repeat. */
const PICKS = 1 << 18;

const variant = process.argv[2] ?? '1000';
const stream = variant === 'stream';
const entries = stream ? 1000 : Number(variant);

const { engine, batch, bridge } = makeRig(PORTS);
const egress = new Egress(PORTS, 1);
batch.begin(FRAMES, 1_000_000);
layOut(batch, FRAMES, PORTS, SMALL_FRAME_BYTES);

// Entry n belongs to port n % PORTS.
for (let entry = 0; entry < entries; entry++) {
  const mac = macOf(entry);
  bridge.fdb.learn(mac.low, mac.high, entry % PORTS, 0, batch.seconds);
}
const random = new Random(7);
const sources = new Int32Array(PICKS);
const targets = new Int32Array(PICKS);
const perPort = Math.floor(entries / PORTS);
for (let pick = 0; pick < PICKS; pick++) {
  const port = (pick >> 6) % PORTS;
  const repeat = stream && pick % BURST !== 0;
  sources[pick] = repeat ? sources[pick - 1] : random.below(perPort) * PORTS + port;
  targets[pick] = repeat ? targets[pick - 1] : random.below(perPort) * PORTS + ((port + 1 + random.below(PORTS - 1)) % PORTS);
}

let next = 0;
measure({
  units: FRAMES,
  // The kernel has just written these bytes when the engine looks at them: they are in the cache, and here they are too.
  prepare() {
    egress.clear();
    for (let frame = 0; frame < FRAMES; frame++) {
      const source = macOf(sources[next]);
      const target = macOf(targets[next]);
      ethernet.setSource(batch.bytes, batch.at[frame], source.high, source.low);
      ethernet.setDestination(batch.bytes, batch.at[frame], target.high, target.low);
      next = (next + 1) % PICKS;
    }
  },
  run() {
    for (let from = 0; from < FRAMES; from += BURST) {
      bridge.classify(batch, from, from + BURST, batch.ingress[from], egress);
    }
  },
  check(runs) {
    let unicast = 0;
    for (let port = 0; port < PORTS; port++) unicast += engine.portCounters.get(port, PORT.unicast);
    expectEqual('frames forwarded to one port', unicast, runs * FRAMES);
  },
});
