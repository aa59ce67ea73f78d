/**
 * Neighbors: IPv4 address → MAC, what the ARP proxy answers from.
 *
 *     row = [ IPv4 address | 0 | kind | MAC, lower 32 bits | MAC, upper 16 bits | confirmed, seconds | changed, seconds | - ]
 *
 * Static neighbors come from who attached the port: they do not age and no frame overwrites them (A10). Learned ones come from ARP
 * packets that pass; they count only for a minute after they were last confirmed (A14) and change their MAC at most once a second
 * (A13). The table is bounded: when full nothing is learned, and requests flood as on any bridge.
 *
 * Over a SharedTable several threads use it at once: each decides on a copy of the row, changes are made under the table's lock, and only the
 * keeper pins, removes and sweeps.
 */
import { Table } from '../core/table.js';

export const ROW_SHIFT = 3;
/** Rows of a walk over the whole table between two moments in which other threads get in. */
const SLICE_WORDS = 256 << ROW_SHIFT;
const KIND = 2;
const MAC_LOW = 3;
const MAC_HIGH = 4;
const CONFIRMED = 5;
const CHANGED = 6;

const STATIC = 1;
const LEARNED = 2;

/** Seconds a learned neighbor counts without confirmation (A14). */
export const NEIGHBOR_SECONDS = 60;

/** What became of a sender's pair. */
export const Noted = { known: 0, added: 1, changed: 2, conflict: 3, full: 4, tooSoon: 5 } as const;
export type Noted = (typeof Noted)[keyof typeof Noted];

export interface NeighborEntry {
  ip: number;
  macHigh: number;
  macLow: number;
  static: boolean;
  confirmed: number;
}

export class NeighborTable {
  /** MAC of the address `find` found last: borrowed until the next call. */
  macLow = 0;
  macHigh = 0;
  /** When it was last confirmed, in seconds; -1 for a static one. */
  confirmed = -1;
  private readonly table: Table;
  private readonly limit: number;
  /** The row that was looked at last, as it was then. */
  private readonly row = new Int32Array(1 << ROW_SHIFT);
  private sweepAt = 0;

  constructor(limit: number, table = new Table(limit, ROW_SHIFT)) {
    this.limit = limit;
    this.table = table;
  }

  /** Whether the address is known and live; its MAC is then in `macHigh`, `macLow`, its age in `confirmed`. */
  find(ip: number, seconds: number): boolean {
    const { row } = this;
    if (!this.table.copy(ip, 0, row) || (row[KIND] === LEARNED && seconds - row[CONFIRMED] > NEIGHBOR_SECONDS)) {
      return false;
    }
    this.macLow = row[MAC_LOW];
    this.macHigh = row[MAC_HIGH];
    this.confirmed = row[KIND] === LEARNED ? row[CONFIRMED] : -1;
    return true;
  }

  /** Entries of both kinds. */
  get size(): number {
    return this.table.size;
  }

  /** Takes note of a sender's pair in an ARP packet (A10, A11, A13). */
  note(ip: number, macLow: number, macHigh: number, seconds: number): Noted {
    const { table, row } = this;
    const settled = this.settled(table.copy(ip, 0, row), row, macLow, macHigh, seconds);
    if (settled >= 0) {
      return settled as Noted;
    }
    table.lock();
    const outcome = this.change(ip, macLow, macHigh, seconds);
    table.unlock();
    return outcome;
  }

  /** Sets a static neighbor. Returns false when the table is full. */
  pin(ip: number, macLow: number, macHigh: number): boolean {
    const { table } = this;
    table.lock();
    const known = table.find(ip, 0);
    const fits = known >= 0 || table.size < this.limit;
    if (fits) {
      this.write(known >= 0 ? known : table.insert(ip, 0), STATIC, macLow, macHigh, 0);
    }
    table.unlock();
    return fits;
  }

  remove(ip: number): boolean {
    this.table.lock();
    const row = this.table.find(ip, 0);
    if (row >= 0) {
      this.table.remove(row);
    }
    this.table.unlock();
    return row >= 0;
  }

