/** What a lab asks the process that lives in a host's namespace: each request with its arguments and its answer. */
import type { SocketRequests } from './sockets.js';
import type { TcpAskOptions, TcpAskReport, TcpReceiveOptions, TcpSendOptions, TcpStreamsReport } from './tcp-traffic.js';
import type {
  DelayReport,
  FrameReceiveOptions,
  FrameSendOptions,
  TrafficReport,
  UdpAskOptions,
  UdpReceiveOptions,
  UdpSendOptions,
} from './traffic.js';

export interface PingOptions {
  address: string;
  count: number;
  /** Bytes of the echo's payload, 56 as ping(8) by default. */
  payload?: number;
  /** Pause between two echoes; 0: the next one follows its answer. Default 0. */
  intervalMillis?: number;
  /** Default 3000: an ARP request that is lost is repeated after a second. */
  timeoutMillis?: number;
}

export interface PingResult {
  sent: number;
  received: number;
  /** Round trips in microseconds, in the order of sending, of those that were answered. */
  rttMicros: number[];
}

export interface StreamOptions {
  address: string;
  port: number;
  bytes: number;
}

/** What the receiving end of a TCP stream saw. */
export interface StreamResult {
  bytes: number;
  /** Whether each byte was the one that was sent. */
  intact: boolean;
  /** From the first byte to the end of the stream. */
  millis: number;
}

export interface UdpEchoOptions {
  address: string;
  port: number;
  count: number;
  payload: number;
  /** How long to wait for the last answer. Default 1000. */
  timeoutMillis?: number;
}

/** One end of streams. Which end opens them is independent of which one sends. */
export interface TcpEnd {
  /** To open them there; without it, they are accepted on the port that listens. */
  address?: string;
  port: number;
  /** Default 1. */
  streams?: number;
  /** Of what opens; that of accepted streams is the listener's. Default: the namespace's own. */
  congestion?: string;
  /** How long to wait for a stream to accept. Default 3000. */
  startMillis?: number;
}

export interface HostRequests extends SocketRequests {
  ping: [PingOptions, PingResult];
  /** Writes a sysctl of the namespace, e.g. net/ipv4/ip_forward. */
  sysctl: [{ path: string; value: string | number }, null];
  /** Listens for one stream; port 0 lets the kernel choose. */
  'tcp-serve': [{ port: number }, { port: number }];
  /** The stream that came to a served port; waits for its end. */
  'tcp-result': [{ port: number }, StreamResult];
  'tcp-send': [StreamOptions, { bytes: number; millis: number }];
  /** Answers each datagram with itself until the host ends. */
  'udp-serve': [{ port: number }, { port: number }];
  'udp-send': [UdpEchoOptions, { sent: number; answered: number }];
  /** The traffic addon's calls. The host answers nothing else while they block. */
  'traffic-udp-bind': [{ port: number }, null];
  'traffic-udp-receive': [{ port: number } & UdpReceiveOptions, DelayReport];
  'traffic-udp-send': [UdpSendOptions, TrafficReport];
  'traffic-udp-echo-bind': [{ port: number }, null];
  'traffic-udp-echo': [{ port: number; startMillis: number; idleMillis: number }, TrafficReport];
  'traffic-udp-ask': [UdpAskOptions, DelayReport];
  'traffic-frame-bind': [{ ifname: string }, null];
  'traffic-frame-receive': [{ ifname: string } & FrameReceiveOptions, DelayReport];
  'traffic-frame-send': [FrameSendOptions, TrafficReport];
  /** Whoever is to accept streams or to answer questions listens first. */
  'traffic-tcp-listen': [{ port: number; congestion?: string }, null];
  'traffic-tcp-send': [TcpEnd & TcpSendOptions, TcpStreamsReport];
  'traffic-tcp-receive': [TcpEnd & TcpReceiveOptions, TcpStreamsReport];
  'traffic-tcp-answer': [{ port: number; anew: boolean; idleMillis: number }, Omit<TcpAskReport, 'delays'>];
  'traffic-tcp-ask': [TcpAskOptions, TcpAskReport];
}

export type HostRequest = keyof HostRequests;
export type HostArguments<Name extends HostRequest> = HostRequests[Name][0];
export type HostAnswer<Name extends HostRequest> = HostRequests[Name][1];

/** Messages over the IPC channel. The child's first one, `ready`, says that it has entered the namespace. */
export type ToHost = { id: number; request: HostRequest; args: HostArguments<HostRequest> };
export type FromHost =
  | { ready: true }
  | { id: number; answer: HostAnswer<HostRequest> }
  | { id: number; error: string; code?: string | undefined };
