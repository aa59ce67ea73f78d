import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { Table } from '../../src/core/table.js';

const USED = 2;
const VALUE = 3;

/** The table with a Map beside it that is told the same. */
class Pair {
  readonly table: Table;
  readonly map = new Map<string, number>();
  private stamp = 0;

  constructor(limit: number, shift = 2) {
    this.table = new Table(limit, shift);
  }

  insert(a: number, b: number): void {
    if (this.table.size >= this.table.limit || this.map.has(`${a} ${b}`)) {
      return;
    }
    const row = this.table.insert(a, b);
    this.table.words[row + USED] = 1;
    this.table.words[row + VALUE] = ++this.stamp;
    this.map.set(`${a} ${b}`, this.stamp);
  }

  remove(a: number, b: number): void {
    const row = this.table.find(a, b);
    expect(row >= 0).toBe(this.map.delete(`${a} ${b}`));
    if (row >= 0) {
      this.table.remove(row);
    }
  }

  check(a: number, b: number): void {
    const row = this.table.find(a, b);
    expect(row < 0 ? undefined : this.table.words[row + VALUE]).toBe(this.map.get(`${a} ${b}`));
  }

  checkAll(): void {
    expect(this.table.size).toBe(this.map.size);
    const found = new Map<string, number>();
    const { words, shift } = this.table;
    for (let row = 0; row < words.length; row += 1 << shift) {
      if (this.table.used(row)) {
        found.set(`${words[row]} ${words[row + 1]}`, words[row + VALUE]);
      } else {
        expect(words.subarray(row, row + (1 << shift)).every((word) => word === 0)).toBe(true);
      }
    }
    expect(found).toEqual(this.map);
    for (const key of this.map.keys()) {
      const [a, b] = key.split(' ').map(Number);
      this.check(a, b);
    }
  }
}

describe('table', () => {
  test('any inserts and removals: what a Map holds', () => {
    // Few keys, so that removals hit; any int32 among them.
    const key = fc.tuple(
      fc.constantFrom(0, 1, -1, 2, 3, 5, 0x7fffffff, -0x80000000, 1 << 16, 1 << 24),
      fc.integer({ min: -3, max: 3 }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 300 }), (commands) => {
        const pair = new Pair(34);
        for (const [inserts, [a, b]] of commands) {
          if (inserts) {
            pair.insert(a, b);
          } else {
            pair.remove(a, b);
          }
          pair.check(a, b);
        }
        pair.checkAll();
      }),
    );
  });

  test('at its limit, with clusters that wrap around the end: removal shifts back and loses nobody', () => {
    const random = new Random(7);
    for (const shift of [2, 3]) {
      const pair = new Pair(1092, shift);
      expect(pair.table.capacity).toBe(2048);
      for (let turn = 0; turn < 20_000; turn++) {
        const a = random.below(1500);
        if (random.below(3) > 0) {
          pair.insert(a, 5);
        } else {
          pair.remove(a, 5);
        }
      }
      pair.checkAll();
      expect(pair.table.size).toBeGreaterThan(900);
    }
  });

  test('as full as it may get and emptied again: nothing is left behind', () => {
    const limit = 65_536 + 4096;
    const pair = new Pair(limit);
    for (let index = 0; index < limit + 10; index++) {
      pair.insert(index * 0x01000193, index & 0xffff);
    }
    expect(pair.table.size).toBe(limit);
    // At most 8/15 of the rows are in use.
    expect(pair.table.size * 15).toBeLessThanOrEqual(pair.table.capacity * 8);
    for (let index = 0; index < limit; index++) {
      const row = pair.table.find((index * 0x01000193) | 0, index & 0xffff);
      expect(row).toBeGreaterThanOrEqual(0);
      pair.table.remove(row);
    }
    expect(pair.table.size).toBe(0);
    expect(pair.table.words.every((word) => word === 0)).toBe(true);
  });

  test('addresses as hosts have them (one vendor, counted up) do not pile up', () => {
    const table = new Table(8192, 2);
    for (let host = 0; host < 8192; host++) {
      table.words[table.insert(0x42ac1100 + host, 0x0242) + USED] = 1;
    }
    let longest = 0;
    for (let row = 0, cluster = 0; row < table.words.length; row += 4) {
      cluster = table.used(row) ? cluster + 1 : 0;
      longest = Math.max(longest, cluster);
    }
    // Random keys at this load make clusters of about 60.
    expect(longest).toBeLessThan(200);
  });
});
