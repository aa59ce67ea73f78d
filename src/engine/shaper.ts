/**
 * A shaper: one way through a port that has a rate. What comes faster waits; what comes while enough waits already is dropped.
 *
 *     frames ─┬─ nobody waits, and tokens are there ─────────▶ on
 *             └─▶ [ queue, 25 ms of the rate ] ── tokens ────▶ on         enough waits: dropped, `rate_limited`
 *
 * Why not simply drop whatever finds no tokens: between two containers an answer takes a tenth of a millisecond. At 10 Mbit/s even a window of one
 * segment is ten times too fast for that, so TCP is left with its timeouts, of 200 ms and more, and super-frames are lost whole: 5 to 50 % of the rate is
 * what one stream gets (docs/performance.md). Behind a queue the answers come as slowly as the rate wants it, and TCP sends small bursts by itself.
 *
 * Bytes are counted as a wire would carry them: a super-frame counts the headers of all its segments. Order is kept: who comes while others wait waits
 * behind them. On the way out of the container the shaper stands before everything the bridge does, so a port over its rate teaches nothing and floods
 * nobody; its frames count as received when they go on. On the way in it stands behind everything, so the rate holds for what is bridged,
 * flooded, routed and answered alike.
 *
 * Limits, for each way and thread: nobody joins while 25 ms of the rate wait, but one frame may always wait, whatever its length. The queue holds two
 * super-frames at least and 4 MiB at most, in up to 4,096 frames; memory nobody has waited in costs nothing.
 */
import { type Batch, INGRESS_SELF, MAX_FRAME_BYTES, VNET_BYTES } from '../core/batch.js';
import { PORT, type PortCounters } from '../core/counters.js';
import type { BucketSettings, TokenBucket } from '../core/token-bucket.js';
import { validate } from '../offload/validate.js';
import { wireBytes } from '../offload/wire-packets.js';
import { FrameQueue, LARGEST_ENTRY_BYTES } from '../port/frame-queue.js';
import * as vnet from '../wire/vnet-header.js';

const QUEUE_SECONDS = 0.025;
const QUEUE_BYTES = { min: 2 * LARGEST_ENTRY_BYTES, max: 4 << 20 } as const;
const QUEUE_FRAMES = 4096;

/** Frames of the batch, and bytes of its made frames, kept for ARP answers, ICMP errors and fragments. */
const FRAMES_KEPT = 64;
const BYTES_KEPT = 1 << 17;

/** Ways through a port, seen from who is behind it. */
export const Way = { in: 0, out: 1 } as const;
export type Way = (typeof Way)[keyof typeof Way];

export class Shaper {
  private readonly way: Way;
  private readonly port: number;
  private readonly bucket: TokenBucket;
  private readonly counters: PortCounters;
  private queue: FrameQueue;
  /** Bytes on the wire, by slot of the queue. */
  private readonly wire = new Float64Array(QUEUE_FRAMES);
  private waitingBytes = 0;
  /** When so many wait nobody joins them: 25 ms of the rate. */
  private enoughBytes = 0;

  /** @param bucket of these settings */
  constructor(way: Way, port: number, settings: BucketSettings, bucket: TokenBucket, counters: PortCounters) {
    this.way = way;
    this.port = port;
    this.bucket = bucket;
    this.counters = counters;
    this.queue = new FrameQueue(QUEUE_FRAMES, queueBytes(settings));
    this.enoughBytes = wanted(settings);
  }

  /** Frames waiting. */
  get waiting(): number {
    return this.queue.count;
  }

  /** Whether it does nothing any more: there is no rate to keep, and nobody waits. */
  get isOver(): boolean {
    return !this.bucket.limited && this.queue.count === 0;
  }

  /** Another rate, or with null none: then what waits goes on with the next pass. A shorter queue keeps who came first. */
  configure(settings: BucketSettings | null, now: number): void {
    this.bucket.configure(settings, now);
    if (settings === null) {
      return;
    }
    this.enoughBytes = wanted(settings);
    if (queueBytes(settings) === this.queue.data.length) {
      return;
    }
    const queue = new FrameQueue(QUEUE_FRAMES, queueBytes(settings));
    this.waitingBytes = 0;
    for (let slot = queue.takeOver(this.queue); slot >= 0; slot = queue.takeOver(this.queue)) {
      this.wire[slot] = wireBytesOf(queue.data, queue.offset[slot] + VNET_BYTES, queue.length[slot]);
      this.waitingBytes += this.wire[slot];
    }
    this.counters.add(this.port, this.way === Way.in ? PORT.tx_rate_limited : PORT.rx_rate_limited, this.queue.count);
    if (this.way === Way.out) this.counters.add(this.port, PORT.rx_frames, this.queue.count);
    this.queue = queue;
  }

