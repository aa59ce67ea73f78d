/** A tracker with a manual clock, and datagrams to feed it: a client inside, a server outside, the client translated to `OUTER`. */
import { Conntrack, type ConntrackOptions, REPLACED } from '../../src/conntrack/conntrack.js';
import { COLD, FLOW, NO_OWNER, removalName, Status, WINDOW_WORDS } from '../../src/conntrack/flow-layout.js';
import { invertPorts } from '../../src/conntrack/kind.js';
import { Segment, TcpState, type TcpStateName, tcpStateName } from '../../src/conntrack/tcp-states.js';
import { TIMEOUT_CLASSES } from '../../src/conntrack/timeouts.js';
import { GATEWAY_COUNTERS } from '../../src/core/counters.js';
import { Random } from '../../src/core/random.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as tcp from '../../src/wire/tcp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { makePacket, type PacketOptions, payload } from '../helpers/packet.js';
import { type FlowRecord, flowRecord } from './flow-record.js';

export const CLIENT = '10.9.0.2';
export const SERVER = '192.0.2.7';
export const OUTER = '198.51.100.1';
export const CLIENT_PORT = 40_000;
export const OUTER_PORT = 50_000;
export const SERVER_PORT = 80;
const MARGIN = 100;

export const BRIDGE_ZONE = 3;
export const UPLINK = 256;
/** The original direction leaves by the uplink, the reply goes to the bridge. */
export const OUTWARD = UPLINK | (BRIDGE_ZONE << 16);

/** A datagram in a larger buffer full of 0xa5, its vnet header in front of it. */
export interface Datagram {
  bytes: Uint8Array;
  at: number;
  ip: number;
  l4: number;
  l4Length: number;
}

function place(frame: Uint8Array, header: Uint8Array): Datagram {
  const bytes = new Uint8Array(MARGIN + frame.length + MARGIN).fill(0xa5);
  bytes.set(header, MARGIN - vnet.HEADER_BYTES);
  bytes.set(frame, MARGIN);
  const ip = MARGIN + 14;
  const l4 = ip + ipv4.headerBytes(bytes, ip);
  return { bytes, at: MARGIN, ip, l4, l4Length: ipv4.totalLength(bytes, ip) - (l4 - ip) };
}

export type Side = 'client' | 'server';

export function between(side: Side): Pick<PacketOptions, 'ipSource' | 'ipDestination' | 'sourcePort' | 'destinationPort'> {
  return side === 'client'
    ? { ipSource: CLIENT, ipDestination: SERVER, sourcePort: CLIENT_PORT, destinationPort: SERVER_PORT }
    : { ipSource: SERVER, ipDestination: OUTER, sourcePort: SERVER_PORT, destinationPort: OUTER_PORT };
}

export function datagram(options: PacketOptions): Datagram {
  const packet = makePacket(options);
  return place(packet.frame, packet.vnet);
}

export function udpFrom(side: Side, options: PacketOptions = {}): Datagram {
  return datagram({ ...between(side), protocol: 'udp', ...options });
}

export interface SegmentOptions {
  seq?: number;
  ack?: number;
  data?: number;
  window?: number;
  options?: number[];
  gsoSize?: number;
  packet?: PacketOptions;
}

const LETTERS: Record<string, number> = {
  S: tcp.Flag.syn,
  A: tcp.Flag.ack,
  F: tcp.Flag.fin,
  R: tcp.Flag.rst,
  P: tcp.Flag.psh,
  U: tcp.Flag.urg,
};

/** `flags` as letters: 'SA' is SYN+ACK. */
export function segment(side: Side, flags: string, options: SegmentOptions = {}): Datagram {
  const { seq = 0, ack = 0, data = 0, window = 1000, options: tcpOptions = [], gsoSize = 0 } = options;
  const made = datagram({
    ...between(side),
    protocol: 'tcp',
    flags: [...flags].reduce((bits, letter) => bits | LETTERS[letter], 0),
    sequence: seq,
    tcpOptions,
    payload: payload(data),
    gsoSize,
    partial: true,
    ...options.packet,
  });
  tcp.setAcknowledgment(made.bytes, made.l4, ack);
  made.bytes[made.l4 + 14] = window >>> 8;
  made.bytes[made.l4 + 15] = window;
  return made;
}

/** Any protocol, `length` bytes of payload behind the IPv4 header. */
export function rawFrom(side: Side, protocol: number, length = 40): Datagram {
  const made = udpFrom(side, { payload: payload(length - 8), partial: true });
  made.bytes[made.ip + 9] = protocol;
  ipv4.fillHeaderChecksum(made.bytes, made.ip);
  return made;
}

export function icmpFrom(side: Side, type: number, identifier = 77, code = 0): Datagram {
  const made = rawFrom(side, ipv4.Protocol.icmp, 32);
  icmp.emit(made.bytes, made.l4, made.l4Length, { type, code, identifier, sequence: 1 });
  made.bytes[made.at - vnet.HEADER_BYTES] = 0;
  return made;
}

