import { B, type BenchType } from '../driver.js';

const PORT = 5002;

/** One TCP stream with 128 KiB writes; payload at the receiver counts. */
export const tcpBulk: BenchType = {
  name: 'tcp-bulk',
  what: 'TCP, one stream, payload at the receiver',
  unit: 'Gbit/s',
  better: 'higher',
  async measure(a, b, seconds) {
    await b.request('traffic-tcp-listen', { port: PORT });
    const receiving = b.request('traffic-tcp-receive', { port: PORT, startMillis: 3000, idleMillis: 3000 });
    const sent = await a.request('traffic-tcp-send', { address: B, port: PORT, durationMillis: seconds * 1000, bytes: 0 });
    const received = await receiving;
    return {
      value: (received.bytes * 8) / received.micros / 1000,
      details: { bytes: received.bytes, retransmits: sent.retransmits, units: received.bytes / 1024 },
    };
  },
};
