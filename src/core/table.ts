/**
 * A hash table of int32 rows: the one shape behind the FDB and the neighbor table.
 *
 *     row = [ key a | key b | used word | ... ]      2^shift words a row, so a row of 4 words never crosses a cache line
 *
 * Open addressing with linear probing at a load of at most 8/15 (so that 65,536 + 4,096 rows of 16 bytes fit 2 MiB, an L2 cache);
 * removal shifts the rest of the cluster back, so there are no tombstones and a lookup stays one or two cache lines for the life of the
 * table. The third word says whether a row is in use: 0 = free, because fresh memory is zero and costs nothing until touched (the one place
 * where empty is not -1).
 * Row numbers are borrowed: any insert or remove may move rows.
 *
 * One thread uses it; several share a SharedTable (shared-table.ts), for which the owners below say what belongs together: they change the
 * table between `lock` and `unlock`, write rows through `set`, and read what others may change at the same time through `copy`. Here all
 * of it is plain memory, and the lock nothing.
 */

/** Word of a row that its owner keeps non-zero. */
const USED = 2;

/** Where the number of rows in use stands among the control words. */
const SIZE = 16;
/** Control words of a table: two cache lines, so that who counts rows does not disturb who looks at the first (shared-table.ts). */
const CONTROL_WORDS = 32;

/** The layout for shared-table.ts; not the constants themselves, because an exported one is loaded anew at each use (3 % of a decision). */
export const LAYOUT = { used: USED, size: SIZE, controlWords: CONTROL_WORDS } as const;

/** Rows allotted for `limit` rows in use. */
export function capacityFor(limit: number): number {
  let capacity = 64;
  while (capacity * 8 < limit * 15) {
    capacity *= 2;
  }
  return capacity;
}

export class Table {
  readonly words: Int32Array;
  /** log2 of the words of a row. */
  readonly shift: number;
  readonly capacity: number;
  /** Rows that may be in use. */
  readonly limit: number;
  protected readonly control: Int32Array;
  protected readonly mask: number;

  /**
   * @param limit rows that fit; about twice as many are allotted, rounded up to a power of two
   * @param shift log2 of the words of a row, at least 2
   * @param control, words memory of the table, zeros
   */
  constructor(
    limit: number,
    shift: number,
    control: Int32Array = new Int32Array(CONTROL_WORDS),
    words: Int32Array = new Int32Array(capacityFor(limit) << shift),
  ) {
    this.capacity = capacityFor(limit);
    this.limit = limit;
    this.mask = this.capacity - 1;
    this.shift = shift;
    this.control = control;
    this.words = words;
  }

  /** Rows in use. */
  get size(): number {
    return this.control[SIZE];
  }

  /** Word index of the row with these keys, or -1. Of a shared table under the lock only: see `copy`. */
  find(a: number, b: number): number {
    const words = this.words;
    const shift = this.shift;
    let slot = hash(a, b) & this.mask;
    for (;;) {
      const row = slot << shift;
      if (words[row + USED] === 0) {
        return -1;
      }
      if (words[row] === a && words[row + 1] === b) {
        return row;
      }
      slot = (slot + 1) & this.mask;
    }
  }

  /** Copies the row with these keys to `into`, as it was at one moment. Returns false when there is none. */
  copy(a: number, b: number, into: Int32Array): boolean {
    const row = this.find(a, b);
    if (row < 0) {
      return false;
    }
    for (let word = 0; word < 1 << this.shift; word++) {
      into[word] = this.words[row + word];
    }
    return true;
  }

  /** Sets a word of a row. */
  set(word: number, value: number): void {
    this.words[word] = value;
  }

  /** Begins a change; others wait until `unlock`. Bounded work only in between. */
  lock(): void {}

  unlock(): void {}

  /** Lets others in for a moment: between the slices of a walk over the whole table. */
  breathe(): void {
    this.unlock();
    this.lock();
  }

  /**
   * Word index of a new row with these keys, all other words zero; the caller sets the used word last, and before the next call.
   * The keys must not be present and the owner keeps `size` below its limit.
   */
  insert(a: number, b: number): number {
    const words = this.words;
    let slot = hash(a, b) & this.mask;
    while (words[(slot << this.shift) + USED] !== 0) {
      slot = (slot + 1) & this.mask;
    }
    const row = slot << this.shift;
    words[row] = a;
    words[row + 1] = b;
    this.control[SIZE]++;
    return row;
  }

  /** Frees a row. A row behind it may move into its place: who walks the table looks at the same row again. */
  remove(row: number): void {
    const words = this.words;
    const shift = this.shift;
    let hole = row >> shift;
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & this.mask;
      const candidate = slot << shift;
      if (words[candidate + USED] === 0) {
        break;
      }
      const home = hash(words[candidate], words[candidate + 1]) & this.mask;
      // The candidate may fill the hole unless its home lies cyclically behind the hole.
      if (((slot - home) & this.mask) >= ((slot - hole) & this.mask)) {
        this.move(candidate, hole << shift);
        hole = slot;
      }
    }
    this.free(hole << shift);
  }

  /** Whether the row at this word index is in use. */
  used(row: number): boolean {
    return this.words[row + USED] !== 0;
  }

  protected move(from: number, to: number): void {
    this.words.copyWithin(to, from, from + (1 << this.shift));
  }

  protected free(row: number): void {
    this.words.fill(0, row, row + (1 << this.shift));
    this.control[SIZE]--;
  }
}

/** Mixes two int32 keys; the final steps are those of MurmurHash3's 32-bit finalizer (public domain). */
function hash(a: number, b: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ b;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Where a row with these keys would best lie, before it is cut to the capacity. */
export function hashOf(a: number, b: number): number {
  return hash(a, b);
}