  /** Forgets the neighbors whose MAC matches, static ones only with `all`: their port is down or gone (A14). Walks the table: not for the loop. */
  removeWhere(matches: (macLow: number, macHigh: number) => boolean, all: boolean): number {
    const { table } = this;
    const { words } = table;
    let removed = 0;
    table.lock();
    for (let row = 0; row < words.length; ) {
      if (row % SLICE_WORDS === 0) {
        table.breathe();
      }
      const kind = words[row + KIND];
      if ((kind === LEARNED || (all && kind === STATIC)) && matches(words[row + MAC_LOW], words[row + MAC_HIGH])) {
        table.remove(row);
        removed++;
      } else {
        row += 1 << ROW_SHIFT;
      }
    }
    table.unlock();
    return removed;
  }

  /** Frees expired neighbors in the next `rows` rows. */
  sweep(rows: number, seconds: number): void {
    const { table } = this;
    const { words } = table;
    if (table.size === 0) {
      return;
    }
    table.lock();
    for (let step = 0; step < rows; step++) {
      const row = this.sweepAt;
      if (row % SLICE_WORDS === 0) {
        table.breathe();
      }
      if (words[row + KIND] === LEARNED && seconds - words[row + CONFIRMED] > NEIGHBOR_SECONDS) {
        table.remove(row);
      } else {
        this.sweepAt = row + (1 << ROW_SHIFT) === words.length ? 0 : row + (1 << ROW_SHIFT);
      }
    }
    table.unlock();
  }

  get rows(): number {
    return this.table.capacity;
  }

  /** Every live neighbor: for listings. */
  *entries(seconds: number): Generator<NeighborEntry> {
    const { table } = this;
    for (let at = 0; at < table.words.length; at += 1 << ROW_SHIFT) {
      if (!table.used(at)) {
        continue;
      }
      table.lock();
      const row = table.words.slice(at, at + (1 << ROW_SHIFT));
      table.unlock();
      if (row[KIND] === STATIC || (row[KIND] === LEARNED && seconds - row[CONFIRMED] <= NEIGHBOR_SECONDS)) {
        const [ip, , kind, macLow, macHigh, confirmed] = row;
        yield { ip, macHigh, macLow, static: kind === STATIC, confirmed };
      }
    }
  }

  /** What there is to say without a change, or -1. `row` is that of the address, or not `known`. */
  private settled(known: boolean, row: Int32Array, macLow: number, macHigh: number, seconds: number): number {
    if (!known) {
      return this.table.size >= this.limit ? Noted.full : -1;
    }
    const same = row[MAC_LOW] === macLow && row[MAC_HIGH] === macHigh;
    if (row[KIND] === STATIC) {
      return same ? Noted.known : Noted.conflict;
    }
    if (same) {
      return row[CONFIRMED] === seconds ? Noted.known : -1;
    }
    return row[CHANGED] === seconds ? Noted.tooSoon : -1;
  }

  /** Enters or renews a learned pair, under the lock: what was settled before may be no more. */
  private change(ip: number, macLow: number, macHigh: number, seconds: number): Noted {
    const { table, row } = this;
    const at = table.find(ip, 0);
    const known = at >= 0;
    if (known) {
      row.set(table.words.subarray(at, at + (1 << ROW_SHIFT)));
    }
    const settled = this.settled(known, row, macLow, macHigh, seconds);
    if (settled >= 0) {
      return settled as Noted;
    }
    if (!known) {
      this.write(table.insert(ip, 0), LEARNED, macLow, macHigh, seconds);
      return Noted.added;
    }
    if (row[MAC_LOW] === macLow && row[MAC_HIGH] === macHigh) {
      table.set(at + CONFIRMED, seconds);
      return Noted.known;
    }
    this.write(at, LEARNED, macLow, macHigh, seconds);
    return Noted.changed;
  }

  private write(row: number, kind: number, macLow: number, macHigh: number, seconds: number): void {
    const { table } = this;
    table.set(row + MAC_LOW, macLow);
    table.set(row + MAC_HIGH, macHigh);
    table.set(row + CONFIRMED, seconds);
    table.set(row + CHANGED, seconds);
    table.set(row + KIND, kind);
  }
}
