/**
 * TCP sequence numbers (RFC 9293, 3.4): int32, compared modulo 2^32. `a` is before `b` when less than 2^31 bytes lead from a to b; across
 * the wrap-around this is the only order there is, so nothing else compares or adds them.
 */

export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** `bytes` may be negative. */
export function add(sequence: number, bytes: number): number {
  return (sequence + bytes) | 0;
}

/** Bytes from `from` to `to`; negative when `to` is before `from`. */
export function distance(from: number, to: number): number {
  return (to - from) | 0;
}

/** The later of two. */
export function max(a: number, b: number): number {
  return ((a - b) | 0) < 0 ? b : a;
}
