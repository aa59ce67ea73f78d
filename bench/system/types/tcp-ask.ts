/** Questions of one byte over TCP, each after the answer to the one before, between two processes that sleep until their byte comes. */
import { delayQuantile } from '../../../dist/lab/delay-histogram.js';
import type { BenchType, Measurement, Trial } from '../type.js';

const PORT = 5004;
const IDLE_MILLIS = 5000;

/** On one connection: what a database's client waits for. */
export const tcpRr: BenchType = {
  name: 'tcp-rr',
  family: 'tcp-rr',
  what: 'TCP request and response of one byte on one connection, TCP_NODELAY',
  unit: 'transactions/s',
  better: 'higher',
  layer: 3,
  measure: (trial) => ask(trial, false),
};

/**
 * A connection for each: handshake, question, answer, and FINs both ways. The answerer closes first, so that TIME_WAIT stays with it and the
 * asker does not run out of ports.
 */
export const tcpConnect: BenchType = {
  name: 'tcp-connect',
  family: 'tcp-connect',
  what: 'TCP connections one after the other: connect, one byte each way, close (the answerer first)',
  unit: 'connections/s',
  better: 'higher',
  layer: 3,
  measure: (trial) => ask(trial, true),
};

async function ask({ a, b, addressOfB, seconds }: Trial, anew: boolean): Promise<Measurement> {
  await b.request('traffic-tcp-listen', { port: PORT });
  const [asked, answered] = await Promise.all([
    a.request('traffic-tcp-ask', {
      address: addressOfB,
      port: PORT,
      anew,
      durationMillis: seconds * 1000,
      timeoutMillis: IDLE_MILLIS,
    }),
    b.request('traffic-tcp-answer', { port: PORT, anew, idleMillis: IDLE_MILLIS }),
  ]);
  return {
    value: asked.answered / (asked.micros / 1e6),
    units: asked.answered,
    details: {
      medianMicros: delayQuantile(asked.delays, 0.5) / 1000,
      p99Micros: delayQuantile(asked.delays, 0.99) / 1000,
      maxMicros: asked.maxDelayNanos / 1000,
      askerCores: asked.cpuMicros / asked.micros,
      answererCores: answered.cpuMicros / asked.micros,
    },
    delays: asked.delays,
  };
}
