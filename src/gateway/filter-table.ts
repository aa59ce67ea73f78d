/**
 * Whom each mapping has sent to, for the filter by address (RFC 4787, REQ-8; `adf`): a mapping and a remote address, counted by flows.
 *
 *     row = [ mapping | remote address | flows | - ]        core/table.ts; at most one row per flow
 *
 * Kept only while that filter is chosen: it costs 32 bytes a flow, and the others do not ask.
 */
import { Table } from '../core/table.js';

const ROW_SHIFT = 2;
const COUNT = 2;
/** The least a table has. */
const ROWS_MIN = 64;

export class FilterTable {
  private readonly limit: number;
  private table = new Table(ROWS_MIN, ROW_SHIFT);
  private kept = false;

  /** @param limit flows at most */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Begins to keep the contacts, with those there are, or ceases to. @param contacts pairs (mapping, remote address) of live flows */
  keep(on: boolean, contacts: Iterable<readonly [number, number]> = []): void {
    if (on === this.kept) return;
    this.kept = on;
    this.table = new Table(on ? this.limit : ROWS_MIN, ROW_SHIFT);
    for (const [mapping, remote] of on ? contacts : []) this.add(mapping, remote);
  }

  /** Whether a flow of this mapping goes to this address. */
  has(mapping: number, remote: number): boolean {
    return this.table.find(mapping, remote) >= 0;
  }

  /** A flow begins. */
  add(mapping: number, remote: number): void {
    if (!this.kept) {
      return;
    }
    const row = this.table.find(mapping, remote);
    if (row >= 0) {
      this.table.words[row + COUNT]++;
    } else if (this.table.size < this.table.limit) {
      this.table.words[this.table.insert(mapping, remote) + COUNT] = 1;
    }
  }

  /** A flow ends. */
  remove(mapping: number, remote: number): void {
    if (!this.kept) {
      return;
    }
    const row = this.table.find(mapping, remote);
    if (row >= 0 && --this.table.words[row + COUNT] === 0) {
      // The count is the word that says whether a row is in use: `remove` still needs it.
      this.table.words[row + COUNT] = 1;
      this.table.remove(row);
    }
  }
}
