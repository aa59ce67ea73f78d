/**
 * What an echo costs by the pause before it. The path is the same at each point of the curve; what differs is who sleeps when the echo comes, and how
 * much of code and tables has left the caches meanwhile.
 */
import { constants } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { check } from '../../../dist/native/system-error.js';
import { type BenchType, type Measurement, type Trial, WARM_UP_SHARE } from '../type.js';
import { ofEchoes, pingRtt } from './ping.js';

const PAUSES_MILLIS = [0.1, 0.5, 1, 2, 4, 10, 40];
/** A median of fewer says little; at the longest pauses they take more than the trial's time. */
const LEAST_ECHOES = 50;
const PAYLOAD_BYTES = 56;
const TIMEOUT_MILLIS = 1000;
/** How long the trial is deaf for signals. */
const DEAF_MILLIS = 20;

export const PING_PAUSES: readonly BenchType[] = PAUSES_MILLIS.map((pauseMillis) => ({
  name: `ping-every-${pauseMillis}`,
  family: 'ping-pause',
  at: { axis: 'pause in ms', value: pauseMillis },
  what: `ICMP echo round trip, each ${pauseMillis} ms after the answer of the one before, median`,
  unit: 'µs',
  better: 'lower',
  layer: 3,
  ping: true,
  // Of the second that --full gives.
  steps: Math.max(1, (LEAST_ECHOES * pauseMillis) / 1000),
  // Back to back at every point: else the short pauses would have warmer code, and the curve would show that, too.
  warmUp: async (trial) => void (await pingRtt.measure({ ...trial, seconds: trial.seconds * WARM_UP_SHARE })),
  measure: (trial) => pausedEchoes(trial, pauseMillis),
}));

/** Sent by this thread, inside of a's namespace: a host process pauses by timers of its event loop, which know whole milliseconds only. */
async function pausedEchoes({ lab, a, addressOfB, seconds }: Trial, pauseMillis: number): Promise<Measurement> {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const rttMicros: number[] = [];
  let sent = 0;
  const echo = (): void => {
    Atomics.wait(nobody, 0, 0, pauseMillis);
    const nanos = lab.binding.icmpEcho(addressOfB, ++sent & 0xffff, PAYLOAD_BYTES, TIMEOUT_MILLIS);
    if (nanos === -constants.errno.ETIMEDOUT || nanos === -constants.errno.EHOSTUNREACH) return;
    rttMicros.push(check(nanos, 'ping', addressOfB) / 1000);
  };
  const end = performance.now() + seconds * 1000;
  while (sent < LEAST_ECHOES || performance.now() < end) {
    const hearing = performance.now() + DEAF_MILLIS;
    a.namespace.inside(() => {
      do echo();
      while (performance.now() < hearing);
    });
    await turn();
  }
  return ofEchoes({ sent, received: rttMicros.length, rttMicros });
}
