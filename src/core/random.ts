/** Seeded pseudo-random numbers (xorshift32, Marsaglia 2003): the same seed gives the same faults, fuzz frames and MAC addresses. */
export class Random {
  private state = 0;

  constructor(seed: number) {
    // Small seeds differ in few bits: mixed (MurmurHash3's finalizer), so that already the first number looks like any other.
    let state = (seed | 0) ^ 0x9e3779b9;
    state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    state ^= state >>> 16;
    // Zero is the one state xorshift never leaves.
    this.state = state === 0 ? 1 : state;
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
