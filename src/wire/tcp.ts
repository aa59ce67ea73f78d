/**
 * TCP (RFC 9293, 3.1).
 *
 *      0         2         4         8         12   13   14        16        18        20
 *     +---------+---------+---------+---------+----+----+---------+---------+---------+--- - -
 *     | source  | dest.   |sequence |   ack   |off |flag| window  |checksum | urgent  | options
 *     +---------+---------+---------+---------+----+----+---------+---------+---------+--- - -
 */

const SOURCE_PORT = 0;
const DESTINATION_PORT = SOURCE_PORT + 2;
const SEQUENCE = DESTINATION_PORT + 2;
const ACKNOWLEDGMENT = SEQUENCE + 4;
const DATA_OFFSET = ACKNOWLEDGMENT + 4;
const FLAGS = DATA_OFFSET + 1;
const WINDOW = FLAGS + 1;

/** Distance of the checksum field from the header's start: the csum_offset of a vnet header. */
export const CHECKSUM = WINDOW + 2;
const URGENT = CHECKSUM + 2;

/** Bytes of a header without options. */
export const HEADER_BYTES = URGENT + 2;
export const HEADER_BYTES_MAX = 60;

export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

/** RFC 9293, 3.1; RFC 7323; RFC 2018. */
export const OptionKind = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function word32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function setWord32(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at, value >>> 16);
  setWord(bytes, at + 2, value);
}

/** A whole header, options included, in `length` bytes. */
export function check(bytes: Uint8Array, at: number, length: number): boolean {
  return length >= HEADER_BYTES && headerBytes(bytes, at) >= HEADER_BYTES && headerBytes(bytes, at) <= length;
}

export function sourcePort(bytes: Uint8Array, at: number): number {
  return word(bytes, at + SOURCE_PORT);
}

export function destinationPort(bytes: Uint8Array, at: number): number {
  return word(bytes, at + DESTINATION_PORT);
}

/** int32: compare only modulo 2^32. */
export function sequence(bytes: Uint8Array, at: number): number {
  return word32(bytes, at + SEQUENCE);
}

/** int32. */
export function acknowledgment(bytes: Uint8Array, at: number): number {
  return word32(bytes, at + ACKNOWLEDGMENT);
}

/** Bytes of the header with its options: 0 … 60, at least 20 behind `check`. */
export function headerBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at + DATA_OFFSET] >>> 4) << 2;
}

/** Bits of `Flag`. */
export function flags(bytes: Uint8Array, at: number): number {
  return bytes[at + FLAGS];
}

export function window(bytes: Uint8Array, at: number): number {
  return word(bytes, at + WINDOW);
}

export function checksumField(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM);
}

export function urgentPointer(bytes: Uint8Array, at: number): number {
  return word(bytes, at + URGENT);
}

export function setSourcePort(bytes: Uint8Array, at: number, port: number): void {
  setWord(bytes, at + SOURCE_PORT, port);
}

export function setDestinationPort(bytes: Uint8Array, at: number, port: number): void {
  setWord(bytes, at + DESTINATION_PORT, port);
}

export function setSequence(bytes: Uint8Array, at: number, value: number): void {
  setWord32(bytes, at + SEQUENCE, value);
}

export function setAcknowledgment(bytes: Uint8Array, at: number, value: number): void {
  setWord32(bytes, at + ACKNOWLEDGMENT, value);
}

export function setFlags(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + FLAGS] = value;
}

export function setChecksumField(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + CHECKSUM, value);
}

/** One option as it stands in the header; `value` is what its kind says. */
export interface TcpOption {
  kind: number;
  /** Bytes with kind and length; 1 for end and nop. */
  length: number;
  /** Offset of the option's first byte. */
  at: number;
}

/** The options in their order, up to the end option, a broken length, or the header's end. Behind `check`. */
export function parseOptions(bytes: Uint8Array, at: number): TcpOption[] {
  const options: TcpOption[] = [];
  const end = at + headerBytes(bytes, at);
  let next = at + HEADER_BYTES;
  while (next < end) {
    const kind = bytes[next];
    const single = kind === OptionKind.end || kind === OptionKind.nop;
    const length = single ? 1 : next + 1 < end ? bytes[next + 1] : 0;
    if (length === 0 || (!single && length < 2) || next + length > end) {
      break;
    }
    options.push({ kind, length, at: next });
    if (kind === OptionKind.end) {
      break;
    }
    next += length;
  }
  return options;
}

export interface TcpHeader {
  sourcePort: number;
  destinationPort: number;
  /** 0 … 2^32 - 1, as is `acknowledgment`. */
  sequence: number;
  acknowledgment: number;
  headerBytes: number;
  flags: number;
  window: number;
  checksum: number;
  urgentPointer: number;
}

export function parse(bytes: Uint8Array, at: number): TcpHeader {
  return {
    sourcePort: sourcePort(bytes, at),
    destinationPort: destinationPort(bytes, at),
    sequence: sequence(bytes, at) >>> 0,
    acknowledgment: acknowledgment(bytes, at) >>> 0,
    headerBytes: headerBytes(bytes, at),
    flags: flags(bytes, at),
    window: window(bytes, at),
    checksum: checksumField(bytes, at),
    urgentPointer: urgentPointer(bytes, at),
  };
}

/** Writes the fixed header; options, where `headerBytes` leaves room for them, are the caller's. */
export function emit(bytes: Uint8Array, at: number, header: TcpHeader): void {
  setSourcePort(bytes, at, header.sourcePort);
  setDestinationPort(bytes, at, header.destinationPort);
  setSequence(bytes, at, header.sequence);
  setAcknowledgment(bytes, at, header.acknowledgment);
  bytes[at + DATA_OFFSET] = (header.headerBytes >>> 2) << 4;
  setFlags(bytes, at, header.flags);
  setWord(bytes, at + WINDOW, header.window);
  setChecksumField(bytes, at, header.checksum);
  setWord(bytes, at + URGENT, header.urgentPointer);
}
