/**
 * The fast path: whole TCP and UDP packets and echoes of a known flow, nearly all there are. In one place and in few reads, what forwarding.ts does in many steps.
 *
 *     frame ─▶ plain? ─▶ known flow? ─▶ next hop known? ─▶ conntrack's verdict ─▶ tuple, TTL, MACs ─▶ egress list
 *                └───────────┴──────────────────┴─ no: nothing has changed, the caller takes the slow path
 *
 * Plain: 20 bytes of header with a right checksum, no fragment, "don't fragment" unless it comes from outside, a TTL above 1, a transport checksum that needs no verifying (the
 * kernel left it unfinished, or verified it; that of an echo is verified here), no SYN, no longer than the MTU. Whatever is not plain is left to the slow path, which alone knows
 * errors, so that every rule is written once; what both do are the translation and the checks in front of it, and the tests compare the two frame by
 * frame (test/gateway/fast-path.test.ts).
 *
 * What it saves: docs/performance.md, "The NAT decision".
 */
import type { Bridge } from '../bridge/bridge.js';
import type { Egress } from '../bridge/egress.js';
import { fdbKey } from '../bridge/fdb.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { FLOW, FLOW_SHIFT } from '../conntrack/flow-layout.js';
import { icmpKind, kindOf } from '../conntrack/kind.js';
import { type Batch, INGRESS_SELF, VNET_BYTES } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, PORT, type PortCounters } from '../core/counters.js';
import { wirePackets } from '../offload/wire-packets.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { tooBig } from './fragmenter.js';
import type { Resolver } from './resolver.js';
import type { RouteTable } from './route-table.js';
import { isUplink, type Zones } from './zones.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS, rSource: R_SOURCE, zones: ZONES } = FLOW;
const { oNextHop: O_NEXT_HOP, rNextHop: R_NEXT_HOP, owner: OWNER } = FLOW;

const IP = ethernet.HEADER_BYTES;
const L4 = IP + ipv4.HEADER_BYTES;
const SHORTEST = L4 + udp.HEADER_BYTES;
/** Words of the IP header: version, header length and total length; identification, flags and offset; TTL, protocol and checksum. */
const SECOND = IP + 4;
const THIRD = IP + 8;
const IP_CHECKSUM = IP + 10;
const SOURCE = IP + 12;
const DESTINATION = IP + 16;
/** Version 4, five words. */
const PLAIN_HEADER = 0x45;
/** Flags and offset of a packet that is no fragment and may not become some. Without the flag a packet that goes out needs an identification (N43). */
const DONT_FRAGMENT = 0x4000;
const TTL_STEP = 0x0100_0000;
const TCP_CHECKSUM = L4 + tcp.CHECKSUM;
const UDP_CHECKSUM = L4 + udp.CHECKSUM;
const TCP_OFFSET = L4 + 12;
const TCP_FLAGS = L4 + 13;
const UDP_LENGTH = L4 + 4;
const ICMP_CHECKSUM = L4 + 2;
const ICMP_ID = L4 + 4;
/** Of a segment in the middle of a connection, and of the first FIN (C4 has the others). */
const PLAIN_FLAGS = tcp.Flag.ack | tcp.Flag.psh | tcp.Flag.fin;
const STATE_FLAGS = PLAIN_FLAGS | tcp.Flag.syn | tcp.Flag.rst | tcp.Flag.urg;
const TCP_KIND = kindOf(ipv4.Protocol.tcp);
const UDP_KIND = kindOf(ipv4.Protocol.udp);
const ECHO_KIND = icmpKind(icmp.Type.echoRequest);
const NONE = -1;

/** Ones' complement sum of a 32-bit word's halves. */
function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** The same of the word with all bits turned over: what taking it away adds. */
function negated(word: number): number {
  return 0x1fffe - halves(word);
}

/** Folds what the functions above add up to. */
function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** C4 for TCP: a whole header, and no flags but those of most segments. */
function isPlainSegment(view: DataView, at: number, total: number): boolean {
  const headerBytes = (view.getUint8(at + TCP_OFFSET) >>> 4) << 2;
  const flags = view.getUint8(at + TCP_FLAGS) & STATE_FLAGS;
  return (
    headerBytes >= tcp.HEADER_BYTES &&
    headerBytes <= total - ipv4.HEADER_BYTES &&
    (flags & ~PLAIN_FLAGS) === 0 &&
    (flags & tcp.Flag.ack) !== 0
  );
}

/** Type and code of an echo, or of its answer (RFC 792). */
function isEcho(typeAndCode: number): boolean {
  return typeAndCode === icmp.Type.echoRequest << 8 || typeAndCode === icmp.Type.echoReply << 8;
}

