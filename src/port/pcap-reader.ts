/**
 * Reads classic pcap files through pcap-parser, which parses, behind a gate, which decides what the parser may see.
 *
 *     file ─▶ gate: magic, version, link type, every record's header and length ─▶ pcap-parser ─▶ frames
 *
 * pcap-parser 0.2.1 by itself buffers whatever length a record claims, says nothing about a file that ends in the middle of a record,
 * lets versions other than 2.4 through and has never heard of nanoseconds. The gate hands it whole records of bounded length only, so
 * its buffer stays one read chunk and one record; a file of nanoseconds is shown to it under the magic of microseconds and its fractions are
 * read as what they are. Everything else is an error that names the record and the byte it starts at.
 */
import { EventEmitter } from 'node:events';
import { open } from 'node:fs/promises';
import pcapParser, { type Packet } from 'pcap-parser';
import {
  FILE_HEADER_BYTES,
  LINK_TYPE_ETHERNET,
  MAGIC_MICROS,
  MAGIC_NANOS,
  MAXIMUM_SNAP_LENGTH,
  RECORD_HEADER_BYTES,
} from './pcap-writer.js';

/** A frame of a file. */
export interface RecordedFrame {
  /** Whole seconds since 1970. */
  seconds: number;
  /** Nanoseconds beyond, 0-999,999,999. */
  nanos: number;
  /** Bytes the frame had on its wire; more than `bytes.length` when the capture cut it. */
  originalLength: number;
  /** A copy of what was captured. */
  bytes: Uint8Array;
}

export type PcapProblem =
  | 'empty'
  | 'pcapng'
  | 'compressed'
  | 'not-pcap'
  | 'version'
  | 'link-type'
  | 'frame-check'
  | 'too-long'
  | 'time'
  | 'frame-size'
  | 'truncated'
  | 'too-much';

/** What is wrong with a capture file. */
export class PcapError extends Error {
  readonly code: PcapProblem;
  readonly path: string;
  /** Record counted from 1; 0 = the file header. */
  readonly record: number;
  /** Byte of the file the record starts at. */
  readonly offset: number;

  constructor(code: PcapProblem, path: string, record: number, offset: number, message: string) {
    super(`${path}: ${record > 0 ? `record ${record} at byte ${offset}: ` : ''}${message}`);
    this.name = 'PcapError';
    this.code = code;
    this.path = path;
    this.record = record;
    this.offset = offset;
  }
}

const READ_BYTES = 64 * 1024;
/** Bits of the link type field that say how long a frame check sequence behind each frame is. */
const FRAME_CHECK_BITS = 0xf400_0000;
const MAGIC_PCAPNG = 0x0a0d0d0a;
const MAGIC_GZIP = 0x1f8b;
const MAGIC_ZSTD = 0x28b52ffd;
const MAGIC_XZ = 0xfd377a58;

/**
 * Frames of a classic pcap file (microseconds or nanoseconds, either byte order, Ethernet), oldest first.
 * @throws PcapError when the file is something else or damaged; frames before the damage were handed out. Error of the file system.
 */
export async function* readPcap(path: string): AsyncGenerator<RecordedFrame, void, undefined> {
  const file = await open(path, 'r');
  try {
    yield* parsePcap(chunksOf(file), path);
  } finally {
    await file.close();
  }
}

/** The same for bytes from anywhere, in chunks of any size; `name` stands for the path in errors. */
export async function* parsePcap(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
): AsyncGenerator<RecordedFrame, void, undefined> {
  const gate = new Gate(name);
  for await (const chunk of chunks) {
    // A fault in the middle of a chunk: first what came before it, then the error.
    const problem = gate.feed(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    yield* gate.taken();
    if (problem !== null) {
      throw problem;
    }
  }
  gate.end();
}

async function* chunksOf(file: { read(buffer: Uint8Array): Promise<{ bytesRead: number }> }): AsyncGenerator<Uint8Array> {
  for (;;) {
    // A new buffer each time: the parser keeps slices of what it was given.
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) {
      return;
    }
    yield buffer.subarray(0, bytesRead);
  }
}

class Gate {
  private readonly name: string;
  /** The stream the parser believes to read: it is only ever told 'data'. */
  private readonly input = Object.assign(new EventEmitter(), { pause: () => {}, resume: () => {} });
  private frames: RecordedFrame[] = [];
  /** Bytes not yet part of a whole record. */
  private rest: Buffer = Buffer.alloc(0);
  /** Byte of the file `rest` starts at. */
  private offset = 0;
  private records = 0;
  private headerSeen = false;
  private littleEndian = true;
  private fractionsPerSecond = 1_000_000;

  constructor(name: string) {
    this.name = name;
    const parser = pcapParser.parse(this.input);
    parser.on('packet', (packet: Packet) => {
      const { timestampSeconds, timestampMicroseconds, originalLength } = packet.header;
      this.frames.push({
        seconds: timestampSeconds,
        nanos: timestampMicroseconds * (1_000_000_000 / this.fractionsPerSecond),
        originalLength,
        bytes: new Uint8Array(packet.data),
      });
    });
    parser.on('error', (error: Error) => {
      throw error;
    });
  }

