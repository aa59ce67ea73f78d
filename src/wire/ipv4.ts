/**
 * IPv4 header (RFC 791, 3.1).
 *
 *      0    1    2         4         6         8    9    10        12        16        20
 *     +----+----+---------+---------+---------+----+----+---------+---------+---------+--- - -
 *     |V|L |TOS | total   |   ID    |fl|offset|TTL |prot|checksum | source  | dest.   | options
 *     +----+----+---------+---------+---------+----+----+---------+---------+---------+--- - -
 *
 * `at` is the offset of the IP header; `check` makes the accessors safe.
 */
import * as checksum from './checksum.js';
import { formatIpv4, IPV4_BYTES, parseIpv4, readIpv4, writeIpv4 } from './ipv4-address.js';

const VERSION_IHL = 0;
const TOS = VERSION_IHL + 1;
const TOTAL_LENGTH = TOS + 1;
const IDENTIFICATION = TOTAL_LENGTH + 2;
const FRAGMENT = IDENTIFICATION + 2;
const TTL = FRAGMENT + 2;
const PROTOCOL = TTL + 1;
const CHECKSUM = PROTOCOL + 1;
const SOURCE = CHECKSUM + 2;
const DESTINATION = SOURCE + IPV4_BYTES;

/** Bytes of a header without options. */
export const HEADER_BYTES = DESTINATION + IPV4_BYTES;

export const Protocol = { icmp: 1, igmp: 2, tcp: 6, udp: 17, ipv6: 41, gre: 47, icmpv6: 58, sctp: 132 } as const;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

/** Why `check` refuses a header (R2), in the order of the tests. */
export const Fault = { none: 0, short: 1, version: 2, headerLength: 3, checksum: 4, totalLength: 5, truncated: 6 } as const;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/**
 * R2 (RFC 1812, 5.2.2) for `length` bytes from the header on: 0, or a number of `Fault`. Bytes behind the total length are padding and
 * no fault. Version and header length come before the checksum because they say what the checksum covers.
 */
export function check(bytes: Uint8Array, at: number, length: number): number {
  if (length < HEADER_BYTES) {
    return Fault.short;
  }
  if (bytes[at + VERSION_IHL] >>> 4 !== 4) {
    return Fault.version;
  }
  const header = headerBytes(bytes, at);
  if (header < HEADER_BYTES) {
    return Fault.headerLength;
  }
  if (header > length) {
    return Fault.short;
  }
  if (checksum.checksum(bytes, at, header) !== 0) {
    return Fault.checksum;
  }
  const total = totalLength(bytes, at);
  if (total < header) {
    return Fault.totalLength;
  }
  return total > length ? Fault.truncated : Fault.none;
}

export function version(bytes: Uint8Array, at: number): number {
  return bytes[at + VERSION_IHL] >>> 4;
}

/** Bytes of the header with its options: 0 … 60, at least 20 behind `check`. */
export function headerBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at + VERSION_IHL] & 0x0f) << 2;
}

export function tos(bytes: Uint8Array, at: number): number {
  return bytes[at + TOS];
}

/** Bytes of header and payload. */
export function totalLength(bytes: Uint8Array, at: number): number {
  return word(bytes, at + TOTAL_LENGTH);
}

export function identification(bytes: Uint8Array, at: number): number {
  return word(bytes, at + IDENTIFICATION);
}

export function dontFragment(bytes: Uint8Array, at: number): boolean {
  return (word(bytes, at + FRAGMENT) & DONT_FRAGMENT) !== 0;
}

/** The flag of `fragmentWord` that all but the last fragment have. */
export const MORE_FRAGMENTS_FLAG = MORE_FRAGMENTS;

/** True for every fragment of a datagram: first, middle and last. */
export function isFragment(bytes: Uint8Array, at: number): boolean {
  return (word(bytes, at + FRAGMENT) & (MORE_FRAGMENTS | OFFSET_MASK)) !== 0;
}

/** Bytes of the datagram in front of this fragment. */
export function fragmentOffset(bytes: Uint8Array, at: number): number {
  return (word(bytes, at + FRAGMENT) & OFFSET_MASK) << 3;
}

export function moreFragments(bytes: Uint8Array, at: number): boolean {
  return (word(bytes, at + FRAGMENT) & MORE_FRAGMENTS) !== 0;
}

/** Flags and offset as they stand in the header. */
export function fragmentWord(bytes: Uint8Array, at: number): number {
  return word(bytes, at + FRAGMENT);
}

