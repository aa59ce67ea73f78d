import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { SharedTable } from '../../src/core/shared-table.js';

const LIMIT = 100;
const SHIFT = 3;
/** How long the table is changed: this long, and until the reader has seen so many rows, if that is ever. */
const MILLIS = { least: 500, most: 20_000 };
const SEEN = 5_000;

test('a row is read as it was at one moment, while another thread rewrites, removes and moves rows all the time', async () => {
  const memory = SharedTable.allocate(LIMIT, SHIFT);
  const table = new SharedTable(memory, LIMIT, SHIFT);
  const seen = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const write = (row: number, value: number) => {
    for (let word = 7; word >= 2; word--) table.set(row + word, value);
  };
  const worker = new Worker(new URL('./shared-table-worker.mjs', import.meta.url), {
    workerData: { memory, seen, limit: LIMIT, shift: SHIFT },
  });
  await once(worker, 'message');
  const begin = Date.now();
  const enough = () => {
    const millis = Date.now() - begin;
    return millis > MILLIS.most || (millis > MILLIS.least && Atomics.load(seen, 0) >= SEEN);
  };
  for (let value = 1; !enough(); value++) {
    table.lock();
    const row = table.find(1, 1);
    if (row < 0) {
      write(table.insert(1, 1), value);
    } else if (value % 5 === 0) {
      table.remove(row);
    } else {
      write(row, value);
    }
    table.unlock();
  }
  table.lock();
  write(table.insert(0, 0), 1);
  table.unlock();
  const [torn] = (await once(worker, 'message')) as [number];
  expect(torn).toBe(0);
  expect(Atomics.load(seen, 0)).toBeGreaterThanOrEqual(SEEN);
}, 60_000);

test('one table of many views: what one of them removes is gone for all, and no row of the cluster is lost', () => {
  const memory = SharedTable.allocate(LIMIT, SHIFT);
  const [one, other] = [new SharedTable(memory, LIMIT, SHIFT), new SharedTable(memory, LIMIT, SHIFT)];
  const row = new Int32Array(1 << SHIFT);
  for (let key = 1; key <= LIMIT; key++) {
    one.lock();
    one.set(one.insert(key, -key) + 2, key);
    one.unlock();
  }
  for (let key = 1; key <= LIMIT; key += 2) {
    other.lock();
    other.remove(other.find(key, -key));
    other.unlock();
  }
  expect([one.size, other.size]).toEqual([LIMIT / 2, LIMIT / 2]);
  for (let key = 1; key <= LIMIT; key++) {
    expect(one.copy(key, -key, row) ? row[2] : 0).toBe(key % 2 === 0 ? key : 0);
  }
});
