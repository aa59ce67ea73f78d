/**
 * Egress lists: the outcome of pass one, the input of pass two.
 *
 *     unicast   head[port] → frame → frame → -1        a list per egress port
 *     flood     head[bridge] → frame → frame → -1      a list per bridge, shared by all its ports
 *
 * A frame is on one list at most, so one `next` column in the batch threads them all and nothing is allocated. Pass two visits only
 * touched ports and merges both lists by frame number: what came from one port in an order leaves every other port in that order,
 * whether unicast or flooded (L30). The method is that of the netmap VALE switch.
 */
import type { Batch } from '../core/batch.js';

const NONE = -1;

/** Why a frame is flooded; egress ports have a flag for each. */
export const FloodClass = { unicast: 0, multicast: 1, broadcast: 2 } as const;

/** Heads and tails of lists of frames, with the set of those in use. */
export class FrameLists {
  readonly head: Int32Array;
  private readonly tail: Int32Array;
  /** Numbers of the lists in use, in order of first use. */
  readonly touched: Int32Array;
  touchedCount = 0;

  constructor(capacity: number) {
    this.head = new Int32Array(capacity).fill(NONE);
    this.tail = new Int32Array(capacity).fill(NONE);
    this.touched = new Int32Array(capacity);
  }

  append(list: number, frame: number, next: Int32Array): void {
    next[frame] = NONE;
    const tail = this.tail[list];
    if (tail === NONE) {
      this.head[list] = frame;
      this.touched[this.touchedCount++] = list;
    } else {
      next[tail] = frame;
    }
    this.tail[list] = frame;
  }

  clear(): void {
    for (let index = 0; index < this.touchedCount; index++) {
      this.head[this.touched[index]] = NONE;
      this.tail[this.touched[index]] = NONE;
    }
    this.touchedCount = 0;
  }
}

export class Egress {
  readonly unicast: FrameLists;
  readonly flood: FrameLists;
  /** One list: frames of the run at hand that are for the gateway. Emptied by whoever routes them. */
  readonly gateway: FrameLists;

  constructor(ports: number, bridges: number) {
    this.unicast = new FrameLists(ports);
    this.flood = new FrameLists(bridges);
    this.gateway = new FrameLists(1);
  }

  toPort(batch: Batch, frame: number, port: number): void {
    this.unicast.append(port, frame, batch.next);
  }

  toAll(batch: Batch, frame: number, bridge: number, floodClass: number): void {
    batch.floodClass[frame] = floodClass;
    this.flood.append(bridge, frame, batch.next);
  }

  toGateway(batch: Batch, frame: number): void {
    this.gateway.append(0, frame, batch.next);
  }

  clear(): void {
    this.unicast.clear();
    this.flood.clear();
  }
}
