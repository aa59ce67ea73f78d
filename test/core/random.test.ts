import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';

const take = (seed: number, count: number) => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.next());
};

describe('random', () => {
  test('xorshift32 of Marsaglia (2003), shifts 13, 17, 5: each number follows from the one before', () => {
    const [first, ...others] = take(1, 5);
    let expected = BigInt(first >>> 0);
    for (const value of others) {
      expected ^= (expected << 13n) & 0xffffffffn;
      expected ^= expected >> 17n;
      expected ^= (expected << 5n) & 0xffffffffn;
      expected &= 0xffffffffn;
      expect(value >>> 0).toBe(Number(expected));
    }
  });

  test('already the first numbers of small seeds look like any other', () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => new Random(seed).fraction());
    expect(firsts.filter((fraction) => fraction < 0.01).length).toBeLessThan(30);
    expect(firsts.reduce((sum, fraction) => sum + fraction) / firsts.length).toBeCloseTo(0.5, 1);
  });

  test('the same seed gives the same numbers, another one others', () => {
    expect(take(42, 100)).toEqual(take(42, 100));
    expect(take(42, 100)).not.toEqual(take(43, 100));
  });

  test('seed 0, which xorshift would never leave, works', () => {
    expect(new Set(take(0, 100)).size).toBe(100);
  });

  test('numbers below a limit: each of them, about as often', () => {
    const random = new Random(3);
    const seen = new Int32Array(10);
    for (let turn = 0; turn < 100_000; turn++) {
      seen[random.below(10)]++;
    }
    expect(Math.min(...seen)).toBeGreaterThan(9500);
    expect(Math.max(...seen)).toBeLessThan(10_500);
  });

  test('fractions lie in [0, 1)', () => {
    const random = new Random(9);
    for (let turn = 0; turn < 10_000; turn++) {
      const fraction = random.fraction();
      expect(fraction >= 0 && fraction < 1).toBe(true);
    }
  });
});