export interface RigOptions extends Partial<ConntrackOptions> {
  zones?: number;
  owner?: number;
}

export class Rig {
  readonly conntrack: Conntrack;
  readonly removed: string[] = [];
  seconds = 1000;
  owner: number;
  private readonly zones: number;

  constructor(options: RigOptions = {}) {
    const { zones = OUTWARD, owner = NO_OWNER, ...rest } = options;
    const random = new Random(7);
    this.zones = zones;
    this.owner = owner;
    this.conntrack = new Conntrack({
      limit: 64,
      ownerCapacity: 16,
      random: () => random.fraction(),
      onRemove: (_flow, reason) => this.removed.push(removalName(reason)),
      ...rest,
    });
  }

  /** What the gateway does with a datagram: 'pass', or the counter of its drop. A client's flow is translated, a server's is not. */
  send(made: Datagram, packets = 1): string {
    const { conntrack, seconds } = this;
    const { bytes, ip, l4, l4Length } = made;
    let ref = this.lookup(made);
    for (;;) {
      if (ref < 0) {
        if (conntrack.isIcmpError) return 'error';
        const wrong = conntrack.fault || conntrack.mayOpen(bytes, l4);
        if (wrong !== 0) return GATEWAY_COUNTERS[wrong];
        ref = this.open() * 2;
        if (ref < 0) return GATEWAY_COUNTERS[conntrack.refused];
      }
      const verdict = conntrack.track(ref, bytes, ip, l4, l4Length, packets, seconds);
      if (verdict !== REPLACED) return verdict === 0 ? 'pass' : GATEWAY_COUNTERS[verdict];
      ref = -1;
    }
  }

  /** The flow a datagram belongs to, doubled, and 1 more in reply direction; -1: none. */
  lookup(made: Datagram): number {
    return this.conntrack.lookup(made.bytes, made.at, made.ip, made.l4, made.l4Length, this.seconds);
  }

  private open(): number {
    const { conntrack } = this;
    const { source, destination, ports, kind } = conntrack;
    const translated = source === parseIpv4(CLIENT) && destination === parseIpv4(SERVER);
    const outerPorts = (kind & 0xff) === 1 ? ports : (OUTER_PORT << 16) | (ports & 0xffff);
    const hasPorts = (kind & 0xff) === 6 || (kind & 0xff) === 17;
    return conntrack.open(
      destination,
      translated ? parseIpv4(OUTER) : source,
      invertPorts(translated && hasPorts && ports >>> 16 === CLIENT_PORT ? outerPorts : ports),
      this.zones,
      11,
      22,
      translated ? 5 : -1,
      this.owner,
      this.seconds,
    );
  }

  /** Records of all live rows. */
  flows(): FlowRecord[] {
    const { flows } = this.conntrack;
    return Array.from({ length: flows.rows() }, (_, flow) => flow)
      .filter((flow) => flows.used(flow))
      .map((flow) => flowRecord(this.conntrack, flow, this.seconds));
  }

  /** The only flow. */
  get flow(): FlowRecord {
    const [flow, ...others] = this.flows();
    if (flow === undefined || others.length > 0) throw new Error(`${others.length + (flow ? 1 : 0)} flows, not one`);
    return flow;
  }

  get state(): TcpStateName {
    return tcpStateName(this.conntrack.flows.words[FLOW.status] & Status.stateMask);
  }

  get timeoutClass(): string {
    return TIMEOUT_CLASSES[this.conntrack.flows.classOf(0)] ?? 'ended';
  }

  /** Puts flow 0 into a state, windows wide open on both sides and nothing remembered. */
  force(state: TcpStateName, end: Record<Side, number> = { client: 1000, server: 5000 }): void {
    const { words, cold } = this.conntrack.flows;
    const status = (words[FLOW.status] & ~Status.stateMask & 0xffff) | TcpState[state] | (state === 'new' ? 0 : Status.seenReply);
    words[FLOW.status] = status;
    for (const [direction, side] of (['client', 'server'] as const).entries()) {
      const at = COLD.end + direction * WINDOW_WORDS;
      cold[at] = end[side];
      cold[at + 1] = end[side] + 10_000;
      cold[at + 2] = 10_000;
      cold[at + 3] = 0;
    }
    cold[COLD.last] = Segment.none << 22;
    cold[COLD.lastEnd] = 0x7000_0000;
  }

  /** A word of flow 0's window of one side. */
  windowOf(side: Side, word: 'end' | 'maxEnd' | 'maxWindow' | 'maxAck'): number {
    return this.conntrack.flows.cold[COLD[word] + (side === 'client' ? 0 : WINDOW_WORDS)];
  }

  /** The handshake: client 1000 → 1001, server 5000 → 5001. */
  establish(clientOptions: number[] = [], serverOptions: number[] = [], window = 1000): void {
    this.send(segment('client', 'S', { seq: 1000, options: clientOptions, window }));
    this.send(segment('server', 'SA', { seq: 5000, ack: 1001, options: serverOptions, window }));
    this.send(segment('client', 'A', { seq: 1001, ack: 5001, window }));
  }
}
