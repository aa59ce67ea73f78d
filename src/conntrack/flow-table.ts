/**
 * The flow table: every tracked connection, found by either of its two tuples (C1).
 *
 *     (source, destination, ports, kind) ─▶ index (flow-index.ts) ─▶ ref = flow × 2 + direction
 *                                                                     │
 *        hot rows   [ both tuples | status | list | where to ] ◀──────┘    64 bytes, all a known frame needs
 *        cold rows  [ counters | TCP windows ]                             72 bytes
 *        lists      one per timeout class, by the second last seen         head: who expires next (C24)
 *
 * Invariants
 * - Both tuples of a flow are in the index, and no two flows share one: `add` refuses what is taken.
 * - A flow's number never changes; the numbers of ended ones are given out again. `rows` is one above the highest ever used.
 * - The lists are ordered by `seen`, so expiry looks at heads only, and changed timeouts need no reordering.
 * - All memory is allotted at the start: 152 bytes per flow where the limit is a power of two. Its words are zero until touched, so an
 *   unused row costs nothing; free is a status of 0.
 *
 * Rows may lie in a file that outlives the process (control/flow-file.ts); then `adopt` takes over what another process left. Everything else is made
 * anew from the rows: index, lists, counts, free numbers. The process may have ended between any two writes, so
 * - a row counts as a flow from the moment it is no longer fresh: that is written by the flow's first tracked frame, when all other words stand;
 * - a row whose kind is 0 was never used, nor was any behind it: a kind is never taken back, so there is no need to look at the whole file;
 * - the words of a row are checked like those of a stranger (flow-row.ts), and a tuple that another flow has is no flow.
 * What a processor has carried out when it is taken away is in memory, in the order of the program: the file needs no barrier, and no write-back.
 *
 * Why not one row per tuple: 64 bytes twice, and two places to keep alike. Why not a Map: a key would be a string or BigInt per frame.
 */

import { FlowIndex, hashOf, slotsFor } from './flow-index.js';
import { COLD, COLD_FLOATS, COLD_WORDS, FLOW, FLOW_SHIFT, NO_OWNER, type RemovalReason, Status } from './flow-layout.js';
import { isWhole } from './flow-row.js';
import { CLASS_COUNT } from './timeouts.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS, kind: KIND, status: STATUS } = FLOW;
const { rSource: R_SOURCE, rDestination: R_DESTINATION, rPorts: R_PORTS } = FLOW;
const { seen: SEEN, previous: PREVIOUS, next: NEXT, zones: ZONES, mapping: MAPPING, owner: OWNER } = FLOW;
const { oNextHop: O_NEXT_HOP, rNextHop: R_NEXT_HOP } = FLOW;
const { used: USED, fresh: FRESH, assured: ASSURED, classMask: CLASS_MASK, classShift: CLASS_SHIFT } = Status;
const { packets: PACKETS, carries: CARRIES, created: CREATED } = COLD;
const SHIFT = FLOW_SHIFT;
const CARRY = 0x1_0000_0000;
/** A key that orders adopted flows by age, then by number: 29 bits of seconds above 23 bits, which hold any flow's number. */
const AGE_MAX = 2 ** 29 - 1;
const NUMBERS = 2 ** 23;
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

/** Rows that lie in memory of their own: `FlowTable.rowBytesFor(limit)` from `at` on, a multiple of 64. */
export interface RowMemory {
  buffer: ArrayBufferLike;
  at: number;
}

export class FlowTable extends FlowIndex {
  /** The cold rows: bytes of a direction at flow × COLD_FLOATS + direction. */
  readonly floats: Float64Array;
  readonly limit: number;
  /** Flows of one owner at most. A lower one ends nothing, it only lets nothing more in. */
  ownerLimit: number;
  /** Live flows. */
  size = 0;
  /** A number of `Refused`, of the last `add`. */
  refused = 0;
  private highest = 0;
  private free = -1;
  private readonly heads = new Int32Array(CLASS_COUNT).fill(-1);
  private readonly tails = new Int32Array(CLASS_COUNT).fill(-1);
  private readonly owned: Int32Array;
  private readonly onRemove: (flow: number, reason: RemovalReason) => void;

