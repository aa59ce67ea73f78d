// A reader of a table that another thread changes: workerData { memory, seen, limit, shift }. Counts in `seen` what it
// read, ends when the row with the keys (0, 0) is there, and tells how many rows were torn.
import { parentPort, workerData } from 'node:worker_threads';
import { SharedTable } from '../../dist/core/shared-table.js';

const { memory, seen, limit, shift } = workerData;
const table = new SharedTable(memory, limit, shift);
const row = new Int32Array(1 << shift);
let torn = 0;
parentPort.postMessage('ready');
while (!table.copy(0, 0, row)) {
  // Present or absent, but always in one piece: all words behind the keys are written with one number.
  if (table.copy(1, 1, row)) {
    Atomics.add(seen, 0, 1);
    torn += row.subarray(2).every((word) => word === row[2]) ? 0 : 1;
  }
}
parentPort.postMessage(torn);
