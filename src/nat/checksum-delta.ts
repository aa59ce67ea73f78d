/**
 * Words of a header that change, and what that does to the checksums over them (RFC 1624, eqn 3). A delta is the sum of ~old + new over
 * 16-bit words, not folded: a word that stays adds nothing, or 0xffff, which is zero in ones' complement.
 */
import { fold } from '../wire/checksum.js';

/** The 16 bits at `at`. */
export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

export function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes the 32 bits of `value`, if they are others; returns the delta of both words. */
export function replace32(bytes: Uint8Array, at: number, value: number): number {
  const high = (bytes[at] << 8) | bytes[at + 1];
  const low = (bytes[at + 2] << 8) | bytes[at + 3];
  if (((high << 16) | low) === value) {
    return 0;
  }
  const newHigh = value >>> 16;
  const newLow = value & 0xffff;
  bytes[at] = newHigh >>> 8;
  bytes[at + 1] = newHigh;
  bytes[at + 2] = newLow >>> 8;
  bytes[at + 3] = newLow;
  return (0x1fffe - high - low + newHigh + newLow) | 0;
}

/** HC' = ~(~HC + delta). */
export function updated(field: number, delta: number): number {
  return ~fold((~field & 0xffff) + delta) & 0xffff;
}

/** The complete checksum at `at` after a change. */
export function updateAt(bytes: Uint8Array, at: number, delta: number): void {
  setWord(bytes, at, updated(word(bytes, at), delta));
}

/** `updateAt` for UDP over IPv4: 0 means that there is none, so it stays 0, and a result of 0 is written as 0xffff (RFC 768). */
export function updateUdpAt(bytes: Uint8Array, at: number, delta: number): void {
  const before = word(bytes, at);
  if (before !== 0) {
    const after = updated(before, delta);
    setWord(bytes, at, after === 0 ? 0xffff : after);
  }
}

/** S' = S + delta: the unfinished checksum at `at`, an uncomplemented sum. */
export function addAt(bytes: Uint8Array, at: number, delta: number): void {
  setWord(bytes, at, fold(word(bytes, at) + delta));
}
