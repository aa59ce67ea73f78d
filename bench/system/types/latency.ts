/**
 * One-way delay under load, from the time a datagram is due to the time the receiving program has it. The load is open: a sender that is held up
 * sends late with the stamp of the schedule, so a stall shows in the delays of all it delayed. What the sender's own timer is late by is in them
 * too; the bare veth pair says how much that is.
 */
import type { BenchType, Measurement, Trial } from '../type.js';
import { delayDetails, offerLoad, ownMaximum } from './udp-load.js';

/** Of what the driver delivers when offered more. */
const SHARES = [
  { name: 'light', share: 0.1 },
  { name: 'half', share: 0.5 },
  { name: 'high', share: 0.9 },
];
const COMMON_RATE = 100_000;
/** The most of its own maximum a driver gets as the common load. */
const COMMON_SHARE = 0.8;

const byShare: readonly BenchType[] = SHARES.map(({ name, share }) => ({
  ...shape(`latency-${name}`, `${share * 100} % of the driver's own throughput`),
  measure: (trial) => latency(trial, (own) => own * share),
}));

export const LATENCY: readonly BenchType[] = [
  ...byShare,
  {
    ...shape('latency-100k', `100,000 a second, or ${COMMON_SHARE * 100} % of the driver's own throughput where that is less`),
    measure: (trial) => latency(trial, (own) => Math.min(COMMON_RATE, own * COMMON_SHARE)),
  },
];

function shape(name: string, load: string): Omit<BenchType, 'measure'> {
  return {
    name,
    family: 'latency',
    what: `UDP, 18-byte payload, one-way delay at ${load}, median`,
    unit: 'µs',
    better: 'lower',
    layer: 3,
    steps: 2,
    // Kept for `measure`, whose CPU time so is that of the load alone.
    warmUp: async (trial) => void (await ownMaximum(trial)),
  };
}

async function latency(trial: Trial, loadOf: (own: number) => number): Promise<Measurement> {
  const own = await ownMaximum(trial);
  const rate = loadOf(own.deliveredKpps * 1000);
  const { delivered, deliveredKpps, delays, details } = await offerLoad(trial, { seconds: trial.seconds, rate, integrity: true });
  if (delivered === 0) throw new Error('nothing was delivered');
  const percentiles = delayDetails(delays);
  return {
    value: percentiles['p50Micros'],
    units: delivered,
    details: { ...percentiles, askedKpps: rate / 1000, deliveredKpps, ownMaximumKpps: own.deliveredKpps, ...details },
    delays,
  };
}
