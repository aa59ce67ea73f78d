/**
 * Loss against load, of 18-byte datagrams of one flow. The load is paced (native/traffic/schedule.h); 100 % are what the sender can offer to this
 * driver, its MOL ("maximum offered load", RFC 2285). Lost is what was offered and not delivered intact, wherever: with bridge and sink on the same
 * cores the sink's own losses count, and are told apart (`lostBySink`).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchType, Measurement, Trial } from '../type.js';
import { searchUpTo } from './search.js';
import { type LoadResult, offerLoad, ownMaximum } from './udp-load.js';

/** Of the search's upper end: it ends when the rest is that narrow, and the verified rate steps down by it. */
const RESOLUTION = 0.02;
/** A rate passes when one of so many trials has no loss, the verifying ones included: a pause of the machine is not the bridge's (RFC 9004, ETSI TST 009). */
const TRIES = 3;
/** A trial that lost more than this is not repeated: no pause takes so much. */
const TRANSIENT_LOSS = 0.05;
const VERIFYING_TRIALS = 3;
const PARTIAL_LOSS = 0.001;
/** Datagrams a second below which a search gives up. */
const LEAST_RATE = 1000;
/** Between two trials, so that queues are empty and senders rested. */
const REST_MILLIS = 100;
const LOSS_SHARE = 0.8;

const SHAPE = { better: 'lower', layer: 3, warmUp: async (trial: Trial) => void (await ownMaximum(trial)) } as const;

/** RFC 2544, 26.1, by the procedure of a binary search with loss verification. */
export const udpZeroLoss: BenchType = {
  ...SHAPE,
  name: 'udp-zero-loss',
  family: 'udp-zero-loss',
  what: 'UDP, 18-byte payload, one flow: highest rate without loss (RFC 2544), binary search, verified three times',
  unit: 'kpps',
  better: 'higher',
  steps: 25,
  measure: zeroLoss,
};

/** RFC 2544, 26.3: from 100 % downwards in steps of 10 %, until two in a row lose nothing. */
export const udpLossCurve: BenchType = {
  ...SHAPE,
  name: 'udp-loss-curve',
  family: 'udp-loss-curve',
  what: 'UDP, 18-byte payload, one flow: share lost, mean over loads from 10 to 100 % of what the sender can offer',
  unit: '%',
  steps: 10,
  measure: lossCurve,
};

export const udpLoss80: BenchType = {
  ...SHAPE,
  name: 'udp-loss-80',
  family: 'udp-loss-80',
  what: `UDP, 18-byte payload, one flow: share lost at ${LOSS_SHARE * 100} % of the rate the driver delivers when offered more`,
  unit: '%',
  steps: 2,
  measure: loss80,
};

async function zeroLoss(trial: Trial): Promise<Measurement> {
  const mol = (await ownMaximum(trial)).offeredKpps * 1000;
  let transients = 0;
  let trials = 0;
  const attempt = async (rate: number): Promise<LoadResult> => {
    await sleep(REST_MILLIS);
    const result = await offerLoad(trial, { seconds: trial.seconds, rate, integrity: true });
    trials++;
    return result;
  };
  /** The first result without loss, or null. */
  const clean = async (rate: number): Promise<LoadResult | null> => {
    for (let left = TRIES; left > 0; left--) {
      const result = await attempt(rate);
      if (result.lost === 0) {
        if (left < TRIES) transients++;
        return result;
      }
      if (result.loss > TRANSIENT_LOSS) return null;
    }
    return null;
  };

  let rate = await searchUpTo(0, mol, RESOLUTION, LEAST_RATE, async (rate) => (await clean(rate)) !== null);
  // A rate of 0 would be no pace at all.
  let verified = rate > 0 ? await verify(rate, clean) : 0;
  while (verified === 0 && rate > LEAST_RATE) {
    rate *= 1 - RESOLUTION;
    verified = await verify(rate, clean);
  }
  // The gap between both is a measure of noise.
  const partial = await searchUpTo(
    rate,
    mol,
    RESOLUTION,
    LEAST_RATE,
    async (tried) => (await attempt(tried)).loss <= PARTIAL_LOSS,
  );
  return {
    value: verified,
    units: 0,
    details: {
      askedKpps: rate / 1000,
      partialLossKpps: partial / 1000,
      molKpps: mol / 1000,
      // Within 10 % of what the sender can offer, the sender is what was measured.
      atLeast: rate >= mol * 0.9 ? 1 : 0,
      transients,
      trials,
    },
  };
}

/** What was really offered, in kpps, when all verifying trials are without loss; else 0. */
async function verify(rate: number, clean: (rate: number) => Promise<LoadResult | null>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let count = 0; count < VERIFYING_TRIALS; count++) {
    const result = await clean(rate);
    if (result === null) return 0;
    least = Math.min(least, result.offeredKpps);
  }
  return least;
}

async function lossCurve(trial: Trial): Promise<Measurement> {
  const molKpps = (await ownMaximum(trial)).offeredKpps;
  const points: [number, number][] = [];
  let clean = 0;
  for (let percent = 100; percent > 0 && clean < 2; percent -= 10) {
    await sleep(REST_MILLIS);
    const result = await offerLoad(trial, { seconds: trial.seconds, rate: molKpps * percent * 10, integrity: true });
    clean = result.lost === 0 ? clean + 1 : 0;
    points.unshift([percent, result.loss * 100]);
  }
  return {
    // Loads below the second clean one count as clean.
    value: points.reduce((sum, [, loss]) => sum + loss, 0) / 10,
    units: 0,
    details: { molKpps, lossAtMol: points[points.length - 1][1], lowestLoad: points[0][0] },
    curve: { x: '% of what the sender can offer', y: '% lost', points },
  };
}

async function loss80(trial: Trial): Promise<Measurement> {
  const { deliveredKpps } = await ownMaximum(trial);
  const rate = deliveredKpps * 1000 * LOSS_SHARE;
  const result = await offerLoad(trial, { seconds: trial.seconds, rate, integrity: true });
  return {
    value: result.loss * 100,
    units: result.delivered,
    details: { askedKpps: rate / 1000, ownMaximumKpps: deliveredKpps, ...result.details },
    delays: result.delays,
  };
}
