/**
 * A port that sends a recorded capture into the bridge, and keeps nothing it receives.
 *
 *     start        start + due[1] / speed                 start + period / speed = start of the next turn
 *       │ frame 0      │ frame 1 ...                         │ frame 0 ...
 *
 * The first pull starts the clock. A frame is sent in the first pass at or after its time; when the engine is late it sends what is
 * due, a burst at a time, and what follows keeps its recorded time: being late once shifts nothing. With `loop` a turn lasts as long as
 * the capture plus its mean gap, so the seam between two turns looks like any other place. Frames are loaded before (replay-frames.ts).
 */
import { type Batch, VNET_BYTES } from '../core/batch.js';
import { copyBytes, viewOf } from '../core/copy-bytes.js';
import { descriptorBytes, nextDescriptor, type Transmit } from '../core/transmit.js';
import type { Port } from './port.js';
import type { ReplayFrames } from './replay-frames.js';

export interface ReplayOptions {
  /** 1: as recorded, 2: twice as fast, 0: as fast as the bridge takes them. Default 1. */
  speed?: number;
  /** Starts over at the end. Default false. */
  loop?: boolean;
}

/** A turn of a capture without any spacing (one frame, or all at one time) lasts this long. */
const TURN_MICROS_WITHOUT_SPACING = 1_000_000;

export class ReplayPort implements Port {
  readonly kind = 'replay';
  readonly descriptor = -1;
  readonly descriptorKind = 0;
  // What arrives is only counted: anything but "takes all" would have the engine segment it for nobody.
  readonly headerBytes = VNET_BYTES;
  readonly udpSegmentation = true;
  /** Frames sent into the bridge. */
  sent = 0;
  /** Frames the bridge sent here, all dropped. */
  received = 0;
  receivedBytes = 0;
  private readonly frames: ReplayFrames;
  private readonly source: DataView;
  private arena: DataView;
  private readonly speed: number;
  private readonly loop: boolean;
  private readonly periodMicros: number;
  private next = 0;
  /** Time of the current turn's first frame; -1 before the first pull. */
  private startMicros = -1;
  private closed = false;

  /** @throws RangeError for a speed that is negative or no number */
  constructor(frames: ReplayFrames, options: ReplayOptions = {}) {
    const speed = options.speed ?? 1;
    if (!Number.isFinite(speed) || speed < 0) {
      throw new RangeError(`speed is 0 (as fast as possible) or a positive factor, not ${speed}`);
    }
    this.frames = frames;
    this.source = viewOf(null, frames.bytes);
    this.arena = this.source;
    this.speed = speed;
    this.loop = options.loop ?? false;
    const span = frames.count > 0 ? frames.dueMicros[frames.count - 1] : 0;
    this.periodMicros = span > 0 ? span + span / (frames.count - 1) : TURN_MICROS_WITHOUT_SPACING;
  }

  pull(batch: Batch, port: number, burst: number): void {
    if (this.startMicros < 0) {
      this.startMicros = batch.now;
    }
    const { offset, length } = this.frames;
    this.arena = viewOf(this.arena, batch.bytes);
    for (let taken = 0; taken < burst && this.dueOfNext() <= batch.now; taken++) {
      const frame = batch.append(port, length[this.next]);
      if (frame < 0) {
        return;
      }
      copyBytes(this.arena, batch.at[frame], this.source, offset[this.next], length[this.next]);
      this.sent++;
      this.next++;
      if (this.next === this.frames.count && this.loop) {
        this.next = 0;
        this.startMicros += this.speed > 0 ? this.periodMicros / this.speed : 0;
      }
    }
  }

  deliver(ring: Transmit, from: number, to: number): number {
    for (let word = from; word < to; word = nextDescriptor(ring.words, word)) {
      this.received += ring.framesAt[word];
      this.receivedBytes += descriptorBytes(ring.words, word) - VNET_BYTES;
    }
    return 0;
  }

  nextDue(now: number): number {
    return this.startMicros < 0 && !this.ended ? now : this.dueOfNext();
  }

  close(): void {
    this.closed = true;
  }

  /** Whether there is nothing left to send. */
  get ended(): boolean {
    return this.closed || this.next >= this.frames.count;
  }

  /** Time of the frame `next`; Infinity behind the last one. */
  private dueOfNext(): number {
    if (this.ended) {
      return Number.POSITIVE_INFINITY;
    }
    return this.speed === 0 ? this.startMicros : this.startMicros + this.frames.dueMicros[this.next] / this.speed;
  }
}
