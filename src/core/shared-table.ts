/**
 * A table several threads use at once. Whoever changes it holds its lock; whoever looks something up holds nothing and waits for nobody
 * but a change that is under way.
 *
 *     memory    [ version | ... | rows in use | ... ][ the owner's own words ][ rows ... ]      one SharedArrayBuffer
 *
 *     version even: quiet.  odd: somebody is changing the table.
 *     change    compareExchange(version, even, even + 1) ─▶ write ─▶ store(version, even + 2)
 *     look up   load(version), even? ─▶ probe, copy the row out ─▶ load(version), still the same? ─▶ decide on the copy; else once more
 *
 * One word is lock and seqlock at a time. A version per row would not do: removal moves rows, and a reader that passes a row on its way
 * back would miss it. All accesses that may meet another thread's are atomic, so their order is that of the language, not of one kind of
 * processor; an `Atomics.load` is a call (8 ns, measured), which the burst's memory of its last addresses keeps off most frames.
 *
 * Invariants: changes are bounded (one row, or a slice of a walk with `breathe` in between). Only one thread, the keeper, removes rows, so no
 * row moves while that thread walks the table. A thread that waits spins a little, then sleeps in steps of 50 µs: the one it waits for may
 * need its core.
 */
import { capacityFor, hashOf, LAYOUT, Table } from './table.js';

const VERSION = 0;
const { used: USED, size: SIZE, controlWords: CONTROL_WORDS } = LAYOUT;
const SPINS = 200;
const NAP_MILLIS = 0.05;
const BREATH_LOADS = 100;
/** Nobody writes it: waiting for it is sleeping. */
const QUIET = new Int32Array(new SharedArrayBuffer(4));

export class SharedTable extends Table {
  /** Words beside the table that belong to its owner, changed under the same lock. */
  readonly own: Int32Array;

  /**
   * @param memory made by `allocate` with the same arguments
   * @param ownWords how many words the owner keeps beside the table
   */
  constructor(memory: SharedArrayBuffer, limit: number, shift: number, ownWords = 0) {
    const rowsAt = rowsOffset(ownWords);
    super(
      limit,
      shift,
      new Int32Array(memory, 0, CONTROL_WORDS),
      new Int32Array(memory, rowsAt * 4, capacityFor(limit) << shift),
    );
    this.own = new Int32Array(memory, CONTROL_WORDS * 4, ownWords);
  }

  /** Memory of an empty table. What is not touched costs nothing. */
  static allocate(limit: number, shift: number, ownWords = 0): SharedArrayBuffer {
    return new SharedArrayBuffer((rowsOffset(ownWords) + (capacityFor(limit) << shift)) * 4);
  }

  override get size(): number {
    return Atomics.load(this.control, SIZE);
  }

  override copy(a: number, b: number, into: Int32Array): boolean {
    const { control, words, shift } = this;
    for (let attempt = 0; ; attempt++) {
      const version = Atomics.load(control, VERSION);
      if ((version & 1) === 0) {
        const row = this.probe(a, b);
        for (let word = USED; row >= 0 && word < 1 << shift; word++) {
          into[word] = Atomics.load(words, row + word);
        }
        if (Atomics.load(control, VERSION) === version) {
          into[0] = a;
          into[1] = b;
          return row >= 0;
        }
      }
      pause(attempt);
    }
  }

  override set(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }

  override lock(): void {
    const { control } = this;
    for (let attempt = 0; ; attempt++) {
      const version = Atomics.load(control, VERSION);
      if ((version & 1) === 0 && Atomics.compareExchange(control, VERSION, version, (version + 1) | 0) === version) {
        return;
      }
      pause(attempt);
    }
  }

  override unlock(): void {
    Atomics.add(this.control, VERSION, 1);
  }

  /** Leaves the lock alone for about a microsecond: taken back at once, nobody who looks something up would ever see a quiet table. */
  override breathe(): void {
    this.unlock();
    for (let turn = 0; turn < BREATH_LOADS; turn++) Atomics.load(this.control, VERSION);
    this.lock();
  }

  override insert(a: number, b: number): number {
    const { words, shift, mask } = this;
    let slot = hashOf(a, b) & mask;
    while (words[(slot << shift) + USED] !== 0) {
      slot = (slot + 1) & mask;
    }
    const row = slot << shift;
    this.set(row, a);
    this.set(row + 1, b);
    Atomics.add(this.control, SIZE, 1);
    return row;
  }

  protected override move(from: number, to: number): void {
    for (let word = 0; word < 1 << this.shift; word++) {
      this.set(to + word, this.words[from + word]);
    }
  }

  protected override free(row: number): void {
    for (let word = 0; word < 1 << this.shift; word++) {
      this.set(row + word, 0);
    }
    Atomics.sub(this.control, SIZE, 1);
  }

  /** `find` while others write: what it finds counts only if the version stayed. */
  private probe(a: number, b: number): number {
    const { words, shift, mask } = this;
    let slot = hashOf(a, b) & mask;
    for (let tried = 0; tried <= mask; tried++) {
      const row = slot << shift;
      if (Atomics.load(words, row) === a && Atomics.load(words, row + 1) === b && Atomics.load(words, row + USED) !== 0) {
        return row;
      }
      if (Atomics.load(words, row + USED) === 0) {
        return -1;
      }
      slot = (slot + 1) & mask;
    }
    return -1;
  }
}

/** Rows begin at a cache line. */
function rowsOffset(ownWords: number): number {
  return CONTROL_WORDS + ((ownWords + 15) & ~15);
}

function pause(attempt: number): void {
  if (attempt >= SPINS) {
    Atomics.wait(QUIET, 0, 0, NAP_MILLIS);
  }
}
