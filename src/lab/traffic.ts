/**
 * The traffic addon: generator and sink of the bench (native/traffic). Its calls block; they belong into a process of their own, inside the
 * namespace whose stack is the endpoint. Results are read from a report by name.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { check } from '../native/system-error.js';
import { DELAY_BUCKETS, type DelayBuckets, delayBuckets } from './delay-histogram.js';
import { type TcpBinding, type TcpTraffic, tcpTraffic } from './tcp-traffic.js';

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
  'cpuMicros',
  'corrupt',
  'dropped',
  'systemCalls',
] as const;

/**
 * What one call measured; cells without meaning for a call are 0. "Datagrams" are frames where frames were asked for.
 * `frames`: datagrams sent, or received for the first time and intact. `micros`: from the first to the last. `refused`: what the kernel did not
 * take. `missing`: numbers below the highest received that never came; what was lost behind the last one only the sender knows. `corrupt`: of
 * this trial, but not as it was sent. `foreign`: not of this trial. `dropped`: came when the receiving socket was full. Delays are one way, of
 * `udpAsk` both; a sender's are how far it was behind its schedule.
 */
export type TrafficReport = Record<(typeof CELLS)[number], number>;
export type DelayReport = TrafficReport & { delays: DelayBuckets };

/** Flows, payloadBytes, burst, durationMillis, frames, framesPerSecond, token, integrity. */
type LoadArguments = [number, number, number, number, number, number, number, number];

interface TrafficBinding extends TcpBinding {
  udpBind(address: string, port: number): number;
  udpSend(address: string, port: number, source: string, ...load: [...LoadArguments, Float64Array]): number;
  udpEcho(descriptor: number, startMillis: number, idleMillis: number, report: Float64Array): number;
  udpAsk(
    address: string,
    port: number,
    count: number,
    payloadBytes: number,
    timeoutMillis: number,
    report: Float64Array,
    delays: Float64Array,
  ): number;
  frameBind(ifname: string): number;
  frameSend(
    ifname: string,
    source: number,
    sources: number,
    destination: number,
    destinations: number,
    ...load: [...LoadArguments, Float64Array]
  ): number;
  receiveProbes(
    descriptor: number,
    headerBytes: number,
    flows: number,
    payloadBytes: number,
    startMillis: number,
    idleMillis: number,
    limitMillis: number,
    token: number,
    integrity: number,
    report: Float64Array,
    delays: Float64Array,
  ): number;
}

export interface LoadOptions {
  /** Datagrams a system call, at most. */
  burst: number;
  durationMillis: number;
  /** 0: until the duration is over. */
  frames: number;
  /**
   * 0: as fast as the kernel takes them. Otherwise all have a time they are due, and carry that, however late they leave. What is due within 50 µs
   * leaves together.
   */
  framesPerSecond: number;
  /** Of the trial, 0 … 65535; what carries another one is foreign. Default 0. */
  token?: number;
  /** Fills payloads with a pattern the sink checks, instead of zeros. Default false. */
  integrity?: boolean;
}

export interface UdpSendOptions extends LoadOptions {
  address: string;
  port: number;
  /**
   * 1 … 262144, by turns, datagram by datagram. One is a connected socket; several have a source address each, `source` and those that follow,
   * which nobody needs to own (it takes CAP_NET_ADMIN). With a `source` of 0.0.0.0 they have the sender's own address, and a destination each:
   * `address` and those that follow.
   */
  flows: number;
  /** Default 198.18.64.0. */
  source?: string;
  /** 18 … 1472. */
  payloadBytes: number;
}

export interface SinkOptions {
  /** How long to wait for the first datagram. */
  startMillis: number;
  /** Silence that ends the trial. */
  idleMillis: number;
  limitMillis: number;
  /** As the sender's. Default 0, false. */
  token?: number;
  integrity?: boolean;
}

export interface UdpReceiveOptions extends SinkOptions {
  flows: number;
  payloadBytes: number;
}

/** Addresses by turns, counting up from the first: 'aa:bb:cc:dd:ee:ff'. */
export interface MacRange {
  first: string;
  count: number;
}

export interface FrameSendOptions extends LoadOptions {
  ifname: string;
  source: MacRange;
  destination: MacRange;
  /** 60 … 1514, without frame check sequence. */
  frameBytes: number;
}

