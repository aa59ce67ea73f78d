/**
 * A bad cable around any port: loss, duplication, corruption, reordering and delay, all decided by seeded generators.
 *
 *     receive ─▶ ingress ─▶ the bridge ─▶ egress ─▶ send
 *                   │ ▲                     │ ▲
 *                   ▼ │ release             ▼ │ (same call)
 *               [ parked ][ held ]      [ parked ][ held ]
 *
 * Each frame draws, in this order: loss, duplication, corruption, reordering, jitter. The generators are one per direction, and a
 * fault of probability 0 draws nothing, so what one direction carries does not change what happens in the other.
 *
 * - Lost: taken out. Duplicated: the copy goes behind the burst and draws nothing itself.
 * - Corrupted: one bit flips. A frame that was never checksummed (NEEDS_CSUM) gets its checksum first: without one the receiver
 *   would take the wrong bytes for good ones. A super-frame cannot get one, so its bit flips in front of its L4 header.
 * - Delayed: parked for delayMicros and up to jitterMicros more, in order: jitter is what a queue does and never reorders.
 * - Reordered, with a delay: leaves at once and overtakes the parked ones (as tc-netem has it). Without: changes places with the
 *   frame behind it, which then draws no reordering of its own (of a long stream p / (1 + p) of the frames); the last one of a burst
 *   is held until a later frame has passed, or for HOLD_MICROS.
 *
 * Parked frames are bounded by frames and bytes; one that finds no room is lost and counted as `overflow`. Conservation, for each
 * direction: passed in + duplicated = passed out + lost + overflow + waiting. The same seed and the same bursts give the same faults.
 *
 * Why not a Port that wraps another: a descriptor's frames enter through the addon and never pass a Port, and a wrapper would cost
 * every port without faults a call. This way a port without faults has none.
 */
import type { Batch } from '../core/batch.js';
import { INGRESS_SELF } from '../core/batch.js';
import { FAULT_COUNTERS, type FaultBounds, FaultDirection, Hit } from './fault-direction.js';
import { type FaultSettings, LONGEST_DELAY_MICROS } from './fault-settings.js';

/** Makes the two directions of one seed differ. */
const OUTBOUND_SEED = 0x5bd1e995;

export class Fault {
  readonly settings: FaultSettings;
  /** Both directions together, in the order of FAULT_COUNTERS. */
  readonly counts = new Float64Array(FAULT_COUNTERS.length);
  private readonly inbound: FaultDirection;
  private readonly outbound: FaultDirection;

  /** @throws RangeError when a probability is not within 0..1 or a time is negative or too long */
  constructor(settings: FaultSettings, bounds: FaultBounds = {}) {
    for (const name of ['loss', 'duplicate', 'reorder', 'corrupt'] as const) {
      if (!(settings[name] >= 0 && settings[name] <= 1)) {
        throw new RangeError(`${name} is a fraction from 0 to 1, not ${settings[name]}`);
      }
    }
    for (const name of ['delayMicros', 'jitterMicros'] as const) {
      if (!(settings[name] >= 0 && settings[name] <= LONGEST_DELAY_MICROS)) {
        throw new RangeError(`${name} is a time from 0 to ${LONGEST_DELAY_MICROS}, not ${settings[name]}`);
      }
    }
    this.settings = { ...settings };
    this.inbound = new FaultDirection(this.settings, settings.seed, bounds, this.counts);
    this.outbound = new FaultDirection(this.settings, settings.seed ^ OUTBOUND_SEED, bounds, this.counts);
  }

  /** Frames taken out for good so far, both directions: lost on purpose or for want of room. */
  get lostFrames(): number {
    return this.counts[Hit.lost] + this.counts[Hit.overflow];
  }

  /**
   * Handles the frames [from, to) of one port right after receive, before anything else looks at them. A frame taken out keeps its
   * index with length 0; duplicates are appended to the batch.
   */
  ingress(batch: Batch, from: number, to: number): void {
    const direction = this.inbound;
    const settings = this.settings;
    const parks = direction.parks;
    for (let frame = from; frame < to; frame++) {
      if (batch.length[frame] === 0) {
        continue;
      }
      if (direction.hits(settings.loss)) {
        this.counts[Hit.lost]++;
        batch.length[frame] = 0;
        continue;
      }
      direction.passed++;
      if (direction.hits(settings.duplicate)) {
        if (parks) {
          direction.parkCopy(batch, frame);
        } else if (batch.appendCopy(batch.ingress[frame], frame) >= 0) {
          this.counts[Hit.duplicated]++;
        }
      }
      if (direction.hits(settings.corrupt)) {
        direction.corrupt(batch, frame);
      }
      if (parks && !direction.overtakes()) {
        direction.park(batch, frame);
        batch.length[frame] = 0;
      }
    }
    if (settings.reorder > 0 && !parks) {
      this.reorderBatch(batch, from, to);
    }
  }

