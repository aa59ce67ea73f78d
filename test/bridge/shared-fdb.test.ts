/** The FDB of several threads: that of one behaves as any other FDB (sim/fuzz.test.ts compares them); here real threads work at it at once. */
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { EntryKind, Learned } from '../../src/bridge/fdb.js';
import { SharedFdb } from '../../src/bridge/shared-fdb.js';

const PORTS = 8;
const KEY = 0x0200;

function two(limit: number): [SharedFdb, SharedFdb] {
  const memory = SharedFdb.allocate(limit, PORTS);
  return [new SharedFdb(memory, limit, 300, PORTS), new SharedFdb(memory, limit, 300, PORTS)];
}

describe('two views of one table', () => {
  test('what one learns, moves, pins and forgets the other sees', () => {
    const [one, other] = two(100);
    expect(one.learn(1, KEY, 3, 0, 10)).toBe(Learned.added);
    expect(other.lookup(1, KEY, 10)).toBe(3);
    expect(other.learn(1, KEY, 4, 0, 10)).toBe(Learned.moved);
    expect([one.lookup(1, KEY, 10), other.movedFrom]).toEqual([4, 3]);
    one.pin(2, KEY, 5, EntryKind.local);
    expect([other.isLocal(2, KEY), other.learn(2, KEY, 6, 0, 10), other.learn(2, KEY, 5, 0, 10)]).toEqual([
      true,
      Learned.local,
      Learned.known,
    ]);
    one.removePort(4, false);
    expect([other.lookup(1, KEY, 10), other.learned]).toEqual([-1, 0]);
  });

  test('a source is fresh for both once one of them has seen it in this second', () => {
    const [one, other] = two(100);
    one.learn(1, KEY, 3, 0, 10);
    expect([other.refresh(1, KEY, 3, 10), other.refresh(1, KEY, 3, 11), other.refresh(1, KEY, 2, 10)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(other.learn(1, KEY, 3, 0, 300)).toBe(Learned.known);
    expect([one.lookup(1, KEY, 600), one.lookup(1, KEY, 601)]).toEqual([3, -1]);
  });

  test('the limits hold for both together, of the table and of a port', () => {
    const [one, other] = two(3);
    expect([one.learn(1, KEY, 0, 0, 1), other.learn(2, KEY, 1, 1, 1), one.learn(3, KEY, 1, 1, 1)]).toEqual([
      Learned.added,
      Learned.added,
      Learned.full,
    ]);
    expect([other.learn(4, KEY, 2, 0, 1), one.learn(5, KEY, 2, 0, 1), other.learned]).toEqual([Learned.added, Learned.full, 3]);
  });

  test('a larger table holds what the one before held, and all change over to it', () => {
    const [one, other] = two(10);
    for (let mac = 0; mac < 10; mac++) one.learn(mac, KEY, mac % PORTS, 0, 1);
    one.pin(99, KEY, 7, EntryKind.static);
    const memory = SharedFdb.allocate(10_000, PORTS);
    one.setLimit(10_000, memory, true);
    other.setLimit(10_000, memory, false);
    expect(other.learn(50, KEY, 1, 0, 1)).toBe(Learned.added);
    expect([one.learned, one.lookup(50, KEY, 1), other.lookup(9, KEY, 1), other.lookup(99, KEY, 1)]).toEqual([11, 1, 1, 7]);
  });
});

test('four threads learn, move, look up, pin, remove and sweep at once: no row is ever made of two, no count is lost', async () => {
  const [limit, macs, count, rounds, finds] = [600, 1000, 4, 200_000, 10_000];
  const memory = SharedFdb.allocate(limit, PORTS + 1);
  const shared = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
  const script = new URL('./shared-fdb-worker.mjs', import.meta.url);
  const reports = await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const workerData = { memory, shared, limit, ports: PORTS, index, count, macs, rounds, finds };
      const worker = new Worker(script, { workerData });
      return new Promise<{ wrong: number; enough: boolean; most: number }>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    }),
  );
  expect(reports.map(({ wrong }) => wrong)).toEqual([0, 0, 0, 0]);
  expect(
    reports.map(({ enough }) => enough),
    `each had ${rounds} rounds and found ${finds} addresses`,
  ).toEqual([true, true, true, true]);
  expect(Math.max(...reports.map(({ most }) => most))).toBeLessThanOrEqual(limit);
  const after = new SharedFdb(memory, limit, 300, PORTS + 1);
  const entries = [...after.entries(0)];
  expect(new Set(entries.map(({ macLow, macHigh }) => `${macLow} ${macHigh}`)).size).toBe(entries.length);
  expect(after.learned).toBe(entries.filter(({ kind }) => kind === EntryKind.learned).length);
  for (const { macLow, macHigh, vlan, port } of entries) {
    expect(after.lookup(macLow, (vlan << 16) | macHigh, 0)).toBe(port);
  }
}, 60_000);