/** C4 for UDP. */
function isPlainDatagram(view: DataView, at: number, total: number): boolean {
  const length = view.getUint16(at + UDP_LENGTH);
  return length >= udp.HEADER_BYTES && length <= total - ipv4.HEADER_BYTES;
}

export class FastPath {
  private readonly zones: Zones;
  private readonly routes: RouteTable;
  private readonly conntrack: Conntrack;
  private readonly resolver: Resolver;
  private readonly bridges: readonly (Bridge | null)[];
  private readonly counters: GatewayCounters;
  private readonly portCounters: PortCounters;
  /** Where the last frame of this run went: zone, MAC, port. */
  private zone = NONE;
  private macHigh = 0;
  private macLow = 0;
  private port = NONE;
  /** Frames of this run that went there. */
  private sent = 0;
  private from = 0;

  constructor(
    zones: Zones,
    routes: RouteTable,
    conntrack: Conntrack,
    resolver: Resolver,
    bridges: readonly (Bridge | null)[],
    counters: GatewayCounters,
    portCounters: PortCounters,
  ) {
    this.zones = zones;
    this.routes = routes;
    this.conntrack = conntrack;
    this.resolver = resolver;
    this.bridges = bridges;
    this.counters = counters;
    this.portCounters = portCounters;
  }

  /** A run of frames from one zone begins: nothing is remembered of the one before. */
  begin(zone: number): void {
    this.from = zone;
    this.zone = NONE;
    this.sent = 0;
  }

  /** The run ends: its frames are counted. */
  end(): void {
    const { sent, zone, from } = this;
    if (sent === 0) {
      return;
    }
    this.sent = 0;
    this.portCounters.add(this.port, PORT.made, sent);
    if (isUplink(zone)) {
      this.counters.add(from, GATEWAY.forwarded_out, sent);
    } else {
      this.counters.add(zone, isUplink(from) ? GATEWAY.forwarded_in : GATEWAY.hairpinned, sent);
    }
  }

  /**
   * Handles a frame, or leaves it as it is.
   * @param hint of `FlowTable.hint`, 0: none
   * @returns whether it was handled: sent, or dropped and counted
   */
  take(batch: Batch, frame: number, hint: number, egress: Egress): boolean {
    const { view } = batch;
    const at = batch.at[frame];
    const length = batch.length[frame];
    if (length < SHORTEST) {
      return false;
    }
    const first = view.getInt32(at + IP);
    const second = view.getInt32(at + SECOND);
    const third = view.getInt32(at + THIRD);
    const source = view.getInt32(at + SOURCE);
    const destination = view.getInt32(at + DESTINATION);
    const total = first & 0xffff;
    const protocol = (third >>> 16) & 0xff;
    const sum = halves(first) + halves(second) + halves(third) + halves(source) + halves(destination);
    if (
      first >>> 24 !== PLAIN_HEADER ||
      ((second & 0xffff) !== DONT_FRAGMENT && ((second & 0xffff) !== 0 || !isUplink(this.from))) ||
      third >>> 24 <= 1 ||
      fold(sum) !== 0xffff ||
      total + IP > length ||
      total + IP < SHORTEST
    ) {
      return false;
    }
    const { bytes } = batch;
    const flags = view.getUint8(at - VNET_BYTES);
    const partial = (flags & vnet.Flag.needsChecksum) !== 0;
    let field = UDP_CHECKSUM;
    let kind = UDP_KIND;
    let ports = view.getInt32(at + L4);
    let plain = false;
    if (protocol === ipv4.Protocol.udp) {
      plain = isPlainDatagram(view, at, total);
    } else if (protocol === ipv4.Protocol.tcp) {
      field = TCP_CHECKSUM;
      kind = TCP_KIND;
      plain = isPlainSegment(view, at, total);
    } else if (protocol === ipv4.Protocol.icmp && !partial) {
      field = ICMP_CHECKSUM;
      kind = ECHO_KIND;
      const id = view.getUint16(at + ICMP_ID);
      ports = (id << 16) | id;
      plain = isEcho(view.getUint16(at + L4));
    }
    if (!plain) {
      return false;
    }
    if (partial) {
      const start = vnet.checksumStart(bytes, at - VNET_BYTES);
      if (start !== L4 || start + vnet.checksumOffset(bytes, at - VNET_BYTES) !== field) {
        return false;
      }
    } else if (
      (flags & vnet.Flag.dataValid) === 0 &&
      (field !== ICMP_CHECKSUM || !icmp.verify(bytes, at + L4, total - ipv4.HEADER_BYTES))
    ) {
      return false;
    }
    const ref = this.conntrack.lookupHinted(hint, source, destination, ports, kind, batch.seconds);
    return ref >= 0 && this.forward(batch, frame, ref, source, destination, total, third, field, partial, egress);
  }

