/** Two super-frames: one under way, one coming. */
const LEAST_BYTES = 128 * 1024;
/** Longer than an engine that shares its core is away from a port; shorter, and tokens are lost meanwhile. */
const SECONDS = 0.005;
const MOST_BYTES = 1 << 30;

/** The burst of a rate when nobody names one. */
export function defaultBurst(bitsPerSecond: number): number {
  return Math.min(MOST_BYTES, Math.max(LEAST_BYTES, Math.ceil((bitsPerSecond / 8) * SECONDS)));
}
