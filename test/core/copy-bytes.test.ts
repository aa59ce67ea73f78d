import { describe, expect, test } from 'vitest';
import { copyBytes, viewOf } from '../../src/core/copy-bytes.js';

describe('copyBytes', () => {
  test('every short length, long ones, any alignment: exactly those bytes', () => {
    const source = Uint8Array.from({ length: 4096 }, (_, index) => (index * 31 + 7) & 0xff);
    // A view that does not start at its buffer's start, as a slice of an arena.
    const from = viewOf(null, new Uint8Array(source.buffer, 64));
    for (const length of [...Array(300).keys(), 1514, 3000]) {
      for (const at of [0, 1, 2, 7]) {
        const target = new Uint8Array(4096).fill(0xa5);
        copyBytes(viewOf(null, target), at + 16, from, at * 3, length);
        const expected = new Uint8Array(4096).fill(0xa5);
        expected.set(source.subarray(64 + at * 3, 64 + at * 3 + length), at + 16);
        expect(Buffer.compare(target, expected)).toBe(0);
      }
    }
  });

  test('a remembered view serves its own bytes only', () => {
    const bytes = new Uint8Array(64);
    const view = viewOf(null, bytes);
    expect(viewOf(view, bytes)).toBe(view);
    expect(viewOf(view, bytes.subarray(8))).not.toBe(view);
    expect(viewOf(view, new Uint8Array(64))).not.toBe(view);
  });
});
