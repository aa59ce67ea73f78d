/** The hash table behind FDB and neighbors: one lookup that hits, keys in random order; argument: rows in the table. */
import { Random } from '../../dist/core/random.js';
import { Table } from '../../dist/core/table.js';
import { macOf } from './frames.js';
import { expectEqual, measure } from './measure.js';

const rows = Number(process.argv[2] ?? '1000');
const LOOKUPS = 1 << 16;
const USED = 2;

const table = new Table(65_536, 2);
for (let index = 0; index < rows; index++) {
  const mac = macOf(index);
  table.words[table.insert(mac.low, mac.high) + USED] = index + 1;
}
const random = new Random(5);
const keys = Int32Array.from({ length: LOOKUPS }, () => macOf(random.below(rows)).low);
const { high } = macOf(0);
let found = 0;

measure({
  units: LOOKUPS,
  run() {
    let hits = 0;
    for (let index = 0; index < LOOKUPS; index++) hits += table.find(keys[index], high) >= 0 ? 1 : 0;
    found += hits;
  },
  check: (runs) => expectEqual('rows found', found, runs * LOOKUPS),
});
