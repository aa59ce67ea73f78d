/**
 * Classic pcap (draft-ietf-opsawg-pcap) as chunks of bytes, little-endian: a header of 24 bytes, then records of 16 + captured bytes.
 * It has one link type and no place for port names, directions or losses: pcapng-writer.ts is the better choice where there is one.
 */

/** Magic of a file whose fractions of a second are microseconds. */
export const MAGIC_MICROS = 0xa1b2c3d4;
/** The same for nanoseconds. */
export const MAGIC_NANOS = 0xa1b23c4d;

export const FILE_HEADER_BYTES = 24;
export const RECORD_HEADER_BYTES = 16;
export const LINK_TYPE_ETHERNET = 1;
/** What tcpdump writes for "all of it" (libpcap MAXIMUM_SNAPLEN). */
export const MAXIMUM_SNAP_LENGTH = 262_144;

export interface PcapRecord {
  /** Whole microseconds since 1970. */
  micros: number;
  /** Nanoseconds beyond, 0-999; lost in files of microseconds. */
  nanos?: number;
  bytes: Uint8Array;
  originalLength: number;
}

/** The header a file starts with. `resolution` 6 = microseconds, 9 = nanoseconds. */
export function pcapHeader(resolution: 6 | 9 = 6, snapLength = MAXIMUM_SNAP_LENGTH): Uint8Array {
  const header = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, resolution === 9 ? MAGIC_NANOS : MAGIC_MICROS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, snapLength, true);
  view.setUint32(20, LINK_TYPE_ETHERNET, true);
  return header;
}

/** A frame; `resolution` as in the file's header. */
export function pcapRecord(record: PcapRecord, resolution: 6 | 9 = 6): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.bytes.length);
  const view = new DataView(bytes.buffer);
  const fraction = record.micros % 1_000_000;
  view.setUint32(0, Math.floor(record.micros / 1_000_000), true);
  view.setUint32(4, resolution === 9 ? fraction * 1000 + (record.nanos ?? 0) : fraction, true);
  view.setUint32(8, record.bytes.length, true);
  view.setUint32(12, record.originalLength, true);
  bytes.set(record.bytes, RECORD_HEADER_BYTES);
  return bytes;
}
