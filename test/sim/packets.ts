/** Packets of the gateway's simulations: made and read in a line each. */
import * as checksum from '../../src/wire/checksum.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import { GATEWAY_MAC } from './frames.js';

const ETHERNET = ethernet.HEADER_BYTES;
const IP = ETHERNET + ipv4.HEADER_BYTES;

export interface PacketOptions {
  destinationMac?: string;
  sourceMac: string;
  ttl?: number;
  dontFragment?: boolean;
  identification?: number;
  tos?: number;
}

function packet(protocol: number, source: string, destination: string, l4: Uint8Array, options: PacketOptions): Uint8Array {
  const { destinationMac = GATEWAY_MAC, sourceMac, ttl = 64, dontFragment = true, identification = 7, tos = 0 } = options;
  const bytes = new Uint8Array(IP + l4.length);
  ethernet.emit(bytes, 0, { destination: destinationMac, source: sourceMac, etherType: ethernet.EtherType.ipv4 });
  bytes.set(l4, IP);
  ipv4.emit(bytes, ETHERNET, {
    headerBytes: ipv4.HEADER_BYTES,
    tos,
    totalLength: ipv4.HEADER_BYTES + l4.length,
    identification,
    dontFragment,
    moreFragments: false,
    fragmentOffset: 0,
    ttl,
    protocol,
    source,
    destination,
  });
  return bytes;
}

/** 'address:port' */
export type End = string;
function split(end: End): [string, number] {
  const [address, port] = end.split(':');
  return [address, Number(port)];
}

/** Completes the checksum of a TCP or UDP packet. */
export function complete(bytes: Uint8Array): Uint8Array {
  const length = ipv4.totalLength(bytes, ETHERNET) - ipv4.HEADER_BYTES;
  const protocol = ipv4.protocol(bytes, ETHERNET);
  const field = IP + (protocol === ipv4.Protocol.tcp ? tcp.CHECKSUM : udp.CHECKSUM);
  bytes[field] = 0;
  bytes[field + 1] = 0;
  const sum = checksum.finish(checksum.sum(bytes, IP, length, checksum.pseudoIpv4(bytes, ETHERNET, protocol, length)));
  const value = protocol === ipv4.Protocol.udp && sum === 0 ? 0xffff : sum;
  bytes[field] = value >>> 8;
  bytes[field + 1] = value;
  return bytes;
}

export function datagram(from: End, to: End, options: PacketOptions, payload: Uint8Array = Uint8Array.of(1, 2, 3)): Uint8Array {
  const [source, sourcePort] = split(from);
  const [destination, destinationPort] = split(to);
  const l4 = new Uint8Array(udp.HEADER_BYTES + payload.length);
  l4.set(payload, udp.HEADER_BYTES);
  udp.emit(l4, 0, { sourcePort, destinationPort, length: l4.length, checksum: 0 });
  return complete(packet(ipv4.Protocol.udp, source, destination, l4, options));
}

export interface SegmentFields {
  flags: number;
  sequence?: number;
  acknowledgment?: number;
  window?: number;
  payload?: Uint8Array;
}

export function segment(from: End, to: End, fields: SegmentFields, options: PacketOptions): Uint8Array {
  const [source, sourcePort] = split(from);
  const [destination, destinationPort] = split(to);
  const { flags, sequence = 0, acknowledgment = 0, window = 65_535, payload = new Uint8Array() } = fields;
  const l4 = new Uint8Array(tcp.HEADER_BYTES + payload.length);
  l4.set(payload, tcp.HEADER_BYTES);
  tcp.setSourcePort(l4, 0, sourcePort);
  tcp.setDestinationPort(l4, 0, destinationPort);
  tcp.setSequence(l4, 0, sequence);
  tcp.setAcknowledgment(l4, 0, acknowledgment);
  l4[12] = (tcp.HEADER_BYTES / 4) << 4;
  tcp.setFlags(l4, 0, flags);
  l4[14] = window >>> 8;
  l4[15] = window;
  return complete(packet(ipv4.Protocol.tcp, source, destination, l4, options));
}

export function echo(source: string, destination: string, id: number, options: PacketOptions & { type?: number }): Uint8Array {
  const l4 = new Uint8Array(icmp.HEADER_BYTES + 8);
  icmp.emit(l4, 0, l4.length, { type: options.type ?? icmp.Type.echoRequest, code: 0, identifier: id, sequence: 1 });
  return packet(ipv4.Protocol.icmp, source, destination, l4, options);
}

/** An ICMP error that quotes a packet as its sender sent it. */
export function icmpError(
  source: string,
  destination: string,
  type: number,
  code: number,
  quoted: Uint8Array,
  options: PacketOptions,
  mtu = 0,
): Uint8Array {
  const quote = quoted.subarray(ETHERNET, Math.min(quoted.length, ETHERNET + 548));
  const l4 = new Uint8Array(icmp.HEADER_BYTES + quote.length);
  l4.set(quote, icmp.HEADER_BYTES);
  icmp.emit(l4, 0, l4.length, { type, code, identifier: 0, sequence: mtu });
  return packet(ipv4.Protocol.icmp, source, destination, l4, options);
}

/** Whether all checksums of a plain packet are right. */
export function isIntact(bytes: Uint8Array): boolean {
  if (checksum.checksum(bytes, ETHERNET, ipv4.headerBytes(bytes, ETHERNET)) !== 0) return false;
  const length = ipv4.totalLength(bytes, ETHERNET) - ipv4.headerBytes(bytes, ETHERNET);
  const l4 = ETHERNET + ipv4.headerBytes(bytes, ETHERNET);
  const protocol = ipv4.protocol(bytes, ETHERNET);
  if (protocol === ipv4.Protocol.icmp) return icmp.verify(bytes, l4, length);
  if (protocol === ipv4.Protocol.udp && udp.checksumField(bytes, l4) === 0) return true;
  return checksum.finish(checksum.sum(bytes, l4, length, checksum.pseudoIpv4(bytes, ETHERNET, protocol, length))) === 0;
}

/** 'udp 10.0.0.1:5000 > 192.0.2.9:53 ttl 63', with the id for ICMP queries. */
export function read(bytes: Uint8Array): string {
  const ip = ETHERNET;
  const source = formatIpv4(ipv4.source(bytes, ip));
  const destination = formatIpv4(ipv4.destination(bytes, ip));
  const l4 = ip + ipv4.headerBytes(bytes, ip);
  const ttl = `ttl ${ipv4.ttl(bytes, ip)}`;
  switch (ipv4.protocol(bytes, ip)) {
    case ipv4.Protocol.udp:
      return `udp ${source}:${udp.sourcePort(bytes, l4)} > ${destination}:${udp.destinationPort(bytes, l4)} ${ttl}`;
    case ipv4.Protocol.tcp:
      return `tcp ${source}:${tcp.sourcePort(bytes, l4)} > ${destination}:${tcp.destinationPort(bytes, l4)} ${ttl}`;
    case ipv4.Protocol.icmp:
      return `icmp ${icmp.type(bytes, l4)}/${icmp.code(bytes, l4)} id ${icmp.identifier(bytes, l4)} ${source} > ${destination} ${ttl}`;
    default:
      return `protocol ${ipv4.protocol(bytes, ip)} ${source} > ${destination} ${ttl}`;
  }
}

export function parsed(end: End): { address: number; port: number } {
  const [address, port] = split(end);
  return { address: parseIpv4(address), port };
}
