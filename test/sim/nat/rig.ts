/**
 * A NAT seen from both sides: containers send and receive inside, everybody else is behind the router. The router answers ARP by itself, and
 * flows can be followed for hours by a clock turned by hand.
 */
import { expect } from 'vitest';
import { VNET_BYTES } from '../../../src/core/batch.js';
import { GATEWAY_COUNTERS, GATEWAY_DROPS, type GatewayCounter, type GatewayDrop } from '../../../src/core/counters.js';
import type { FlowRow, NatSettings } from '../../../src/engine/protocol.js';
import { FIRST_UPLINK } from '../../../src/gateway/zones.js';
import type { MemoryFrame } from '../../../src/port/memory-port.js';
import { EtherType, etherType } from '../../../src/wire/ethernet.js';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { formatIpv4, parseIpv4 } from '../../../src/wire/ipv4-address.js';
import * as tcp from '../../../src/wire/tcp.js';
import { Flag } from '../../../src/wire/vnet-header.js';
import { arpReply, ipOf, macOf } from '../frames.js';
import { type GatewayOptions, GatewaySimulation, ROUTER_IP, ROUTER_MAC, UPLINK_IP, UPLINK_MAC } from '../gateway-simulation.js';
import { datagram, type End, echo, isIntact, read, type SegmentFields, segment } from '../packets.js';
import type { SimulatedPort } from '../simulation.js';

/** Hosts outside. */
export const FAR = '198.51.100.7';
export const OTHER = '203.0.113.9';
export const IP_AT = 14;
export const L4_AT = IP_AT + ipv4.HEADER_BYTES;
/** Ethernet header of what comes from outside. */
export const outside = { sourceMac: ROUTER_MAC, destinationMac: UPLINK_MAC };
/** Ethernet header of what host n sends to the gateway. */
export const inside = (n: number) => ({ sourceMac: macOf(n) });
/** The end of a container. */
export const at = (n: number, port: number): End => `${ipOf(n)}:${port}`;

/** What is different after a crash. */
export interface CrashOptions {
  missing?: readonly number[];
  options?: GatewayOptions;
  /** What is made again besides: publishes. */
  between?: (rig: NatRig) => void;
}

export class NatRig {
  gateway: GatewaySimulation;
  private readonly options: GatewayOptions;
  private readonly ports = new Map<number, SimulatedPort>();
  private frames = 0;

  constructor(options: GatewayOptions = {}) {
    this.options = options;
    this.gateway = new GatewaySimulation(options);
    this.send(250, datagram(at(250, 9), `${FAR}:9`, inside(250)));
    this.flush();
    this.clear();
  }

  /**
   * The engine is gone between two frames, and another one goes on with the file of its flows: it makes again what there was, in the order of a daemon.
   * @param missing containers that did not come back
   */
  crash({ missing = [], options = {}, between = () => {} }: CrashOptions = {}): void {
    const { flowFile } = this.options;
    const seconds = this.simulation.engine.seconds;
    const gateway = new GatewaySimulation({
      ...this.options,
      ...options,
      seconds,
      ...(flowFile && { flowFile: { ...flowFile, adopt: true } }),
    });
    this.gateway = gateway;
    for (const n of [...this.ports.keys()]) {
      const port = gateway.container(n);
      if (missing.includes(n)) port.remove();
      this.ports.set(n, port);
    }
    between(this);
    gateway.simulation.execute('flows-restored', {});
  }

  get simulation() {
    return this.gateway.simulation;
  }

  /** Port of container n, which is attached when it is first needed. */
  container(n: number): SimulatedPort {
    const known = this.ports.get(n);
    if (known !== undefined) return known;
    const port = this.gateway.container(n);
    // What the bridge would drop at the port is to reach the gateway here.
    port.set({ sourceGuard: false });
    this.ports.set(n, port);
    return port;
  }

  /** A container sends. Returns what left by the uplink since it was last asked. */
  send(n: number, ...frames: Uint8Array[]): Uint8Array[] {
    this.container(n).send(...frames.map((frame) => this.offloaded(frame)));
    return this.left();
  }

