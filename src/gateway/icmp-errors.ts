/**
 * The ICMP errors the gateway makes itself (C.4): why a packet did not go on, told to who sent it.
 *
 *     offending frame ─▶ may there be an error about it? (R30) ─▶ within the limits? (R34) ─▶ made frame, out of the port it came in
 *
 *     [ ethernet, back to the sender | IP | ICMP | the packet's IP header and payload, 576 bytes with all headers at most (R32) ]
 *
 * The quote is the packet as its SENDER sent it: a caller that has rewritten it hands in the addresses and ports it had before. Of a
 * super-frame the first segment is quoted. Making one reads the offending frame and changes nothing in it.
 *
 * Limits: one error a second to each destination after a burst of 6, 1,000 a second altogether after a burst of 50; "fragmentation needed"
 * is exempt, because path MTU discovery stands still without it (R21).
 */
import type { Egress } from '../bridge/egress.js';
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, PORT, type PortCounters } from '../core/counters.js';
import * as checksum from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import { readIpv4, writeIpv4 } from '../wire/ipv4-address.js';
import { isGroup } from '../wire/mac-address.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import type { IpIds } from './ip-ids.js';
import { KeyedBuckets, TokenBuckets } from './rate-limit.js';
import type { Zones } from './zones.js';

/** Errors: type << 8 | code. */
export const IcmpError = {
  noRoute: 0x0300,
  hostUnreachable: 0x0301,
  protocolUnreachable: 0x0302,
  portUnreachable: 0x0303,
  fragmentationNeeded: 0x0304,
  prohibited: 0x030d,
  ttlExceeded: 0x0b00,
  reassemblyTimeExceeded: 0x0b01,
} as const;

/** RFC 1812, 4.3.2.3. */
const DATAGRAM_BYTES_MAX = 576;
/** RFC 791: no link has less. */
const MTU_MIN = 68;
const TTL = 64;
const ECN_BITS = 3;
const PORTS_BYTES = 4;

const PER_DESTINATION = { perSecond: 1, burst: 6 } as const;
const ALTOGETHER = { perSecond: 1000, burst: 50 } as const;

/** ICMP messages that are no errors, by type: about these there may be one (R30). */
const QUERY = new Uint8Array(256);
for (const type of [0, 8, 13, 14, 15, 16, 17, 18]) {
  QUERY[type] = 1;
}

export class IcmpErrors {
  private readonly zones: Zones;
  private readonly ids: IpIds;
  private readonly counters: GatewayCounters;
  private readonly portCounters: PortCounters;
  private readonly perDestination: KeyedBuckets;
  private readonly altogether = new TokenBuckets(1, ALTOGETHER.perSecond, ALTOGETHER.burst);
  /** The tuple to quote, when it is not the one that stands in the frame. */
  private restored = false;
  private source = 0;
  private destination = 0;
  private ports = 0;

  constructor(zones: Zones, ids: IpIds, counters: GatewayCounters, portCounters: PortCounters, random: () => number) {
    this.zones = zones;
    this.ids = ids;
    this.counters = counters;
    this.portCounters = portCounters;
    this.perDestination = new KeyedBuckets(PER_DESTINATION.perSecond, PER_DESTINATION.burst, random);
  }

  /** Sets the limits: errors a second and burst, to each destination and altogether. */
  setLimits(perSecond: number, burst: number, allPerSecond: number, allBurst: number): void {
    this.perDestination.set(perSecond, burst);
    this.altogether.perSecond = allPerSecond;
    this.altogether.burst = allBurst;
  }

  /**
   * Makes an error about an IPv4 frame that stands as its sender sent it, and puts it on the list of `port`.
   * @param port it came in by, and where the error leaves
   * @param zone of that port: source of the error (R31)
   * @param error one of `IcmpError`
   * @param mtu next-hop MTU of `fragmentationNeeded`, else 0
   * @returns the made frame, or -1: there may be none about this frame, the limit is reached, the zone has no address, or no room is left
   */
  report(batch: Batch, egress: Egress, frame: number, port: number, zone: number, error: number, mtu: number): number {
    this.restored = false;
    return this.make(batch, egress, frame, port, zone, error, mtu);
  }

  /**
   * `report` for a frame that is translated already.
   * @param source, destination, ports what it was sent with: int32 addresses, source port << 16 | destination port
   */
  reportTranslated(
    batch: Batch,
    egress: Egress,
    frame: number,
    port: number,
    zone: number,
    error: number,
    mtu: number,
    source: number,
    destination: number,
    ports: number,
  ): number {
    this.restored = true;
    this.source = source;
    this.destination = destination;
    this.ports = ports;
    return this.make(batch, egress, frame, port, zone, error, mtu);
  }

