/**
 * The flow table: every tracked connection, found by either of its two tuples (C1).
 *
 *     (source, destination, ports, kind) ─hash─▶ index ─▶ ref = flow × 2 + direction
 *                                                          │
 *        hot rows   [ both tuples | status | list | where to ] ◀┘      64 bytes, all a known frame needs
 *        cold rows  [ counters | TCP windows ]                         72 bytes
 *        index      [ tag | ref + 1 ] …                                4 slots of 4 bytes per flow, two of them used
 *        lists      one per timeout class, by the second last seen     head: who expires next (C24)
 *
 * Invariants
 * - Both tuples of a flow are in the index, and no two flows share one: `add` refuses what is taken.
 * - A flow's number never changes; the numbers of ended ones are given out again. `rows` is one above the highest ever used.
 * - The lists are ordered by `seen`, so expiry looks at heads only, and changed timeouts need no reordering.
 * - All memory is allotted at the start: 152 bytes per flow where the limit is a power of two. Its words are zero until touched, so an
 *   unused row costs nothing; free is a status of 0.
 *
 * The hash is seeded: nobody outside can choose tuples that meet in one place. Removal shifts the rest of a cluster back, so there are no
 * tombstones. The upper bits of a slot repeat those of the hash: without them each second lookup would read the row of another flow,
 * a cache line of its own.
 *
 * Why not one row per tuple: 64 bytes twice, and two places to keep alike. Why not a Map: a key would be a string or BigInt per frame.
 */
import {
  COLD,
  COLD_FLOATS,
  COLD_WORDS,
  FLOW,
  FLOW_SHIFT,
  NO_OWNER,
  type RemovalReason,
  Status,
  TUPLE_WORDS,
} from './flow-layout.js';
import { CLASS_COUNT } from './timeouts.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS, kind: KIND, status: STATUS } = FLOW;
const { rSource: R_SOURCE, rDestination: R_DESTINATION, rPorts: R_PORTS } = FLOW;
const { seen: SEEN, previous: PREVIOUS, next: NEXT, zones: ZONES, mapping: MAPPING, owner: OWNER } = FLOW;
const { oNextHop: O_NEXT_HOP, rNextHop: R_NEXT_HOP } = FLOW;
const { used: USED, fresh: FRESH, assured: ASSURED, classMask: CLASS_MASK, classShift: CLASS_SHIFT } = Status;
const { packets: PACKETS, carries: CARRIES, created: CREATED } = COLD;
const SHIFT = FLOW_SHIFT;
const TUPLE = TUPLE_WORDS;
const CARRY = 0x1_0000_0000;
/** How many used slots early drop looks at (D.4), and how many slots it takes for them at most. */
const EARLY_DROP_FLOWS = 8;
const EARLY_DROP_SLOTS = 32;

/** Why `add` returned -1. */
export const Refused = { none: 0, full: 1, quota: 2, taken: 3 } as const;

export interface FlowTableOptions {
  /** Flows at most. */
  limit: number;
  /** Owners are numbers below this. */
  ownerCapacity: number;
  /** Flows of one owner at most (D.4). */
  ownerLimit: number;
  /** Seed of the hash, an int32 nobody outside knows. */
  seed: number;
  /** Told of each flow that ends, its row still whole. It may not add or remove flows. */
  onRemove: (flow: number, reason: RemovalReason) => void;
}

/** Slots of the index: a power of two, at least four for each flow. */
function slotsFor(limit: number): number {
  let slots = 64;
  while (slots < limit * 4) {
    slots *= 2;
  }
  return slots;
}

