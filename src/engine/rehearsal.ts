/**
 * Frames for the rehearsal (warm-up.ts): burst I/O that receives prepared bursts by turns, and sends nothing.
 *
 *     container 0 ─┐
 *     container 1 ─┼─ bridge ─ host port, gateway 10.0.0.254 ─ uplink 192.0.2.1 ─ router 192.0.2.254 ─ 198.51.100.7
 *     host ────────┘
 *
 * They are those its users will most likely send first: single ones both ways, echoes, bursts of a flow and of several, super-frames, ARP, groups, none; and
 * through the gateway flows that begin, datagrams and super-frames out and back.
 */
import { VNET_BYTES } from '../core/batch.js';
import { type BurstIoOptions, Status } from '../native/binding.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import { parseIpv4 } from '../wire/ipv4-address.js';
import * as ipv6 from '../wire/ipv6.js';
import { parseMac } from '../wire/mac-address.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { SimulatedIo } from './simulated-io.js';

/** Who is where. */
export const Port = { first: 0, second: 1, host: 2, uplink: 3 } as const;
export interface Station {
  port: number;
  ip: string;
  mac: string;
}
export const CONTAINERS: readonly Station[] = [Port.first, Port.second].map((port) => ({
  port,
  ip: `10.0.0.${port + 1}`,
  mac: `02:00:00:00:00:0${port + 1}`,
}));
export const HOST: Station = { port: Port.host, ip: '10.0.0.254', mac: '02:00:00:00:00:fe' };
export const UPLINK: Station = { port: Port.uplink, ip: '192.0.2.1', mac: '02:00:00:00:01:01' };
export const ROUTER: Station = { port: Port.uplink, ip: '192.0.2.254', mac: '02:00:00:00:01:fe' };
/** Beyond the router. */
const FAR: Station = { ...ROUTER, ip: '198.51.100.7' };
const NOBODY = '10.0.0.99';

/** Ports of the containers' flows to the outside: the gateway keeps them. Those that begin take the next of so many by turns. */
export const OUTER_PORTS = { first: 20_000, last: 29_999 } as const;
const FRESH_PORTS = 512;
const FRESH_FIRST = OUTER_PORTS.last + 1 - FRESH_PORTS;
const SERVER_PORT = 2000;

/** Bytes of the rehearsed datagrams. */
const PAYLOAD = 26;
/** As ping(8) sends them: longer ones are summed up by other code. */
const ECHO_PAYLOAD = 56;
const SUPER_PAYLOAD = 4000;
const SEQUENCE = 1000;
const WINDOW = 0xffff;
const IP = ethernet.HEADER_BYTES;
const L4 = IP + ipv4.HEADER_BYTES;
const SLOT_LEAD = 2 + VNET_BYTES;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** Of ff02::2 (RFC 2464, section 7). */
const ALL_ROUTERS = '33:33:00:00:00:02';

/** Frames of one pass: where each lies in the arena, how long it is, and the port it comes from. */
interface Burst {
  port: number;
  at: number[];
  length: number[];
  /** Through the gateway, which writes into the frames: what they are before each pass, and where. Null: bridged. */
  before: Uint8Array | null;
  from: number;
  /** Each time another flow. */
  fresh: boolean;
}

/** A conversation: `next` is who takes the frame from the bridge or the uplink. */
interface Way {
  from: Station;
  to: Station;
  next: Station;
  sourcePort: number;
  destinationPort: number;
}

export class Rehearsal extends SimulatedIo {
  private readonly bytes: Uint8Array;
  private readonly rows: Int32Array;
  private readonly cells: Float64Array;
  private readonly capacity: number;
  private readonly bursts: Burst[] = [];
  private end = 0;
  private turn = 0;
  private freshPort = FRESH_FIRST;

  constructor(options: BurstIoOptions) {
    super(options, { micros: () => performance.now() * 1000 });
    this.bytes = new Uint8Array(this.arena);
    this.rows = new Int32Array(this.received);
    this.cells = new Float64Array(this.status);
    this.capacity = options.batchFrames;
  }

