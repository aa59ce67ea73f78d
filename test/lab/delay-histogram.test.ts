import { expect, test } from 'vitest';
import { countDelays, DELAY_BUCKETS, delayBuckets, delayQuantile } from '../../src/lab/delay-histogram.js';

test('every delay lies in a bucket at most 1/128 of it wide', () => {
  for (let nanos = 0; nanos < 2 ** 39; nanos = Math.ceil(nanos * 1.003 + 1)) {
    const [[edge]] = countDelays([nanos]);
    expect(edge).toBeGreaterThanOrEqual(nanos);
    expect(edge - nanos).toBeLessThanOrEqual(nanos / 128);
  }
});

test('buckets ascend without a gap', () => {
  const edges = delayBuckets(new Float64Array(DELAY_BUCKETS).fill(1)).map(([edge]) => edge);
  expect(edges.slice(0, 3)).toEqual([0, 1, 2]);
  expect(edges.slice(255, 258)).toEqual([255, 257, 259]);
  for (let index = 1; index < edges.length; index++) {
    const [[mine], [next]] = [countDelays([edges[index - 1]])[0], countDelays([edges[index - 1] + 1])[0]];
    expect([mine, next]).toEqual([edges[index - 1], edges[index]]);
  }
});

test('longer than the last bucket counts as that; negative as 0', () => {
  expect(countDelays([2 ** 50])).toEqual([[2 ** 40 - 1, 1]]);
  expect(countDelays([-5])).toEqual([[0, 1]]);
});

test('quantiles of 1 … 100', () => {
  const delays = countDelays(Array.from({ length: 100 }, (_, index) => index + 1));
  expect([0.01, 0.5, 0.99, 1].map((share) => delayQuantile(delays, share))).toEqual([1, 50, 99, 100]);
  expect(delayQuantile([], 0.5)).toBeNaN();
});
