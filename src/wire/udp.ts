/**
 * UDP (RFC 768).
 *
 *      0         2         4         6         8
 *     +---------+---------+---------+---------+--- - -
 *     | source  | dest.   | length  |checksum | data
 *     +---------+---------+---------+---------+--- - -
 */

const SOURCE_PORT = 0;
const DESTINATION_PORT = SOURCE_PORT + 2;
const LENGTH = DESTINATION_PORT + 2;

/** Distance of the checksum field from the header's start: the csum_offset of a vnet header. */
export const CHECKSUM = LENGTH + 2;
export const HEADER_BYTES = CHECKSUM + 2;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** C4: a whole header in `length` bytes, and a length field from 8 up to them. */
export function check(bytes: Uint8Array, at: number, length: number): boolean {
  return length >= HEADER_BYTES && datagramLength(bytes, at) >= HEADER_BYTES && datagramLength(bytes, at) <= length;
}

export function sourcePort(bytes: Uint8Array, at: number): number {
  return word(bytes, at + SOURCE_PORT);
}

export function destinationPort(bytes: Uint8Array, at: number): number {
  return word(bytes, at + DESTINATION_PORT);
}

/** Bytes of header and data. */
export function datagramLength(bytes: Uint8Array, at: number): number {
  return word(bytes, at + LENGTH);
}

/** 0: the sender made none (IPv4 only). */
export function checksumField(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM);
}

export function setSourcePort(bytes: Uint8Array, at: number, port: number): void {
  setWord(bytes, at + SOURCE_PORT, port);
}

export function setDestinationPort(bytes: Uint8Array, at: number, port: number): void {
  setWord(bytes, at + DESTINATION_PORT, port);
}

export function setDatagramLength(bytes: Uint8Array, at: number, length: number): void {
  setWord(bytes, at + LENGTH, length);
}

export function setChecksumField(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + CHECKSUM, value);
}

export interface UdpHeader {
  sourcePort: number;
  destinationPort: number;
  length: number;
  checksum: number;
}

export function parse(bytes: Uint8Array, at: number): UdpHeader {
  return {
    sourcePort: sourcePort(bytes, at),
    destinationPort: destinationPort(bytes, at),
    length: datagramLength(bytes, at),
    checksum: checksumField(bytes, at),
  };
}

export function emit(bytes: Uint8Array, at: number, header: UdpHeader): void {
  setSourcePort(bytes, at, header.sourcePort);
  setDestinationPort(bytes, at, header.destinationPort);
  setDatagramLength(bytes, at, header.length);
  setChecksumField(bytes, at, header.checksum);
}
