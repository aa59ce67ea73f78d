import type { BenchType } from '../type.js';
import { delayDetails } from './udp-load.js';

const PORT = 5003;
const PAYLOAD_BYTES = 18;
const QUESTIONS_PER_SECOND = 10_000;
/** After which a question or its answer is lost. */
const TIMEOUT_MILLIS = 200;
/** Longer, so that a lost question does not end the answerer. */
const IDLE_MILLIS = 300;

/** A question and its answer between two processes that sleep until their datagram comes, as clients and servers do. */
export const udpRr: BenchType = {
  name: 'udp-rr',
  family: 'udp-rr',
  what: 'UDP request and response between processes, 18 bytes, median',
  unit: 'µs',
  better: 'lower',
  layer: 3,
  async measure({ a, b, addressOfB, seconds }) {
    await b.request('traffic-udp-echo-bind', { port: PORT });
    const answering = b.request('traffic-udp-echo', { port: PORT, startMillis: 3000, idleMillis: IDLE_MILLIS });
    const asked = await a.request('traffic-udp-ask', {
      address: addressOfB,
      port: PORT,
      count: Math.round(QUESTIONS_PER_SECOND * Math.min(seconds, 10)),
      payloadBytes: PAYLOAD_BYTES,
      timeoutMillis: TIMEOUT_MILLIS,
    });
    await answering;
    if (asked.frames === 0) throw new Error('no question was answered');
    return {
      value: asked.delayMedianNanos / 1000,
      units: asked.frames,
      details: { lost: asked.missing, perSecond: asked.frames / (asked.micros / 1e6), ...delayDetails(asked.delays) },
      delays: asked.delays,
    };
  },
};