  /** What bridges carry. */
  prepareBridge(): void {
    for (const [container, other] of [CONTAINERS, CONTAINERS.toReversed()]) {
      const way = (flow: number): Way => ({
        from: container,
        to: other,
        next: other,
        sourcePort: 1000 + flow,
        destinationPort: SERVER_PORT,
      });
      // Echoes, questions, acknowledgements: most of what a quiet bridge sees is one frame a pass. They come more often for that.
      for (let times = 0; times < 4; times++) this.prepare(container, 1, () => this.datagram(way(0)));
      this.prepare(container, 1, () => this.echo(way(0), false));
      this.prepare(container, 1, () => this.segment(way(0)));
      this.prepare(container, 4, () => this.segment(way(0)));
      this.prepare(container, 64, () => this.datagram(way(0)));
      this.prepare(container, 64, (frame) => this.datagram(way(frame % 16)));
      this.prepare(container, 1, () => this.request(container, other.ip));
      this.prepare(container, 1, () => this.request(container, NOBODY));
      this.prepare(container, 1, () => this.announcement(container));
    }
    const [container] = CONTAINERS;
    const toHost = { from: container, to: HOST, next: HOST, sourcePort: SERVER_PORT, destinationPort: SERVER_PORT };
    const fromHost = { ...toHost, from: HOST, to: container, next: container };
    for (const way of [toHost, fromHost]) {
      this.prepare(way.from, 1, () => this.datagram(way));
      this.prepare(way.from, 1, () => this.echo(way, false));
      this.prepare(way.from, 1, () => this.segment(way));
    }
    this.prepare(HOST, 1, () => this.request(HOST, container.ip));
    this.prepare(HOST, 1, () => this.announcement(HOST));
    // The time to look around once more, with nothing to do.
    this.prepare(HOST, 0, () => 0);
  }

  /** What goes through the gateway. */
  prepareGateway(): void {
    const out = (flow: number): Way => ({
      from: CONTAINERS[0],
      to: FAR,
      next: HOST,
      sourcePort: OUTER_PORTS.first + flow,
      destinationPort: SERVER_PORT,
    });
    const back = (flow: number): Way => ({
      from: FAR,
      to: UPLINK,
      next: UPLINK,
      sourcePort: SERVER_PORT,
      destinationPort: OUTER_PORTS.first + flow,
    });
    // The router makes itself known before more than one frame waits for it, and flows begin inside.
    this.translate(CONTAINERS[0], 1, () => this.datagram(out(0)));
    this.translate(ROUTER, 1, () => this.reply());
    for (const [station, way] of [
      [CONTAINERS[0], out],
      [ROUTER, back],
    ] as const) {
      for (let times = 0; times < 3; times++) this.translate(station, 1, () => this.datagram(way(0)));
      for (let times = 0; times < 3; times++) this.translate(station, 1, () => this.echo(way(0), station === ROUTER));
      this.translate(station, 1, () => this.segment(way(0)));
      this.translate(station, 4, () => this.segment(way(0)));
      this.translate(station, 32, (frame) => this.datagram(way(frame % 16)));
    }
    for (let times = 0; times < 2; times++) this.translate(CONTAINERS[0], 1, () => this.datagram(out(0)), true);
  }

  rehearse(): number {
    super.receive();
    const burst = this.bursts[this.turn++ % this.bursts.length];
    const { port, at, length, before } = burst;
    if (before !== null) {
      this.bytes.set(before, burst.from);
      if (burst.fresh) this.renew(at[0] + L4);
    }
    for (let frame = 0; frame < at.length; frame++) {
      this.rows[frame] = port;
      this.rows[this.capacity + frame] = at[frame];
      this.rows[2 * this.capacity + frame] = length[frame];
    }
    this.cells[Status.arenaEnd] = this.end;
    return at.length;
  }

  private renew(l4: number): void {
    this.freshPort = this.freshPort === OUTER_PORTS.last ? FRESH_FIRST : this.freshPort + 1;
    this.bytes[l4] = this.freshPort >>> 8;
    this.bytes[l4 + 1] = this.freshPort;
  }

  private prepare({ port }: Station, frames: number, write: (frame: number) => number): Burst {
    const burst: Burst = { port, at: [], length: [], before: null, from: this.end, fresh: false };
    for (let frame = 0; frame < frames; frame++) {
      burst.at.push(this.end + SLOT_LEAD);
      burst.length.push(write(frame));
      this.end = (this.end + SLOT_LEAD + burst.length[frame] + 63) & ~63;
    }
    this.bursts.push(burst);
    return burst;
  }

