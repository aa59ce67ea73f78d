/**
 * The forwarding database: (VLAN, MAC) → port.
 *
 *     row = [ MAC, lower 32 bits | VLAN << 16 | MAC, upper 16 bits | (port + 1) << 8 | kind | last seen, seconds ]
 *
 * Invariants
 * - Only learned entries count towards the limits, age, and move. Static and local ones do none of it (L14, L16).
 * - A full table stops learning; what it knows stays, unknown destinations flood (L16). No live entry is evicted for a new one.
 * - An expired entry found by a lookup counts as absent (L15); `sweep` frees it later, a slice of the table per tick, so no pass of
 *   the engine ever walks the whole table.
 *
 * One thread uses it; several use a SharedFdb each over the same memory (shared-fdb.ts). What changes the table is between `lock` and
 * `unlock`, which are nothing here.
 *
 * Why not a Map: a key would be a string or BigInt per frame. Why not two tables (static, learned): one probe per lookup.
 */
import { Table } from '../core/table.js';

const ROW_SHIFT = 2;
const PORT_AND_KIND = 2;
const SEEN = 3;
/** Rows of a walk over the whole table between two moments in which other threads get in. */
const SLICE_WORDS = 256 << ROW_SHIFT;
/** The layout for shared-fdb.ts, as that of a table. */
export const FDB_ROW = { shift: ROW_SHIFT, portAndKind: PORT_AND_KIND, seen: SEEN } as const;
/** Static and local entries at most, where nobody says otherwise. */
export const STATIC_LIMIT = 4096;

