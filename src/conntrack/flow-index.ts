/**
 * The index of the flow table: a flow by either of its two tuples (C1).
 *
 *     (source, destination, ports, kind) ─hash─▶ slot [ tag | ref + 1 ] ─▶ ref = flow × 2 + direction ─▶ the row's tuple, compared
 *
 * Open addressing, four slots of 4 bytes for each flow, two of them used. The hash is seeded: nobody outside can choose tuples that meet in one place.
 * Removal shifts the rest of a cluster back, so there are no tombstones. The upper bits of a slot repeat those of the hash: without them each second
 * look-up would read the row of another flow, a cache line of its own.
 *
 * It is derived from the rows: it never lies in a file, and is made anew from rows that do (flow-table.ts, `adopt`).
 */
import { COLD_WORDS, FLOW, FLOW_SHIFT, TUPLE_WORDS } from './flow-layout.js';

const { oDestination: O_DESTINATION, oPorts: O_PORTS, kind: KIND, status: STATUS } = FLOW;
const SHIFT = FLOW_SHIFT;
const TUPLE = TUPLE_WORDS;

/** Slots of the index: a power of two, at least four for each flow. */
export function slotsFor(limit: number): number {
  let slots = 64;
  while (slots < limit * 4) {
    slots *= 2;
  }
  return slots;
}

export class FlowIndex {
  /** Hot rows; see `FLOW`. */
  readonly words: Int32Array;
  /** Cold rows; see `COLD`. */
  readonly cold: Int32Array;
  /** Of no meaning. */
  protected prefetched = 0;
  protected readonly index: Int32Array;
  protected readonly slotMask: number;
  protected readonly refMask: number;
  protected readonly seed: number;
  private readonly tagMask: number;

  /** @param index `slotsFor(limit)` zeros */
  constructor(words: Int32Array, cold: Int32Array, index: Int32Array, seed: number) {
    this.words = words;
    this.cold = cold;
    this.index = index;
    this.slotMask = index.length - 1;
    // A slot's number of bits holds any ref + 1: refs are fewer than slots.
    this.refMask = index.length - 1;
    this.tagMask = ~this.refMask;
    this.seed = seed | 0;
  }

  /** Ref of the flow with this tuple, whatever its age, or -1. */
  find(source: number, destination: number, ports: number, kind: number): number {
    const { index, words, slotMask, refMask, tagMask } = this;
    const hash = hashOf(source, destination, ports, kind, this.seed);
    let slot = hash & slotMask;
    for (;;) {
      const entry = index[slot];
      if (entry === 0) {
        return -1;
      }
      if (((entry ^ hash) & tagMask) === 0) {
        const ref = (entry & refMask) - 1;
        const row = (ref >> 1) << SHIFT;
        const tuple = row + (ref & 1) * TUPLE;
        if (
          words[tuple] === source &&
          words[tuple + O_DESTINATION] === destination &&
          words[tuple + O_PORTS] === ports &&
          words[row + KIND] === kind
        ) {
          return ref;
        }
      }
      slot = (slot + 1) & slotMask;
    }
  }

  /** Where the flow of a tuple most likely is: for `prefetch` and `confirm`. 0: nowhere. */
  hint(source: number, destination: number, ports: number, kind: number): number {
    return this.index[hashOf(source, destination, ports, kind, this.seed) & this.slotMask];
  }

  /**
   * Asks memory for the rows of `count` hints, all at once: the processor waits for many lines no longer than for one, while look-ups one after the
   * other wait for each. A hint may be another flow's: then a line was asked for in vain.
   */
  prefetch(hints: Int32Array, count: number): void {
    const { words, cold, refMask } = this;
    let sum = 0;
    for (let at = 0; at < count; at++) {
      const flow = ((hints[at] & refMask) - 1) >> 1;
      if (flow >= 0) {
        sum ^= words[flow << SHIFT] ^ cold[flow * COLD_WORDS];
      }
    }
    // Or the loads would be for nothing, and the compiler would know.
    this.prefetched = sum;
  }

  /** `find` with a hint, however old: the ref, or -1 when it is not this tuple's. */
  confirm(hint: number, source: number, destination: number, ports: number, kind: number): number {
    const { words } = this;
    const ref = (hint & this.refMask) - 1;
    if (ref < 0) {
      return -1;
    }
    const row = (ref >> 1) << SHIFT;
    const tuple = row + (ref & 1) * TUPLE;
    return words[tuple] === source &&
      words[tuple + O_DESTINATION] === destination &&
      words[tuple + O_PORTS] === ports &&
      words[row + KIND] === kind &&
      words[row + STATUS] !== 0
      ? ref
      : -1;
  }

  protected enter(ref: number, hash: number): void {
    const { index, slotMask } = this;
    let slot = hash & slotMask;
    while (index[slot] !== 0) {
      slot = (slot + 1) & slotMask;
    }
    index[slot] = (hash & this.tagMask) | (ref + 1);
  }

  protected leave(ref: number, hash: number): void {
    const { index, slotMask, refMask } = this;
    let hole = hash & slotMask;
    while ((index[hole] & refMask) !== ref + 1) {
      hole = (hole + 1) & slotMask;
    }
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & slotMask;
      const entry = index[slot];
      if (entry === 0) {
        break;
      }
      // It may fill the hole unless its home lies cyclically behind the hole.
      const home = this.homeOf((entry & refMask) - 1);
      if (((slot - home) & slotMask) >= ((slot - hole) & slotMask)) {
        index[hole] = entry;
        hole = slot;
      }
    }
    index[hole] = 0;
  }

  private homeOf(ref: number): number {
    const { words } = this;
    const row = (ref >> 1) << SHIFT;
    const tuple = row + (ref & 1) * TUPLE;
    const hash = hashOf(words[tuple], words[tuple + O_DESTINATION], words[tuple + O_PORTS], words[row + KIND], this.seed);
    return hash & this.slotMask;
  }
}

/** Four words to one, a multiplication each; the last steps are those of MurmurHash3's 32-bit finalizer (public domain). */
export function hashOf(source: number, destination: number, ports: number, kind: number, seed: number): number {
  let h = Math.imul(source ^ seed, 0xcc9e2d51);
  h = Math.imul(h ^ (h >>> 15) ^ destination, 0x1b873593);
  h = Math.imul(h ^ (h >>> 15) ^ ports, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16) ^ kind, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