  /** Passes on what is whole and sound. Returns what is wrong with the rest, or null. */
  feed(chunk: Buffer): PcapError | null {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    if (!this.headerSeen) {
      const problem = this.checkFileHeader();
      if (problem !== null || !this.headerSeen) {
        return problem;
      }
    }
    let whole = 0;
    let problem: PcapError | null = null;
    while (problem === null && this.rest.length - whole >= RECORD_HEADER_BYTES) {
      const captured = this.word(whole + 8);
      problem = this.checkRecord(whole, captured);
      if (problem !== null || this.rest.length - whole < RECORD_HEADER_BYTES + captured) {
        break;
      }
      whole += RECORD_HEADER_BYTES + captured;
      this.records++;
    }
    this.pass(whole);
    return problem;
  }

  /** Frames since the last call. */
  taken(): RecordedFrame[] {
    const frames = this.frames;
    this.frames = [];
    return frames;
  }

  /** @throws PcapError when the file ended in the middle of something */
  end(): void {
    const { rest, offset, name } = this;
    if (offset === 0 && rest.length === 0) {
      throw new PcapError('empty', name, 0, 0, 'the file is empty');
    }
    if (!this.headerSeen) {
      throw new PcapError(
        'truncated',
        name,
        0,
        0,
        `a pcap file starts with ${FILE_HEADER_BYTES} bytes of header, here are ${rest.length}`,
      );
    }
    if (rest.length > 0) {
      const need = rest.length < RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : RECORD_HEADER_BYTES + this.word(8);
      const message = `the file ends after ${rest.length} of its ${need} bytes; "editcap -F pcap IN OUT" keeps the whole records`;
      throw new PcapError('truncated', name, this.records + 1, offset, message);
    }
  }

  private checkFileHeader(): PcapError | null {
    const { rest } = this;
    const fail = (code: PcapProblem, message: string) => new PcapError(code, this.name, 0, 0, message);
    if (rest.length < 4) {
      return null;
    }
    const magic = rest.readUInt32BE(0);
    if (magic === MAGIC_PCAPNG) {
      return fail('pcapng', 'this is pcapng, not pcap; convert it with "editcap -F pcap IN OUT"');
    }
    if (magic >>> 16 === MAGIC_GZIP || magic === MAGIC_ZSTD || magic === MAGIC_XZ) {
      return fail('compressed', 'the file is compressed; unpack it first');
    }
    this.littleEndian = magic !== MAGIC_MICROS && magic !== MAGIC_NANOS;
    const native = this.word(0);
    if (native !== MAGIC_MICROS && native !== MAGIC_NANOS) {
      return fail('not-pcap', `this is no pcap file: it starts with ${rest.toString('hex', 0, 4)}`);
    }
    if (rest.length < FILE_HEADER_BYTES) {
      return null;
    }
    const version = this.littleEndian ? rest.readUInt16LE(4) : rest.readUInt16BE(4);
    const minor = this.littleEndian ? rest.readUInt16LE(6) : rest.readUInt16BE(6);
    if (version !== 2 || minor !== 4) {
      return fail('version', `pcap version ${version}.${minor} is not 2.4`);
    }
    const link = this.word(20);
    if ((link & FRAME_CHECK_BITS) !== 0 && (link & 0xffff) === LINK_TYPE_ETHERNET) {
      return fail('frame-check', 'its frames carry a frame check sequence; cut it off with "editcap -F pcap -C -4 IN OUT"');
    }
    if (link !== LINK_TYPE_ETHERNET) {
      return fail('link-type', `its link type is ${link}, only Ethernet (1) can be replayed`);
    }
    const header = Buffer.from(rest.subarray(0, FILE_HEADER_BYTES));
    if (native === MAGIC_NANOS) {
      this.fractionsPerSecond = 1_000_000_000;
      header[this.littleEndian ? 1 : 2] = 0xc3;
      header[this.littleEndian ? 0 : 3] = 0xd4;
    }
    this.headerSeen = true;
    this.rest = rest.subarray(FILE_HEADER_BYTES);
    this.offset = FILE_HEADER_BYTES;
    this.input.emit('data', header);
    return null;
  }

  private checkRecord(at: number, captured: number): PcapError | null {
    const record = this.records + 1;
    const offset = this.offset + at;
    if (captured > MAXIMUM_SNAP_LENGTH) {
      const message = `claims ${captured} bytes, more than any capture holds (${MAXIMUM_SNAP_LENGTH}): the file is damaged here`;
      return new PcapError('too-long', this.name, record, offset, message);
    }
    const fraction = this.word(at + 4);
    if (fraction >= this.fractionsPerSecond) {
      const message = `its time has ${fraction} of ${this.fractionsPerSecond} parts of a second: the file is damaged here`;
      return new PcapError('time', this.name, record, offset, message);
    }
    return null;
  }

  /** Hands the first bytes of `rest`, whole records, to the parser. */
  private pass(bytes: number): void {
    if (bytes > 0) {
      this.input.emit('data', this.rest.subarray(0, bytes));
      this.rest = this.rest.subarray(bytes);
      this.offset += bytes;
    }
  }

  private word(at: number): number {
    return this.littleEndian ? this.rest.readUInt32LE(at) : this.rest.readUInt32BE(at);
  }
}
