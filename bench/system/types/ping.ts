import { countDelays } from '../../../dist/lab/delay-histogram.js';
import type { PingResult } from '../../../dist/lab/requests.js';
import { median } from '../../statistics.js';
import type { BenchType, Measurement, Trial } from '../type.js';
import { delayDetails } from './udp-load.js';

/** So many that the machine's clock of processor time, which counts in 10 ms, says something, and so few that slow drivers end in time. */
const ECHOES_PER_SECOND = 20_000;
const PAUSE_MILLIS = 4;

/** Echo after echo, so that whatever polls for a while keeps polling: the path itself. */
export const pingRtt: BenchType = {
  name: 'ping-rtt',
  family: 'ping-rtt',
  what: 'ICMP echo round trip, back to back, median',
  unit: 'µs',
  better: 'lower',
  layer: 3,
  ping: true,
  measure: (trial) => echoes(trial, Math.round(ECHOES_PER_SECOND * Math.min(trial.seconds, 5)), 0),
};

/** An echo now and then, with every party asleep before it: the path and its wake-ups. */
export const pingIdle: BenchType = {
  name: 'ping-idle',
  family: 'ping-idle',
  what: `ICMP echo round trip, one every ${PAUSE_MILLIS} ms, median`,
  unit: 'µs',
  better: 'lower',
  layer: 3,
  ping: true,
  measure: (trial) => echoes(trial, Math.round((trial.seconds * 1000) / 2 / PAUSE_MILLIS), PAUSE_MILLIS),
};

async function echoes({ a, addressOfB }: Trial, count: number, intervalMillis: number): Promise<Measurement> {
  return ofEchoes(await a.ping({ address: addressOfB, count, intervalMillis }));
}

/** @throws Error when none was answered */
export function ofEchoes({ sent, received, rttMicros }: PingResult): Measurement {
  if (received === 0) throw new Error(`none of ${sent} echoes was answered`);
  const delays = countDelays(rttMicros.map((micros) => micros * 1000));
  return {
    value: median(rttMicros),
    units: received,
    details: {
      lost: sent - received,
      minMicros: rttMicros.reduce((least, micros) => Math.min(least, micros)),
      ...delayDetails(delays),
    },
    delays,
  };
}
