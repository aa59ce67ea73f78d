import type { BenchType, Measurement, Trial } from '../type.js';
import { macOf, macs, offerFrames, thirdOf } from './frame-load.js';
import { bisect } from './search.js';

/** New addresses per step: so few that all steps together stay below the smallest table known (65,536 entries, of tapbridge by default). */
const ADDRESSES = 2048;
const RESOLUTION = 0.05;
const LEAST_RATE = 500;
/** Of the frames that ask whether an address is known. */
const ASKING_RATE = 20_000;
const MAX_SECONDS = 20;

/** RFC 2889, 5.8: a sends from new addresses at a rate, b then sends to each, and what shows at a third port was not learned. */
export const learningRate: BenchType = {
  name: 'learning-rate',
  family: 'learning-rate',
  what: `highest rate at which ${ADDRESSES.toLocaleString('en')} new source addresses are all learned (RFC 2889), search`,
  unit: 'addresses/s',
  better: 'higher',
  layer: 2,
  ports: 3,
  steps: 8,
  warmUp: async (trial) => void (await flooded(trial, 0, 0)),
  measure,
};

async function measure(trial: Trial): Promise<Measurement> {
  let steps = 0;
  const step = async (rate: number) => {
    steps++;
    return flooded(trial, steps * ADDRESSES, rate);
  };
  const full = await step(0);
  const learned = full.flooded === 0;
  const highest = learned
    ? full.rate
    : await bisect(0, full.rate, RESOLUTION, LEAST_RATE, async (rate) => (await step(rate)).flooded === 0);
  return {
    value: highest,
    // Addresses taught at different rates.
    units: 0,
    details: { steps, atLeast: learned ? 1 : 0, fullSpeed: full.rate, floodedAtFullSpeed: full.flooded },
  };
}

/** Teaches fresh addresses at a rate (0: full speed); how many of them were flooded afterwards, and the rate there was. */
async function flooded(trial: Trial, first: number, rate: number): Promise<{ flooded: number; rate: number }> {
  const { a, b } = trial;
  const range = macs(first, ADDRESSES);
  const mine = { first: macOf(b), count: 1 };
  const limits = { seconds: MAX_SECONDS, frames: ADDRESSES };
  const taught = await offerFrames({ from: a, to: b, source: range, destination: mine, ...limits, rate });
  const asking = { from: b, to: a, source: mine, destination: range, third: thirdOf(trial) };
  const asked = await offerFrames({ ...asking, ...limits, rate: ASKING_RATE });
  return { flooded: asked.flooded, rate: taught.offeredKpps * 1000 };
}
