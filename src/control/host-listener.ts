/**
 * What a publish has on the host itself: sockets that reserve its ports, and serve the host's own programs.
 *
 *     outside ──▶ uplink ──▶ gateway ──▶ container          the guard keeps these packets from the host: no socket here ever sees them
 *     127.0.0.1, the host's own addresses ──▶ socket here ──▶ new connection or datagram to the container
 *
 * The container sees the host port's address as the client's, because the host's stack sends it. One process and a socket for each port of a range;
 * all of them are open when `open` resolves, or none is.
 *
 * Limits: 4,096 connections and 1,024 UDP sessions for each publish.
 */
import { closeSync, fstatSync, type Stats } from 'node:fs';
import type { Descriptor } from '../native/binding.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { ControlError } from './control-error.js';
import { whoHas } from './host-sockets.js';
import { listenTcp } from './listener-tcp.js';
import { listenUdp, UdpSessions } from './listener-udp.js';
import { reasonOf } from './log.js';

export interface ListenerSpec {
  protocol: 'tcp' | 'udp';
  /** int32; 0: every address of the host. */
  hostAddress: number;
  hostPort: number;
  /** Ports in a row. */
  count: number;
  /** The container's, int32. */
  address: number;
  /** Of the container, for the first of the range. */
  port: number;
}

/** What a socket is bound to, or a socket that is. */
export type Place = { host: string; port: number } | { fd: Descriptor; port: number };

/** One socket that listens. `close` ends it and all it serves, at once. */
export interface Listening {
  close(): void;
}

/** Sockets that are opened at a time: enough to be fast, few enough not to fill the loop's queue. */
const AT_ONCE = 256;

export class HostListener {
  private readonly open: Listening[];

  private constructor(open: Listening[]) {
    this.open = open;
  }

  /** With sockets that are bound already, one for each port: they are the listener's from here on, and closed when this fails. @throws ControlError */
  static adopt(spec: ListenerSpec, sockets: readonly Descriptor[]): Promise<HostListener> {
    const before = sockets.map((socket) => fstatSync(socket));
    const place = (offset: number) => ({ fd: sockets[offset], port: spec.hostPort + offset });
    return HostListener.make(spec, place, (offset) => closeStill(sockets[offset], before[offset]));
  }

  /** @throws ControlError conflict, which says who has a port; not-found for an address the host does not have */
  static open(spec: ListenerSpec): Promise<HostListener> {
    const host = formatIpv4(spec.hostAddress);
    return HostListener.make(spec, (offset) => ({ host, port: spec.hostPort + offset }));
  }

  /** @param unused told about each place that no listener has, when there is an error */
  private static async make(
    spec: ListenerSpec,
    place: (offset: number) => Place,
    unused: (offset: number) => void = () => {},
  ): Promise<HostListener> {
    const open: Listening[] = [];
    const container = formatIpv4(spec.address);
    const connections = { count: 0 };
    const sessions = new UdpSessions();
    const one = (offset: number) => {
      const from = place(offset);
      const to = { host: container, port: spec.port + offset };
      return spec.protocol === 'tcp' ? listenTcp(from, to, connections) : listenUdp(from, to, sessions);
    };
    if (spec.protocol === 'udp') open.push(sessions);
    for (let first = 0; first < spec.count; first += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, spec.count - first) }, (_, index) => one(first + index));
      const settled = await Promise.allSettled(batch);
      for (const each of settled) if (each.status === 'fulfilled') open.push(each.value);
      const failed = settled.findIndex(({ status }) => status === 'rejected');
      if (failed < 0) continue;
      for (const each of open) each.close();
      for (let offset = first + failed; offset < spec.count; offset++) {
        if (settled[offset - first]?.status !== 'fulfilled') unused(offset);
      }
      throw refusal(spec, spec.hostPort + first + failed, (settled[failed] as PromiseRejectedResult).reason);
    }
    return new HostListener(open);
  }

  close(): void {
    for (const each of this.open) each.close();
    this.open.length = 0;
  }
}

/** Closes a descriptor if it is still that socket: Node closes some that it cannot listen at, and their number may be another's by now. */
function closeStill(descriptor: Descriptor, before: Stats): void {
  try {
    const { dev, ino } = fstatSync(descriptor);
    if (dev === before.dev && ino === before.ino) closeSync(descriptor);
  } catch {
    // EBADF: closed.
  }
}

function refusal(spec: ListenerSpec, port: number, error: NodeJS.ErrnoException): ControlError {
  const { protocol } = spec;
  const address = formatIpv4(spec.hostAddress);
  if (error.code === 'EADDRINUSE') {
    const what = `port ${port}/${protocol} of the host is taken by ${whoHas(protocol, port)}`;
    return new ControlError('conflict', what, 'choose another host port', error);
  }
  if (error.code === 'EADDRNOTAVAIL') {
    return new ControlError('not-found', `the host has no address ${address}`, 'see ip address, or leave the address out', error);
  }
  if (error.code === 'EMFILE' || error.code === 'ENFILE') {
    const what = `no descriptors are left for ${spec.count} ports`;
    return new ControlError('failed', what, 'publish fewer, or raise the limit (LimitNOFILE, ulimit -n)', error);
  }
  return new ControlError('failed', `cannot listen at ${address}:${port}/${protocol}: ${reasonOf(error)}`, undefined, error);
}
