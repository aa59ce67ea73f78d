/** Order statistics: no assumption about how the values are distributed. */

/** @param sorted ascending, not empty @param share 0 … 1 */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A percentile is told where so many samples lie beyond it; fewer would be single events. */
const LEAST_BEYOND = 10;

/** Whether `total` samples are enough for this percentile. A hair less will do, because shares like 0.99 have no exact double. */
export function isTold(total: number, share: number): boolean {
  return total * (1 - share) >= LEAST_BEYOND - 1e-6;
}

/** Of an interval that a claim may stand on. Six values have it. */
export const CLAIM_CONFIDENCE = 0.95;

export interface Summary {
  median: number;
  /** Confidence interval of the median, see `confidence`. */
  low: number;
  high: number;
  /** Probability that the interval covers the true median: at least 0.95 from 6 values on, with fewer what minimum and maximum give. */
  confidence: number;
  min: number;
  max: number;
  n: number;
}

/**
 * The median with its interval [k-th smallest, k-th largest], k as large as 95 % allow: each value lies below the true median with probability
 * one half, so the interval misses it with 2·P(Binomial(n, ½) < k).
 */
export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((one, other) => one - other);
  const n = sorted.length;
  let rank = 1;
  while (coverage(n, rank + 1) >= CLAIM_CONFIDENCE) rank++;
  return {
    median: median(sorted),
    low: sorted[rank - 1],
    high: sorted[n - rank],
    confidence: coverage(n, rank),
    min: sorted[0],
    max: sorted[n - 1],
    n,
  };
}

function coverage(n: number, rank: number): number {
  let below = 0;
  let term = 0.5 ** n;
  for (let k = 0; k < rank; k++) {
    below += term;
    term *= (n - k) / (k + 1);
  }
  return Math.max(0, 1 - 2 * below);
}
