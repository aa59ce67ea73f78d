import { describe, expect, test } from 'vitest';
import {
  formatIpv4,
  isLoopbackIpv4,
  isMulticastIpv4,
  isUnicastIpv4,
  parseIpv4,
  parseIpv4Cidr,
  readIpv4,
  writeIpv4,
} from '../../src/wire/ipv4-address.js';

describe('ipv4-address', () => {
  test('deconstruct and construct', () => {
    const bytes = new Uint8Array(6).fill(0xa5);
    writeIpv4(bytes, 1, parseIpv4('203.0.113.255'));
    expect([...bytes]).toEqual([0xa5, 203, 0, 113, 255, 0xa5]);
    expect(readIpv4(bytes, 1)).toBe(0xcb0071ff | 0);
  });

  test('parse and emit text', () => {
    for (const text of ['0.0.0.0', '10.0.0.1', '127.255.255.255', '128.0.0.0', '255.255.255.255']) {
      expect(formatIpv4(parseIpv4(text))).toBe(text);
    }
    for (const wrong of [
      '',
      '10.0.0',
      '10.0.0.0.1',
      '10.0.0.256',
      '10.0.0.01',
      '10.0.0.-1',
      '10.0.0.1 ',
      '0x0a.0.0.1',
      '10..0.1',
    ]) {
      expect(() => parseIpv4(wrong)).toThrow('is not an IPv4 address');
    }
  });

  test('a network: mask, network, broadcast, what lies inside', () => {
    const cidr = parseIpv4Cidr('172.30.5.9/20');
    expect(formatIpv4(cidr.mask)).toBe('255.255.240.0');
    expect(formatIpv4(cidr.network)).toBe('172.30.0.0');
    expect(formatIpv4(cidr.broadcast)).toBe('172.30.15.255');
    expect(`${cidr}`).toBe('172.30.5.9/20');
    expect(cidr.contains(parseIpv4('172.30.15.254'))).toBe(true);
    expect(cidr.contains(parseIpv4('172.30.16.0'))).toBe(false);
    expect(cidr.isHost(cidr.network)).toBe(false);
    expect(cidr.isHost(cidr.broadcast)).toBe(false);
    expect(cidr.isHost(cidr.address)).toBe(true);
  });

  test('the corners: /0 holds all, /31 has two hosts (RFC 3021), /32 one', () => {
    expect(parseIpv4Cidr('10.0.0.1/0').contains(parseIpv4('255.255.255.255'))).toBe(true);
    const pair = parseIpv4Cidr('192.0.2.2/31');
    expect([pair.isHost(parseIpv4('192.0.2.2')), pair.isHost(parseIpv4('192.0.2.3'))]).toEqual([true, true]);
    const one = parseIpv4Cidr('192.0.2.2/32');
    expect([one.isHost(one.address), one.contains(parseIpv4('192.0.2.3'))]).toEqual([true, false]);
  });

  test('overlap goes both ways', () => {
    const wide = parseIpv4Cidr('10.0.0.0/8');
    const narrow = parseIpv4Cidr('10.200.0.0/16');
    const other = parseIpv4Cidr('11.0.0.0/8');
    expect([wide.overlaps(narrow), narrow.overlaps(wide), wide.overlaps(other)]).toEqual([true, true, false]);
  });

  test('a prefix that is missing or wrong', () => {
    for (const wrong of ['10.0.0.1', '10.0.0.1/', '10.0.0.1/33', '10.0.0.1/08', '10.0.0.1/-1', '10.0.0.1/a']) {
      expect(() => parseIpv4Cidr(wrong)).toThrow('is not an address with a prefix');
    }
    expect(() => parseIpv4Cidr('10.0.0/24')).toThrow('is not an IPv4 address');
  });

  test('kinds of address', () => {
    expect(isMulticastIpv4(parseIpv4('224.0.0.1'))).toBe(true);
    expect(isMulticastIpv4(parseIpv4('240.0.0.1'))).toBe(false);
    expect(isLoopbackIpv4(parseIpv4('127.1.2.3'))).toBe(true);
    for (const wrong of ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255']) {
      expect(isUnicastIpv4(parseIpv4(wrong))).toBe(false);
    }
    expect(isUnicastIpv4(parseIpv4('223.255.255.255'))).toBe(true);
  });
});