  /** Way out: frames [from, to) of the port, received a moment ago. Those that wait or are dropped keep their index with length 0. */
  receive(batch: Batch, from: number, to: number): void {
    const { bytes, at: ats, length: lengths, now } = batch;
    for (let frame = from; frame < to; frame++) {
      const length = lengths[frame];
      // No frame is longer than this: it will be dropped for it, and would never leave the queue.
      if (length === 0 || length > MAX_FRAME_BYTES) {
        continue;
      }
      const wire = wireBytesOf(bytes, ats[frame], length);
      if (this.queue.count === 0 && this.bucket.take(wire, now)) {
        continue;
      }
      if (!this.enqueue(batch, frame, wire)) {
        this.counters.add(this.port, PORT.rx_frames, 1);
        this.counters.add(this.port, PORT.rx_bytes, length);
        this.counters.add(this.port, PORT.rx_packets, 1);
        this.counters.add(this.port, PORT.rx_rate_limited, 1);
      }
      lengths[frame] = 0;
    }
  }

  /** Way out, once a pass, behind `receive`: appends the frames whose time has come. */
  release(batch: Batch): void {
    while (this.shift(batch, this.port) >= 0);
  }

  /**
   * Way in: the frames order[0, count) about to leave through the port. Returns how many of them, and of those that waited, leave now: they are in
   * `order` then, which holds batch.capacity entries. Call it in every pass, also with a count of 0.
   */
  send(batch: Batch, order: Int32Array, count: number): number {
    const { bytes, at, length, now } = batch;
    let kept = 0;
    for (let index = 0; index < count; index++) {
      const frame = order[index];
      const wire = wireBytesOf(bytes, at[frame], length[frame]);
      if (this.queue.count === 0 && this.bucket.take(wire, now)) {
        order[kept++] = frame;
      } else if (!this.enqueue(batch, frame, wire)) {
        this.counters.add(this.port, PORT.tx_rate_limited, 1);
      }
    }
    for (let frame = this.shift(batch, INGRESS_SELF); frame >= 0; frame = this.shift(batch, INGRESS_SELF)) {
      order[kept++] = frame;
    }
    return kept;
  }

  /** Microseconds of the clock when the frame that waits longest may go; Infinity when none waits. */
  nextDue(): number {
    return this.queue.count === 0 ? Number.POSITIVE_INFINITY : this.bucket.due(this.wire[this.queue.first]);
  }

  private enqueue(batch: Batch, frame: number, wire: number): boolean {
    // The queue has room for two super-frames: at a low rate that is much more than anybody should wait behind.
    const slot = this.waitingBytes > this.enoughBytes ? -1 : this.queue.pushFrame(batch, frame);
    if (slot >= 0) {
      this.wire[slot] = wire;
      this.waitingBytes += wire;
    }
    return slot >= 0;
  }

  /** Appends the frame that waits longest to the batch. Returns its index, or -1: none waits, or not long enough, or the batch is full. */
  private shift(batch: Batch, ingress: number): number {
    const { queue } = this;
    const slot = queue.first;
    const hasRoom = batch.capacity - batch.count > FRAMES_KEPT && batch.madeRoom >= queue.length[slot] + BYTES_KEPT;
    if (queue.count === 0 || !hasRoom || !this.bucket.take(this.wire[slot], batch.now)) {
      return -1;
    }
    this.waitingBytes -= this.wire[slot];
    return queue.shiftInto(batch, ingress);
  }
}

function wanted({ bitsPerSecond }: BucketSettings): number {
  return Math.ceil((bitsPerSecond / 8) * QUEUE_SECONDS);
}

function queueBytes(settings: BucketSettings): number {
  return Math.min(QUEUE_BYTES.max, Math.max(QUEUE_BYTES.min, wanted(settings)));
}

/** What a wire would carry of a frame nobody has looked at yet: one that lies about being a super-frame counts its own bytes. */
function wireBytesOf(bytes: Uint8Array, at: number, length: number): number {
  return vnet.gsoType(bytes, at - VNET_BYTES) === vnet.GsoType.none || validate(bytes, at, length) !== 0
    ? length
    : wireBytes(bytes, at, length);
}
