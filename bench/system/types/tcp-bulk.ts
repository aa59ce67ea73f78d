/**
 * TCP streams as fast as they go: 128 KiB a write, one thread at each end however many streams there are. Payload at the receiver counts,
 * over the time from its first byte to its last.
 *
 * Payload and order are looked at in the same trial: the warm-up compares every byte at the receiver, the measurement the ends of each read
 * (native/traffic/tcp.cc). A byte that is not the one sent fails the trial.
 */
import type { TcpStreamsReport } from '../../../dist/lab/tcp-traffic.js';
import { type BenchType, type Measurement, type Trial, WARM_UP_SHARE } from '../type.js';

const PORT = 5002;
const IDLE_MILLIS = 5000;
const FAMILY = 'tcp-bulk';

interface Streams {
  streams: number;
  /** The namespace's own when absent. */
  congestion?: string;
  /** From b to a; a opens the streams all the same. */
  reverse?: boolean;
}

/** One stream; who paces it is the machine's choice, which the report states. */
export const tcp1 = bulk('tcp-1', "TCP, one stream, the machine's congestion control", { streams: 1 });
export const tcp8 = bulk('tcp-8', "TCP, 8 streams, the machine's congestion control", { streams: 8 });
export const tcp1Reverse = bulk('tcp-1-reverse', "TCP, one stream from b to a, the machine's congestion control", {
  streams: 1,
  reverse: true,
});
// BBR paces by what it believes the path to carry, and so hides a part of the path; these two send until something is lost.
export const tcp1Cubic = bulk('tcp-1-cubic', 'TCP, one stream, CUBIC', { streams: 1, congestion: 'cubic' });
export const tcp1Reno = bulk('tcp-1-reno', 'TCP, one stream, Reno', { streams: 1, congestion: 'reno' });

function bulk(name: string, what: string, streams: Streams): BenchType {
  return {
    name,
    family: FAMILY,
    what: `${what}; payload at the receiver`,
    unit: 'Gbit/s',
    better: 'higher',
    layer: 3,
    async warmUp(trial) {
      await transfer(trial, trial.seconds * WARM_UP_SHARE, streams, true);
    },
    measure: (trial) => transfer(trial, trial.seconds, streams, false),
  };
}

async function transfer(trial: Trial, seconds: number, plan: Streams, checkAll: boolean): Promise<Measurement> {
  const { a, b, addressOfB } = trial;
  const { streams, congestion = '', reverse = false } = plan;
  const opens = { address: addressOfB, port: PORT, streams, congestion };
  const accepts = { port: PORT, streams };
  const from = { durationMillis: seconds * 1000, bytes: 0 };
  const to = { checkAll, idleMillis: IDLE_MILLIS };
  await b.request('traffic-tcp-listen', { port: PORT, congestion });
  const [sent, received] = await Promise.all(
    reverse
      ? [b.request('traffic-tcp-send', { ...accepts, ...from }), a.request('traffic-tcp-receive', { ...opens, ...to })]
      : [a.request('traffic-tcp-send', { ...opens, ...from }), b.request('traffic-tcp-receive', { ...accepts, ...to })],
  );
  checkIntact(sent, received);
  return measured(sent, received);
}

/** @throws Error when what arrived is not what was sent */
function checkIntact(sent: TcpStreamsReport, received: TcpStreamsReport): void {
  const wrong = received.streams.find(({ wrongAt }) => wrongAt >= 0);
  if (wrong !== undefined) throw new Error(`a TCP stream arrived with other bytes than were sent, at byte ${wrong.wrongAt}`);
  if (received.bytes !== sent.bytes) throw new Error(`of ${sent.bytes} bytes over TCP ${received.bytes} arrived`);
}

function measured(sent: TcpStreamsReport, received: TcpStreamsReport): Measurement {
  const shares = received.streams.map(({ bytes }) => bytes);
  const sum = (column: 'retransmits'): number => sent.streams.reduce((total, stream) => total + stream[column], 0);
  return {
    value: (received.bytes * 8) / received.micros / 1000,
    units: received.bytes / 1024,
    details: {
      bytes: received.bytes,
      retransmits: sum('retransmits'),
      minRttMicros: Math.min(...sent.streams.map(({ minRttMicros }) => minRttMicros)),
      senderCores: sent.cpuMicros / sent.micros,
      receiverCores: received.cpuMicros / received.micros,
      ...(shares.length > 1 ? { slowestToFastestStream: Math.min(...shares) / Math.max(...shares) } : {}),
    },
  };
}
