/** The TCP half of the traffic addon: bulk streams, and questions of one byte. Calls block, as those of traffic.ts do. */
import { check, type Hints } from '../native/system-error.js';
import { DELAY_BUCKETS, type DelayBuckets, delayBuckets } from './delay-histogram.js';

/** Cells of a report about streams, in the order of native/traffic/tcp.h; behind them a row for each stream. */
const STREAMS_CELLS = ['bytes', 'micros', 'cpuMicros'] as const;
const STREAM_CELLS = ['bytes', 'retransmits', 'minRttMicros', 'wrongAt'] as const;
const ASK_CELLS = ['answered', 'micros', 'cpuMicros', 'maxDelayNanos'] as const;

/** Only the choice of a congestion control fails like this. */
const HINTS: Hints = { ENOENT: 'this kernel has no such congestion control, see net.ipv4.tcp_available_congestion_control' };

/**
 * One stream. `retransmits`, `minRttMicros`: the kernel's own figures of this end. `wrongAt`: at the receiver, where the first byte was found
 * that was not the one sent; -1 when none was.
 */
export type TcpStreamReport = Record<(typeof STREAM_CELLS)[number], number>;

/** `bytes`: payload of all streams. `micros`: the sender's from its first write to its last, the receiver's from the first byte to the last. */
export type TcpStreamsReport = Record<(typeof STREAMS_CELLS)[number], number> & { streams: TcpStreamReport[] };

/** `micros`: from the first question to the last answer. `delays`: of each question, with its connection's start and end when it had one. */
export type TcpAskReport = Record<(typeof ASK_CELLS)[number], number> & { delays: DelayBuckets };

export interface TcpBinding {
  tcpListen(address: string, port: number, congestion: string): number;
  tcpConnect(address: string, port: number, congestion: string): number;
  tcpAccept(listener: number, timeoutMillis: number): number;
  tcpSend(sockets: readonly number[], durationMillis: number, bytes: number, report: Float64Array): number;
  tcpReceive(sockets: readonly number[], checkAll: boolean, idleMillis: number, report: Float64Array): number;
  tcpAnswer(listener: number, anew: boolean, idleMillis: number, report: Float64Array): number;
  tcpAsk(
    address: string,
    port: number,
    anew: boolean,
    durationMillis: number,
    timeoutMillis: number,
    delays: Float64Array,
    report: Float64Array,
  ): number;
  closeSocket(descriptor: number): number;
}

export interface TcpSendOptions {
  durationMillis: number;
  /** Of each stream; 0: until the duration is over. */
  bytes: number;
}

export interface TcpReceiveOptions {
  /** Compare every byte; otherwise the ends of each read, which finds whatever is lost, doubled, swapped or of another stream. */
  checkAll: boolean;
  /** Silence that fails the trial. */
  idleMillis: number;
}

export interface TcpAskOptions {
  address: string;
  port: number;
  /** A connection for each question. */
  anew: boolean;
  durationMillis: number;
  /** For one answer. */
  timeoutMillis: number;
}

/** Connected streams, whoever opened them: one end sends, the other receives, once. */
export interface TcpStreams {
  /** Blocks until the receiver has read all of it. @throws SystemError */
  send(options: TcpSendOptions): TcpStreamsReport;
  /** Blocks until the sender has closed. @throws SystemError ETIMEDOUT … */
  receive(options: TcpReceiveOptions): TcpStreamsReport;
  close(): void;
}

export interface TcpListener {
  /** Waits for so many streams. @throws SystemError ETIMEDOUT */
  accept(streams: number, timeoutMillis: number): TcpStreams;
  /** Answers a `tcpAsk` until that is over. @throws SystemError ETIMEDOUT after `idleMillis` without a question */
  answer(options: { anew: boolean; idleMillis: number }): Omit<TcpAskReport, 'delays'>;
  close(): void;
}

/** @param congestion as in net.ipv4.tcp_available_congestion_control, or '' for the namespace's own */
export interface TcpTraffic {
  /** What it accepts sends with this congestion control. @throws SystemError EADDRINUSE; ENOENT without that congestion control */
  tcpListen(address: string, port: number, congestion: string): TcpListener;
  /** @throws SystemError ECONNREFUSED, ETIMEDOUT; ENOENT without that congestion control */
  tcpConnect(address: string, port: number, streams: number, congestion: string): TcpStreams;
  /** Blocks. @throws SystemError */
  tcpAsk(options: TcpAskOptions): TcpAskReport;
}

export function tcpTraffic(native: TcpBinding): TcpTraffic {
  return {
    tcpListen(address, port, congestion) {
      const name = `tcp ${address}:${port}`;
      const listener = check(native.tcpListen(address, port, congestion), 'listen', name, HINTS);
      return {
        accept: (count, timeoutMillis) =>
          openStreams(native, name, count, () => check(native.tcpAccept(listener, timeoutMillis), 'accept', name)),
        answer({ anew, idleMillis }) {
          const cells = new Float64Array(ASK_CELLS.length);
          check(native.tcpAnswer(listener, anew, idleMillis, cells), 'recv', name);
          return named(ASK_CELLS, cells);
        },
        close: () => void native.closeSocket(listener),
      };
    },
    tcpConnect(address, port, count, congestion) {
      const name = `tcp ${address}:${port}`;
      return openStreams(native, name, count, () => check(native.tcpConnect(address, port, congestion), 'connect', name, HINTS));
    },
    tcpAsk({ address, port, anew, durationMillis, timeoutMillis }) {
      const cells = new Float64Array(ASK_CELLS.length);
      const counts = new Float64Array(DELAY_BUCKETS);
      const asked = native.tcpAsk(address, port, anew, durationMillis, timeoutMillis, counts, cells);
      check(asked, anew ? 'connect' : 'send', `tcp ${address}:${port}`);
      return { ...named(ASK_CELLS, cells), delays: delayBuckets(counts) };
    },
  };
}

function openStreams(native: TcpBinding, name: string, count: number, open: () => number): TcpStreams {
  const sockets: number[] = [];
  const close = (): void => {
    for (const socket of sockets.splice(0)) native.closeSocket(socket);
  };
  try {
    while (sockets.length < count) sockets.push(open());
  } catch (error) {
    close();
    throw error;
  }
  const report = (): Float64Array => new Float64Array(STREAMS_CELLS.length + sockets.length * STREAM_CELLS.length);
  return {
    send({ durationMillis, bytes }) {
      const cells = report();
      check(native.tcpSend(sockets, durationMillis, bytes, cells), 'send', name);
      return streamsReport(cells);
    },
    receive({ checkAll, idleMillis }) {
      const cells = report();
      check(native.tcpReceive(sockets, checkAll, idleMillis, cells), 'recv', name);
      return streamsReport(cells);
    },
    close,
  };
}

function streamsReport(cells: Float64Array): TcpStreamsReport {
  const streams: TcpStreamReport[] = [];
  for (let at = STREAMS_CELLS.length; at < cells.length; at += STREAM_CELLS.length) {
    streams.push(named(STREAM_CELLS, cells.subarray(at)));
  }
  return { ...named(STREAMS_CELLS, cells), streams };
}

function named<Name extends string>(names: readonly Name[], cells: Float64Array): Record<Name, number> {
  return Object.fromEntries(names.map((name, index) => [name, cells[index]])) as Record<Name, number>;
}
