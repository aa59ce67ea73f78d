import { percentile } from '../../statistics.js';
import { B, type BenchType } from '../driver.js';

const ECHOES_PER_SECOND = 2000;
const PAUSE_MILLIS = 4;

/** Echo after echo, so that whatever polls for a while keeps polling: the path itself. */
export const pingRtt: BenchType = {
  name: 'ping-rtt',
  what: 'ICMP echo round trip, back to back, median',
  unit: 'µs',
  better: 'lower',
  measure: (a, _b, seconds) => echoes(a, Math.round(ECHOES_PER_SECOND * Math.min(seconds, 5)), 0),
};

/** An echo now and then, with every party asleep before it: the path and its wake-ups. */
export const pingIdle: BenchType = {
  name: 'ping-idle',
  what: `ICMP echo round trip, one every ${PAUSE_MILLIS} ms, median`,
  unit: 'µs',
  better: 'lower',
  measure: (a, _b, seconds) => echoes(a, Math.round((seconds * 1000) / 2 / PAUSE_MILLIS), PAUSE_MILLIS),
};

async function echoes(a: Parameters<BenchType['measure']>[0], count: number, intervalMillis: number) {
  const { sent, received, rttMicros } = await a.ping({ address: B, count, intervalMillis });
  if (received === 0) throw new Error(`none of ${sent} echoes was answered`);
  const sorted = rttMicros.sort((one, other) => one - other);
  return {
    value: percentile(sorted, 0.5),
    details: { lost: sent - received, p99Micros: percentile(sorted, 0.99), minMicros: sorted[0], units: received },
  };
}
