/** What a user asks of a fault injector (fault.ts). Of itself, so that who only checks wishes does not load the injector. */

/** Faults of a port, both directions: probabilities are fractions 0..1 a frame, all decided by seeded generators. */
export interface FaultSettings {
  seed: number;
  loss: number;
  duplicate: number;
  reorder: number;
  corrupt: number;
  /** Microseconds every frame waits, plus up to `jitterMicros` more. */
  delayMicros: number;
  jitterMicros: number;
}

/** Longest delay, and longest jitter: a minute, far beyond any link. */
export const LONGEST_DELAY_MICROS = 60_000_000;