  /**
   * @param memory `bytesFor(limit)` zero bytes; made here when absent. With `rows` only the index lies in it, and `bytesFor` less `rowBytesFor` will do
   * @param rows where the rows are; zeros, or what `adopt` shall take over
   */
  constructor(options: FlowTableOptions, memory?: ArrayBufferLike, rows?: RowMemory) {
    const { limit } = options;
    const rowBytes = FlowTable.rowBytesFor(limit);
    const own = memory ?? new ArrayBuffer(FlowTable.bytesFor(limit) - (rows === undefined ? 0 : rowBytes));
    const { buffer, at } = rows ?? { buffer: own, at: 0 };
    const coldAt = at + (limit << SHIFT) * 4;
    const words = new Int32Array(buffer, at, limit << SHIFT);
    const cold = new Int32Array(buffer, coldAt, limit * COLD_WORDS);
    super(words, cold, new Int32Array(own, rows === undefined ? rowBytes : 0, slotsFor(limit)), options.seed);
    this.floats = new Float64Array(buffer, coldAt, limit * COLD_FLOATS);
    this.limit = limit;
    this.ownerLimit = options.ownerLimit;
    this.owned = new Int32Array(options.ownerCapacity);
    this.onRemove = options.onRemove;
  }

  /** Bytes of memory for a table of `limit` flows. */
  static bytesFor(limit: number): number {
    return FlowTable.rowBytesFor(limit) + slotsFor(limit) * 4;
  }

  /** Bytes of its rows alone. */
  static rowBytesFor(limit: number): number {
    return limit * ((1 << SHIFT) + COLD_WORDS) * 4;
  }

  /**
   * Takes over the flows that another process left in the rows, in their order of expiry. Only for a table without a flow.
   *
   * @param accept asked last of a row that is whole: what else must hold of a flow. It may write to the row's zones, mapping and owner, and may not
   *   add or remove flows
   * @returns how many there are
   */
  adopt(seconds: number, accept: (flow: number) => boolean): number {
    const { words, limit } = this;
    while (this.highest < limit && words[(this.highest << SHIFT) + KIND] !== 0) this.highest++;
    const keys = new Float64Array(this.highest);
    for (let flow = 0; flow < this.highest; flow++) {
      if (this.takeOver(flow, seconds, accept)) {
        const age = Math.min((seconds - words[(flow << SHIFT) + SEEN]) | 0, AGE_MAX);
        keys[this.size++] = (AGE_MAX - age) * NUMBERS + flow;
      } else {
        this.giveNumber(flow);
      }
    }
    for (const key of keys.subarray(0, this.size).sort()) {
      const flow = key % NUMBERS;
      this.append(flow, this.classOf(flow), words[(flow << SHIFT) + SEEN]);
    }
    return this.size;
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
    words[row + ZONES] = 0;
    words[row + O_NEXT_HOP] = 0;
    words[row + R_NEXT_HOP] = 0;
    words[row + MAPPING] = -1;
    words[row + OWNER] = owner;
    cold.fill(0, flow * COLD_WORDS, (flow + 1) * COLD_WORDS);
    cold[flow * COLD_WORDS + CREATED] = seconds;
    words[row + STATUS] = USED | FRESH | (timeoutClass << CLASS_SHIFT);
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
    this.giveNumber(flow);
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

  private takeOver(flow: number, seconds: number, accept: (flow: number) => boolean): boolean {
    const { words, owned } = this;
    if (!isWhole(this, flow, owned.length, seconds)) {
      return false;
    }
    const row = flow << SHIFT;
    const kind = words[row + KIND];
    const original = [words[row], words[row + O_DESTINATION], words[row + O_PORTS], kind] as const;
    const reply = [words[row + R_SOURCE], words[row + R_DESTINATION], words[row + R_PORTS], kind] as const;
    if (this.find(...original) >= 0 || this.find(...reply) >= 0 || !accept(flow)) {
      return false;
    }
    this.enter(flow << 1, hashOf(...original, this.seed));
    this.enter((flow << 1) | 1, hashOf(...reply, this.seed));
    const owner = words[row + OWNER] & 0xffff;
    if (owner !== NO_OWNER) {
      owned[owner]++;
    }
    return true;
  }

  /** The number of a row that is no flow any more, for the next one. */
  private giveNumber(flow: number): void {
    const row = flow << SHIFT;
    this.words[row + STATUS] = 0;
    this.words[row + NEXT] = this.free;
    this.free = flow;
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
}
