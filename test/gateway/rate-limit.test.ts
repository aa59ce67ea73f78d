import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { KeyedBuckets, TokenBuckets } from '../../src/gateway/rate-limit.js';

const SECOND = 1_000_000;
const START = 5000 * SECOND;

/** How many of so many takes are granted. */
function granted(count: number, take: () => boolean): number {
  let sum = 0;
  for (let turn = 0; turn < count; turn++) {
    sum += take() ? 1 : 0;
  }
  return sum;
}

describe('token buckets', () => {
  test('a burst at once, then so many a second; no bucket takes from another', () => {
    const buckets = new TokenBuckets(2, 100, 200);
    expect(granted(500, () => buckets.take(0, START))).toBe(200);
    expect(granted(500, () => buckets.take(0, START + SECOND / 10))).toBe(10);
    expect(granted(500, () => buckets.take(1, START))).toBe(200);
    expect(granted(500, () => buckets.take(0, START + 1000 * SECOND))).toBe(200);
  });

  test('a clock that stands still or goes back grants nothing', () => {
    const buckets = new TokenBuckets(1, 100, 1);
    expect([buckets.take(0, START), buckets.take(0, START), buckets.take(0, START - SECOND)]).toEqual([true, false, false]);
  });
});

describe('buckets by address', () => {
  test('R34: each address has its own burst and rate', () => {
    const buckets = new KeyedBuckets(1, 6, () => 0.5);
    expect(granted(20, () => buckets.take(1, START))).toBe(6);
    expect(granted(20, () => buckets.take(2, START))).toBe(6);
    expect(granted(20, () => buckets.take(1, START + 2 * SECOND))).toBe(2);
    expect(granted(20, () => buckets.take(0, START))).toBe(6);
  });

  test('a million addresses take no more memory, and the next one still has its burst', () => {
    const random = new Random(7);
    const buckets = new KeyedBuckets(1, 6, () => random.fraction());
    for (let address = 1; address <= 1_000_000; address++) {
      buckets.take(address, START);
    }
    expect(granted(20, () => buckets.take(-5, START + 1))).toBe(6);
  });

  test('limits are settable', () => {
    const buckets = new KeyedBuckets(1, 6, () => 0.5);
    buckets.set(10, 3);
    expect(granted(20, () => buckets.take(1, START))).toBe(3);
    expect(granted(20, () => buckets.take(1, START + SECOND / 5))).toBe(2);
  });
});
