/**
 * The process behind a lab's host. It enters the namespace its parent passed as descriptor 4 before anything else, then answers requests
 * over the IPC channel until the parent goes. Sockets are made by the main thread, so all of them are inside.
 */
import { createSocket, type Socket } from 'node:dgram';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binding, loadBinding } from '../native/binding.js';
import { check } from '../native/system-error.js';
import { writeSysctl } from '../netlink/sysctl.js';
import type {
  FromHost,
  HostAnswer,
  HostArguments,
  HostRequest,
  PingOptions,
  PingResult,
  StreamResult,
  TcpEnd,
  ToHost,
  UdpEchoOptions,
} from './requests.js';
import { Sockets } from './sockets.js';
import { sendStream, serveStream } from './stream.js';
import type { TcpListener, TcpStreams } from './tcp-traffic.js';
import {
  type FrameReceiveOptions,
  loadTraffic,
  type Sink,
  type Traffic,
  type TrafficReport,
  type UdpReceiveOptions,
} from './traffic.js';

const NETNS = '/proc/self/fd/4';
const ANY = '0.0.0.0';

const binding = enter();
const sockets = new Sockets();
const streams = new Map<number, Promise<StreamResult>>();
const udpSinks = new Map<number, Sink<UdpReceiveOptions>>();
const echoes = new Map<number, Sink<{ startMillis: number; idleMillis: number }, TrafficReport>>();
const frameSinks = new Map<string, Sink<FrameReceiveOptions>>();
const tcpListeners = new Map<number, TcpListener>();
let loaded: Traffic | undefined;

function enter(): Binding {
  const addon = loadBinding();
  const descriptor = check(addon.openNetns(NETNS), 'openNetns', 'the namespace of the host');
  check(addon.enterNetns(descriptor), 'setns', 'the namespace of the host');
  addon.closeDescriptor(descriptor);
  return addon;
}

const handlers: { [Name in HostRequest]: (args: HostArguments<Name>) => HostAnswer<Name> | Promise<HostAnswer<Name>> } = {
  ping,
  sysctl: ({ path, value }) => {
    writeSysctl(path, value);
    return null;
  },
  'tcp-serve': async ({ port }) => {
    const server = await serveStream(port);
    streams.set(server.port, server.result);
    return { port: server.port };
  },
  'tcp-result': ({ port }) => taken(streams, port),
  'tcp-send': sendStream,
  'udp-serve': ({ port }) => serveEcho(port),
  'udp-send': sendEchoes,
  'udp-open': (options) => sockets.udpOpen(options),
  'tcp-open': (options) => sockets.tcpOpen(options),
  'tcp-listen': (options) => sockets.tcpListen(options),
  'tcp-accept': (options) => sockets.accept(options),
  say: (message) => sockets.say(message),
  hear: (options) => sockets.hear(options),
  shut: (options) => sockets.shut(options),
  'traffic-udp-bind': ({ port }) => {
    udpSinks.set(port, traffic().udpSink(ANY, port));
    return null;
  },
  'traffic-udp-receive': ({ port, ...options }) => drain(taken(udpSinks, port), options),
  'traffic-udp-send': (options) => traffic().udpSend(options),
  'traffic-udp-echo-bind': ({ port }) => {
    echoes.set(port, traffic().udpEcho(ANY, port));
    return null;
  },
  'traffic-udp-echo': ({ port, ...options }) => drain(taken(echoes, port), options),
  'traffic-udp-ask': (options) => traffic().udpAsk(options),
  'traffic-frame-bind': ({ ifname }) => {
    frameSinks.set(ifname, traffic().frameSink(ifname));
    return null;
  },
  'traffic-frame-receive': ({ ifname, ...options }) => drain(taken(frameSinks, ifname), options),
  'traffic-frame-send': (options) => traffic().frameSend(options),
  'traffic-tcp-listen': ({ port, congestion = '' }) => {
    tcpListeners.set(port, traffic().tcpListen(ANY, port, congestion));
    return null;
  },
  'traffic-tcp-send': (options) => withStreams(options, (streams) => streams.send(options)),
  'traffic-tcp-receive': (options) => withStreams(options, (streams) => streams.receive(options)),
  'traffic-tcp-answer': ({ port, ...options }) => closing(taken(tcpListeners, port), (listener) => listener.answer(options)),
  'traffic-tcp-ask': (options) => traffic().tcpAsk(options),
};

