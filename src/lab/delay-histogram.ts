/** Delays as the traffic addon counts them (native/traffic/histogram.h): 128 buckets a power of two, below 128 ns one a nanosecond. */

const SUB_BUCKET_BITS = 7;
const MAX_DELAY_BITS = 40;

/** Cells a call that counts delays writes. */
export const DELAY_BUCKETS = (MAX_DELAY_BITS - SUB_BUCKET_BITS + 1) << SUB_BUCKET_BITS;

/** [largest delay of the bucket in nanoseconds, count], ascending, empty buckets left out. */
export type DelayBuckets = [number, number][];

/** @param counts DELAY_BUCKETS cells */
export function delayBuckets(counts: Float64Array): DelayBuckets {
  const buckets: DelayBuckets = [];
  for (let index = 0; index < counts.length; index++) {
    if (counts[index] > 0) buckets.push([upperEdge(index), counts[index]]);
  }
  return buckets;
}

function upperEdge(index: number): number {
  const shift = index < 2 << SUB_BUCKET_BITS ? 0 : (index >> SUB_BUCKET_BITS) - 1;
  return (index - (shift << SUB_BUCKET_BITS) + 1) * 2 ** shift - 1;
}

/** Puts delays measured one by one into the same buckets. @param nanos in any order */
export function countDelays(nanos: readonly number[]): DelayBuckets {
  const counts = new Float64Array(DELAY_BUCKETS);
  for (const delay of nanos) counts[indexOf(Math.min(Math.max(Math.round(delay), 0), 2 ** MAX_DELAY_BITS - 1))]++;
  return delayBuckets(counts);
}

/** The delay that this share (0 … 1) of all does not exceed, in nanoseconds, at most a bucket too large; NaN without delays. */
export function delayQuantile(delays: DelayBuckets, share: number): number {
  let left = share * delays.reduce((sum, [, count]) => sum + count, 0);
  for (const [edge, count] of delays) {
    left -= count;
    if (left <= 0) return edge;
  }
  return Number.NaN;
}

function indexOf(nanos: number): number {
  const bits = nanos < 2 ** SUB_BUCKET_BITS ? SUB_BUCKET_BITS + 1 : Math.floor(Math.log2(nanos)) + 1;
  const shift = bits - 1 - SUB_BUCKET_BITS;
  return (shift << SUB_BUCKET_BITS) + Math.floor(nanos / 2 ** shift);
}
