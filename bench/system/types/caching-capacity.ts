import type { BenchType, Measurement, Trial } from '../type.js';
import { learn, macOf, macs, offerFrames, thirdOf } from './frame-load.js';

const FIRST = 1024;
/** The kernel's bridge has no limit: a search must have one. */
const LIMIT = 131_072;
const ASKING_RATE = 50_000;

/**
 * RFC 2889, 5.7: how many addresses are known at once. a sends from N addresses, b sends to each, and what shows at a third port is not known. N doubles,
 * each set containing the one before, until something is flooded; then the capacity is what was not, whether a full table refuses the new or
 * forgets the old.
 */
export const cachingCapacity: BenchType = {
  name: 'caching-capacity',
  family: 'caching-capacity',
  what: `addresses known at once without flooding (RFC 2889), searched up to ${LIMIT.toLocaleString('en')}`,
  unit: 'addresses',
  better: 'higher',
  layer: 2,
  ports: 3,
  steps: 15,
  warmUp: async (trial) => learn(trial, trial.a, macs(0, FIRST)),
  measure,
};

async function measure(trial: Trial): Promise<Measurement> {
  const { a, b } = trial;
  const asking = { from: b, to: a, source: { first: macOf(b), count: 1 }, third: thirdOf(trial), rate: ASKING_RATE };
  for (let count = FIRST; ; count *= 2) {
    const destination = macs(0, count);
    await learn(trial, a, destination);
    const { flooded, lost } = await offerFrames({
      ...asking,
      destination,
      seconds: (count / ASKING_RATE) * 2 + 1,
      frames: count,
    });
    if (flooded > 0 || count === LIMIT) {
      const atLeast = flooded === 0 ? 1 : 0;
      return { value: count - flooded, units: 0, details: { tried: count, flooded, lost, atLeast } };
    }
  }
}
