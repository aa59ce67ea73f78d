/** The interval of a median from order statistics: which values it names, and how sure it is. */
import { expect, test } from 'vitest';
import { isTold, median, percentile, summarize } from '../../bench/statistics.js';

/** 1 … n in a fixed disorder. */
function values(n: number): number[] {
  return Array.from({ length: n }, (_, index) => ((index * 7) % n) + 1);
}

test('median: odd, even, one', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([9])).toBe(9);
});

test('percentile: share of a sorted list, the last one at most', () => {
  const sorted = Array.from({ length: 100 }, (_, index) => index);
  expect([0, 0.5, 0.99, 1].map((share) => percentile(sorted, share))).toEqual([0, 50, 99, 99]);
});

test('a percentile is told where ten samples lie beyond it', () => {
  expect([19, 20].map((total) => isTold(total, 0.5))).toEqual([false, true]);
  expect([999, 1000].map((total) => isTold(total, 0.99))).toEqual([false, true]);
  expect([99_999, 100_000].map((total) => isTold(total, 0.9999))).toEqual([false, true]);
});

// Confidence levels as tabulated for the sign test.
test.each([
  [6, 1, 6, 0.969],
  [9, 2, 8, 0.961],
  [12, 3, 10, 0.961],
  [15, 4, 12, 0.965],
  [20, 6, 15, 0.959],
])('n=%i: the interval runs from the %i. to the %i. value', (n, low, high, confidence) => {
  const summary = summarize(values(n));
  expect(summary).toMatchObject({ low, high, n, min: 1, max: n });
  expect(summary.confidence).toBeCloseTo(confidence, 3);
});

test('n=3: minimum and maximum, with the little confidence they give', () => {
  expect(summarize([5, 7, 6])).toEqual({ median: 6, low: 5, high: 7, confidence: 0.75, min: 5, max: 7, n: 3 });
});