  /** The rest, for a plain packet. */
  private forward(
    batch: Batch,
    frame: number,
    ref: number,
    source: number,
    destination: number,
    total: number,
    third: number,
    field: number,
    partial: boolean,
    egress: Egress,
  ): boolean {
    const { bytes, view } = batch;
    const { conntrack, from } = this;
    const { words } = conntrack.flows;
    const at = batch.at[frame];
    const row = (ref >> 1) << FLOW_SHIFT;
    const reply = (ref & 1) !== 0;
    const zones = words[row + ZONES];
    const out = reply ? zones >>> 16 : zones & 0xffff;
    const expected = reply ? zones & 0xffff : zones >>> 16;
    if (expected !== from || words[row + OWNER] >>> 16 !== (this.routes.generation & 0xffff)) {
      return false;
    }
    if (total > this.zones.mtu[out] && tooBig(bytes, at, this.zones.mtu[out])) {
      return false;
    }
    if (!this.find(out, words[row + (reply ? R_NEXT_HOP : O_NEXT_HOP)], batch.seconds)) {
      return false;
    }
    const packets = wirePackets(bytes, at, IP + total);
    const verdict = conntrack.track(ref, bytes, at + IP, at + L4, total - ipv4.HEADER_BYTES, packets, batch.seconds);
    if (verdict !== 0) {
      if (verdict > 0) {
        this.counters.add(from, verdict, 1);
      }
      return verdict > 0;
    }
    // The other tuple, turned round.
    const tuple = row + (reply ? O_SOURCE : R_SOURCE);
    const newSource = words[tuple + O_DESTINATION];
    const newDestination = words[tuple];
    const swapped = words[tuple + O_PORTS];
    const ports = (swapped << 16) | (swapped >>> 16);
    const addresses = negated(source) + negated(destination) + halves(newSource) + halves(newDestination);
    this.writeL4(view, at, field, partial, addresses, ports);
    view.setInt32(at + SOURCE, newSource);
    view.setInt32(at + DESTINATION, newDestination);
    // RFC 1624, eqn 3, with the TTL's word as one of those that change.
    view.setUint8(at + THIRD, (third - TTL_STEP) >>> 24);
    view.setUint16(at + IP_CHECKSUM, ~fold((~third & 0xffff) + addresses + 0xfeff) & 0xffff);
    view.setUint8(at - VNET_BYTES, view.getUint8(at - VNET_BYTES) & ~vnet.Flag.dataValid);
    view.setUint16(at, this.macHigh);
    view.setInt32(at + 2, this.macLow);
    view.setUint16(at + 6, this.zones.macHigh[out]);
    view.setInt32(at + 8, this.zones.macLow[out]);
    batch.length[frame] = IP + total;
    batch.ingress[frame] = INGRESS_SELF;
    this.sent++;
    egress.toPort(batch, frame, this.port);
    return true;
  }

  /** Ports and transport checksum (E.4). */
  private writeL4(view: DataView, at: number, field: number, partial: boolean, addresses: number, ports: number): void {
    const before = view.getUint16(at + field);
    if (field === ICMP_CHECKSUM) {
      const id = view.getUint16(at + ICMP_ID);
      view.setUint16(at + field, ~fold((~before & 0xffff) + (~id & 0xffff) + (ports & 0xffff)) & 0xffff);
      view.setUint16(at + ICMP_ID, ports);
      return;
    }
    if (partial) {
      view.setUint16(at + field, fold(before + addresses));
    } else if (before !== 0 || field === TCP_CHECKSUM) {
      const after = ~fold((~before & 0xffff) + addresses + negated(view.getInt32(at + L4)) + halves(ports)) & 0xffff;
      view.setUint16(at + field, after === 0 && field === UDP_CHECKSUM ? 0xffff : after);
    }
    view.setInt32(at + L4, ports);
  }

  /** Port and MAC of a next hop, as long as both are known. */
  private find(zone: number, nextHop: number, seconds: number): boolean {
    const { resolver } = this;
    if (!resolver.resolve(zone, nextHop, seconds)) {
      return false;
    }
    const { macHigh, macLow } = resolver;
    if (zone === this.zone && macLow === this.macLow && macHigh === this.macHigh) {
      return true;
    }
    let port = this.zones.port[zone];
    if (!isUplink(zone)) {
      port = this.bridges[zone]?.fdb.lookup(macLow, fdbKey(0, macHigh), seconds) ?? NONE;
    }
    this.end();
    this.zone = port < 0 ? NONE : zone;
    this.macHigh = macHigh;
    this.macLow = macLow;
    this.port = port;
    return port >= 0;
  }
}
