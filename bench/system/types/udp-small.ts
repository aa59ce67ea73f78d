import { B, type BenchType } from '../driver.js';

const PORT = 5001;
/** 60-byte frames on a TAP, "64" with the frame check sequence of RFC 2544. */
const PAYLOAD_BYTES = 18;
const IDLE_MILLIS = 100;

/** Small datagrams of one flow as fast as the sender can, one datagram per skb; what arrives counts. */
export const udpSmall: BenchType = {
  name: 'udp-small',
  what: 'UDP, 18-byte payload, one flow, delivered',
  unit: 'kpps',
  better: 'higher',
  async measure(a, b, seconds) {
    await b.request('traffic-udp-bind', { port: PORT });
    const receiving = b.request('traffic-udp-receive', {
      port: PORT,
      flows: 1,
      payloadBytes: PAYLOAD_BYTES,
      startMillis: 3000,
      idleMillis: IDLE_MILLIS,
      limitMillis: seconds * 1000 + 3000,
    });
    const sent = await a.request('traffic-udp-send', {
      address: B,
      port: PORT,
      flows: 1,
      payloadBytes: PAYLOAD_BYTES,
      burst: 64,
      durationMillis: seconds * 1000,
      frames: 0,
      framesPerSecond: 0,
    });
    const received = await receiving;
    return {
      value: (received.frames / received.micros) * 1000,
      details: {
        offeredKpps: (sent.frames / sent.micros) * 1000,
        lost: sent.frames - received.frames,
        reordered: received.reordered,
        duplicated: received.duplicated,
        foreign: received.foreign,
        delayMedianMicros: received.delayMedianNanos / 1000,
        delayP99Micros: received.delayP99Nanos / 1000,
        units: received.frames,
      },
    };
  },
};
