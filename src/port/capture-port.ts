/**
 * A port that writes what the bridge sends it into a capture file, and never sends.
 *
 *     engine thread                              main thread
 *     deliver ─▶ [ frame ring, bounded ] ─▶ CaptureFile ─▶ one write in flight ─▶ disk
 *
 * A write from the engine's thread would be simpler and would stop every port whenever the disk does (dirty throttling pauses a
 * writer up to 200 ms, a hung network file system for ever). So the engine only copies into the ring, and when the ring is full
 * because the disk is slower than the bridge, or stopped, frames are lost and counted. A file that failed (no space, no medium) is no
 * longer read for, so the ring fills and every later frame is such a loss; `CaptureFile.error` says why.
 *
 * The file gets what a wire would carry: `headerBytes` 0 has the engine segment super-frames and complete checksums on the way here.
 */
import type { Batch } from '../core/batch.js';
import type { Clock } from '../core/clock.js';
import { viewOf } from '../core/copy-bytes.js';
import { FIELD_COUNT, Field, FrameRing, setMicros } from '../core/frame-ring.js';
import { copyDescriptor, descriptorBytes, nextDescriptor, type Transmit } from '../core/transmit.js';
import { LARGEST_ENTRY_BYTES } from './frame-queue.js';
import { Direction } from './pcapng-writer.js';
import type { Port } from './port.js';

export class CapturePort implements Port {
  readonly kind = 'capture';
  readonly descriptor = -1;
  readonly descriptorKind = 0;
  readonly headerBytes = 0;
  readonly udpSegmentation = false;
  private readonly ring: FrameRing;
  private readonly clock: Clock;
  private readonly snapLength: number;
  private readonly fields = new Int32Array(FIELD_COUNT);
  /** Where the pieces of a segmented frame are put together. */
  private readonly whole = new Uint8Array(LARGEST_ENTRY_BYTES);
  private readonly wholeView = viewOf(null, this.whole);
  private arena = this.wholeView;
  private closed = false;

  /**
   * @param ring memory of `CaptureFile.ring`, which this port alone writes
   * @param clock of the engine; read once a burst
   * @param snapLength bytes kept of a frame; 0 = all
   */
  constructor(ring: SharedArrayBuffer, clock: Clock, snapLength = 0) {
    this.ring = new FrameRing(ring);
    this.clock = clock;
    this.snapLength = snapLength > 0 ? snapLength : LARGEST_ENTRY_BYTES;
    this.fields[Field.direction] = Direction.out;
    this.fields[Field.packet] = -1;
  }

  pull(_batch: Batch, _port: number, _burst: number): void {}

  deliver(ring: Transmit, from: number, to: number): number {
    setMicros(this.fields, Math.floor(this.clock.micros()));
    let lost = 0;
    for (let word = from; word < to; word = nextDescriptor(ring.words, word)) {
      if (this.closed || !this.record(ring, word)) {
        lost += ring.framesAt[word];
      }
    }
    return lost;
  }

  nextDue(_now: number): number {
    return Number.POSITIVE_INFINITY;
  }

  /** The file is closed by its owner, after this. */
  close(): void {
    this.closed = true;
  }

  /** Puts one frame into the ring. Returns false when it was lost. */
  private record(ring: Transmit, word: number): boolean {
    const words = ring.words;
    const total = descriptorBytes(words, word);
    const keep = Math.min(total, this.snapLength);
    this.fields[Field.originalLength] = total;
    if (words[word + 1] === 1) {
      return this.ring.write(ring.bytes, words[word + 2], keep, this.fields) !== 0;
    }
    if (total > this.whole.length) {
      return false;
    }
    this.arena = viewOf(this.arena, ring.bytes);
    copyDescriptor(words, word, this.arena, this.wholeView, 0);
    return this.ring.write(this.whole, 0, keep, this.fields) !== 0;
  }
}
