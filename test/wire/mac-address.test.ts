import { describe, expect, test } from 'vitest';
import {
  formatMac,
  isBroadcast,
  isGroup,
  isZero,
  macHigh,
  macLow,
  parseMac,
  randomMac,
  writeMac,
} from '../../src/wire/mac-address.js';

describe('mac-address', () => {
  test('deconstruct: two numbers, the low one as int32', () => {
    const bytes = new Uint8Array([0xa5, 0x02, 0x42, 0xfe, 0xdc, 0xba, 0x98, 0xa5]);
    expect(macHigh(bytes, 1)).toBe(0x0242);
    expect(macLow(bytes, 1)).toBe(0xfedcba98 | 0);
  });

  test('construct: six octets and no more', () => {
    const bytes = new Uint8Array(8).fill(0xa5);
    writeMac(bytes, 1, 0x0242, 0xfedcba98 | 0);
    expect([...bytes]).toEqual([0xa5, 0x02, 0x42, 0xfe, 0xdc, 0xba, 0x98, 0xa5]);
  });

  test('parse and emit text', () => {
    expect(parseMac('02:42:FE:dc:ba:98')).toEqual({ high: 0x0242, low: 0xfedcba98 | 0 });
    expect(parseMac('02-42-fe-dc-ba-98')).toEqual({ high: 0x0242, low: 0xfedcba98 | 0 });
    expect(formatMac(0x0002, 1)).toBe('00:02:00:00:00:01');
    expect(formatMac(0xffff, -1)).toBe('ff:ff:ff:ff:ff:ff');
    for (const wrong of [
      '',
      '02:42:fe:dc:ba',
      '02:42:fe:dc:ba:98:00',
      '2:42:fe:dc:ba:98',
      '02:42:fe:dc:ba:9g',
      ' 02:42:fe:dc:ba:98',
    ]) {
      expect(() => parseMac(wrong)).toThrow('is not a MAC address');
    }
  });

  test('group, broadcast, zero', () => {
    expect(isGroup(0x0100)).toBe(true);
    expect(isGroup(0x3333)).toBe(true);
    expect(isGroup(0x0200)).toBe(false);
    expect(isBroadcast(0xffff, -1)).toBe(true);
    expect(isBroadcast(0xffff, -2)).toBe(false);
    expect(isZero(0, 0)).toBe(true);
    expect(isZero(0, 1)).toBe(false);
    expect(isZero(1, 0)).toBe(false);
  });

  test('a random address is unicast and locally administered, whatever the numbers', () => {
    expect(randomMac(() => 0)).toEqual({ high: 0x0200, low: 0 });
    expect(randomMac(() => 1 - Number.EPSILON)).toEqual({ high: 0xfeff, low: -1 });
  });
});
