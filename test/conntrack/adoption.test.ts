/** A table over the rows another one left: as if it had been there all the time. */
import { describe, expect, test } from 'vitest';
import { COLD, COLD_FLOATS, COLD_WORDS, FLOW, NO_OWNER, Removal, Status } from '../../src/conntrack/flow-layout.js';
import { FlowTable } from '../../src/conntrack/flow-table.js';
import { invertPorts, kindOf } from '../../src/conntrack/kind.js';
import { CLASS_COUNT, TimeoutClass } from '../../src/conntrack/timeouts.js';
import { Random } from '../../src/core/random.js';

const UDP = kindOf(17);
const OUTER = 0x0a0a0a0a;
const ROW = 16;
const NOW = 1000;
const { udpUnreplied: A, udpStream: B } = TimeoutClass;

/** Rows in memory of their own, and tables over them. */
function memory(limit: number) {
  const rows = { buffer: new ArrayBuffer(64 + FlowTable.rowBytesFor(limit)), at: 64 };
  let seed = 1;
  const removed: number[] = [];
  const table = () =>
    new FlowTable(
      { limit, ownerCapacity: 4, ownerLimit: limit, seed: seed++ * 7919, onRemove: (flow) => removed.push(flow) },
      undefined,
      rows,
    );
  return { rows, table, removed };
}

/** Flow number `index`, its first frame tracked. */
function add(table: FlowTable, index: number, seconds = 1, owner = NO_OWNER, timeoutClass: number = A): number {
  const ports = (index << 16) | 53;
  const flow = table.add(index, 7, ports, UDP, 7, OUTER, invertPorts(ports), owner, timeoutClass, seconds);
  table.words[flow * ROW + FLOW.status] &= ~Status.fresh;
  return flow;
}

const findOriginal = (table: FlowTable, index: number) => table.find(index, 7, (index << 16) | 53, UDP);
const findReply = (table: FlowTable, index: number) => table.find(7, OUTER, (53 << 16) | (index & 0xffff), UDP);
const adoptAll = (table: FlowTable, seconds = NOW) => table.adopt(seconds, () => true);

function list(table: FlowTable, timeoutClass: number): number[] {
  const result: number[] = [];
  for (let flow = table.oldest(timeoutClass); flow >= 0; flow = table.words[flow * ROW + FLOW.next]) result.push(flow);
  return result;
}

/** What must be true of any table: lists, index, counts and rows say the same. */
function expectConsistent(table: FlowTable): void {
  const live = Array.from({ length: table.rows() }, (_, flow) => flow).filter((flow) => table.used(flow));
  expect(live).toHaveLength(table.size);
  const owners = new Map<number, number>();
  for (const flow of live) {
    const words = table.words.subarray(flow * ROW, flow * ROW + ROW);
    const kind = words[FLOW.kind];
    expect(table.find(words[FLOW.oSource], words[FLOW.oDestination], words[FLOW.oPorts], kind) >> 1).toBe(flow);
    expect(table.find(words[FLOW.rSource], words[FLOW.rDestination], words[FLOW.rPorts], kind) >> 1).toBe(flow);
    const owner = words[FLOW.owner] & 0xffff;
    owners.set(owner, (owners.get(owner) ?? 0) + 1);
  }
  for (let owner = 0; owner < 4; owner++) expect(table.sizeOf(owner)).toBe(owners.get(owner) ?? 0);
  const listed: number[] = [];
  for (let timeoutClass = 0; timeoutClass < CLASS_COUNT; timeoutClass++) {
    const flows = list(table, timeoutClass);
    expect(flows.every((flow) => table.classOf(flow) === timeoutClass)).toBe(true);
    const seen = flows.map((flow) => table.words[flow * ROW + FLOW.seen]);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    listed.push(...flows);
  }
  expect(listed.sort((a, b) => a - b)).toEqual(live);
}