export interface FrameReceiveOptions extends SinkOptions {
  frameBytes: number;
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
export interface Sink<Options, Report = DelayReport> {
  /** Blocks until the trial is over. @throws SystemError */
  receive(options: Options): Report;
  close(): void;
}

export interface Traffic extends TcpTraffic {
  /** @throws SystemError, e.g. EADDRINUSE. */
  udpSink(address: string, port: number): Sink<UdpReceiveOptions>;
  /** Blocks. @throws SystemError */
  udpSend(options: UdpSendOptions): TrafficReport;
  /** Answers each datagram with itself, until `idleMillis` of silence. */
  udpEcho(address: string, port: number): Sink<{ startMillis: number; idleMillis: number }, TrafficReport>;
  /** Blocks. Asks a `udpEcho`, each time after the answer; `missing` counts those that never came. @throws SystemError */
  udpAsk(options: UdpAskOptions): DelayReport;
  /** Counts frames of `frameSend` an interface gets, whatever their destination. @throws SystemError ENODEV */
  frameSink(ifname: string): Sink<FrameReceiveOptions>;
  /** Blocks. Sends raw frames of the EtherType 0x88b5. @throws SystemError ENODEV, ENETDOWN */
  frameSend(options: FrameSendOptions): TrafficReport;
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

const DEFAULT_SOURCE = '198.18.64.0';
const ETHERNET_HEADER_BYTES = 14;

function traffic(native: TrafficBinding): Traffic {
  const cells = new Float64Array(CELLS.length);
  const counts = new Float64Array(DELAY_BUCKETS);
  const named = (): TrafficReport => Object.fromEntries(CELLS.map((name, index) => [name, cells[index]])) as TrafficReport;
  const withDelays = (): DelayReport => ({ ...named(), delays: delayBuckets(counts) });

  function receive(socket: number, headerBytes: number, options: UdpReceiveOptions, what: string): DelayReport {
    const { flows, payloadBytes, startMillis, idleMillis, limitMillis, token = 0, integrity = false } = options;
    const ended = native.receiveProbes(
      socket,
      headerBytes,
      flows,
      payloadBytes,
      startMillis,
      idleMillis,
      limitMillis,
      token,
      Number(integrity),
      cells,
      counts,
    );
    check(ended, 'recvmmsg', what);
    return withDelays();
  }

  return {
    ...tcpTraffic(native),
    udpSink(address, port) {
      const socket = check(native.udpBind(address, port), 'bind', `udp ${address}:${port}`);
      return {
        receive: (options) => receive(socket, 0, options, `udp port ${port}`),
        close: () => void native.closeSocket(socket),
      };
    },
    udpSend(options) {
      const { address, port, source = DEFAULT_SOURCE, flows, payloadBytes } = options;
      const sent = native.udpSend(address, port, source, ...load(flows, payloadBytes, options), cells);
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
      check(native.udpAsk(address, port, count, payloadBytes, timeoutMillis, cells, counts), 'send', `udp ${address}:${port}`);
      return withDelays();
    },
    frameSink(ifname) {
      const socket = check(native.frameBind(ifname), 'bind', ifname);
      return {
        receive: ({ frameBytes, ...options }) =>
          receive(
            socket,
            ETHERNET_HEADER_BYTES,
            { ...options, flows: 1, payloadBytes: frameBytes - ETHERNET_HEADER_BYTES },
            ifname,
          ),
        close: () => void native.closeSocket(socket),
      };
    },
    frameSend(options) {
      const { ifname, source, destination, frameBytes } = options;
      const sent = native.frameSend(
        ifname,
        macNumber(source.first),
        source.count,
        macNumber(destination.first),
        destination.count,
        ...load(1, frameBytes - ETHERNET_HEADER_BYTES, options),
        cells,
      );
      check(sent, 'sendmmsg', ifname);
      return named();
    },
  };
}

function load(flows: number, payloadBytes: number, options: LoadOptions): LoadArguments {
  const { burst, durationMillis, frames, framesPerSecond, token = 0, integrity = false } = options;
  return [flows, payloadBytes, burst, durationMillis, frames, framesPerSecond, token, Number(integrity)];
}

/** The 48 bits of an address. What is none becomes a number the addon refuses. */
function macNumber(mac: string): number {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac) ? Number.parseInt(mac.replaceAll(':', ''), 16) : Number.NaN;
}
