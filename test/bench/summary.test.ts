/** Ratios: paired by round, or none. */
import { expect, test } from 'vitest';
import { ratioTo } from '../../bench/system/summary.js';
import { trial } from './made-campaign.js';

const kernel = [100, 200, 400].map((value, index) => trial('kernel-bridge', 'udp-64', index + 1, value));
const ours = (...values: number[]) => values.map((value, index) => trial('tapbridge', 'udp-64', index + 1, value));

test('each round gives one ratio, whatever the order of the trials', () => {
  const trials = [...ours(200, 600, 800).reverse(), ...kernel];
  expect(ratioTo(trials, 'udp-64', 'tapbridge', 'kernel-bridge')).toMatchObject({ median: 2, min: 2, max: 3, n: 3 });
});

test('a round that lacks one of both counts for neither', () => {
  expect(ratioTo([...kernel, ...ours(200)], 'udp-64', 'tapbridge', 'kernel-bridge')).toMatchObject({ median: 2, n: 1 });
  expect(ratioTo(kernel, 'udp-64', 'tapbridge', 'kernel-bridge')).toBeNull();
});

test('no ratio where one round has none: those left would be chosen by their values', () => {
  const lossless = trial('kernel-bridge', 'udp-64', 2, 0);
  expect(ratioTo([kernel[0], lossless, ...ours(200, 5)], 'udp-64', 'tapbridge', 'kernel-bridge')).toBeNull();
  expect(ratioTo([...kernel, ...ours(200, 0)], 'udp-64', 'tapbridge', 'kernel-bridge')).toMatchObject({ min: 0, n: 2 });
});
