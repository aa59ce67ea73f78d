/**
 * pcapng blocks (draft-ietf-opsawg-pcapng; semantics, section I) as chunks of bytes: pure, the caller writes them somewhere.
 *
 *     +------------+--------------+----------------------+------------------+--------------+
 *     | block type | total length | body, padded to 4    | options          | total length |
 *     +------------+--------------+----------------------+------------------+--------------+
 *
 * A file is one section header, then an interface description before the first packet of that interface, packets, and interface
 * statistics at the end. The section's length is left open (-1), so the chunks may also go down a pipe. All is little-endian. Link type
 * is Ethernet; the vnet header has no place in it and is told by flags instead.
 */

const BLOCK_SECTION = 0x0a0d0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_STATISTICS = 5;
const BLOCK_PACKET = 6;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINK_TYPE_ETHERNET = 1;

const BLOCK_HEAD_BYTES = 8;
const BLOCK_TAIL_BYTES = 4;
const OPTION_HEAD_BYTES = 4;
/** Options carry their length in 16 bits. */
const LONGEST_OPTION = 0xffff;

const OPTION_END = 0;
const OPTION_COMMENT = 1;
const SECTION_HARDWARE = 2;
const SECTION_OS = 3;
const SECTION_APPLICATION = 4;
const INTERFACE_NAME = 2;
const INTERFACE_DESCRIPTION = 3;
const INTERFACE_MAC = 6;
const INTERFACE_RESOLUTION = 9;
const INTERFACE_FILTER = 11;
const PACKET_FLAGS = 2;
const PACKET_DROP_COUNT = 4;
const PACKET_ID = 5;
const STATISTICS_START = 2;
const STATISTICS_END = 3;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;

