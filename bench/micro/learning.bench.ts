/**
 * Learning source addresses: 10,000 MACs on 16 ports, in an order that no cache foresees; per address. Argument:
 *   known   seen before on the same port: its time is renewed (the common case)
 *   new     never seen: a row is made
 *   moved   each on another port than the last time
 */
import { Learned } from '../../dist/bridge/fdb.js';
import { macOf, makeRig } from './frames.js';
import { expectEqual, measure } from './measure.js';

const PORTS = 16;
const ADDRESSES = 10_000;
const SECONDS = 1;
const variant = process.argv[2] ?? 'known';

const { fdb } = makeRig(PORTS).bridge;
// macOf scatters consecutive numbers over the table.
const lows = Int32Array.from({ length: ADDRESSES }, (_, index) => macOf(index).low);
const { high } = macOf(0);
let turn = 0;
let expected = 0;

function learnAll(): number {
  let count = 0;
  const wanted = variant === 'new' ? Learned.added : Learned.moved;
  for (let index = 0; index < ADDRESSES; index++) {
    count += fdb.learn(lows[index], high, (index + turn) % PORTS, 0, SECONDS) === wanted ? 1 : 0;
  }
  return count;
}

function refreshAll(): number {
  let count = 0;
  for (let index = 0; index < ADDRESSES; index++) count += fdb.refresh(lows[index], high, index % PORTS, SECONDS) ? 1 : 0;
  return count;
}

learnAll();
measure({
  units: ADDRESSES,
  prepare() {
    if (variant === 'new') fdb.flush();
    else turn++;
  },
  run() {
    expected += variant === 'known' ? refreshAll() : learnAll();
  },
  check: (runs) => expectEqual('addresses', expected, runs * ADDRESSES),
});