export function ttl(bytes: Uint8Array, at: number): number {
  return bytes[at + TTL];
}

export function protocol(bytes: Uint8Array, at: number): number {
  return bytes[at + PROTOCOL];
}

export function headerChecksum(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM);
}

/** int32. */
export function source(bytes: Uint8Array, at: number): number {
  return readIpv4(bytes, at + SOURCE);
}

/** int32. */
export function destination(bytes: Uint8Array, at: number): number {
  return readIpv4(bytes, at + DESTINATION);
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Bytes of the header with its options, a multiple of 4. */
export function setHeaderBytes(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + VERSION_IHL] = (4 << 4) | (value >>> 2);
}

export function setTotalLength(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + TOTAL_LENGTH, value);
}

export function setIdentification(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + IDENTIFICATION, value);
}

export function setFragmentWord(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + FRAGMENT, value);
}

export function setTtl(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + TTL] = value;
}

export function setSource(bytes: Uint8Array, at: number, address: number): void {
  writeIpv4(bytes, at + SOURCE, address);
}

export function setDestination(bytes: Uint8Array, at: number, address: number): void {
  writeIpv4(bytes, at + DESTINATION, address);
}

export function setHeaderChecksum(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + CHECKSUM, value);
}

/** Computes the header checksum anew and stores it. */
export function fillHeaderChecksum(bytes: Uint8Array, at: number): void {
  setHeaderChecksum(bytes, at, 0);
  setHeaderChecksum(bytes, at, checksum.checksum(bytes, at, headerBytes(bytes, at)));
}

/** Writes a header without options, "don't fragment" clear, with its checksum, in numbers only: for packets made per frame. */
export function write(
  bytes: Uint8Array,
  at: number,
  typeOfService: number,
  total: number,
  id: number,
  timeToLive: number,
  protocolNumber: number,
  sourceAddress: number,
  destinationAddress: number,
): void {
  bytes[at + VERSION_IHL] = (4 << 4) | (HEADER_BYTES >>> 2);
  bytes[at + TOS] = typeOfService;
  setTotalLength(bytes, at, total);
  setIdentification(bytes, at, id);
  setFragmentWord(bytes, at, 0);
  setTtl(bytes, at, timeToLive);
  bytes[at + PROTOCOL] = protocolNumber;
  setSource(bytes, at, sourceAddress);
  setDestination(bytes, at, destinationAddress);
  fillHeaderChecksum(bytes, at);
}

export interface Ipv4Header {
  /** Bytes, 20 without options. */
  headerBytes: number;
  tos: number;
  totalLength: number;
  identification: number;
  dontFragment: boolean;
  moreFragments: boolean;
  /** Bytes, a multiple of 8. */
  fragmentOffset: number;
  ttl: number;
  protocol: number;
  source: string;
  destination: string;
}

export function parse(bytes: Uint8Array, at: number): Ipv4Header {
  return {
    headerBytes: headerBytes(bytes, at),
    tos: tos(bytes, at),
    totalLength: totalLength(bytes, at),
    identification: identification(bytes, at),
    dontFragment: dontFragment(bytes, at),
    moreFragments: moreFragments(bytes, at),
    fragmentOffset: fragmentOffset(bytes, at),
    ttl: ttl(bytes, at),
    protocol: protocol(bytes, at),
    source: formatIpv4(source(bytes, at)),
    destination: formatIpv4(destination(bytes, at)),
  };
}

/** Writes the header with its checksum; options, where `headerBytes` leaves room for them, must be in place already. */
export function emit(bytes: Uint8Array, at: number, header: Ipv4Header): void {
  const flags = (header.dontFragment ? DONT_FRAGMENT : 0) | (header.moreFragments ? MORE_FRAGMENTS : 0);
  bytes[at + VERSION_IHL] = (4 << 4) | (header.headerBytes >>> 2);
  bytes[at + TOS] = header.tos;
  setTotalLength(bytes, at, header.totalLength);
  setIdentification(bytes, at, header.identification);
  setFragmentWord(bytes, at, flags | (header.fragmentOffset >>> 3));
  setTtl(bytes, at, header.ttl);
  bytes[at + PROTOCOL] = header.protocol;
  setSource(bytes, at, parseIpv4(header.source));
  setDestination(bytes, at, parseIpv4(header.destination));
  fillHeaderChecksum(bytes, at);
}