/** Which way a frame went through its port, as bits 0-1 of the packet flags: in = from the port to the bridge. */
export const Direction = { unknown: 0, in: 1, out: 2 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

const FLAG_CHECKSUM_NOT_READY = 1 << 9;
const FLAG_CHECKSUM_VALID = 1 << 10;
const FLAG_SEGMENTATION_OFFLOADED = 1 << 11;

/** Unit of the times of an interface: 6 = microseconds, 9 = nanoseconds. */
export type Resolution = 6 | 9;

export interface Section {
  hardware?: string;
  os?: string;
  application?: string;
  comment?: string;
}

export interface Interface {
  name: string;
  description?: string;
  /** Default 6. All blocks of this interface must be written with the same. */
  resolution?: Resolution;
  /** Bytes kept of each frame; 0 = all. */
  snapLength?: number;
  /** Six bytes. */
  mac?: Uint8Array;
  /** Capture filter, as text. */
  filter?: string;
  comment?: string;
}

export interface Packet {
  /** Number of the interface, counted from 0 in the order their descriptions were written. */
  interface: number;
  resolution?: Resolution;
  /** Whole microseconds since 1970. */
  micros: number;
  /** Nanoseconds beyond, 0-999; lost at resolution 6. */
  nanos?: number;
  /** What was kept of the frame. */
  bytes: Uint8Array;
  /** Bytes the frame had. */
  originalLength: number;
  /** From `packetFlags`; 0 says nothing and is not written. */
  flags?: number;
  /** Equal on all copies of one frame: each flood copy, before and after translation. An integer, not negative. */
  packetId?: number;
  /** Frames lost between this one and the one before it on the same interface. */
  dropCount?: number;
  comment?: string;
}

export interface Statistics {
  interface: number;
  resolution?: Resolution;
  /** Whole microseconds since 1970: time of this block. */
  micros: number;
  startMicros?: number;
  endMicros?: number;
  received?: number;
  dropped?: number;
}

/**
 * Flags of a packet block.
 * @param needsChecksum the L4 checksum is unfinished (vnet NEEDS_CSUM); @param checksumValid it was verified (DATA_VALID)
 * @param superFrame the frame is to be segmented (gso type not 0)
 */
export function packetFlags(direction: Direction, needsChecksum: boolean, checksumValid: boolean, superFrame: boolean): number {
  return (
    direction |
    (needsChecksum ? FLAG_CHECKSUM_NOT_READY : 0) |
    (checksumValid ? FLAG_CHECKSUM_VALID : 0) |
    (superFrame ? FLAG_SEGMENTATION_OFFLOADED : 0)
  );
}

/** The block a file starts with. */
export function sectionHeader(section: Section = {}): Uint8Array {
  const options = new Options();
  options.text(OPTION_COMMENT, section.comment);
  options.text(SECTION_HARDWARE, section.hardware);
  options.text(SECTION_OS, section.os);
  options.text(SECTION_APPLICATION, section.application);
  const body = 16;
  const block = makeBlock(BLOCK_SECTION, body, options);
  const view = viewOf(block);
  view.setUint32(BLOCK_HEAD_BYTES, BYTE_ORDER_MAGIC, true);
  view.setUint16(BLOCK_HEAD_BYTES + 4, 1, true);
  view.setUint16(BLOCK_HEAD_BYTES + 6, 0, true);
  view.setInt32(BLOCK_HEAD_BYTES + 8, -1, true);
  view.setInt32(BLOCK_HEAD_BYTES + 12, -1, true);
  return block;
}

/** Describes the next interface; the first one described has number 0. */
export function interfaceDescription(port: Interface): Uint8Array {
  const options = new Options();
  options.text(OPTION_COMMENT, port.comment);
  options.text(INTERFACE_NAME, port.name);
  options.text(INTERFACE_DESCRIPTION, port.description);
  if (port.mac !== undefined) {
    options.add(INTERFACE_MAC, port.mac.slice(0, 6));
  }
  options.add(INTERFACE_RESOLUTION, Uint8Array.of(port.resolution ?? 6));
  if (port.filter !== undefined) {
    // Kind 0: a filter in libpcap's words.
    options.add(INTERFACE_FILTER, Buffer.concat([Uint8Array.of(0), Buffer.from(port.filter)]));
  }
  const block = makeBlock(BLOCK_INTERFACE, 8, options);
  const view = viewOf(block);
  view.setUint16(BLOCK_HEAD_BYTES, LINK_TYPE_ETHERNET, true);
  view.setUint32(BLOCK_HEAD_BYTES + 4, port.snapLength ?? 0, true);
  return block;
}

/** A frame. */
export function enhancedPacket(packet: Packet): Uint8Array {
  const options = new Options();
  options.text(OPTION_COMMENT, packet.comment);
  if (packet.flags) {
    options.word(PACKET_FLAGS, packet.flags);
  }
  if (packet.dropCount) {
    options.count(PACKET_DROP_COUNT, packet.dropCount);
  }
  if (packet.packetId !== undefined) {
    options.count(PACKET_ID, packet.packetId);
  }
  const captured = packet.bytes.length;
  const body = 20 + padded(captured);
  const block = makeBlock(BLOCK_PACKET, body, options);
  const view = viewOf(block);
  view.setUint32(BLOCK_HEAD_BYTES, packet.interface, true);
  setTime(view, BLOCK_HEAD_BYTES + 4, packet.micros, packet.nanos ?? 0, packet.resolution ?? 6);
  view.setUint32(BLOCK_HEAD_BYTES + 12, captured, true);
  view.setUint32(BLOCK_HEAD_BYTES + 16, packet.originalLength, true);
  block.set(packet.bytes, BLOCK_HEAD_BYTES + 20);
  return block;
}

/** What an interface saw in all, written once at the end. */
export function interfaceStatistics(statistics: Statistics): Uint8Array {
  const resolution = statistics.resolution ?? 6;
  const options = new Options();
  options.time(STATISTICS_START, statistics.startMicros, resolution);
  options.time(STATISTICS_END, statistics.endMicros, resolution);
  if (statistics.received !== undefined) {
    options.count(STATISTICS_RECEIVED, statistics.received);
  }
  if (statistics.dropped !== undefined) {
    options.count(STATISTICS_DROPPED, statistics.dropped);
  }
  const block = makeBlock(BLOCK_STATISTICS, 12, options);
  const view = viewOf(block);
  view.setUint32(BLOCK_HEAD_BYTES, statistics.interface, true);
  setTime(view, BLOCK_HEAD_BYTES + 4, statistics.micros, 0, resolution);
  return block;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A zeroed block with its frame and options in place; the caller fills `bodyBytes` behind the head. */
function makeBlock(type: number, bodyBytes: number, options: Options): Uint8Array {
  const total = BLOCK_HEAD_BYTES + bodyBytes + options.bytes + BLOCK_TAIL_BYTES;
  const block = new Uint8Array(total);
  const view = viewOf(block);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  options.writeTo(block, view, BLOCK_HEAD_BYTES + bodyBytes);
  view.setUint32(total - BLOCK_TAIL_BYTES, total, true);
  return block;
}

/** Writes a time as upper and lower 32 bits of its count of units; exact, though a count of nanoseconds needs more than 53 bits. */
function setTime(view: DataView, at: number, micros: number, nanos: number, resolution: Resolution): void {
  const scale = resolution === 9 ? 1000 : 1;
  const lower = (micros % 0x1_0000_0000) * scale + (resolution === 9 ? nanos : 0);
  const upper = Math.floor(micros / 0x1_0000_0000) * scale + Math.floor(lower / 0x1_0000_0000);
  view.setUint32(at, upper, true);
  view.setUint32(at + 4, lower % 0x1_0000_0000, true);
}

/** The options of one block. */
class Options {
  /** Bytes of all options with their end mark; 0 when there are none. */
  bytes = 0;
  private readonly codes: number[] = [];
  private readonly values: Uint8Array[] = [];

  add(code: number, value: Uint8Array): void {
    this.bytes += (this.codes.length === 0 ? OPTION_HEAD_BYTES : 0) + OPTION_HEAD_BYTES + padded(value.length);
    this.codes.push(code);
    this.values.push(value);
  }

  /** UTF-8, cut at a character when longer than an option can be. */
  text(code: number, value: string | undefined): void {
    if (value === undefined) {
      return;
    }
    let bytes = Buffer.from(value);
    if (bytes.length > LONGEST_OPTION) {
      let end = LONGEST_OPTION;
      // 10xxxxxx continues a character.
      while ((bytes[end] & 0xc0) === 0x80) {
        end--;
      }
      bytes = bytes.subarray(0, end);
    }
    this.add(code, bytes);
  }

  word(code: number, value: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    this.add(code, bytes);
  }

  /** A 64-bit count. */
  count(code: number, value: number): void {
    const bytes = new Uint8Array(8);
    const view = viewOf(bytes);
    view.setUint32(0, value % 0x1_0000_0000, true);
    view.setUint32(4, Math.floor(value / 0x1_0000_0000), true);
    this.add(code, bytes);
  }

  time(code: number, micros: number | undefined, resolution: Resolution): void {
    if (micros !== undefined) {
      const bytes = new Uint8Array(8);
      setTime(viewOf(bytes), 0, micros, 0, resolution);
      this.add(code, bytes);
    }
  }

  writeTo(block: Uint8Array, view: DataView, from: number): void {
    let at = from;
    for (let index = 0; index < this.codes.length; index++) {
      view.setUint16(at, this.codes[index], true);
      view.setUint16(at + 2, this.values[index].length, true);
      block.set(this.values[index], at + OPTION_HEAD_BYTES);
      at += OPTION_HEAD_BYTES + padded(this.values[index].length);
    }
    if (this.codes.length > 0) {
      view.setUint16(at, OPTION_END, true);
    }
  }
}