  private make(batch: Batch, egress: Egress, frame: number, port: number, zone: number, error: number, mtu: number): number {
    const { bytes } = batch;
    const at = batch.at[frame];
    const ip = at + ethernet.HEADER_BYTES;
    const to = this.restored ? this.source : ipv4.source(bytes, ip);
    const from = this.zones.address[zone];
    if (from === 0 || port < 0 || !this.mayReport(bytes, at, zone, to)) {
      return -1;
    }
    if (error !== IcmpError.fragmentationNeeded && !this.take(to, batch.now)) {
      this.counters.add(zone, GATEWAY.icmp_rate_limited, 1);
      return -1;
    }
    const headers = ipv4.HEADER_BYTES + icmp.HEADER_BYTES;
    const quoted = Math.min(ipv4.totalLength(bytes, ip), DATAGRAM_BYTES_MAX - headers);
    const made = batch.append(INGRESS_SELF, ethernet.HEADER_BYTES + headers + quoted);
    if (made < 0) {
      this.counters.add(zone, GATEWAY.made_full, 1);
      return -1;
    }
    const own = batch.at[made];
    const ownIp = own + ethernet.HEADER_BYTES;
    const message = ownIp + ipv4.HEADER_BYTES;
    const quote = message + icmp.HEADER_BYTES;
    ethernet.setDestination(bytes, own, ethernet.sourceHigh(bytes, at), ethernet.sourceLow(bytes, at));
    ethernet.setSource(bytes, own, this.zones.macHigh[zone], this.zones.macLow[zone]);
    ethernet.setEtherType(bytes, own, ethernet.EtherType.ipv4);
    ipv4.write(
      bytes,
      ownIp,
      ipv4.tos(bytes, ip) & ~ECN_BITS,
      headers + quoted,
      this.ids.next(from, to, ipv4.Protocol.icmp, 1),
      TTL,
      ipv4.Protocol.icmp,
      from,
      to,
    );
    bytes.copyWithin(quote, ip, ip + quoted);
    this.asSent(bytes, at, quote, quoted);
    icmp.setType(bytes, message, error >>> 8);
    icmp.setCode(bytes, message, error & 0xff);
    icmp.setIdentifier(bytes, message, 0);
    icmp.setSequence(bytes, message, error === IcmpError.fragmentationNeeded ? Math.max(mtu, MTU_MIN) : 0);
    icmp.fillChecksum(bytes, message, icmp.HEADER_BYTES + quoted);
    egress.toPort(batch, made, port);
    this.portCounters.add(port, PORT.made, 1);
    this.counters.add(zone, GATEWAY.icmp_errors_sent, 1);
    return made;
  }

  /** R30; `source` is whom the error would go to. */
  private mayReport(bytes: Uint8Array, at: number, zone: number, source: number): boolean {
    const ip = at + ethernet.HEADER_BYTES;
    const target = this.restored ? this.destination : ipv4.destination(bytes, ip);
    if (
      isGroup(ethernet.destinationHigh(bytes, at)) ||
      isGroup(ethernet.sourceHigh(bytes, at)) ||
      ipv4.fragmentOffset(bytes, ip) !== 0 ||
      !this.zones.isHost(zone, source) ||
      !this.zones.isHost(zone, target)
    ) {
      return false;
    }
    if (ipv4.protocol(bytes, ip) !== ipv4.Protocol.icmp) {
      return true;
    }
    const header = ipv4.headerBytes(bytes, ip);
    return ipv4.totalLength(bytes, ip) > header && QUERY[icmp.type(bytes, ip + header)] === 1;
  }

  /** R34. A destination that has used up its share takes nothing from the others. */
  private take(destination: number, micros: number): boolean {
    return this.perDestination.take(destination, micros) && this.altogether.take(0, micros);
  }

  /** Makes the quote what its sender sent: one packet instead of a super-frame, and the tuple from before the translation (R32). */
  private asSent(bytes: Uint8Array, at: number, quote: number, quoted: number): void {
    const header = at - vnet.HEADER_BYTES;
    const l4 = quote + ipv4.headerBytes(bytes, quote);
    const left = quote + quoted - l4;
    const gso = vnet.gsoType(bytes, header);
    if (gso !== vnet.GsoType.none) {
      const l4Header = (gso & ~vnet.GsoType.ecn) === vnet.GsoType.udpL4 ? udp.HEADER_BYTES : tcp.headerBytes(bytes, l4);
      const total = l4 - quote + l4Header + vnet.gsoSize(bytes, header);
      ipv4.setTotalLength(bytes, quote, Math.min(total, ipv4.totalLength(bytes, quote)));
    }
    if (this.restored) {
      this.restore(bytes, quote, l4, left, (vnet.flags(bytes, header) & vnet.Flag.needsChecksum) !== 0);
    }
    ipv4.fillHeaderChecksum(bytes, quote);
  }

  private restore(bytes: Uint8Array, quote: number, l4: number, left: number, partial: boolean): void {
    const protocol = ipv4.protocol(bytes, quote);
    const source = ipv4.source(bytes, quote);
    const destination = ipv4.destination(bytes, quote);
    ipv4.setSource(bytes, quote, this.source);
    ipv4.setDestination(bytes, quote, this.destination);
    if (protocol === ipv4.Protocol.icmp) {
      if (left >= icmp.HEADER_BYTES) {
        const id = icmp.identifier(bytes, l4);
        icmp.setIdentifier(bytes, l4, this.ports >>> 16);
        icmp.setChecksumField(bytes, l4, checksum.update(icmp.checksumField(bytes, l4), id, this.ports >>> 16));
      }
      return;
    }
    if ((protocol !== ipv4.Protocol.tcp && protocol !== ipv4.Protocol.udp) || left < PORTS_BYTES) {
      return;
    }
    const ports = readIpv4(bytes, l4);
    writeIpv4(bytes, l4, this.ports);
    const field = l4 + (protocol === ipv4.Protocol.tcp ? tcp.CHECKSUM : udp.CHECKSUM);
    const value = (bytes[field] << 8) | bytes[field + 1];
    // A partial sum is of the sender's doing as well, but nobody looks at it (R33); neither is there one when a UDP field is 0.
    if (partial || field + 2 > l4 + left || (value === 0 && protocol === ipv4.Protocol.udp)) {
      return;
    }
    let fixed = checksum.update32(value, source, this.source);
    fixed = checksum.update32(fixed, destination, this.destination);
    fixed = checksum.update32(fixed, ports, this.ports);
    if (fixed === 0 && protocol === ipv4.Protocol.udp) {
      fixed = 0xffff;
    }
    bytes[field] = fixed >>> 8;
    bytes[field + 1] = fixed;
  }
}
