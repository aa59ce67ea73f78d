/**
 * A token bucket: how many bytes may pass, on average and at once (RFC 2697's committed rate and burst, with one colour).
 *
 *     now ├────────────── missing ─────────────▶ full       when the bucket is full again, as microseconds of the clock
 *     now ├── missing ──▶├── cost of a frame ──▶            passes while both together are no longer than the burst
 *
 * One number instead of "tokens, last seen" (a virtual schedule, as the cell rate algorithm of ITU-T I.371 has it): nothing is added up in steps, so
 * nothing drifts, and a bucket nobody asks for a day costs nothing. A frame larger than the whole burst passes a full bucket, which
 * then owes the rest: it is late, not stuck for ever.
 *
 * Several engine threads share a bucket, so that the rate holds for all of them together. Who finds it taken by another has no tokens for the
 * moment: nobody waits. When a frame passes the bucket has been asked by one thread at a time, so the bound is exact.
 *
 * Limits: times are float64 microseconds, exact to 2 ns after 100 days without a restart of the machine. A frame of 64 bytes takes 51 ns at 10 Gbit/s:
 * there the rate is within 2 %, below it is as good as exact.
 */

export interface BucketSettings {
  bitsPerSecond: number;
  /** What may pass at once. */
  burstBytes: number;
}

/** Words of a bucket in shared memory: when it is full again; the lock and four spare bytes. */
const SHARED_BYTES = 16;

export class TokenBucket {
  /** 0: everything passes. */
  private microsPerByte = 0;
  private burstMicros = 0;
  /** When it is full again. */
  protected readonly full: Float64Array;

  /** A full one. @param settings null: everything passes */
  constructor(settings: BucketSettings | null, full: Float64Array = new Float64Array(1)) {
    this.full = full;
    this.configure(settings, 0);
  }

  /** What is missing stays missing, as time, up to the new burst. */
  configure(settings: BucketSettings | null, now: number): void {
    this.microsPerByte = settings === null ? 0 : 8_000_000 / settings.bitsPerSecond;
    this.burstMicros = settings === null ? 0 : settings.burstBytes * this.microsPerByte;
    this.full[0] = Math.min(this.full[0], now + this.burstMicros);
  }

  /** Whether there is a rate to keep. */
  get limited(): boolean {
    return this.microsPerByte !== 0;
  }

  /** Takes what a frame of so many bytes needs; false: there is too little, and nothing was taken. */
  take(bytes: number, now: number): boolean {
    const cost = bytes * this.microsPerByte;
    const full = this.full[0];
    if (full - now > this.slack(cost)) {
      return false;
    }
    this.full[0] = (full > now ? full : now) + cost;
    return true;
  }

  /** Microseconds of the clock from when on `take` gets so many bytes, as it looks now. */
  due(bytes: number): number {
    return this.full[0] - this.slack(bytes * this.microsPerByte);
  }

  /** How much may be missing for a frame of that cost to pass. */
  private slack(cost: number): number {
    return cost < this.burstMicros ? this.burstMicros - cost : 0;
  }
}

/** One that several threads take from. Settings are each thread's own: all are told the same. */
export class SharedTokenBucket extends TokenBucket {
  private readonly lock: Int32Array;

  /** @param number of the bucket in memory made by `allocate` */
  constructor(settings: BucketSettings | null, memory: SharedArrayBuffer, number: number) {
    super(settings, new Float64Array(memory, number * SHARED_BYTES, 1));
    this.lock = new Int32Array(memory, number * SHARED_BYTES + 8, 1);
  }

  static allocate(buckets: number): SharedArrayBuffer {
    return new SharedArrayBuffer(buckets * SHARED_BYTES);
  }

  override take(bytes: number, now: number): boolean {
    if (Atomics.compareExchange(this.lock, 0, 0, 1) !== 0) {
      return false;
    }
    const taken = super.take(bytes, now);
    Atomics.store(this.lock, 0, 0);
    return taken;
  }
}
