/** Delays of many trials as one distribution: buckets are merged and percentiles read from the whole, never averaged. */
import type { DelayBuckets } from '../type.js';

/** A percentile stands on at least this many samples beyond it: p99.99 takes a million. */
export const TAIL_SAMPLES = 100;

export interface Distribution {
  /** Upper edges, nanoseconds, ascending, and the samples up to each. */
  edges: number[];
  upTo: number[];
  total: number;
}

/** @returns null without samples */
export function mergeDelays(all: Iterable<DelayBuckets>): Distribution | null {
  const counts = new Map<number, number>();
  for (const buckets of all) {
    for (const [edge, count] of buckets) {
      if (edge > 0 && edge < Number.POSITIVE_INFINITY && count > 0) counts.set(edge, (counts.get(edge) ?? 0) + count);
    }
  }
  const edges = [...counts.keys()].sort((one, other) => one - other);
  let total = 0;
  const upTo = edges.map((edge) => {
    total += counts.get(edge) ?? 0;
    return total;
  });
  return total > 0 && Number.isFinite(total) ? { edges, upTo, total } : null;
}

/** Nanoseconds that `share` (0 … 1) of the samples do not exceed: the edge of the bucket with the ceil(share · total)-th sample. */
export function quantile({ edges, upTo, total }: Distribution, share: number): number {
  // A share like 0.999 has no exact double: its product with the total may lie a hair above the whole number that is meant.
  const rank = Math.max(1, Math.ceil(share * total - 1e-6));
  const index = upTo.findIndex((count) => count >= rank);
  return edges[index < 0 ? edges.length - 1 : index];
}

/** Whether enough samples lie beyond a percentile for it to mean something. */
export function isSupported({ total }: Distribution, share: number): boolean {
  return (1 - share) * total >= TAIL_SAMPLES - 1e-6;
}
