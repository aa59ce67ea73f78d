/**
 * Token buckets: how often the gateway may say something of its own accord (A17, R34).
 *
 *     TokenBuckets    a bucket for each number: ports, zones, or one for all
 *     KeyedBuckets    a bucket for each address, of which there are 2^32: a bounded table, two places an address
 *
 * A bucket holds what was spent and when that was last reckoned; a fresh one is full. Time is in microseconds.
 */
const MICROS = 1_000_000;

export class TokenBuckets {
  /** Tokens a second. */
  perSecond: number;
  /** Tokens of a full bucket. */
  burst: number;
  private readonly spent: Float64Array;
  private readonly reckoned: Float64Array;

  constructor(count: number, perSecond: number, burst: number) {
    this.perSecond = perSecond;
    this.burst = burst;
    this.spent = new Float64Array(count);
    this.reckoned = new Float64Array(count);
  }

  /** Takes a token from a bucket. Returns false when it is empty. */
  take(bucket: number, micros: number): boolean {
    const earned = (Math.max(0, micros - this.reckoned[bucket]) * this.perSecond) / MICROS;
    const spent = Math.max(0, this.spent[bucket] - earned);
    const granted = spent <= this.burst - 1;
    this.reckoned[bucket] = micros;
    this.spent[bucket] = granted ? spent + 1 : spent;
    return granted;
  }

  /** Fills a bucket. */
  fill(bucket: number): void {
    this.spent[bucket] = 0;
  }
}

/** Rows of a KeyedBuckets: a power of two. */
const ROWS = 4096;

/**
 * Each address has two rows it may use; when both belong to others, the one that was used longer ago is taken over and starts full. Who
 * makes addresses collide on purpose gets more than its share of a limit, which is why there is always one over all of them as well.
 */
export class KeyedBuckets {
  private readonly buckets: TokenBuckets;
  private readonly key = new Int32Array(ROWS);
  private readonly used = new Float64Array(ROWS).fill(Number.NEGATIVE_INFINITY);
  private readonly seed: number;

  constructor(perSecond: number, burst: number, random: () => number) {
    this.buckets = new TokenBuckets(ROWS, perSecond, burst);
    this.seed = Math.floor(random() * 0x1_0000_0000) | 0;
  }

  set(perSecond: number, burst: number): void {
    this.buckets.perSecond = perSecond;
    this.buckets.burst = burst;
  }

  /** Takes a token of an address. */
  take(address: number, micros: number): boolean {
    const { key, used } = this;
    let hash = Math.imul(address ^ this.seed, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    const first = (hash >>> 16) & (ROWS - 1);
    const second = first ^ 1;
    let row = first;
    if (key[first] !== address || used[first] < 0) {
      if (key[second] === address && used[second] >= 0) {
        row = second;
      } else {
        row = used[first] <= used[second] ? first : second;
        key[row] = address;
        this.buckets.fill(row);
      }
    }
    used[row] = micros;
    return this.buckets.take(row, micros);
  }
}