  /** What left by the uplink since it was last asked; the router answers ARP on the way. */
  left(): Uint8Array[] {
    const { uplink } = this.gateway;
    const packets: Uint8Array[] = [];
    for (let next = uplink.receive(); next !== undefined; next = uplink.receive()) {
      if (etherType(next.frame, 0) !== EtherType.arp) {
        packets.push(next.frame);
        continue;
      }
      uplink.send(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
      this.simulation.run();
    }
    return packets;
  }

  /** Packets come from outside. */
  arrive(...frames: Uint8Array[]): void {
    for (const frame of frames) {
      expect(this.gateway.uplink.send(frame, this.offloaded(frame).vnet), 'room in the queue of the uplink').toBe(true);
    }
    this.simulation.run();
  }

  /** IPv4 packets container n was sent since it was last asked. */
  received(n: number): Uint8Array[] {
    return this.container(n)
      .take()
      .filter((frame) => etherType(frame, 0) === EtherType.ipv4);
  }

  /** As interfaces do, says of every other packet that its checksum is verified: by such flags packets take the fast path, or the slow one. */
  private offloaded(frame: Uint8Array): MemoryFrame {
    const vnet = new Uint8Array(VNET_BYTES);
    if (this.frames++ % 2 === 0 && isPlain(frame) && isIntact(frame)) vnet[0] = Flag.dataValid;
    return { frame, vnet };
  }

  /** A datagram leaves; returns its outer end. */
  udp(n: number, port: number, to: End): End {
    const sent = this.send(n, datagram(at(n, port), to, inside(n)));
    expect(sent.map((frame) => destinationOf(frame))).toEqual([to]);
    return sourceOf(sent[0]);
  }

  /** A SYN leaves; returns its outer end. */
  syn(n: number, port: number, to: End): End {
    const sent = this.send(n, segment(at(n, port), to, { flags: tcp.Flag.syn, sequence: 1000 }, inside(n)));
    expect(sent.map((frame) => destinationOf(frame))).toEqual([to]);
    return sourceOf(sent[0]);
  }

  /** An echo request leaves; returns its outer id. */
  echo(n: number, id: number, to: string): number {
    const sent = this.send(n, echo(ipOf(n), to, id, inside(n)));
    expect(sent).toHaveLength(1);
    return icmp.identifier(sent[0], L4_AT);
  }

  /** Whether a datagram from outside reaches container n. */
  admits(from: End, outer: End, n: number): boolean {
    this.received(n);
    this.arrive(datagram(from, outer, outside));
    return this.received(n).length === 1;
  }

  /** Whether a SYN from outside reaches container n. */
  admitsSyn(from: End, outer: End, n: number): boolean {
    this.received(n);
    this.arrive(segment(from, outer, { flags: tcp.Flag.syn, sequence: 77 }, outside));
    return this.received(n).length === 1;
  }

  /** Whether an echo reply from outside reaches container n. */
  admitsEcho(from: string, id: number, n: number): boolean {
    this.received(n);
    this.arrive(echo(from, UPLINK_IP, id, { ...outside, type: icmp.Type.echoReply }));
    return this.received(n).length === 1;
  }

  /** Nothing happens for this long. */
  idle(seconds: number): void {
    this.simulation.clock.advanceSeconds(seconds);
    this.simulation.run();
  }

  set(settings: Partial<NatSettings>): void {
    this.simulation.execute('set-nat', { settings });
  }

  flows(protocol?: number): FlowRow[] {
    const filter = protocol === undefined ? {} : { protocol };
    return this.simulation.execute('list-flows', { filter, from: 0, limit: 1 << 20 }).flows;
  }

  /** The only flow of a protocol. */
  flow(protocol: number): FlowRow {
    const flows = this.flows(protocol);
    expect(flows).toHaveLength(1);
    return flows[0];
  }

  use() {
    return this.simulation.execute('gateway-use', {});
  }

  flush(): void {
    this.simulation.execute('flush-flows', { filter: {}, from: 0, limit: 1 << 20 });
  }

  /** Forgets all that came out so far. */
  clear(): void {
    this.left();
    for (const port of this.ports.values()) port.take();
    while (this.gateway.host.receive() !== undefined);
  }

  /** Sum of a counter over all zones. */
  count(counter: GatewayCounter): number {
    return this.gateway.count(counter) + this.gateway.count(counter, FIRST_UPLINK);
  }

  /** Drops so far, those that are not 0. */
  drops(): Partial<Record<GatewayDrop, number>> {
    const names = Object.keys(GATEWAY_DROPS) as GatewayDrop[];
    return Object.fromEntries(names.map((name) => [name, this.count(name)]).filter(([, count]) => count !== 0));
  }

  /** All counters that are not 0, over all zones. */
  counters(): Record<string, number> {
    return Object.fromEntries(GATEWAY_COUNTERS.map((name) => [name, this.count(name)]).filter(([, count]) => count !== 0));
  }
}

/** A TCP connection through the gateway, both ends of it in the test's hands. */
export class Connection {
  readonly outer: End;
  private readonly rig: NatRig;
  private readonly n: number;
  private readonly client: End;
  private readonly server: End;
  private clientNext = 1001;
  private serverNext = 5001;

  /** Opens it. */
  constructor(rig: NatRig, n: number, port: number, server: End = `${FAR}:80`) {
    this.rig = rig;
    this.n = n;
    this.client = at(n, port);
    this.server = server;
    this.outer = rig.syn(n, port, server);
    const { syn, ack } = tcp.Flag;
    expect(this.fromServer({ flags: syn | ack, sequence: 5000, acknowledgment: 1001 })).toBe(true);
    expect(this.fromClient({ flags: ack })).toBe(true);
    expect(this.state).toBe('established');
  }

