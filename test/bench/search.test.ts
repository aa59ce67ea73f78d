import { expect, test } from 'vitest';
import { bisect, searchUpTo } from '../../bench/system/types/search.js';

/** Searches for a known threshold; tells what was tried. */
async function find(threshold: number, low: number, limit: number, resolution = 0.02, least = 1) {
  const tried: number[] = [];
  const largest = await searchUpTo(low, limit, resolution, least, async (value) => {
    tried.push(value);
    return value <= threshold;
  });
  return { largest, tried };
}

test.each([1, 333, 5000, 9990])('finds %i to within its resolution, from below', async (threshold) => {
  const { largest, tried } = await find(threshold, 0, 10_000, 0.02, 0.1);
  expect(largest).toBeLessThanOrEqual(threshold);
  expect(largest).toBeGreaterThan(threshold * 0.97 - 0.1);
  expect(tried[0]).toBe(10_000);
});

test('the limit itself passes: one step', async () => {
  expect(await find(10_000, 0, 10_000)).toEqual({ largest: 10_000, tried: [10_000] });
});

test('nothing passes: 0, and it gives up below the least', async () => {
  const { largest, tried } = await find(-1, 0, 10_000, 0.02, 1000);
  expect(largest).toBe(0);
  expect(Math.min(...tried)).toBeGreaterThanOrEqual(500);
});

test('between two known ends neither is tried again', async () => {
  const tried: number[] = [];
  const largest = await bisect(64, 128, 0.02, 1, async (value) => {
    tried.push(value);
    return value <= 70;
  });
  expect(Math.min(...tried)).toBeGreaterThan(64);
  expect(Math.max(...tried)).toBeLessThan(128);
  expect(largest).toBeLessThanOrEqual(70);
  expect(largest).toBeGreaterThan(67);
});
