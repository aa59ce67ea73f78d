import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as checksum from '../../src/wire/checksum.js';

/** RFC 1071, 4.1, as it stands there: a word at a time, in numbers that do not overflow. */
function reference(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at] * 256 + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) {
    sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  }
  return sum;
}

describe('checksum', () => {
  test('the example of RFC 1071, 3', () => {
    const bytes = new Uint8Array([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    expect(checksum.sum(bytes, 0, 8, 0)).toBe(0xddf2);
    expect(checksum.checksum(bytes, 0, 8)).toBe(0x220d);
    expect(checksum.finish(0xddf2)).toBe(0x220d);
  });

  test('any bytes, any alignment, any length: the sum of the definition, and nothing outside it', () => {
    const lengths = fc.oneof(fc.nat(200), fc.nat(3000));
    fc.assert(
      fc.property(lengths, fc.nat(40), fc.nat(255), fc.nat(255), (length, at, seed, fill) => {
        const part = Uint8Array.from({ length }, (_, index) => (index * seed + (index >> 3) + seed) & 0xff);
        const whole = new Uint8Array(length + 80).fill(fill);
        whole.set(part, at);
        expect(checksum.sum(whole, at, length, 0)).toBe(reference(part));
        // The same through a view that does not start where its buffer does.
        expect(checksum.sum(whole.subarray(at), 0, length, 0)).toBe(reference(part));
      }),
    );
  });

  test('the largest message of the largest words does not overflow', () => {
    const bytes = new Uint8Array(65_600).fill(0xff);
    expect(checksum.sum(bytes, 0, 65_599, 0xffff)).toBe(reference(bytes.subarray(0, 65_599)));
    bytes.fill(0x80);
    expect(checksum.sum(bytes, 0, 65_535, 0)).toBe(reference(bytes.subarray(0, 65_535)));
  });

  test('parts add up when all but the last are even', () => {
    const bytes = Uint8Array.from({ length: 301 }, (_, index) => (index * 37) & 0xff);
    const parts = checksum.add(checksum.sum(bytes, 0, 100, 0), checksum.sum(bytes, 100, 201, 0));
    expect(parts).toBe(reference(bytes));
    expect(checksum.sum(bytes, 100, 201, checksum.sum(bytes, 0, 100, 0))).toBe(reference(bytes));
  });

  test('fold: end-around carry up to 32 bits', () => {
    expect([checksum.fold(0xffff), checksum.fold(0x10000), checksum.fold(0x1ffff), checksum.fold(0xffffffff)]).toEqual([
      0xffff, 1, 1, 0xffff,
    ]);
  });

  test('N33, RFC 1624, 4: the corner where eqn 2 is wrong', () => {
    // A header that adds up to 0xcd7a without the word 0x5555; it becomes 0x3285.
    expect(checksum.update(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  test('N33: an incremental update is the full computation', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(8), fc.nat(0xffff), (header, word, after) => {
        header[10] = 0;
        header[11] = 0;
        header[0] |= 0x40;
        const at = word < 5 ? word * 2 : word * 2 + 2;
        const before = (header[at] << 8) | header[at + 1];
        const old = checksum.checksum(header, 0, 20);
        header[at] = after >>> 8;
        header[at + 1] = after;
        // The first word keeps its version, so that a sum of nothing at all, which has two representations, cannot arise.
        fc.pre(at !== 0 || after !== 0);
        expect(checksum.update(old, before, after)).toBe(checksum.checksum(header, 0, 20));
      }),
    );
  });

  test('an address changes: update32', () => {
    const header = new Uint8Array([0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7]);
    expect(checksum.checksum(header, 0, 20)).toBe(0xb861);
    header.set([203, 0, 113, 9], 12);
    expect(checksum.update32(0xb861, 0xc0a80001 | 0, 0xcb007109 | 0)).toBe(checksum.checksum(header, 0, 20));
  });

  test('pseudo headers: addresses, protocol and length', () => {
    const ipv4 = new Uint8Array([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    expect(checksum.pseudoIpv4(ipv4, 0, 17, 9)).toBe(0x0a00 + 1 + 0x0a00 + 2 + 17 + 9);
    const ipv6 = new Uint8Array(40);
    ipv6.set([0xfd, 0, 0, 1], 8);
    ipv6.set([0xfd, 0, 0, 2], 24);
    expect(checksum.pseudoIpv6(ipv6, 0, 58, 70)).toBe(reference(new Uint8Array([0xfd, 0, 0, 1, 0xfd, 0, 0, 2, 0, 58, 0, 70])));
  });
});
