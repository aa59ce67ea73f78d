// Replays a capture through a bridge: node examples/replay.mjs FILE.pcap
// The clock is ours, so the recorded pauses cost no time and every run is the same.
import {
  burstIoOptions,
  DEFAULT_BRIDGE_SETTINGS,
  DEFAULT_PORT_FLAGS,
  describe,
  Engine,
  flagBits,
  formatMac,
  loadReplay,
  ManualClock,
  memoryPair,
  ReplayPort,
  SimulatedIo,
} from 'tapbridge';

const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error('usage: node examples/replay.mjs FILE.pcap');
  process.exit(2);
}

const clock = new ManualClock();
const ioOptions = burstIoOptions(8);
const engine = new Engine({ io: new SimulatedIo(ioOptions, clock), ioOptions });
engine.addBridge(0, DEFAULT_BRIDGE_SETTINGS);
const settings = { bridge: 0, flags: flagBits(DEFAULT_PORT_FLAGS, false), mtu: 1500, macLimit: 0 };

const tape = new ReplayPort(await loadReplay(path), { speed: 1 });
engine.addPort(0, tape, settings);
const { port, peer } = memoryPair({ headerBytes: 0 });
engine.addPort(1, port, settings);

let seen = 0;
while (!tape.ended) {
  engine.step(0);
  for (let got = peer.receive(); got !== undefined; got = peer.receive()) {
    const { frame } = got;
    seen++;
    console.log(`${(clock.now / 1e6).toFixed(6)} ${describe(frame, 0, frame.length)}`);
  }
  clock.now = Math.min(tape.nextDue(clock.now), clock.now + 1e6);
}
console.log(
  `${tape.sent} frames replayed; ${seen} reached the other port, the rest is between stations behind the tape. Learned:`,
);
for (const { macHigh, macLow, port: number } of engine.bridges[0]?.fdb.entries(engine.seconds) ?? []) {
  console.log(`  ${formatMac(macHigh, macLow)} on port ${number}`);
}
