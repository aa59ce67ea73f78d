/** Which ports have rates, and their shapers (shaper.ts), by port number and way. */
import type { PortCounters } from '../core/counters.js';
import { type BucketSettings, SharedTokenBucket, TokenBucket } from '../core/token-bucket.js';
import type { RateSettings } from './protocol.js';
import { Shaper, Way } from './shaper.js';

export class Rates {
  /** Towards who is behind the port. */
  readonly in: (Shaper | null)[];
  /** From there. */
  readonly out: (Shaper | null)[];
  /** Ports with a shaper. */
  readonly shaped: number[] = [];
  private readonly counters: PortCounters;
  private readonly memory: SharedArrayBuffer | null;

  /** @param memory of the buckets when several threads take from them, from `allocate`; null: they are one thread's alone */
  constructor(ports: number, counters: PortCounters, memory: SharedArrayBuffer | null) {
    this.in = new Array<Shaper | null>(ports).fill(null);
    this.out = new Array<Shaper | null>(ports).fill(null);
    this.counters = counters;
    this.memory = memory;
  }

  static allocate(ports: number): SharedArrayBuffer {
    return SharedTokenBucket.allocate(2 * ports);
  }

  set(port: number, rates: RateSettings, now: number): void {
    this.in[port] = this.changed(Way.in, port, this.in[port], rates.in, now);
    this.out[port] = this.changed(Way.out, port, this.out[port], rates.out, now);
    this.list(port);
  }

  /** What waits is forgotten. */
  remove(port: number): void {
    this.in[port] = null;
    this.out[port] = null;
    this.list(port);
  }

  /** Once in a while: lets go of shapers whose rate was lifted. */
  tidy(): void {
    for (const port of [...this.shaped]) {
      if (this.in[port]?.isOver === true) this.in[port] = null;
      if (this.out[port]?.isOver === true) this.out[port] = null;
      this.list(port);
    }
  }

  /** Microseconds of the clock when a frame that waits may go on; Infinity when none does. */
  nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.shaped.length; index++) {
      const port = this.shaped[index];
      due = Math.min(due, this.in[port]?.nextDue() ?? due, this.out[port]?.nextDue() ?? due);
    }
    return due;
  }

  private changed(way: Way, port: number, shaper: Shaper | null, settings: BucketSettings | null, now: number): Shaper | null {
    if (shaper !== null) {
      shaper.configure(settings, now);
      return shaper.isOver ? null : shaper;
    }
    if (settings === null) {
      return null;
    }
    const bucket =
      this.memory === null ? new TokenBucket(settings) : new SharedTokenBucket(settings, this.memory, 2 * port + way);
    return new Shaper(way, port, settings, bucket, this.counters);
  }

  private list(port: number): void {
    const index = this.shaped.indexOf(port);
    const isShaped = this.in[port] !== null || this.out[port] !== null;
    if (isShaped && index < 0) this.shaped.push(port);
    if (!isShaped && index >= 0) this.shaped.splice(index, 1);
  }
}
