import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { add, distance, after as isAfter, before as isBefore, max } from '../../src/conntrack/seqnum.js';

describe('sequence numbers', () => {
  test('wrap-around: 0xffffffff is before 0, and 0x7fffffff before 0x80000000', () => {
    expect(isBefore(-1, 0)).toBe(true);
    expect(isAfter(0, -1)).toBe(true);
    expect(isBefore(0x7fffffff, -0x80000000)).toBe(true);
    expect(add(-1, 1)).toBe(0);
    expect(add(0x7fffffff, 1)).toBe(-0x80000000);
    expect(distance(-10, 10)).toBe(20);
    expect(max(-1, 0)).toBe(0);
    expect(max(0x7fffffff, -0x80000000)).toBe(-0x80000000);
  });

  test('equal: neither before nor after', () => {
    expect([isBefore(5, 5), isAfter(5, 5)]).toEqual([false, false]);
  });

  test('any number is before all up to 2^31 - 1 bytes behind it', () => {
    const sequence = fc.integer({ min: -0x80000000, max: 0x7fffffff });
    fc.assert(
      fc.property(sequence, fc.integer({ min: 1, max: 0x7fffffff }), (from, bytes) => {
        const to = add(from, bytes);
        return (
          isBefore(from, to) && isAfter(to, from) && !isBefore(to, from) && distance(from, to) === bytes && max(from, to) === to
        );
      }),
    );
  });
});
