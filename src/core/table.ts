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
 */

/** Word of a row that its owner keeps non-zero. */
const USED = 2;

export class Table {
  readonly words: Int32Array;
  /** log2 of the words of a row. */
  readonly shift: number;
  readonly capacity: number;
  /** Rows that may be in use. */
  readonly limit: number;
  /** Rows in use. */
  size = 0;
  private readonly mask: number;

  /**
   * @param limit rows that fit; about twice as many are allotted, rounded up to a power of two
   * @param shift log2 of the words of a row, at least 2
   */
  constructor(limit: number, shift: number) {
    let capacity = 64;
    while (capacity * 8 < limit * 15) {
      capacity *= 2;
    }
    this.capacity = capacity;
    this.limit = limit;
    this.mask = capacity - 1;
    this.shift = shift;
    this.words = new Int32Array(capacity << shift);
  }

  /** Word index of the row with these keys, or -1. */
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

  /**
   * Word index of a new row with these keys, all other words zero; the caller sets the used word before the next call.
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
    this.size++;
    return row;
  }

  /** Frees a row. A row behind it may move into its place: who walks the table looks at the same row again. */
  remove(row: number): void {
    const words = this.words;
    const shift = this.shift;
    const width = 1 << shift;
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
        words.copyWithin(hole << shift, candidate, candidate + width);
        hole = slot;
      }
    }
    words.fill(0, hole << shift, (hole + 1) << shift);
    this.size--;
  }

  /** Whether the row at this word index is in use. */
  used(row: number): boolean {
    return this.words[row + USED] !== 0;
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