  /** Appends the frames of `port` that waited long enough on the way in; call once a pass, after `ingress`. */
  release(batch: Batch, port: number): void {
    const direction = this.inbound;
    while (direction.ready(batch.now)) {
      if (direction.parked.shiftInto(batch, port) < 0) {
        return;
      }
    }
    direction.releaseHeld(batch, port);
  }

  /**
   * Handles the frames order[0, count) about to leave through one port and adds those that waited long enough; call it every pass the
   * port is due, also with a count of 0. Frames it appends to the batch are known only to `order`, which holds batch.capacity entries.
   * Returns the new count.
   */
  egress(batch: Batch, order: Int32Array, count: number): number {
    const direction = this.outbound;
    const settings = this.settings;
    const parks = direction.parks;
    let kept = 0;
    let copies = 0;
    for (let index = 0; index < count; index++) {
      let frame = order[index];
      if (direction.hits(settings.loss)) {
        this.counts[Hit.lost]++;
        continue;
      }
      direction.passed++;
      const twice = direction.hits(settings.duplicate);
      if (twice && parks) {
        direction.parkCopy(batch, frame);
      } else if (twice && count + copies < batch.capacity) {
        // The same bytes described once more; kept behind the unread part of the list, which `kept` never overtakes.
        order[count + copies] = frame;
        copies++;
        this.counts[Hit.duplicated]++;
      }
      if (direction.hits(settings.corrupt)) {
        // Other ports may send the same bytes (L4): the flip goes into a copy. With no room for one the frame stays whole.
        const copy = batch.appendCopy(batch.ingress[frame], frame);
        if (copy >= 0) {
          frame = copy;
          direction.corrupt(batch, frame);
        }
      }
      if (parks && !direction.overtakes()) {
        direction.park(batch, frame);
      } else {
        order[kept++] = frame;
      }
    }
    if (settings.reorder > 0 && !parks) {
      kept = this.reorderList(batch, order, kept);
    }
    order.copyWithin(kept, count, count + copies);
    kept += copies;
    while (kept < batch.capacity && direction.ready(batch.now)) {
      const frame = direction.parked.shiftInto(batch, INGRESS_SELF);
      if (frame < 0) {
        return kept;
      }
      order[kept++] = frame;
    }
    if (kept < batch.capacity) {
      const frame = direction.releaseHeld(batch, INGRESS_SELF);
      if (frame >= 0) {
        order[kept++] = frame;
      }
    }
    return kept;
  }

  /** Microseconds of the monotonic clock when a waiting frame of either direction is due; Infinity when none waits. */
  nextDue(now: number): number {
    return Math.min(this.inbound.nextDue(now), this.outbound.nextDue(now));
  }

  /** Frames waiting, both directions. */
  get waiting(): number {
    return this.inbound.waiting + this.outbound.waiting;
  }

  private reorderBatch(batch: Batch, from: number, to: number): void {
    const direction = this.inbound;
    for (let frame = from; frame < to; frame++) {
      if (batch.length[frame] === 0 || !direction.hits(this.settings.reorder)) {
        continue;
      }
      let behind = frame + 1;
      while (behind < to && batch.length[behind] === 0) {
        behind++;
      }
      if (behind < to) {
        const at = batch.at[frame];
        const length = batch.length[frame];
        batch.at[frame] = batch.at[behind];
        batch.length[frame] = batch.length[behind];
        batch.at[behind] = at;
        batch.length[behind] = length;
        this.counts[Hit.reordered]++;
      } else if (direction.hold(batch, frame)) {
        batch.length[frame] = 0;
      }
      frame = behind;
    }
  }

  private reorderList(batch: Batch, order: Int32Array, count: number): number {
    const direction = this.outbound;
    for (let index = 0; index < count; index++) {
      if (!direction.hits(this.settings.reorder)) {
        continue;
      }
      if (index + 1 < count) {
        const frame = order[index];
        order[index] = order[index + 1];
        order[index + 1] = frame;
        this.counts[Hit.reordered]++;
        index++;
      } else if (direction.hold(batch, order[index])) {
        return count - 1;
      }
    }
    return count;
  }
}
