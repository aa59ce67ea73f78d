/**
 * The virtio-net header in front of a frame (virtio 1.2, 5.1.6; linux/virtio_net.h `virtio_net_hdr_mrg_rxbuf`), little-endian on every
 * machine we run on (the native order of x86-64 and arm64, which TAPs and packet sockets use unless told otherwise).
 *
 *      0     1     2         4         6         8         10        12
 *     +-----+-----+---------+---------+---------+---------+---------+
 *     |flags|gso  |hdr_len  |gso_size |csum_st. |csum_off.| buffers |
 *     +-----+-----+---------+---------+---------+---------+---------+
 *
 * It lies in the 12 bytes directly before its frame. All functions take the offset of the HEADER: `frameAt - HEADER_BYTES`.
 */

const FLAGS = 0;
const GSO_TYPE = FLAGS + 1;
const HEADER_LENGTH = GSO_TYPE + 1;
const GSO_SIZE = HEADER_LENGTH + 2;
const CHECKSUM_START = GSO_SIZE + 2;
const CHECKSUM_OFFSET = CHECKSUM_START + 2;
const BUFFERS = CHECKSUM_OFFSET + 2;

export const HEADER_BYTES = BUFFERS + 2;

export const Flag = {
  /** The L4 checksum field holds the pseudo-header sum; checksumStart and checksumOffset say what is to be completed. */
  needsChecksum: 1,
  /** The L4 checksum was verified; set on receive only (N31). */
  dataValid: 2,
} as const;

export const GsoType = { none: 0, tcpv4: 1, udpFragment: 3, tcpv6: 4, udpL4: 5, ecn: 0x80 } as const;

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function flags(bytes: Uint8Array, at: number): number {
  return bytes[at + FLAGS];
}

/** One of `GsoType`, perhaps with its ecn bit. */
export function gsoType(bytes: Uint8Array, at: number): number {
  return bytes[at + GSO_TYPE];
}

/** Bytes of all headers: a hint, never to be relied on. */
export function headerLength(bytes: Uint8Array, at: number): number {
  return word(bytes, at + HEADER_LENGTH);
}

/** Payload bytes of each segment but the last. */
export function gsoSize(bytes: Uint8Array, at: number): number {
  return word(bytes, at + GSO_SIZE);
}

/** Distance from the frame's start to the L4 header. */
export function checksumStart(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM_START);
}

/** Distance from the L4 header to its checksum field. */
export function checksumOffset(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM_OFFSET);
}

/** Buffers the frame is spread over: 1 here, always. */
export function buffers(bytes: Uint8Array, at: number): number {
  return word(bytes, at + BUFFERS);
}

export function setFlags(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + FLAGS] = value;
}

/** All fields at once. `buffers` is written as 0, as the kernel expects on transmit. */
export function write(
  bytes: Uint8Array,
  at: number,
  flagBits: number,
  type: number,
  headerBytes: number,
  segmentBytes: number,
  start: number,
  offset: number,
): void {
  bytes[at + FLAGS] = flagBits;
  bytes[at + GSO_TYPE] = type;
  setWord(bytes, at + HEADER_LENGTH, headerBytes);
  setWord(bytes, at + GSO_SIZE, segmentBytes);
  setWord(bytes, at + CHECKSUM_START, start);
  setWord(bytes, at + CHECKSUM_OFFSET, offset);
  setWord(bytes, at + BUFFERS, 0);
}

/** An ordinary frame: complete checksum, no segmentation. */
export function clear(bytes: Uint8Array, at: number): void {
  write(bytes, at, 0, GsoType.none, 0, 0, 0, 0);
}

export interface VnetHeader {
  flags: number;
  gsoType: number;
  headerLength: number;
  gsoSize: number;
  checksumStart: number;
  checksumOffset: number;
}

export function parse(bytes: Uint8Array, at: number): VnetHeader {
  return {
    flags: flags(bytes, at),
    gsoType: gsoType(bytes, at),
    headerLength: headerLength(bytes, at),
    gsoSize: gsoSize(bytes, at),
    checksumStart: checksumStart(bytes, at),
    checksumOffset: checksumOffset(bytes, at),
  };
}

export function emit(bytes: Uint8Array, at: number, header: VnetHeader): void {
  write(
    bytes,
    at,
    header.flags,
    header.gsoType,
    header.headerLength,
    header.gsoSize,
    header.checksumStart,
    header.checksumOffset,
  );
}
