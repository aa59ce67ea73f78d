/**
 * The traffic addon: generator and sink of the bench (native/traffic). Its calls block; they belong into a process of their own, inside the
 * namespace whose stack is the endpoint. Results are read from a report by name.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { check } from '../native/system-error.js';

/** Cells of a report, in the order of native/traffic/traffic.h. */
const CELLS = [
  'frames',
  'bytes',
  'micros',
  'refused',
  'duplicated',
  'reordered',
  'missing',
  'foreign',
  'delayMedianNanos',
  'delayP99Nanos',
  'delayMaxNanos',
  'retransmits',
  'cpuMicros',
] as const;

/**
 * What one call measured; cells without meaning for a call are 0.
 * `frames`: datagrams sent, or received for the first time. `micros`: from the first to the last. `missing`: numbers below the highest
 * received that never came; what was lost behind the last one only the sender knows. Delays are one way, of `udpAsk` both.
 */
export type TrafficReport = Record<(typeof CELLS)[number], number>;

interface TrafficBinding {
  udpBind(address: string, port: number): number;
  udpSend(
    address: string,
    port: number,
    flows: number,
    payloadBytes: number,
    burst: number,
    durationMillis: number,
    frames: number,
    framesPerSecond: number,
    report: Float64Array,
  ): number;
  udpReceive(
    descriptor: number,
    flows: number,
    payloadBytes: number,
    startMillis: number,
    idleMillis: number,
    limitMillis: number,
    report: Float64Array,
  ): number;
  udpEcho(descriptor: number, startMillis: number, idleMillis: number, report: Float64Array): number;
  udpAsk(address: string, port: number, count: number, payloadBytes: number, timeoutMillis: number, report: Float64Array): number;
  tcpListen(address: string, port: number): number;
  tcpSend(address: string, port: number, durationMillis: number, bytes: number, report: Float64Array): number;
  tcpReceive(listener: number, startMillis: number, idleMillis: number, report: Float64Array): number;
  closeSocket(descriptor: number): number;
}

export interface UdpSendOptions {
  address: string;
  port: number;
  /** Source ports that take turns, burst by burst. */
  flows: number;
  /** 18 … 1472. */
  payloadBytes: number;
  /** Datagrams a system call. */
  burst: number;
  durationMillis: number;
  /** 0: until the duration is over. */
  frames: number;
  /** 0: as fast as the kernel takes them. */
  framesPerSecond: number;
}

export interface UdpReceiveOptions {
  flows: number;
  payloadBytes: number;
  /** How long to wait for the first datagram. */
  startMillis: number;
  /** Silence that ends the trial. */
  idleMillis: number;
  limitMillis: number;
}

export interface UdpAskOptions {
  address: string;
  port: number;
  /** Questions, one after the other. */
  count: number;
  /** 8 … 1472. */
  payloadBytes: number;
  /** For one answer. */
  timeoutMillis: number;
}

/** A bound socket that waits for its trial. */
export interface Sink<Options> {
  /** Blocks until the trial is over. @throws SystemError */
  receive(options: Options): TrafficReport;
  close(): void;
}

export interface Traffic {
  /** @throws SystemError, e.g. EADDRINUSE. */
  udpSink(address: string, port: number): Sink<UdpReceiveOptions>;
  /** Blocks. @throws SystemError */
  udpSend(options: UdpSendOptions): TrafficReport;
  /** Answers each datagram with itself, until `idleMillis` of silence. */
  udpEcho(address: string, port: number): Sink<{ startMillis: number; idleMillis: number }>;
  /** Blocks. Asks a `udpEcho`, each time after the answer; `missing` counts those that never came. @throws SystemError */
  udpAsk(options: UdpAskOptions): TrafficReport;
  tcpSink(address: string, port: number): Sink<{ startMillis: number; idleMillis: number }>;
  /** Blocks. `bytes` 0: until the duration is over. @throws SystemError */
  tcpSend(options: { address: string; port: number; durationMillis: number; bytes: number }): TrafficReport;
}

/** @throws Error with what to do when the addon was not built. */
export function loadTraffic(): Traffic {
  const path = process.env['TAPBRIDGE_TRAFFIC'] ?? fileURLToPath(new URL('../../build/Release/traffic.node', import.meta.url));
  let native: TrafficBinding;
  try {
    native = createRequire(import.meta.url)(path) as TrafficBinding;
  } catch (cause) {
    throw new Error(`cannot load the traffic addon ${path}: run "npm run build:native"`, { cause });
  }
  return traffic(native);
}

function traffic(native: TrafficBinding): Traffic {
  const cells = new Float64Array(CELLS.length);
  const named = (): TrafficReport => Object.fromEntries(CELLS.map((name, index) => [name, cells[index]])) as TrafficReport;
  return {
    udpSink(address, port) {
      const socket = check(native.udpBind(address, port), 'bind', `udp ${address}:${port}`);
      return {
        receive({ flows, payloadBytes, startMillis, idleMillis, limitMillis }) {
          check(
            native.udpReceive(socket, flows, payloadBytes, startMillis, idleMillis, limitMillis, cells),
            'recvmmsg',
            `udp port ${port}`,
          );
          return named();
        },
        close: () => void native.closeSocket(socket),
      };
    },
    udpSend({ address, port, flows, payloadBytes, burst, durationMillis, frames, framesPerSecond }) {
      const sent = native.udpSend(address, port, flows, payloadBytes, burst, durationMillis, frames, framesPerSecond, cells);
      check(sent, 'sendmmsg', `udp ${address}:${port}`);
      return named();
    },
    udpEcho(address, port) {
      const socket = check(native.udpBind(address, port), 'bind', `udp ${address}:${port}`);
      return {
        receive({ startMillis, idleMillis }) {
          check(native.udpEcho(socket, startMillis, idleMillis, cells), 'recvfrom', `udp port ${port}`);
          return named();
        },
        close: () => void native.closeSocket(socket),
      };
    },
    udpAsk({ address, port, count, payloadBytes, timeoutMillis }) {
      check(native.udpAsk(address, port, count, payloadBytes, timeoutMillis, cells), 'send', `udp ${address}:${port}`);
      return named();
    },
    tcpSink(address, port) {
      const listener = check(native.tcpListen(address, port), 'listen', `tcp ${address}:${port}`);
      return {
        receive({ startMillis, idleMillis }) {
          check(native.tcpReceive(listener, startMillis, idleMillis, cells), 'recv', `tcp port ${port}`);
          return named();
        },
        close: () => void native.closeSocket(listener),
      };
    },
    tcpSend({ address, port, durationMillis, bytes }) {
      check(native.tcpSend(address, port, durationMillis, bytes, cells), 'send', `tcp ${address}:${port}`);
      return named();
    },
  };
}
