// An engine in a worker thread: forwards between port 0 and port 1 of the TAPs it is given, or opens them itself, until it is told to end.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const { addon, taps, open } = workerData;
const binding = createRequire(import.meta.url)(addon);
const BATCH = 64;
const VNET = 12;

const io = new binding.BurstIo({
  arenaBytes: 8 << 20,
  receiveBytes: 6 << 20,
  batchFrames: BATCH,
  receiveFrames: BATCH,
  batchBytes: 1 << 20,
  burstFrames: 32,
  transmitWords: 4096,
  maxPorts: 4,
});
const received = new Int32Array(io.received);
const transmit = new Int32Array(io.transmit);
const woken = new Float64Array(io.status, 8, 1);

const descriptors = taps ?? open.map((tap) => binding.openTap(tap));
const results = descriptors.map((descriptor, port) => io.add(port, descriptor, 0, VNET));
parentPort.postMessage({ waker: io.waker, descriptors, results });

let frames = 0;
for (;;) {
  const count = io.receive(20, -1);
  let words = 0;
  for (let i = 0; i < count; i++) {
    transmit[words++] = 1 - received[i];
    transmit[words++] = 1;
    transmit[words++] = received[BATCH + i] - VNET;
    transmit[words++] = received[2 * BATCH + i] + VNET;
  }
  io.send(words);
  frames += count;
  if (woken[0] === 1) break;
}
parentPort.postMessage({ frames });
if (workerData.linger) {
  // Everything stays open; the environment's end must close it.
  parentPort.on('message', () => {});
}