  private translate(from: Station, frames: number, write: (frame: number) => number, fresh = false): void {
    const burst = this.prepare(from, frames, write);
    burst.before = this.bytes.slice(burst.from, this.end);
    burst.fresh = fresh;
  }

  private packet({ from, to, next }: Way, protocol: number, l4Bytes: number): number {
    const at = this.end + SLOT_LEAD;
    ethernet.emit(this.bytes, at, { destination: next.mac, source: from.mac, etherType: ethernet.EtherType.ipv4 });
    ipv4.emit(this.bytes, at + IP, {
      headerBytes: ipv4.HEADER_BYTES,
      tos: 0,
      totalLength: ipv4.HEADER_BYTES + l4Bytes,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 64,
      protocol,
      source: from.ip,
      destination: to.ip,
    });
    return at;
  }

  private datagram(way: Way): number {
    const { sourcePort, destinationPort } = way;
    const length = udp.HEADER_BYTES + PAYLOAD;
    const at = this.packet(way, ipv4.Protocol.udp, length);
    udp.emit(this.bytes, at + L4, { sourcePort, destinationPort, length, checksum: 0 });
    vnet.write(this.bytes, at - VNET_BYTES, vnet.Flag.needsChecksum, vnet.GsoType.none, 0, 0, L4, udp.CHECKSUM);
    return L4 + length;
  }

  /** The container's identifier is one the gateway keeps. */
  private echo(way: Way, isAnswer: boolean): number {
    const length = icmp.HEADER_BYTES + ECHO_PAYLOAD;
    const at = this.packet(way, ipv4.Protocol.icmp, length);
    const type = isAnswer ? icmp.Type.echoReply : icmp.Type.echoRequest;
    icmp.emit(this.bytes, at + L4, length, { type, code: 0, identifier: OUTER_PORTS.first, sequence: 1 });
    this.bytes.fill(0, at - VNET_BYTES, at);
    return L4 + length;
  }

  /** Of TCP: a super-frame. */
  private segment(way: Way): number {
    const { sourcePort, destinationPort } = way;
    const at = this.packet(way, ipv4.Protocol.tcp, tcp.HEADER_BYTES + SUPER_PAYLOAD);
    tcp.emit(this.bytes, at + L4, {
      sourcePort,
      destinationPort,
      sequence: SEQUENCE,
      acknowledgment: SEQUENCE,
      headerBytes: tcp.HEADER_BYTES,
      flags: tcp.Flag.ack,
      window: WINDOW,
      checksum: 0,
      urgentPointer: 0,
    });
    vnet.write(
      this.bytes,
      at - VNET_BYTES,
      vnet.Flag.needsChecksum,
      vnet.GsoType.tcpv4,
      L4 + tcp.HEADER_BYTES,
      1448,
      L4,
      tcp.CHECKSUM,
    );
    return L4 + tcp.HEADER_BYTES + SUPER_PAYLOAD;
  }

  /** What every IPv6 interface sends by itself: to a group. */
  private announcement(from: Station): number {
    const at = this.end + SLOT_LEAD;
    ethernet.emit(this.bytes, at, { destination: ALL_ROUTERS, source: from.mac, etherType: ethernet.EtherType.ipv6 });
    this.bytes.fill(0, at - VNET_BYTES, at);
    return IP + ipv6.HEADER_BYTES + icmp.HEADER_BYTES;
  }

  private request(asker: Station, target: string): number {
    return this.arp(BROADCAST, asker, arp.Operation.request, '00:00:00:00:00:00', target);
  }

  /** The router tells who it is. */
  private reply(): number {
    return this.arp(UPLINK.mac, ROUTER, arp.Operation.reply, UPLINK.mac, UPLINK.ip);
  }

  private arp(destination: string, from: Station, operation: number, targetMac: string, target: string): number {
    const at = this.end + SLOT_LEAD;
    const [sender, wanted] = [parseMac(from.mac), parseMac(targetMac)];
    ethernet.emit(this.bytes, at, { destination, source: from.mac, etherType: ethernet.EtherType.arp });
    const ends = [sender.high, sender.low, parseIpv4(from.ip), wanted.high, wanted.low, parseIpv4(target)] as const;
    arp.write(this.bytes, at + IP, operation, ...ends);
    return 60;
  }
}
