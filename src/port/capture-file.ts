/**
 * The main thread's half of a capture port: empties the frame ring into a pcap or pcapng file.
 *
 * One loop: gather what the ring holds into one chunk, write it, look again; with nothing there, sleep POLL_MILLIS. Polling costs an
 * idle capture 20 wake-ups a second and saves the engine a message per burst. At most one write is in flight and at most one chunk is
 * gathered, so a slow disk fills the ring (where the engine counts the loss) and nothing else. The first failed write ends the loop.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { arch, release } from 'node:os';
import { Field, FrameRing, microsOf } from '../core/frame-ring.js';
import { pcapHeader, pcapRecord } from './pcap-writer.js';
import {
  type Direction,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  packetFlags,
  sectionHeader,
} from './pcapng-writer.js';

export interface CaptureFileOptions {
  /** A file that is made, or emptied; readable by its owner only, since frames are private. */
  path: string;
  format: 'pcap' | 'pcapng';
  /** Name of the port: the interface name inside a pcapng file. */
  name: string;
  /** Microseconds since 1970 when the engine's monotonic clock showed 0. */
  epochMicros: number;
  /** Bytes of the ring between engine and file; a power of two. Default 4 MiB. */
  ringBytes?: number;
}

/** A gathered chunk is written when it reaches this. */
const CHUNK_BYTES = 256 * 1024;
const POLL_MILLIS = 50;

export class CaptureFile {
  /** Hand it to the engine's `CapturePort`. */
  readonly ring: SharedArrayBuffer;
  readonly path: string;
  /** Why the capture stopped before it was closed, or null. */
  error: Error | null = null;
  /** Frames in the file. */
  written = 0;
  private readonly records: FrameRing;
  private readonly file: FileHandle;
  private readonly format: 'pcap' | 'pcapng';
  private readonly epochMicros: number;
  private lastMicros = 0;
  private chunks: Uint8Array[] = [];
  private chunkBytes = 0;
  /** Frames in the chunk being gathered. */
  private gathered = 0;
  private closing = false;
  private endPoll: () => void = () => {};
  private readonly done: Promise<void>;

  /**
   * Makes the file and starts to write.
   * @throws Error of the file system; EEXIST for a file that is there, or a link: whoever put it there shall not choose what is overwritten
   */
  static async open(options: CaptureFileOptions): Promise<CaptureFile> {
    const existing = await stat(options.path).catch(() => null);
    if (existing?.isFIFO() || existing?.isSocket()) {
      throw new Error(`${options.path} is a pipe or socket: a capture port writes to a file`);
    }
    return CaptureFile.onto(await open(options.path, 'wx', 0o600), options);
  }

  /** Starts to write to a file that is open, and closes it at the end. */
  static onto(file: FileHandle, options: CaptureFileOptions): CaptureFile {
    return new CaptureFile(options, FrameRing.allocate(options.ringBytes ?? 4 << 20), file);
  }

  private constructor(options: CaptureFileOptions, ring: SharedArrayBuffer, file: FileHandle) {
    this.ring = ring;
    this.path = options.path;
    this.records = new FrameRing(ring);
    this.file = file;
    this.format = options.format;
    this.epochMicros = options.epochMicros;
    this.lastMicros = options.epochMicros;
    if (options.format === 'pcapng') {
      this.add(sectionHeader({ hardware: arch(), os: `Linux ${release()}`, application: 'tapbridge' }));
      this.add(interfaceDescription({ name: options.name, description: `port ${options.name}` }));
    } else {
      this.add(pcapHeader());
    }
    this.done = this.run();
  }

  /** Frames the ring had no room for. */
  get lost(): number {
    return this.records.lost;
  }

  /** Writes what the ring still holds and closes the file. Call it when the engine has let go of the ring; twice does no harm. */
  async close(): Promise<void> {
    this.closing = true;
    this.endPoll();
    await this.done;
  }

  private async run(): Promise<void> {
    try {
      for (;;) {
        const last = this.closing;
        while (this.chunkBytes < CHUNK_BYTES && this.records.read(this.take)) {
          this.gathered++;
        }
        if (this.chunkBytes > 0) {
          await this.write();
        } else if (last) {
          break;
        } else {
          await this.poll();
        }
      }
      if (this.format === 'pcapng') {
        const { written, lost, lastMicros } = this;
        this.add(interfaceStatistics({ interface: 0, micros: lastMicros, received: written + lost, dropped: lost }));
        await this.write();
      }
    } catch (error) {
      this.error = error as Error;
    }
    await this.file.close().catch((error: Error) => {
      this.error ??= error;
    });
  }

  private async write(): Promise<void> {
    const chunk = Buffer.concat(this.chunks, this.chunkBytes);
    const frames = this.gathered;
    this.chunks = [];
    this.chunkBytes = 0;
    this.gathered = 0;
    for (let at = 0; at < chunk.length; ) {
      at += (await this.file.write(chunk, at)).bytesWritten;
    }
    this.written += frames;
  }

  private poll(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, POLL_MILLIS);
      this.endPoll = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private add(bytes: Uint8Array): void {
    this.chunks.push(bytes);
    this.chunkBytes += bytes.length;
  }

  private readonly take = (bytes: Uint8Array, fields: Int32Array): void => {
    const micros = this.epochMicros + microsOf(fields);
    const originalLength = fields[Field.originalLength];
    this.lastMicros = micros;
    if (this.format === 'pcap') {
      this.add(pcapRecord({ micros, bytes, originalLength }));
    } else {
      const flags = packetFlags(fields[Field.direction] as Direction, false, false, false);
      this.add(enhancedPacket({ interface: 0, micros, bytes, originalLength, flags }));
    }
  };
}
