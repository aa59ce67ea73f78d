/**
 * A capture on its way to one reader, as pcapng.
 *
 *     engine ─▶ FrameRing ─▶ next(): blocks ─▶ HTTP response ─▶ file, tcpdump, Wireshark
 *                  └ full: the frame is lost and counted
 *
 * The reader pulls: the ring is only emptied when the reader has taken what it got before, so a slow reader loses frames (the summary says how
 * many) instead of growing this process. Interface descriptions of the ports there are come first, of ports attached later before their
 * first frame; at the end one statistics block per interface, the loss on the first.
 * Limits: 4 MiB of waiting frames, chunks of about 256 KiB.
 */
import { release } from 'node:os';
import { Field, FrameRing, microsOf } from '../core/frame-ring.js';
import {
  type Direction,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  packetFlags,
  sectionHeader,
} from '../port/pcapng-writer.js';
import { Flag } from '../wire/vnet-header.js';
import type { ControlContext } from './context.js';
import { SNAP_LENGTH } from './limits.js';
import type { CaptureOptions } from './model.js';
import { type BridgeRecord, macText } from './records.js';

const RING_BYTES = 4 << 20;
const CHUNK_BYTES = 256 << 10;

export class CaptureSession {
  readonly number: number;
  /** Name of the bridge. */
  readonly bridge: string;
  /** Number of the only port, -1: the whole bridge. */
  port = -1;
  /** Frames handed out. */
  frames = 0;
  /** Frames lost because the reader was too slow; known at the end. */
  lost = 0;
  private readonly context: ControlContext;
  private readonly record: BridgeRecord;
  private readonly options: CaptureOptions;
  private readonly onClosed: () => void;
  private readonly ring = new FrameRing(FrameRing.allocate(RING_BYTES));
  private readonly snapLength: number;
  /** Interface of the file by port number. */
  private readonly interfaces = new Map<number, { index: number; received: number }>();
  private chunks: Uint8Array[] = [];
  private bytes = 0;
  private state: 'running' | 'ended' | 'finished' = 'running';
  private wake: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Microseconds between the engine's monotonic clock and 1970. */
  private wallOffset = 0;

  constructor(context: ControlContext, bridge: BridgeRecord, number: number, options: CaptureOptions, onClosed: () => void) {
    this.context = context;
    this.record = bridge;
    this.bridge = bridge.name;
    this.number = number;
    this.options = options;
    this.snapLength = options.snapLength ?? SNAP_LENGTH.max;
    this.onClosed = onClosed;
  }

  /** @param port number of the only port, -1: the whole bridge */
  async start(port: number): Promise<void> {
    this.port = port;
    this.put(sectionHeader({ os: `Linux ${release()}`, application: 'tapbridge' }));
    for (const each of [this.record.host, ...this.record.ports.values()]) {
      if (port < 0 || port === each.number) this.interfaceOf(each.number);
    }
    const settings = { bridge: this.record.number, port, snapLength: this.snapLength, ring: this.ring.memory };
    try {
      await this.context.engine.call('start-capture', { capture: this.number, settings });
    } catch (error) {
      this.state = 'finished';
      this.onClosed();
      throw error;
    }
    if (this.options.duration !== undefined) this.timer = setTimeout(() => void this.end(), this.options.duration * 1000);
  }

  /** The next blocks, or null after the last; waits until there are some. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.bytes < CHUNK_BYTES) this.drain();
      if (this.bytes > 0) return this.take();
      if (this.state === 'finished') return null;
      if (this.state === 'ended') {
        this.finish();
        continue;
      }
      if (this.ring.arm()) continue;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        // It may have ended while the ring was armed.
        if (this.state !== 'running') resolve();
      });
    }
  }

  /** The engine says that the ring has something. */
  arrived(): void {
    this.wake?.();
  }

  /** No new frames from now on; `next` hands out what is left, then the summary. Never rejects. */
  async end(): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'ended';
    clearTimeout(this.timer);
    try {
      this.lost = (await this.context.engine.call('stop-capture', { capture: this.number })).lost;
    } catch {
      // The engine died, and the capture with it: what is in the ring can still be read.
      this.lost = this.ring.lost;
    }
    this.onClosed();
    this.wake?.();
  }

  /** The reader went away. */
  async close(): Promise<void> {
    const ending = this.end();
    // Before the reader that waits is woken: it gets no summary any more.
    this.state = 'finished';
    this.wake?.();
    await ending;
  }

  private drain(): void {
    const { count = Number.POSITIVE_INFINITY } = this.options;
    while (this.bytes < CHUNK_BYTES && this.state !== 'finished' && this.frames < count) {
      if (!this.ring.read((bytes, fields) => this.frame(bytes, fields))) return;
    }
    if (this.frames >= count) void this.end();
  }

  private frame(bytes: Uint8Array, fields: Int32Array): void {
    const known = this.interfaceOf(fields[Field.port]);
    const vnet = fields[Field.vnetFlags];
    known.received++;
    this.frames++;
    this.put(
      enhancedPacket({
        interface: known.index,
        micros: Math.round(this.wallClock() + microsOf(fields)),
        bytes,
        originalLength: fields[Field.originalLength],
        flags: packetFlags(
          fields[Field.direction] as Direction,
          (vnet & Flag.needsChecksum) !== 0,
          (vnet & Flag.dataValid) !== 0,
          vnet >> 8 !== 0,
        ),
        packetId: fields[Field.packet] >>> 0,
      }),
    );
  }

  private interfaceOf(port: number): { index: number; received: number } {
    const known = this.interfaces.get(port);
    if (known !== undefined) return known;
    const added = { index: this.interfaces.size, received: 0 };
    this.interfaces.set(port, added);
    const found = this.context.ports.get(port)?.port;
    const name = found?.name ?? `port ${port}`;
    const where = found?.netns ?? (found?.pid ? `process ${found.pid}` : undefined);
    const description = found?.mac
      ? `${found.kind} port, ${macText(found.mac)}${where === undefined ? '' : `, in ${where}`}`
      : undefined;
    this.put(interfaceDescription({ name, snapLength: this.snapLength, ...(description !== undefined && { description }) }));
    return added;
  }

  private finish(): void {
    this.state = 'finished';
    for (const { index, received } of this.interfaces.values()) {
      this.put(
        interfaceStatistics({
          interface: index,
          micros: Date.now() * 1000,
          received,
          ...(index === 0 && { dropped: this.lost }),
        }),
      );
    }
  }

  private wallClock(): number {
    this.wallOffset ||= Date.now() * 1000 - this.context.binding.monotonicMicros();
    return this.wallOffset;
  }

  private put(block: Uint8Array): void {
    this.chunks.push(block);
    this.bytes += block.length;
  }

  private take(): Uint8Array {
    const whole = Buffer.concat(this.chunks, this.bytes);
    this.chunks = [];
    this.bytes = 0;
    return whole;
  }
}
