/** Seeded pseudo-random numbers (xorshift32, Marsaglia 2003): the same seed gives the same faults, fuzz frames and MAC addresses. */
export class Random {
  private state = 0;

  constructor(seed: number) {
    // Zero is the one state xorshift never leaves.
    this.state = seed | 0 || 0x9e3779b9 | 0;
  }

  /** An int32. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return (this.next() >>> 0) / 0x1_0000_0000;
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }
}