/** Kinds of entries, in the low byte of the port word. */
export const EntryKind = { learned: 1, static: 2, local: 3 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** What became of a source address. */
export const Learned = { known: 0, added: 1, moved: 2, full: 3, refused: 4, pinned: 5, local: 6 } as const;
export type Learned = (typeof Learned)[keyof typeof Learned];

/** The second key word: VLAN id (0 untagged) over the MAC's upper 16 bits. */
export function fdbKey(vlan: number, macHigh: number): number {
  return (vlan << 16) | macHigh;
}

/** An entry as `entries` shows it. */
export interface FdbEntry {
  macHigh: number;
  macLow: number;
  vlan: number;
  port: number;
  kind: EntryKind;
  seen: number;
}

export class Fdb {
  /** Seconds; 0 turns learning off. */
  ageing: number;
  /** Port a moved entry was on before the last `learn` that returned `moved`. */
  movedFrom = -1;
  /** Learned entries at most. */
  protected limit: number;
  protected readonly staticLimit: number;
  protected table: Table;
  /** Learned entries of each port, and behind the last port of all. */
  protected learnedBy: Int32Array;
  protected readonly ports: number;
  protected sweepAt = 0;

  /**
   * @param limit learned entries at most
   * @param staticLimit static and local entries at most
   * @param ports number of ports of the engine
   */
  constructor(
    limit: number,
    ageing: number,
    ports: number,
    staticLimit = STATIC_LIMIT,
    table = new Table(limit + staticLimit, ROW_SHIFT),
    learnedBy: Int32Array = new Int32Array(ports + 1),
  ) {
    this.limit = limit;
    this.staticLimit = staticLimit;
    this.ageing = ageing;
    this.ports = ports;
    this.table = table;
    this.learnedBy = learnedBy;
  }

  /** Entries of all kinds. */
  get size(): number {
    return this.table.size;
  }

  /** Learned entries. */
  get learned(): number {
    return this.learnedBy[this.ports];
  }

  /**
   * Changes how many learned entries there may be. Those there are stay, also when they are more: nothing new is then learned until enough
   * have aged. A larger table is filled anew, so this is for settings, not for the loop.
   */
  setLimit(limit: number, _memory?: SharedArrayBuffer, _keeper?: boolean): void {
    this.limit = limit;
    if (limit + this.staticLimit <= this.table.limit) {
      return;
    }
    const old = this.table;
    this.table = new Table(limit + this.staticLimit, ROW_SHIFT);
    this.sweepAt = 0;
    this.fill(this.table, old);
  }

  /** Port of an address, or -1. */
  lookup(macLow: number, key: number, seconds: number): number {
    const row = this.table.find(macLow, key);
    if (row < 0) {
      return -1;
    }
    return this.expired(row, seconds) ? -1 : (this.table.words[row + PORT_AND_KIND] >>> 8) - 1;
  }

  /** Kind of the live entry of an address on exactly this port, or 0. */
  kindOn(macLow: number, key: number, port: number, seconds: number): number {
    const row = this.table.find(macLow, key);
    const word = row < 0 || this.expired(row, seconds) ? 0 : this.table.words[row + PORT_AND_KIND];
    return (word >>> 8) - 1 === port ? word & 0xff : 0;
  }

  /** Whether the address is the gateway's own. */
  isLocal(macLow: number, key: number): boolean {
    const row = this.table.find(macLow, key);
    return row >= 0 && (this.table.words[row + PORT_AND_KIND] & 0xff) === EntryKind.local;
  }

  /**
   * The common case of `learn`, small enough to be inlined into the loop: a live learned entry of this very port, whose time is renewed
   * (L12). Returns false for all else, which `learn` then looks at.
   */
  refresh(macLow: number, key: number, port: number, seconds: number): boolean {
    const row = this.table.find(macLow, key);
    if (row < 0) {
      return false;
    }
    const words = this.table.words;
    const age = (seconds - words[row + SEEN]) | 0;
    if (words[row + PORT_AND_KIND] !== (((port + 1) << 8) | EntryKind.learned) || age > this.ageing) {
      return false;
    }
    words[row + SEEN] = seconds;
    return true;
  }

  /** Takes note of a source address (L10–L16). `portLimit` 0 means the table's limit alone counts. */
  learn(macLow: number, key: number, port: number, portLimit: number, seconds: number): Learned {
    const row = this.table.find(macLow, key);
    if (row < 0) {
      return this.add(macLow, key, port, portLimit, seconds);
    }
    const words = this.table.words;
    const word = words[row + PORT_AND_KIND];
    const owner = (word >>> 8) - 1;
    if ((word & 0xff) !== EntryKind.learned) {
      return pinned(word, port);
    }
    const expired = this.expired(row, seconds);
    if (owner === port && !expired) {
      this.table.set(row + SEEN, seconds);
      return Learned.known;
    }
    // Of others' addresses too, or a port could collect any number by taking them. An expired one is absent (L15): it comes back as a new
    // address, within the limits, and is no move.
    const own = this.learnedBy[port] - (owner === port ? 1 : 0);
    if ((portLimit !== 0 && own >= portLimit) || (expired && this.learned > this.limit)) {
      return Learned.full;
    }
    this.table.set(row + SEEN, seconds);
    this.table.set(row + PORT_AND_KIND, ((port + 1) << 8) | EntryKind.learned);
    this.learnedBy[owner]--;
    this.learnedBy[port]++;
    this.movedFrom = owner;
    return expired ? Learned.added : Learned.moved;
  }

  /** Sets a static or local entry, replacing what was there. Returns false when the table has no room for it. */
  pin(macLow: number, key: number, port: number, kind: EntryKind): boolean {
    const { table } = this;
    table.lock();
    const known = table.find(macLow, key);
    if (known >= 0) {
      this.removeRow(known);
    }
    const fits = table.size - this.learned < this.staticLimit;
    if (fits) {
      table.set(table.insert(macLow, key) + PORT_AND_KIND, ((port + 1) << 8) | kind);
    }
    table.unlock();
    return fits;
  }

  /** Forgets an address, whatever its kind. Returns whether it was known. */
  remove(macLow: number, key: number): boolean {
    this.table.lock();
    const row = this.table.find(macLow, key);
    if (row >= 0) {
      this.removeRow(row);
    }
    this.table.unlock();
    return row >= 0;
  }

  /** Forgets what a port taught; with `all`, its static and local entries too (L17). Returns how many. */
  removePort(port: number, all: boolean): number {
    return this.removeWhere((word) => (word >>> 8) - 1 === port && (all || (word & 0xff) === EntryKind.learned));
  }

  /** Forgets all learned entries. Returns how many. */
  flush(): number {
    return this.removeWhere((word) => (word & 0xff) === EntryKind.learned);
  }

  /** Frees expired entries in the next `rows` rows of the table. Returns how many. */
  sweep(rows: number, seconds: number): number {
    if (this.learned === 0) {
      return 0;
    }
    const { table } = this;
    const end = table.words.length;
    let removed = 0;
    table.lock();
    for (let step = 0; step < rows; step++) {
      const row = this.sweepAt;
      if (row % SLICE_WORDS === 0) {
        table.breathe();
      }
      if (this.expired(row, seconds)) {
        // Another row may have moved here: look again before going on.
        this.removeRow(row);
        removed++;
      } else {
        this.sweepAt = row + (1 << ROW_SHIFT) === end ? 0 : row + (1 << ROW_SHIFT);
      }
    }
    table.unlock();
    return removed;
  }

  /** Rows of the table, for planning sweeps. */
  get rows(): number {
    return this.table.capacity;
  }

  /** Every live entry: for listings, not for the loop. */
  *entries(seconds: number): Generator<FdbEntry> {
    const { table } = this;
    const { words } = table;
    for (let row = 0; row < words.length; row += 1 << ROW_SHIFT) {
      if (!table.used(row)) {
        continue;
      }
      table.lock();
      const expired = this.expired(row, seconds);
      const [macLow, key, word, seen] = words.subarray(row, row + (1 << ROW_SHIFT));
      table.unlock();
      if (word !== 0 && !expired) {
        const kind = (word & 0xff) as EntryKind;
        yield { macHigh: key & 0xffff, macLow, vlan: key >>> 16, port: (word >>> 8) - 1, kind, seen };
      }
    }
  }

  private add(macLow: number, key: number, port: number, portLimit: number, seconds: number): Learned {
    if (this.ageing === 0) {
      return Learned.refused;
    }
    if (this.learned >= this.limit || (portLimit !== 0 && this.learnedBy[port] >= portLimit)) {
      return Learned.full;
    }
    const row = this.table.insert(macLow, key);
    this.table.set(row + SEEN, seconds);
    this.table.set(row + PORT_AND_KIND, ((port + 1) << 8) | EntryKind.learned);
    this.learnedBy[port]++;
    this.learnedBy[this.ports]++;
    return Learned.added;
  }

  /** Puts all that `from` holds into a larger table. */
  protected fill(to: Table, from: Table): void {
    const { words } = from;
    for (let row = 0; row < words.length; row += 1 << ROW_SHIFT) {
      if (from.used(row)) {
        const copy = to.insert(words[row], words[row + 1]);
        to.set(copy + SEEN, words[row + SEEN]);
        to.set(copy + PORT_AND_KIND, words[row + PORT_AND_KIND]);
      }
    }
  }

  private expired(row: number, seconds: number): boolean {
    const words = this.table.words;
    return (words[row + PORT_AND_KIND] & 0xff) === EntryKind.learned && seconds - words[row + SEEN] > this.ageing;
  }

  private removeWhere(matches: (word: number) => boolean): number {
    const { table } = this;
    const { words } = table;
    let removed = 0;
    table.lock();
    for (let row = 0; row < words.length; ) {
      if (row % SLICE_WORDS === 0) {
        table.breathe();
      }
      if (words[row + PORT_AND_KIND] !== 0 && matches(words[row + PORT_AND_KIND])) {
        this.removeRow(row);
        removed++;
      } else {
        row += 1 << ROW_SHIFT;
      }
    }
    table.unlock();
    return removed;
  }

  private removeRow(row: number): void {
    const word = this.table.words[row + PORT_AND_KIND];
    if ((word & 0xff) === EntryKind.learned) {
      this.learnedBy[(word >>> 8) - 1]--;
      this.learnedBy[this.ports]--;
    }
    this.table.remove(row);
  }
}

/** What becomes of the source address of a static or local entry. */
export function pinned(word: number, port: number): Learned {
  if ((word >>> 8) - 1 === port) {
    return Learned.known;
  }
  return (word & 0xff) === EntryKind.local ? Learned.local : Learned.pinned;
}