export class FlowTable {
  /** Hot rows; see `FLOW`. */
  readonly words: Int32Array;
  /** Cold rows; see `COLD`. */
  readonly cold: Int32Array;
  /** The same cold rows: bytes of a direction at flow × COLD_FLOATS + direction. */
  readonly floats: Float64Array;
  readonly limit: number;
  /** Flows of one owner at most. A lower one ends nothing, it only lets nothing more in. */
  ownerLimit: number;
  /** Live flows. */
  size = 0;
  /** A number of `Refused`, of the last `add`. */
  refused = 0;
  /** Of no meaning. */
  protected prefetched = 0;
  private highest = 0;
  private free = -1;
  private readonly index: Int32Array;
  private readonly slotMask: number;
  private readonly refMask: number;
  private readonly tagMask: number;
  private readonly seed: number;
  private readonly heads = new Int32Array(CLASS_COUNT).fill(-1);
  private readonly tails = new Int32Array(CLASS_COUNT).fill(-1);
  private readonly owned: Int32Array;
  private readonly onRemove: (flow: number, reason: RemovalReason) => void;

  /** @param memory `bytesFor(limit)` zero bytes; made here when absent */
  constructor(options: FlowTableOptions, memory: ArrayBufferLike = new ArrayBuffer(FlowTable.bytesFor(options.limit))) {
    const { limit } = options;
    const slots = slotsFor(limit);
    const coldAt = (limit << SHIFT) * 4;
    this.words = new Int32Array(memory, 0, limit << SHIFT);
    this.cold = new Int32Array(memory, coldAt, limit * COLD_WORDS);
    this.floats = new Float64Array(memory, coldAt, limit * COLD_FLOATS);
    this.index = new Int32Array(memory, coldAt + limit * COLD_WORDS * 4, slots);
    this.limit = limit;
    this.ownerLimit = options.ownerLimit;
    this.slotMask = slots - 1;
    // A slot's number of bits holds any ref + 1: refs are fewer than slots.
    this.refMask = slots - 1;
    this.tagMask = ~this.refMask;
    this.seed = options.seed | 0;
    this.owned = new Int32Array(options.ownerCapacity);
    this.onRemove = options.onRemove;
  }

