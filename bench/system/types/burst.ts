import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchType, Measurement, Trial } from '../type.js';
import { bisect } from './search.js';
import { offerLoad, ownMaximum } from './udp-load.js';

/** Before each burst, so that every queue is empty and every party asleep. */
const SILENCE_MILLIS = 200;
const FIRST = 64;
/** Two seconds of what the sender can offer (RFC 2544, 26.4), and no more than this. */
const LIMIT_SECONDS = 2;
const LIMIT = 1 << 20;
const RESOLUTION = 0.02;
/** A burst passes when one of so many loses nothing. */
const TRIES = 2;
const MAX_SECONDS = 10;

/** What the queues on the way take (RFC 9004): after a silence, datagrams back to back, as many as all arrive of. */
export const burst: BenchType = {
  name: 'burst',
  family: 'burst',
  what: 'UDP, 18-byte payload: longest burst after a silence of which nothing is lost, search',
  unit: 'datagrams',
  better: 'higher',
  layer: 3,
  steps: 12,
  warmUp: async (trial) => void (await ownMaximum(trial)),
  measure,
};

async function measure(trial: Trial): Promise<Measurement> {
  const { offeredKpps, deliveredKpps } = await ownMaximum(trial);
  const limit = Math.min(LIMIT, Math.round(offeredKpps * 1000 * LIMIT_SECONDS));
  let bursts = 0;
  const passes = async (frames: number): Promise<boolean> => {
    for (let left = TRIES; left > 0; left--) {
      await sleep(SILENCE_MILLIS);
      const result = await offerLoad(trial, { seconds: MAX_SECONDS, frames: Math.round(frames) });
      bursts++;
      if (result.lost === 0) return true;
    }
    return false;
  };
  // Upwards by doubling first: most queues are far shorter than the limit, and long bursts take long.
  let passed = 0;
  let tried = Math.min(FIRST, limit);
  while (passed < limit && (await passes(tried))) {
    passed = tried;
    tried = Math.min(tried * 2, limit);
  }
  const longest = passed === limit ? limit : Math.round(await bisect(passed, tried, RESOLUTION, 1, passes));
  return {
    value: longest,
    units: 0,
    details: {
      bursts,
      limit,
      atLeast: longest === limit ? 1 : 0,
      offeredKpps,
      // RFC 9004: what a buffer would have to hold, less what drains while the burst arrives.
      bufferMillis: offeredKpps > 0 ? (longest / offeredKpps) * Math.max(0, 1 - deliveredKpps / offeredKpps) : 0,
    },
  };
}
