import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIp, formatLinkAddress, macBytes, parseIp } from '../../src/netlink/address-text.js';
import { Family } from '../../src/netlink/constants.js';

describe('IP addresses as bytes', () => {
  test('IPv4', () => {
    expect(parseIp('10.9.0.255')).toEqual({ family: Family.ipv4, bytes: Uint8Array.of(10, 9, 0, 255) });
    expect(formatIp(Uint8Array.of(10, 9, 0, 255))).toBe('10.9.0.255');
  });

  // RFC 5952, section 4: shortest form, lower case, the longest run of zero groups, the first of equal ones, no run of one.
  test.each([
    ['::', '::'],
    ['::1', '::1'],
    ['fe80::', 'fe80::'],
    ['FE80:0:0:0:0:0:0:1', 'fe80::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('IPv6 %s is %s', (given, canonical) => {
    const { family, bytes } = parseIp(given);
    expect(family).toBe(Family.ipv6);
    expect(bytes.length).toBe(16);
    expect(formatIp(bytes)).toBe(canonical);
  });

  test('property: what is formatted parses to the same bytes', () => {
    const sparse = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(sparse, (bytes) => {
        expect([...parseIp(formatIp(Uint8Array.from(bytes))).bytes]).toEqual(bytes);
      }),
    );
  });

  test.each(['', '10.0.0', '10.0.0.256', '10.0.0.1/24', '010.0.0.1', ':::', 'fe80::1%eth0', 'localhost'])(
    '%j is none',
    (text) => {
      expect(() => parseIp(text)).toThrow('is not an IP address');
    },
  );

  test('an address of a length of neither family has no text', () => {
    expect(formatIp(new Uint8Array(0))).toBe('');
    expect(formatIp(new Uint8Array(7))).toBe('');
  });
});

describe('MAC addresses as bytes', () => {
  test('both ways', () => {
    expect([...macBytes('02:00:00:00:AB:ff')]).toEqual([2, 0, 0, 0, 0xab, 0xff]);
    expect(formatLinkAddress(Uint8Array.of(2, 0, 0, 0, 0xab, 0xff))).toBe('02:00:00:00:ab:ff');
    expect(formatLinkAddress(new Uint8Array(0))).toBe('');
  });

  test('anything else is refused', () => {
    expect(() => macBytes('02:00:00:00:00')).toThrow();
    expect(() => macBytes('02:00:00:00:00:0g')).toThrow();
  });
});