function traffic(): Traffic {
  loaded ??= loadTraffic();
  return loaded;
}

function drain<Options, Report>(sink: Sink<Options, Report>, options: Options): Report {
  try {
    return sink.receive(options);
  } finally {
    sink.close();
  }
}

/** Opens or accepts streams, uses them, closes them. */
function withStreams<Result>(end: TcpEnd, use: (streams: TcpStreams) => Result): Result {
  const { address, port, streams = 1, congestion = '', startMillis = 3000 } = end;
  if (address !== undefined) return closing(traffic().tcpConnect(address, port, streams, congestion), use);
  return closing(taken(tcpListeners, port), (listener) => closing(listener.accept(streams, startMillis), use));
}

function closing<Open extends { close(): void }, Result>(open: Open, use: (open: Open) => Result): Result {
  try {
    return use(open);
  } finally {
    open.close();
  }
}

/** What was prepared for a port or an interface, once. */
function taken<Key, Value>(prepared: Map<Key, Value>, at: Key): Value {
  const value = prepared.get(at);
  if (value === undefined) throw new Error(`nothing was prepared on ${at}`);
  prepared.delete(at);
  return value;
}

async function ping(options: PingOptions): Promise<PingResult> {
  const { address, count, payload = 56, intervalMillis = 0, timeoutMillis = 3000 } = options;
  const rttMicros: number[] = [];
  for (let sequence = 1; sequence <= count; sequence++) {
    if (sequence > 1 && intervalMillis > 0) await sleep(intervalMillis);
    const nanos = binding.icmpEcho(address, sequence & 0xffff, payload, timeoutMillis);
    // Nobody answered, or ARP got no answer: a lost echo, not a failed call.
    if (nanos === -constants.errno.ETIMEDOUT || nanos === -constants.errno.EHOSTUNREACH) continue;
    rttMicros.push(check(nanos, 'ping', address) / 1000);
  }
  return { sent: count, received: rttMicros.length, rttMicros };
}

function serveEcho(port: number): Promise<{ port: number }> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.on('message', (message, from) => socket.send(message, from.port, from.address));
    socket.bind(port, ANY, () => resolve({ port: socket.address().port }));
  });
}

async function sendEchoes(options: UdpEchoOptions): Promise<{ sent: number; answered: number }> {
  const { address, port, count, payload, timeoutMillis = 1000 } = options;
  const socket = createSocket('udp4');
  let answered = 0;
  const all = new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.on('message', () => {
      answered += 1;
      if (answered === count) resolve();
    });
  });
  all.catch(() => {});
  try {
    for (let index = 0; index < count; index++) await sendOne(socket, Buffer.alloc(payload, index), port, address);
    await Promise.race([all, sleep(timeoutMillis, undefined, { ref: false })]);
  } finally {
    socket.close();
  }
  return { sent: count, answered };
}

function sendOne(socket: Socket, message: Buffer, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(message, port, address, (error) => (error === null ? resolve() : reject(error)));
  });
}

function tell(message: FromHost): void {
  process.send?.(message);
}

async function answer({ id, request, args }: ToHost): Promise<void> {
  try {
    const handler = handlers[request] as (args: unknown) => unknown;
    tell({ id, answer: (await handler(args)) as HostAnswer<HostRequest> });
  } catch (error) {
    tell({ id, error: (error as Error).message, code: (error as NodeJS.ErrnoException).code });
  }
}

process.on('message', (message: ToHost) => void answer(message));
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group; the parent takes its hosts down itself.
process.on('SIGINT', () => {});
tell({ ready: true });
