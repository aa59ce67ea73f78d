/**
 * What a fault injector (fault.ts) remembers of one direction: its generator, the frames a delay parks and the one frame held back to
 * be passed by another. Both places are bounded and allotted here; nothing is allotted per frame.
 */
import type { Batch } from '../core/batch.js';
import { VNET_BYTES } from '../core/batch.js';
import { Random } from '../core/random.js';
import { completeInPlace } from '../offload/complete-checksum.js';
import { checksumStart, clear as clearVnet, Flag, GsoType, gsoType, flags as vnetFlags } from '../wire/vnet-header.js';
import type { FaultSettings } from './fault-settings.js';
import { FrameQueue, LARGEST_ENTRY_BYTES } from './frame-queue.js';

/** Bounds of what a delay parks, for each direction. */
export interface FaultBounds {
  /** Default 4096. */
  frames?: number;
  /** Default 8 MiB. */
  bytes?: number;
}

export const FAULT_COUNTERS = ['lost', 'duplicated', 'reordered', 'corrupted', 'delayed', 'overflow'] as const;
export type FaultCounter = (typeof FAULT_COUNTERS)[number];

/** Position of each counter in `Fault.counts`. */
export const Hit = { lost: 0, duplicated: 1, reordered: 2, corrupted: 3, delayed: 4, overflow: 5 } as const satisfies Record<
  FaultCounter,
  number
>;

/** How long the last frame of a burst waits for one to pass it, so that the last frame of a conversation still arrives. */
export const HOLD_MICROS = 10_000;

export class FaultDirection {
  /** Whether every frame waits. */
  readonly parks: boolean;
  readonly parked: FrameQueue;
  /** The one frame that waits to be passed by another. */
  readonly held: FrameQueue;
  /** Frames that came here, for `held` to see that one has passed it. */
  passed = 0;
  private readonly due: Float64Array;
  private lastDue = 0;
  private heldDue = 0;
  private heldAt = 0;
  private readonly random: Random;
  private readonly settings: FaultSettings;
  private readonly counts: Float64Array;

  constructor(settings: FaultSettings, seed: number, bounds: FaultBounds, counts: Float64Array) {
    this.settings = settings;
    this.counts = counts;
    this.random = new Random(seed);
    this.parks = settings.delayMicros > 0 || settings.jitterMicros > 0;
    const frames = this.parks ? (bounds.frames ?? 4096) : 1;
    this.parked = new FrameQueue(frames, this.parks ? (bounds.bytes ?? 8 << 20) : LARGEST_ENTRY_BYTES);
    this.held = new FrameQueue(1, LARGEST_ENTRY_BYTES);
    this.due = new Float64Array(frames);
  }

  hits(probability: number): boolean {
    return probability > 0 && this.random.fraction() < probability;
  }

  /** Parks a frame that leaves the batch; with no room it is lost. */
  park(batch: Batch, frame: number): void {
    if (this.enqueue(batch, frame)) {
      this.counts[Hit.delayed]++;
    } else {
      this.counts[Hit.overflow]++;
    }
  }

  /** Parks a duplicate; with no room there is none. */
  parkCopy(batch: Batch, frame: number): void {
    if (this.enqueue(batch, frame)) {
      this.counts[Hit.duplicated]++;
    }
  }

  /** Whether the oldest parked frame may go on. */
  ready(now: number): boolean {
    return this.parked.count > 0 && this.due[this.parked.first] <= now;
  }

  /** Keeps a frame back until another has passed it. Returns false, and counts nothing, when one is kept back already. */
  hold(batch: Batch, frame: number): boolean {
    if (this.held.pushFrame(batch, frame) < 0) {
      return false;
    }
    this.heldDue = batch.now + HOLD_MICROS;
    this.heldAt = this.passed;
    return true;
  }

  /** With a delay: whether this frame does not wait. */
  overtakes(): boolean {
    const overtakes = this.hits(this.settings.reorder);
    if (overtakes) {
      this.counts[Hit.reordered]++;
    }
    return overtakes;
  }

  /** Appends the held frame once another has passed it (only then it counts as reordered) or its time is up. Returns its index or -1. */
  releaseHeld(batch: Batch, ingress: number): number {
    if (this.held.count === 0 || (this.passed === this.heldAt && this.heldDue > batch.now)) {
      return -1;
    }
    const frame = this.held.shiftInto(batch, ingress);
    if (frame >= 0 && this.passed > this.heldAt) {
      this.counts[Hit.reordered]++;
    }
    return frame;
  }

  nextDue(now: number): number {
    const held = this.held.count === 0 ? Number.POSITIVE_INFINITY : this.passed > this.heldAt ? now : this.heldDue;
    return this.parked.count > 0 ? Math.min(held, this.due[this.parked.first]) : held;
  }

  get waiting(): number {
    return this.parked.count + this.held.count;
  }

  /** Flips one bit of a frame that has one owner. */
  corrupt(batch: Batch, frame: number): void {
    const at = batch.at[frame];
    const length = batch.length[frame];
    const bytes = batch.bytes;
    const vnet = at - VNET_BYTES;
    let reach = length;
    if (gsoType(bytes, vnet) !== GsoType.none) {
      const start = checksumStart(bytes, vnet);
      reach = start > 0 && start < length ? start : length;
    } else {
      if ((vnetFlags(bytes, vnet) & Flag.needsChecksum) !== 0) {
        completeInPlace(bytes, at, length);
      }
      // Also DATA_VALID goes: it would have the receiver skip the check that is to find the flip.
      clearVnet(bytes, vnet);
    }
    bytes[at + this.random.below(reach)] ^= 1 << this.random.below(8);
    this.counts[Hit.corrupted]++;
  }

  private enqueue(batch: Batch, frame: number): boolean {
    const slot = this.parked.pushFrame(batch, frame);
    if (slot < 0) {
      return false;
    }
    const { delayMicros, jitterMicros } = this.settings;
    const due = batch.now + delayMicros + (jitterMicros > 0 ? this.random.fraction() * jitterMicros : 0);
    this.lastDue = Math.max(this.lastDue, due);
    this.due[slot] = this.lastDue;
    return true;
  }
}
