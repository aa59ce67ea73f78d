/** What both ends of a step counted, as one result. */
import { expect, test } from 'vitest';
import { delayDetails, loadResult } from '../../bench/system/types/udp-load.js';
import type { DelayReport, TrafficReport } from '../../dist/lab/traffic.js';

const EMPTY: TrafficReport = {
  frames: 0,
  bytes: 0,
  micros: 0,
  refused: 0,
  duplicated: 0,
  reordered: 0,
  missing: 0,
  foreign: 0,
  delayMedianNanos: 0,
  delayP99Nanos: 0,
  delayMaxNanos: 0,
  cpuMicros: 0,
  corrupt: 0,
  dropped: 0,
  systemCalls: 0,
};

function result(received: Partial<DelayReport>) {
  return loadResult({ ...EMPTY, frames: 1000, micros: 500_000 }, { ...EMPTY, delays: [], ...received });
}

test('delivered over the time of arrival, lost is what the sender sent and nobody got', () => {
  const { deliveredKpps, offeredKpps, lost, loss, details } = result({ frames: 800, micros: 400_001 });
  expect(offeredKpps).toBeCloseTo(2);
  expect(deliveredKpps).toBeCloseTo(2, 4);
  expect([lost, loss, details['silent']]).toEqual([200, 0.2, 0]);
});

test('a path that falls silent under way: its silence counts', () => {
  const { deliveredKpps, details } = result({ frames: 400, micros: 100_000 });
  expect(deliveredKpps).toBeCloseTo(0.8);
  expect(details['silent']).toBe(1);
});

test('nothing arrived, or one burst', () => {
  expect(result({}).deliveredKpps).toBe(0);
  expect(loadResult({ ...EMPTY, frames: 9, micros: 5 }, { ...EMPTY, frames: 9, delays: [] }).deliveredKpps).toBe(0);
});

test('percentiles only where enough samples lie beyond; the median always', () => {
  expect(Object.keys(delayDetails([[1000, 1]]))).toEqual(['p50Micros', 'maxMicros', 'samples']);
  expect(
    delayDetails([
      [1000, 990],
      [5000, 10],
    ]),
  ).toEqual({ p50Micros: 1, p90Micros: 1, p99Micros: 1, maxMicros: 5, samples: 1000 });
});
