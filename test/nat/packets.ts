/** IPv4 packets for the tests of the translation: any header length, any protocol, in a buffer with room on both sides. */
import * as checksum from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import * as vnet from '../../src/wire/vnet-header.js';

const { tcp, udp, icmp } = ipv4.Protocol;

/** Where the Ethernet header of a placed packet is: neither aligned nor at the start. */
export const AT = 33;
export const IP = AT + 14;

export interface Ip4 {
  source: number;
  destination: number;
  protocol: number;
  /** Header with its options: 20 … 60, a multiple of 4. */
  headerBytes?: number;
  identification?: number;
  fragmentOffset?: number;
  ttl?: number;
}

/** An IPv4 packet with this payload; options are no-operations. */
export function ip4(header: Ip4, payload: Uint8Array): Uint8Array {
  const headerBytes = header.headerBytes ?? 20;
  const packet = new Uint8Array(headerBytes + payload.length).fill(1, 20, headerBytes);
  packet.set(payload, headerBytes);
  ipv4.emit(packet, 0, {
    headerBytes,
    tos: 0,
    totalLength: packet.length,
    identification: header.identification ?? 0x1234,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: header.fragmentOffset ?? 0,
    ttl: header.ttl ?? 64,
    protocol: header.protocol,
    source: formatIpv4(header.source),
    destination: formatIpv4(header.destination),
  });
  return packet;
}

/** A transport header and its data with these ports (source << 16 | destination; id << 16 | id), its checksum field zero. */
export function segment(protocol: number, ports: number, data: Uint8Array): Uint8Array {
  const headerBytes = protocol === tcp ? 20 : 8;
  const bytes = new Uint8Array(headerBytes + data.length);
  const view = new DataView(bytes.buffer);
  bytes.set(data, headerBytes);
  if (protocol === icmp) {
    bytes[0] = 8;
    view.setUint16(4, ports & 0xffff);
    view.setUint16(6, 77);
  } else {
    view.setUint32(0, ports);
    if (protocol === tcp) {
      view.setUint32(4, 1000);
      bytes[12] = 0x50;
      bytes[13] = 0x10;
    } else {
      view.setUint16(4, bytes.length);
    }
  }
  return bytes;
}

/** Distance of the checksum field from the transport header. */
export function checksumOffset(protocol: number): number {
  return protocol === tcp ? 16 : protocol === udp ? 6 : 2;
}

/** Writes the transport checksum of a whole packet from scratch: complete, or as NEEDS_CSUM leaves it. */
export function fillChecksum(packet: Uint8Array, partial = false): void {
  const header = ipv4.headerBytes(packet, 0);
  const protocol = ipv4.protocol(packet, 0);
  const length = packet.length - header;
  const view = new DataView(packet.buffer, packet.byteOffset);
  const field = header + checksumOffset(protocol);
  view.setUint16(field, 0);
  const pseudo = protocol === icmp ? 0 : checksum.pseudoIpv4(packet, 0, protocol, length);
  const full = checksum.finish(checksum.sum(packet, header, length, pseudo));
  view.setUint16(field, partial ? pseudo : full === 0 && protocol === udp ? 0xffff : full);
}

/** Whether header and transport checksum of a packet are right, complete ones; UDP may have none. */
export function verifies(packet: Uint8Array): boolean {
  const header = ipv4.headerBytes(packet, 0);
  const protocol = ipv4.protocol(packet, 0);
  const length = packet.length - header;
  const none = protocol === udp && packet[header + 6] === 0 && packet[header + 7] === 0;
  const pseudo = protocol === icmp ? 0 : checksum.pseudoIpv4(packet, 0, protocol, length);
  return checksum.checksum(packet, 0, header) === 0 && (none || checksum.sum(packet, header, length, pseudo) === 0xffff);
}

/** The packet in a buffer of 0xa5, its vnet header in front. */
export function place(packet: Uint8Array, flags = 0, gsoType = 0, gsoSize = 0): Uint8Array {
  const bytes = new Uint8Array(IP + packet.length + 32).fill(0xa5);
  const header = ipv4.headerBytes(packet, 0);
  const start = 14 + header;
  vnet.write(bytes, AT - vnet.HEADER_BYTES, flags, gsoType, 0, gsoSize, start, checksumOffset(ipv4.protocol(packet, 0)));
  bytes.set(packet, IP);
  return bytes;
}

/** The packet out of such a buffer. */
export function taken(bytes: Uint8Array): Uint8Array {
  return bytes.slice(IP, IP + ipv4.totalLength(bytes, IP));
}

/** True when nothing outside of vnet header and packet was written. */
export function untouchedAround(bytes: Uint8Array): boolean {
  const end = IP + ipv4.totalLength(bytes, IP);
  const parts = [bytes.subarray(0, AT - vnet.HEADER_BYTES), bytes.subarray(AT, IP), bytes.subarray(end)];
  return parts.every((part) => part.every((byte) => byte === 0xa5));
}
