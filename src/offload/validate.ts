/**
 * Is the vnet header of a frame true (F.2)? Asked of every frame that comes in with an offload, and again of every frame a user's program
 * has changed, before it is written: a kernel refuses some lies and loses others silently.
 */
import { Protocol } from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { createLayout, Layout, locate } from './layout.js';

/** What `validate` answers. */
export const VnetFault = {
  none: 0,
  /** The checksum field lies outside the frame or inside the ethernet header. */
  checksumRange: 1,
  /** hdr_len is longer than the frame: TAPs answer EINVAL. */
  headerLength: 2,
  /** A super-frame without NEEDS_CSUM. */
  noChecksum: 3,
  /** gso_size 0. */
  noSize: 4,
  /** Unknown gso_type, or the obsolete UDP fragmentation. */
  type: 5,
  /** The ecn bit on something that is not TCP. */
  ecn: 6,
  /** gso_type, EtherType and protocol do not agree, or headers are cut off. */
  mismatch: 7,
  /** csum_start is not where the L4 header is. */
  checksumStart: 8,
  /** csum_offset is not where the protocol's checksum is. */
  checksumOffset: 9,
  /** More datagrams than the kernel takes in one UDP_L4 super-frame. */
  segments: 10,
  /** TCP segments smaller than any MSS leaves room for. */
  tinySegments: 11,
} as const;

/** UDP_MAX_SEGMENTS of linux/udp.h; 64 before 6.9. */
const UDP_SEGMENTS_MAX = 128;

/** TCP_MIN_GSO_SIZE of net/tcp.h: the least MSS a kernel uses (48) less the most options (40). Bounds what one super-frame can become. */
const TCP_SIZE_MIN = 8;

const ETHERNET_BYTES = 14;

const layout = createLayout();

/** 0, or a number of `VnetFault`, for the frame at `at` with its vnet header directly before it. */
export function validate(bytes: Uint8Array, at: number, length: number): number {
  const header = at - vnet.HEADER_BYTES;
  const needsChecksum = (vnet.flags(bytes, header) & vnet.Flag.needsChecksum) !== 0;
  const gso = vnet.gsoType(bytes, header);
  if (!needsChecksum && gso === vnet.GsoType.none) {
    return VnetFault.none;
  }
  if (vnet.headerLength(bytes, header) > length) {
    return VnetFault.headerLength;
  }
  const start = vnet.checksumStart(bytes, header);
  const offset = vnet.checksumOffset(bytes, header);
  if (needsChecksum && (start < ETHERNET_BYTES || start + offset + 2 > length)) {
    return VnetFault.checksumRange;
  }
  return gso === vnet.GsoType.none ? VnetFault.none : validateSuperFrame(bytes, at, length, needsChecksum, gso, start, offset);
}

function validateSuperFrame(
  bytes: Uint8Array,
  at: number,
  length: number,
  needsChecksum: boolean,
  gso: number,
  start: number,
  offset: number,
): number {
  if (!needsChecksum) {
    return VnetFault.noChecksum;
  }
  const size = vnet.gsoSize(bytes, at - vnet.HEADER_BYTES);
  if (size === 0) {
    return VnetFault.noSize;
  }
  const type = gso & ~vnet.GsoType.ecn;
  const isTcp = type === vnet.GsoType.tcpv4 || type === vnet.GsoType.tcpv6;
  if (!isTcp && type !== vnet.GsoType.udpL4) {
    return VnetFault.type;
  }
  if (!isTcp && type !== gso) {
    return VnetFault.ecn;
  }
  if (!locate(bytes, at, length, layout) || layout[Layout.protocol] !== (isTcp ? Protocol.tcp : Protocol.udp)) {
    return VnetFault.mismatch;
  }
  if (isTcp && layout[Layout.version] !== (type === vnet.GsoType.tcpv4 ? 4 : 6)) {
    return VnetFault.mismatch;
  }
  if (at + start !== layout[Layout.l4]) {
    return VnetFault.checksumStart;
  }
  if (offset !== (isTcp ? tcp.CHECKSUM : udp.CHECKSUM)) {
    return VnetFault.checksumOffset;
  }
  if (isTcp && size < TCP_SIZE_MIN) {
    return VnetFault.tinySegments;
  }
  return !isTcp && at + length - layout[Layout.payload] > size * UDP_SEGMENTS_MAX ? VnetFault.segments : VnetFault.none;
}