describe('adopting the rows of another table', () => {
  test('every flow is found both ways, with its owner, counters and order of expiry; numbers of ended ones are given again', () => {
    const { table, removed } = memory(256);
    const before = table();
    for (let index = 0; index < 200; index++) add(before, index, 1 + (index % 7), index % 4, index % 2 === 0 ? A : B);
    for (let index = 0; index < 200; index += 5) before.remove(index, Removal.flushed);
    before.account(7, 1, 1500, 3);
    before.touch(1, B, 9);
    removed.length = 0;
    const after = table();
    expect(adoptAll(after)).toBe(160);
    expectConsistent(after);
    for (let index = 0; index < 200; index++) {
      expect(findOriginal(after, index)).toBe(index % 5 === 0 ? -1 : index * 2);
      expect(findReply(after, index)).toBe(index % 5 === 0 ? -1 : index * 2 + 1);
    }
    expect([after.bytesOf(7, 1), after.packetsOf(7, 1)]).toEqual([1500, 3]);
    expect(list(after, B).at(-1)).toBe(1);
    expect(after.rows()).toBe(200);
    expect(add(after, 1000, 10) % 5).toBe(0);
    for (let index = 1001; index < 1096; index++) expect(add(after, index, 10)).toBeGreaterThanOrEqual(0);
    expect(add(after, 2000, 10)).toBe(-1);
    expect(removed).toEqual([]);
    expectConsistent(after);
  });

  test('again and again, over what the last one did', () => {
    const { table } = memory(64);
    const random = new Random(3);
    let current = table();
    const expected = new Set<number>();
    for (let round = 0; round < 300; round++) {
      const index = random.below(100);
      const ref = findOriginal(current, index);
      if (ref >= 0) {
        current.remove(ref >> 1, Removal.expired);
        expected.delete(index);
      } else if (add(current, index, 1 + round) >= 0) {
        expected.add(index);
      }
      if (random.below(10) > 0) continue;
      current = table();
      expect(adoptAll(current)).toBe(expected.size);
      expectConsistent(current);
      for (const each of expected) expect(findOriginal(current, each)).toBeGreaterThanOrEqual(0);
    }
  });

  test('memory of zeros is an empty table', () => {
    const after = memory(64).table();
    expect(adoptAll(after)).toBe(0);
    expect([after.rows(), add(after, 1)]).toEqual([0, 0]);
  });

  test('a flow whose first frame was not tracked to its end is none', () => {
    const { table } = memory(64);
    const before = table();
    add(before, 1);
    before.words[add(before, 2) * ROW + FLOW.status] |= Status.fresh;
    add(before, 3);
    const after = table();
    expect(adoptAll(after)).toBe(2);
    expect(findOriginal(after, 2)).toBe(-1);
    expect(add(after, 9)).toBe(1);
  });

  test('of a row that was being written for the first time nothing is read, nor of what would be behind it', () => {
    const { table } = memory(64);
    const before = table();
    add(before, 1);
    before.words[ROW + FLOW.oSource] = 5;
    const after = table();
    expect(adoptAll(after)).toBe(1);
    expect(after.rows()).toBe(1);
    expect(add(after, 2)).toBe(1);
  });

  test('of two flows with one tuple the first is taken', () => {
    const { table } = memory(64);
    const before = table();
    for (const index of [1, 2, 3]) add(before, index);
    before.words.copyWithin(ROW, 0, FLOW.rSource);
    before.words.copyWithin(2 * ROW + FLOW.rSource, FLOW.rSource, FLOW.kind);
    const after = table();
    expect(adoptAll(after)).toBe(1);
    expectConsistent(after);
    expect(findOriginal(after, 1)).toBe(0);
  });

  test('what the caller refuses is none, and is not told of', () => {
    const { table, removed } = memory(64);
    const before = table();
    for (let index = 0; index < 10; index++) add(before, index);
    const after = table();
    expect(after.adopt(NOW, (flow) => flow % 2 === 0)).toBe(5);
    expect(removed).toEqual([]);
    expectConsistent(after);
  });

  const spoiled: [string, (words: Int32Array, cold: Int32Array) => void][] = [
    ['a status that is not used', (words) => (words[FLOW.status] &= ~Status.used)],
    ['a class there is not', (words) => (words[FLOW.status] |= Status.classMask)],
    ['a state UDP has not', (words) => (words[FLOW.status] |= 1)],
    ['a state TCP has not', (words) => Object.assign(words, { [FLOW.kind]: kindOf(6), [FLOW.status]: words[FLOW.status] | 0xf })],
    ['another family', (words) => (words[FLOW.kind] = 17 | (6 << 8))],
    ['a zone in its kind', (words) => (words[FLOW.kind] |= 1 << 16)],
    ['a request that is no ICMP query', (words) => (words[FLOW.kind] |= 8 << 24)],
    ['an ICMP type nobody answers', (words) => (words[FLOW.kind] = kindOf(1) | (3 << 24))],
    ['an owner beyond the last', (words) => (words[FLOW.owner] = 4)],
    ['a time to come', (words) => (words[FLOW.seen] = NOW + 1)],
    ['a beginning to come', (_words, cold) => (cold[COLD.created] = NOW + 1)],
  ];
  test.each(spoiled)('%s: no flow', (_name, spoil) => {
    const { table } = memory(64);
    const before = table();
    for (const index of [1, 2, 3]) add(before, index);
    spoil(before.words.subarray(ROW, 2 * ROW), before.cold.subarray(COLD_WORDS, 2 * COLD_WORDS));
    const after = table();
    expect(adoptAll(after)).toBe(2);
    expectConsistent(after);
  });

  test('counters that are none begin again', () => {
    const { table } = memory(64);
    const before = table();
    add(before, 1);
    before.floats[0] = Number.NaN;
    before.floats[1] = -1;
    const after = table();
    expect(adoptAll(after)).toBe(1);
    expect([after.bytesOf(0, 0), after.bytesOf(0, 1)]).toEqual([0, 0]);
    expect(COLD_FLOATS).toBe(COLD_WORDS / 2);
  });

  test.each([1, 2, 3])('a million random words, rows half right among them, seed %i: bounded, and consistent', (seed) => {
    const limit = 30_000;
    const { rows, table } = memory(limit);
    const random = new Random(seed);
    const words = new Int32Array(rows.buffer, rows.at);
    for (let at = 0; at < words.length; at++) words[at] = random.next();
    for (let flow = 0; flow < limit; flow++) {
      const row = flow * ROW;
      // So that not all fail at the first look.
      if (random.below(4) > 0) words[row + FLOW.kind] = random.below(2) === 0 ? UDP : kindOf(6);
      if (random.below(4) > 0) words[row + FLOW.status] = Status.used | (random.below(32) << Status.classShift);
      if (random.below(4) > 0) words[row + FLOW.owner] = random.below(2) === 0 ? NO_OWNER : random.below(6);
      if (random.below(4) > 0) words[row + FLOW.seen] = random.below(NOW);
      words[limit * ROW + flow * COLD_WORDS + COLD.created] = random.below(NOW);
      if (random.below(4) === 0 && flow > 0) words.copyWithin(row, row - ROW, row - ROW + FLOW.kind);
    }
    const after = table();
    const taken = adoptAll(after);
    expect(taken).toBeGreaterThan(1000);
    expect(taken).toBeLessThanOrEqual(limit);
    const checked = table();
    expect(adoptAll(checked)).toBe(taken);
    const live = Array.from({ length: checked.rows() }, (_, flow) => flow).filter((flow) => checked.used(flow));
    for (const flow of live) checked.remove(flow, Removal.flushed);
    expect([checked.size, ...Array.from({ length: CLASS_COUNT }, (_, index) => checked.oldest(index))]).toEqual([
      0,
      ...Array<number>(CLASS_COUNT).fill(-1),
    ]);
  });
});
