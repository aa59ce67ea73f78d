/** G41: frames of a super-frame are counted as the packets a wire would carry, else rates cannot be compared with one. */
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';

/** Wire packets behind a frame that passed `validate`: ceil(payload / gso_size), at least 1. */
export function wirePackets(bytes: Uint8Array, at: number, length: number): number {
  const header = at - vnet.HEADER_BYTES;
  const type = vnet.gsoType(bytes, header) & ~vnet.GsoType.ecn;
  const size = vnet.gsoSize(bytes, header);
  if (type === vnet.GsoType.none || size === 0) {
    return 1;
  }
  const l4 = vnet.checksumStart(bytes, header);
  const headerBytes = type === vnet.GsoType.udpL4 ? udp.HEADER_BYTES : tcp.headerBytes(bytes, at + l4);
  const payload = length - l4 - headerBytes;
  return payload <= size ? 1 : Math.ceil(payload / size) | 0;
}

/** Bytes of all those packets, each with headers of its own. */
export function wireBytes(bytes: Uint8Array, at: number, length: number): number {
  const packets = wirePackets(bytes, at, length);
  if (packets === 1) {
    return length;
  }
  const header = at - vnet.HEADER_BYTES;
  const l4 = vnet.checksumStart(bytes, header);
  const type = vnet.gsoType(bytes, header) & ~vnet.GsoType.ecn;
  const headerBytes = type === vnet.GsoType.udpL4 ? udp.HEADER_BYTES : tcp.headerBytes(bytes, at + l4);
  return length + (packets - 1) * (l4 + headerBytes);
}

/** Ethernet header and one VLAN tag: what K lets a frame have beyond the egress MTU, tagged or not (L40). */
export const LINK_BYTES = 18;

/**
 * What to compare with the egress MTU (L40): bytes of the frame, or of the largest segment of a super-frame that passed `validate`,
 * less an ethernet header and a tag.
 */
export function largestPacketBytes(bytes: Uint8Array, at: number, length: number): number {
  const header = at - vnet.HEADER_BYTES;
  const type = vnet.gsoType(bytes, header) & ~vnet.GsoType.ecn;
  if (type === vnet.GsoType.none) {
    return length - LINK_BYTES;
  }
  const l4 = vnet.checksumStart(bytes, header);
  const headerBytes = type === vnet.GsoType.udpL4 ? udp.HEADER_BYTES : tcp.headerBytes(bytes, at + l4);
  return Math.min(length, l4 + headerBytes + vnet.gsoSize(bytes, header)) - LINK_BYTES;
}
