// One of several threads at one FDB: workerData { memory, shared, limit, ports, index, count, macs, rounds, finds }. Compiled code, as in the engine.
//
// The first threads learn and move addresses; the last one, the keeper, pins, removes, sweeps and flushes. Everybody looks addresses up all the time:
// port and address belong together (an address with the number n is only ever taught on the ports n % ports and n % ports + 1), so a row put
// together of two shows.
//
// They begin together, and each goes on until all have had their rounds and finds: a thread the scheduler favours does not work alone.
import { parentPort, workerData } from 'node:worker_threads';
import { EntryKind } from '../../dist/bridge/fdb.js';
import { SharedFdb } from '../../dist/bridge/shared-fdb.js';

const { memory, shared, limit, ports, index, count, macs, rounds, finds } = workerData;
const fdb = new SharedFdb(memory, limit, 300, ports + 1);
const keeper = index === count - 1;
/** How many threads have begun, how many have had enough, and the clock of all: seconds, moved on by the first. */
const [BEGUN, DONE, CLOCK] = [0, 1, 2];
const together = new Int32Array(shared);
const key = (n) => 0x0200 + (n & 0xff);
const low = (n) => Math.imul(n, 0x9e3779b1);

let seed = 77 + index;
const random = (below) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return ((seed >>> 8) % below) | 0;
};

let wrong = 0;
let found = 0;
let most = 0;
let round = 0;
let enough = false;
const until = Date.now() + 40_000;
Atomics.add(together, BEGUN, 1);
while (Atomics.load(together, BEGUN) < count && Date.now() < until);
for (; Atomics.load(together, DONE) < count; round++) {
  if (index === 0 && (round & 1023) === 0) Atomics.add(together, CLOCK, 1);
  if ((round & 1023) === 0 && Date.now() > until) break;
  const n = random(macs);
  const seconds = Atomics.load(together, CLOCK);
  const home = n % ports;
  if (keeper) {
    if (round % 7 === 0) fdb.remove(low(n), key(n));
    if (round % 1001 === 0) fdb.sweep(64, seconds);
    if (round % 1501 === 0) fdb.pin(low(n), key(n), home, EntryKind.static);
    if (round % 20_011 === 0) fdb.removePort(home, true);
  } else {
    fdb.learn(low(n), key(n), home + random(2), 0, seconds);
    most = Math.max(most, fdb.learned);
  }
  const other = random(macs);
  const port = fdb.lookup(low(other), key(other), seconds);
  if (port >= 0) {
    found++;
    if (port !== other % ports && port !== (other % ports) + 1) wrong++;
  }
  if (!enough && round >= rounds && found >= finds) {
    enough = true;
    Atomics.add(together, DONE, 1);
  }
}
parentPort.postMessage({ wrong, enough, most });