  get state(): string {
    return this.rig.flows(6).find(({ original }) => `${formatIpv4(original.source)}:${original.sourcePort}` === this.client)
      ?.state as string;
  }

  /** Whether a segment of the client leaves. */
  fromClient(fields: SegmentFields): boolean {
    const sequence = fields.sequence ?? this.clientNext;
    const acknowledgment = fields.acknowledgment ?? this.serverNext;
    const frame = segment(this.client, this.server, { ...fields, sequence, acknowledgment }, inside(this.n));
    this.clientNext = Math.max(this.clientNext, sequence + lengthOf(fields));
    return this.rig.send(this.n, frame).length === 1;
  }

  /** Whether a segment of the server reaches the client. */
  fromServer(fields: SegmentFields): boolean {
    const sequence = fields.sequence ?? this.serverNext;
    const acknowledgment = fields.acknowledgment ?? this.clientNext;
    this.rig.received(this.n);
    this.rig.arrive(segment(this.server, this.outer, { ...fields, sequence, acknowledgment }, outside));
    this.serverNext = Math.max(this.serverNext, sequence + lengthOf(fields));
    return this.rig.received(this.n).length === 1;
  }

  /** Whether data passes both ways. */
  works(): boolean {
    const payload = Uint8Array.of(1, 2, 3);
    const flags = tcp.Flag.ack | tcp.Flag.psh;
    return this.fromClient({ flags, payload }) && this.fromServer({ flags, payload });
  }
}

/** A whole TCP or UDP packet. */
function isPlain(frame: Uint8Array): boolean {
  if (ipv4.check(frame, IP_AT, frame.length - IP_AT) !== 0 || ipv4.isFragment(frame, IP_AT)) return false;
  const protocol = ipv4.protocol(frame, IP_AT);
  return protocol === ipv4.Protocol.tcp || protocol === ipv4.Protocol.udp;
}

/** Sequence numbers a segment takes. */
function lengthOf({ flags, payload }: SegmentFields): number {
  return (payload?.length ?? 0) + ((flags & (tcp.Flag.syn | tcp.Flag.fin)) !== 0 ? 1 : 0);
}

const TUPLE = /^\S+ (\S+) > (\S+) ttl/;

export function sourceOf(frame: Uint8Array): End {
  return TUPLE.exec(read(frame))?.[1] ?? '';
}

export function destinationOf(frame: Uint8Array): End {
  return TUPLE.exec(read(frame))?.[2] ?? '';
}

export function portOf(end: End): number {
  return Number(end.split(':')[1]);
}

export function addressOf(end: End): number {
  return parseIpv4(end.split(':')[0]);
}

/** Cuts a packet without options into fragments of these payload lengths, multiples of 8 but for the last, which takes the rest. */
export function fragments(packet: Uint8Array, lengths: readonly number[], identification = 99): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const end = packet.length - L4_AT;
  for (const length of [...lengths, end]) {
    const to = Math.min(end, offset + length);
    if (to === offset) break;
    pieces.push(fragment(packet, offset, to, to < end, identification));
    offset = to;
  }
  return pieces;
}

/** Bytes [from, to) of a packet's payload as a fragment of it. */
export function fragment(packet: Uint8Array, from: number, to: number, more: boolean, identification = 99): Uint8Array {
  const piece = new Uint8Array(L4_AT + to - from);
  piece.set(packet.subarray(0, L4_AT));
  piece.set(packet.subarray(L4_AT + from, L4_AT + to), L4_AT);
  ipv4.setTotalLength(piece, IP_AT, piece.length - IP_AT);
  ipv4.setIdentification(piece, IP_AT, identification);
  piece[IP_AT + 6] = (more ? 0x20 : 0) | (from >>> 11);
  piece[IP_AT + 7] = (from >>> 3) & 0xff;
  ipv4.fillHeaderChecksum(piece, IP_AT);
  return piece;
}

/** The payload of a datagram in fragments, put together; undefined when bytes are missing. */
export function reassemble(pieces: readonly Uint8Array[]): Uint8Array | undefined {
  const whole = new Uint8Array(65_536);
  let end = 0;
  let seen = 0;
  for (const piece of pieces) {
    const offset = ipv4.fragmentOffset(piece, IP_AT);
    const data = piece.subarray(L4_AT, IP_AT + ipv4.totalLength(piece, IP_AT));
    whole.set(data, offset);
    seen += data.length;
    if (!ipv4.moreFragments(piece, IP_AT)) end = offset + data.length;
  }
  return end > 0 && seen === end ? whole.slice(0, end) : undefined;
}
