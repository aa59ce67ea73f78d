/**
 * An FDB several threads use, each through an object of its own over the same memory (core/shared-table.ts).
 *
 *     frame of a known, recently seen source; any destination     copies the row out, takes no lock
 *     new or moved source; a source's first frame in a second      under the lock
 *     pin, remove, flush, sweep, walks                             under the lock, by the keeper alone
 *
 * A source's time is written once a second at most, so a busy station's row is not passed from core to core. What is full or pinned is known
 * without the lock: a flood of invented addresses cannot make the threads queue up for it.
 */
import { SharedTable } from '../core/shared-table.js';
import { EntryKind, FDB_ROW, Fdb, Learned, pinned, STATIC_LIMIT } from './fdb.js';

const { shift: ROW_SHIFT, portAndKind: PORT_AND_KIND, seen: SEEN } = FDB_ROW;

export class SharedFdb extends Fdb {
  /** The row that was looked at last, as it was then. */
  private readonly row = new Int32Array(1 << ROW_SHIFT);

  /** @param memory made by `allocate` with the same limit and ports */
  constructor(memory: SharedArrayBuffer, limit: number, ageing: number, ports: number) {
    const table = tableOver(memory, limit, ports);
    super(limit, ageing, ports, STATIC_LIMIT, table, table.own);
  }

  static allocate(limit: number, ports: number): SharedArrayBuffer {
    return SharedTable.allocate(limit + STATIC_LIMIT, ROW_SHIFT, ports + 1);
  }

  /**
   * @param memory of a larger table, when the one there is does not hold so many; the other threads change over to it when this returns. What they
   * learn into the old one until then is lost, and learned again from the next frame.
   * @param keeper whether this thread fills it; it is the first to change over
   */
  override setLimit(limit: number, memory?: SharedArrayBuffer, keeper = true): void {
    this.limit = limit;
    if (memory === undefined) {
      return;
    }
    const old = this.table;
    const larger = tableOver(memory, limit, this.ports);
    if (keeper) {
      old.lock();
      larger.lock();
      this.fill(larger, old);
      larger.own.set(this.learnedBy);
      larger.unlock();
      old.unlock();
    }
    this.table = larger;
    this.learnedBy = larger.own;
    this.sweepAt = 0;
  }

  override lookup(macLow: number, key: number, seconds: number): number {
    return this.table.copy(macLow, key, this.row) && !this.isOld(seconds) ? (this.row[PORT_AND_KIND] >>> 8) - 1 : -1;
  }

  override kindOn(macLow: number, key: number, port: number, seconds: number): number {
    const word = this.table.copy(macLow, key, this.row) && !this.isOld(seconds) ? this.row[PORT_AND_KIND] : 0;
    return (word >>> 8) - 1 === port ? word & 0xff : 0;
  }

  override isLocal(macLow: number, key: number): boolean {
    return this.table.copy(macLow, key, this.row) && (this.row[PORT_AND_KIND] & 0xff) === EntryKind.local;
  }

  override refresh(macLow: number, key: number, port: number, seconds: number): boolean {
    const { row } = this;
    return (
      this.table.copy(macLow, key, row) && row[PORT_AND_KIND] === (((port + 1) << 8) | EntryKind.learned) && row[SEEN] >= seconds
    );
  }

  override learn(macLow: number, key: number, port: number, portLimit: number, seconds: number): Learned {
    const { row, learnedBy } = this;
    if (this.table.copy(macLow, key, row)) {
      if ((row[PORT_AND_KIND] & 0xff) !== EntryKind.learned) {
        return pinned(row[PORT_AND_KIND], port);
      }
    } else if (this.ageing === 0) {
      return Learned.refused;
    } else if (
      Atomics.load(learnedBy, this.ports) >= this.limit ||
      (portLimit !== 0 && Atomics.load(learnedBy, port) >= portLimit)
    ) {
      return Learned.full;
    }
    this.table.lock();
    const outcome = super.learn(macLow, key, port, portLimit, seconds);
    this.table.unlock();
    return outcome;
  }

  private isOld(seconds: number): boolean {
    return (this.row[PORT_AND_KIND] & 0xff) === EntryKind.learned && seconds - this.row[SEEN] > this.ageing;
  }
}

function tableOver(memory: SharedArrayBuffer, limit: number, ports: number): SharedTable {
  return new SharedTable(memory, limit + STATIC_LIMIT, ROW_SHIFT, ports + 1);
}
