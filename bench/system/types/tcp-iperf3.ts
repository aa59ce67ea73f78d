/** The same as tcp-1 by somebody else's generator: if the two tell different stories, believe neither. */
import { ask, listensOn, Program } from '../programs.js';
import type { BenchType, Measurement, Trial } from '../type.js';

const PORT = 5201;
const WARM_UP = ['-n', '64M'];

interface Said {
  error?: string;
  end: {
    sum_sent: { bytes: number; retransmits: number };
    sum_received: { bytes: number; bits_per_second: number };
  };
}

export const tcp1Iperf3: BenchType = {
  name: 'tcp-1-iperf3',
  family: 'tcp-bulk',
  what: "TCP, one stream, by iperf3 with its defaults and the machine's congestion control; whole seconds, at least one",
  unit: 'Gbit/s',
  better: 'higher',
  layer: 3,
  needs: [{ command: 'iperf3', package: 'iperf3' }],
  steps: 2,
  async warmUp(trial) {
    await iperf3(trial, WARM_UP);
  },
  // Fractions of a second are cut off, and 0 means for ever.
  measure: (trial) => iperf3(trial, ['-t', String(Math.max(1, Math.round(trial.seconds)))]),
};

async function iperf3({ lab, a, b, addressOfB }: Trial, limit: readonly string[]): Promise<Measurement> {
  const server = Program.start(lab, b.namespace, 'iperf3', ['-s', '-4', '-1', '-p', String(PORT)]);
  await server.until('a socket that listens', () => listensOn(b.pid, PORT));
  const said = JSON.parse(ask(a.namespace, 'iperf3', ['-c', addressOfB, '-p', String(PORT), '-J', ...limit])) as Said;
  if (said.error !== undefined) throw new Error(`iperf3: ${said.error}`);
  const { sum_sent: sent, sum_received: received } = said.end;
  return {
    value: received.bits_per_second / 1e9,
    units: received.bytes / 1024,
    details: { bytes: received.bytes, retransmits: sent.retransmits },
  };
}
