/** What engine threads share of a bridge: memory the main thread allots and hands to each of them. With one thread there is none of it. */
import { SharedTable } from '../core/shared-table.js';
import { ROW_SHIFT } from './neighbor-table.js';
import { SharedFdb } from './shared-fdb.js';

/** Neighbors a bridge remembers at most. */
export const NEIGHBOR_LIMIT = 8192;

/** One per bridge. */
export interface BridgeMemory {
  fdb: SharedArrayBuffer;
  neighbors: SharedArrayBuffer;
  /** Two float64 columns by port: what is left of the limit of ARP answers, and when it was last refilled. */
  answers: SharedArrayBuffer;
}

/** The part one engine thread has in it. */
export interface Sharing {
  memory: BridgeMemory;
  /** Whether it is the one thread that removes rows of the tables: sweeps, flushes, and forgets ports. */
  keeper: boolean;
}

export function allocateBridge(fdbLimit: number, ports: number): BridgeMemory {
  return {
    fdb: SharedFdb.allocate(fdbLimit, ports),
    neighbors: SharedTable.allocate(NEIGHBOR_LIMIT, ROW_SHIFT),
    answers: new SharedArrayBuffer(2 * 8 * ports),
  };
}

export function sharedNeighbors(memory: BridgeMemory): SharedTable {
  return new SharedTable(memory.neighbors, NEIGHBOR_LIMIT, ROW_SHIFT);
}
