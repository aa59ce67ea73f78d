/**
 * Neighbors: IPv4 address → MAC, what the ARP proxy answers from.
 *
 *     row = [ IPv4 address | 0 | kind | MAC, lower 32 bits | MAC, upper 16 bits | confirmed, seconds | changed, seconds | - ]
 *
 * Static neighbors come from who attached the port: they do not age and no frame overwrites them (A10). Learned ones come from ARP
 * packets that pass; they count only for a minute after they were last confirmed (A14) and change their MAC at most once a second
 * (A13). The table is bounded: when full nothing is learned, and requests flood as on any bridge.
 */
import { Table } from '../core/table.js';

const ROW_SHIFT = 3;
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
  private readonly table: Table;
  private readonly limit: number;
  private sweepAt = 0;

  constructor(limit: number) {
    this.limit = limit;
    this.table = new Table(limit, ROW_SHIFT);
  }

  /** Whether the address is known and live; its MAC is then in `macHigh`, `macLow`. */
  find(ip: number, seconds: number): boolean {
    const row = this.table.find(ip, 0);
    if (row < 0) {
      return false;
    }
    const words = this.table.words;
    if (words[row + KIND] === LEARNED && seconds - words[row + CONFIRMED] > NEIGHBOR_SECONDS) {
      return false;
    }
    this.macLow = words[row + MAC_LOW];
    this.macHigh = words[row + MAC_HIGH];
    return true;
  }

  /** Takes note of a sender's pair in an ARP packet (A10, A11, A13). */
  note(ip: number, macLow: number, macHigh: number, seconds: number): Noted {
    const words = this.table.words;
    const row = this.table.find(ip, 0);
    if (row < 0) {
      if (this.table.size >= this.limit) {
        return Noted.full;
      }
      this.write(this.table.insert(ip, 0), LEARNED, macLow, macHigh, seconds);
      return Noted.added;
    }
    const same = words[row + MAC_LOW] === macLow && words[row + MAC_HIGH] === macHigh;
    if (words[row + KIND] === STATIC) {
      return same ? Noted.known : Noted.conflict;
    }
    if (same) {
      words[row + CONFIRMED] = seconds;
      return Noted.known;
    }
    if (words[row + CHANGED] === seconds) {
      return Noted.tooSoon;
    }
    this.write(row, LEARNED, macLow, macHigh, seconds);
    return Noted.changed;
  }

  /** Sets a static neighbor. Returns false when the table is full. */
  pin(ip: number, macLow: number, macHigh: number): boolean {
    let row = this.table.find(ip, 0);
    if (row < 0) {
      if (this.table.size >= this.limit) {
        return false;
      }
      row = this.table.insert(ip, 0);
    }
    this.write(row, STATIC, macLow, macHigh, 0);
    return true;
  }

  remove(ip: number): boolean {
    const row = this.table.find(ip, 0);
    if (row >= 0) {
      this.table.remove(row);
    }
    return row >= 0;
  }

  /** Forgets the neighbors whose MAC matches, static ones only with `all`: their port is down or gone (A14). Walks the table: not for the loop. */
  removeWhere(matches: (macLow: number, macHigh: number) => boolean, all: boolean): number {
    const words = this.table.words;
    let removed = 0;
    for (let row = 0; row < words.length; ) {
      const kind = words[row + KIND];
      if ((kind === LEARNED || (all && kind === STATIC)) && matches(words[row + MAC_LOW], words[row + MAC_HIGH])) {
        this.table.remove(row);
        removed++;
      } else {
        row += 1 << ROW_SHIFT;
      }
    }
    return removed;
  }

  /** Frees expired neighbors in the next `rows` rows. */
  sweep(rows: number, seconds: number): void {
    const words = this.table.words;
    if (this.table.size === 0) {
      return;
    }
    for (let step = 0; step < rows; step++) {
      const row = this.sweepAt;
      if (words[row + KIND] === LEARNED && seconds - words[row + CONFIRMED] > NEIGHBOR_SECONDS) {
        this.table.remove(row);
      } else {
        this.sweepAt = row + (1 << ROW_SHIFT) === words.length ? 0 : row + (1 << ROW_SHIFT);
      }
    }
  }

  get rows(): number {
    return this.table.capacity;
  }

  /** Every live neighbor: for listings. */
  *entries(seconds: number): Generator<NeighborEntry> {
    const words = this.table.words;
    for (let row = 0; row < words.length; row += 1 << ROW_SHIFT) {
      const kind = words[row + KIND];
      if (kind === STATIC || (kind === LEARNED && seconds - words[row + CONFIRMED] <= NEIGHBOR_SECONDS)) {
        yield {
          ip: words[row],
          macHigh: words[row + MAC_HIGH],
          macLow: words[row + MAC_LOW],
          static: kind === STATIC,
          confirmed: words[row + CONFIRMED],
        };
      }
    }
  }

  private write(row: number, kind: number, macLow: number, macHigh: number, seconds: number): void {
    const words = this.table.words;
    words[row + KIND] = kind;
    words[row + MAC_LOW] = macLow;
    words[row + MAC_HIGH] = macHigh;
    words[row + CONFIRMED] = seconds;
    words[row + CHANGED] = seconds;
  }
}