  /** Bytes of memory for a table of `limit` flows. */
  static bytesFor(limit: number): number {
    return (limit << SHIFT) * 4 + limit * COLD_WORDS * 4 + slotsFor(limit) * 4;
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

  /**
   * A new flow, or -1; then `refused` says why. Words it is not told stay 0; next hops are the caller's to set.
   *
   * @param owner word of the row: owner | route generation << 16
   * @param timeoutClass its list
   */
  add(
    source: number,
    destination: number,
    ports: number,
    kind: number,
    rSource: number,
    rDestination: number,
    rPorts: number,
    owner: number,
    timeoutClass: number,
    seconds: number,
  ): number {
    this.refused = this.refusal(source, destination, ports, kind, rSource, rDestination, rPorts, owner & 0xffff);
    if (this.refused !== Refused.none) {
      return -1;
    }
    const { words, cold } = this;
    const flow = this.takeNumber();
    const row = flow << SHIFT;
    words[row + O_SOURCE] = source;
    words[row + O_DESTINATION] = destination;
    words[row + O_PORTS] = ports;
    words[row + R_SOURCE] = rSource;
    words[row + R_DESTINATION] = rDestination;
    words[row + R_PORTS] = rPorts;
    words[row + KIND] = kind;
    words[row + STATUS] = USED | FRESH | (timeoutClass << CLASS_SHIFT);
    words[row + ZONES] = 0;
    words[row + O_NEXT_HOP] = 0;
    words[row + R_NEXT_HOP] = 0;
    words[row + MAPPING] = -1;
    words[row + OWNER] = owner;
    cold.fill(0, flow * COLD_WORDS, (flow + 1) * COLD_WORDS);
    cold[flow * COLD_WORDS + CREATED] = seconds;
    this.append(flow, timeoutClass, seconds);
    this.enter(flow << 1, hashOf(source, destination, ports, kind, this.seed));
    this.enter((flow << 1) | 1, hashOf(rSource, rDestination, rPorts, kind, this.seed));
    if ((owner & 0xffff) !== NO_OWNER) {
      this.owned[owner & 0xffff]++;
    }
    this.size++;
    return flow;
  }

  /** Ends a live flow. */
  remove(flow: number, reason: RemovalReason): void {
    this.onRemove(flow, reason);
    const { words } = this;
    const row = flow << SHIFT;
    const kind = words[row + KIND];
    this.leave(flow << 1, hashOf(words[row], words[row + O_DESTINATION], words[row + O_PORTS], kind, this.seed));
    this.leave((flow << 1) | 1, hashOf(words[row + R_SOURCE], words[row + R_DESTINATION], words[row + R_PORTS], kind, this.seed));
    this.unlink(flow);
    const owner = words[row + OWNER] & 0xffff;
    if (owner !== NO_OWNER) {
      this.owned[owner]--;
    }
    words[row + STATUS] = 0;
    words[row + NEXT] = this.free;
    this.free = flow;
    this.size--;
  }

  /** Renews a flow's time, and puts it into the list of its class. A flow already seen this second in its class costs two loads. */
  touch(flow: number, timeoutClass: number, seconds: number): void {
    const { words } = this;
    const row = flow << SHIFT;
    const status = words[row + STATUS];
    if (words[row + SEEN] === seconds && (status & CLASS_MASK) >> CLASS_SHIFT === timeoutClass) {
      return;
    }
    this.unlink(flow);
    words[row + STATUS] = (status & ~CLASS_MASK) | (timeoutClass << CLASS_SHIFT);
    this.append(flow, timeoutClass, seconds);
  }

  /** Counts a frame of `bytes` that stands for `packets` packets on a wire (G41). */
  account(flow: number, direction: number, bytes: number, packets: number): void {
    const { cold } = this;
    this.floats[flow * COLD_FLOATS + direction] += bytes;
    const row = flow * COLD_WORDS;
    const total = (cold[row + PACKETS + direction] >>> 0) + packets;
    cold[row + PACKETS + direction] = total | 0;
    if (total >= CARRY) {
      cold[row + CARRIES] += direction === 0 ? 1 : 0x1_0000;
    }
  }

  bytesOf(flow: number, direction: number): number {
    return this.floats[flow * COLD_FLOATS + direction];
  }

  packetsOf(flow: number, direction: number): number {
    const row = flow * COLD_WORDS;
    const carry = (this.cold[row + CARRIES] >>> (direction * 16)) & 0xffff;
    return carry * CARRY + (this.cold[row + PACKETS + direction] >>> 0);
  }

  /** Who has been in this class without a frame for longest, or -1. */
  oldest(timeoutClass: number): number {
    return this.heads[timeoutClass];
  }

  classOf(flow: number): number {
    return (this.words[(flow << SHIFT) + STATUS] & CLASS_MASK) >> CLASS_SHIFT;
  }

  used(flow: number): boolean {
    return this.words[(flow << SHIFT) + STATUS] !== 0;
  }

  /** One above the highest flow number ever used. */
  rows(): number {
    return this.highest;
  }

  /** Live flows of an owner. */
  sizeOf(owner: number): number {
    return this.owned[owner];
  }

  /** Whether the owner has its share of the table. */
  hasShare(owner: number): boolean {
    return owner !== NO_OWNER && this.owned[owner] >= this.ownerLimit;
  }

  /** Ends the live flows from number `from` up to before `to` that match. Returns how many. For settings, not for frames. */
  removeWhere(matches: (flow: number) => boolean, reason: RemovalReason, from = 0, to = this.highest): number {
    let removed = 0;
    const end = Math.min(to, this.highest);
    for (let flow = from; flow < end; flow++) {
      if (this.used(flow) && matches(flow)) {
        this.remove(flow, reason);
        removed++;
      }
    }
    return removed;
  }

  /**
   * Early drop (D.4): the flow near the place of this tuple that is not assured and has been idle for longest, or -1. "Near" is chance, as
   * the hash is seeded, so a flood mostly drops its own flows.
   *
   * @param owner only a flow of this one; NO_OWNER: of anybody
   */
  victim(source: number, destination: number, ports: number, kind: number, owner: number): number {
    const { index, words, slotMask, refMask } = this;
    let slot = hashOf(source, destination, ports, kind, this.seed) & slotMask;
    let victim = -1;
    let looked = 0;
    for (let step = 0; step < EARLY_DROP_SLOTS && looked < EARLY_DROP_FLOWS; step++) {
      const entry = index[slot];
      slot = (slot + 1) & slotMask;
      if (entry !== 0) {
        looked++;
        const flow = ((entry & refMask) - 1) >> 1;
        const row = flow << SHIFT;
        const open = (words[row + STATUS] & ASSURED) === 0;
        const eligible = owner === NO_OWNER || (words[row + OWNER] & 0xffff) === owner;
        if (open && eligible && (victim < 0 || ((words[row + SEEN] - words[(victim << SHIFT) + SEEN]) | 0) < 0)) {
          victim = flow;
        }
      }
    }
    return victim;
  }

  /** Of the first `looks` flows of a class, the longest idle first, one of this owner that is not assured, or -1. */
  oldestOpenOf(owner: number, timeoutClass: number, looks: number): number {
    const { words } = this;
    let flow = this.heads[timeoutClass];
    for (let look = 0; look < looks && flow >= 0; look++) {
      const row = flow << SHIFT;
      if ((words[row + OWNER] & 0xffff) === owner && (words[row + STATUS] & ASSURED) === 0) {
        return flow;
      }
      flow = words[row + NEXT];
    }
    return -1;
  }

  private refusal(
    source: number,
    destination: number,
    ports: number,
    kind: number,
    rSource: number,
    rDestination: number,
    rPorts: number,
    owner: number,
  ): number {
    if (this.hasShare(owner)) {
      return Refused.quota;
    }
    if (this.find(source, destination, ports, kind) >= 0 || this.find(rSource, rDestination, rPorts, kind) >= 0) {
      return Refused.taken;
    }
    return this.size >= this.limit ? Refused.full : Refused.none;
  }

  private takeNumber(): number {
    const flow = this.free;
    if (flow < 0) {
      return this.highest++;
    }
    this.free = this.words[(flow << SHIFT) + NEXT];
    return flow;
  }

  private append(flow: number, timeoutClass: number, seconds: number): void {
    const { words, tails } = this;
    const row = flow << SHIFT;
    const tail = tails[timeoutClass];
    words[row + SEEN] = seconds;
    words[row + PREVIOUS] = tail;
    words[row + NEXT] = -1;
    if (tail < 0) {
      this.heads[timeoutClass] = flow;
    } else {
      words[(tail << SHIFT) + NEXT] = flow;
    }
    tails[timeoutClass] = flow;
  }

  private unlink(flow: number): void {
    const { words } = this;
    const row = flow << SHIFT;
    const timeoutClass = (words[row + STATUS] & CLASS_MASK) >> CLASS_SHIFT;
    const previous = words[row + PREVIOUS];
    const next = words[row + NEXT];
    if (previous < 0) {
      this.heads[timeoutClass] = next;
    } else {
      words[(previous << SHIFT) + NEXT] = next;
    }
    if (next < 0) {
      this.tails[timeoutClass] = previous;
    } else {
      words[(next << SHIFT) + PREVIOUS] = previous;
    }
  }

  private enter(ref: number, hash: number): void {
    const { index, slotMask } = this;
    let slot = hash & slotMask;
    while (index[slot] !== 0) {
      slot = (slot + 1) & slotMask;
    }
    index[slot] = (hash & this.tagMask) | (ref + 1);
  }

  private leave(ref: number, hash: number): void {
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
function hashOf(source: number, destination: number, ports: number, kind: number, seed: number): number {
  let h = Math.imul(source ^ seed, 0xcc9e2d51);
  h = Math.imul(h ^ (h >>> 15) ^ destination, 0x1b873593);
  h = Math.imul(h ^ (h >>> 15) ^ ports, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16) ^ kind, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
