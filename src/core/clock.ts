/** Monotonic time, passed in so that tests can turn it by hand. */
export interface Clock {
  /** Microseconds since an arbitrary start; never goes back. */
  micros(): number;
}

/** A clock that moves only when told. */
export class ManualClock implements Clock {
  now = 0;

  micros(): number {
    return this.now;
  }

  advanceSeconds(seconds: number): void {
    this.now += seconds * 1_000_000;
  }
}
