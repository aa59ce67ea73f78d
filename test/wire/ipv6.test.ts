import { describe, expect, test } from 'vitest';
import * as checksum from '../../src/wire/checksum.js';
import { Protocol } from '../../src/wire/ipv4.js';
import * as ipv6 from '../../src/wire/ipv6.js';
import { fixtureFrames } from '../helpers/fixture.js';

const FIELDS = {
  trafficClass: 0xb8,
  flowLabel: 0xabcde,
  payloadLength: 8,
  nextHeader: Protocol.udp,
  hopLimit: 64,
  source: 'fd00:9::1',
  destination: 'ff02::1',
};
const HEADER = new Uint8Array([
  0x6b, 0x8a, 0xbc, 0xde, 0, 8, 17, 64, 0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 1,
]);

/** A packet whose fixed header says `next`, then the given bytes. */
function packet(next: number, ...rest: number[]): Uint8Array {
  const bytes = new Uint8Array([...HEADER, ...rest]);
  bytes[6] = next;
  return bytes;
}

describe('ipv6', () => {
  test('deconstruct', () => {
    expect(ipv6.version(HEADER, 0)).toBe(6);
    expect(ipv6.trafficClass(HEADER, 0)).toBe(0xb8);
    expect(ipv6.flowLabel(HEADER, 0)).toBe(0xabcde);
    expect(ipv6.payloadLength(HEADER, 0)).toBe(8);
    expect(ipv6.nextHeader(HEADER, 0)).toBe(17);
    expect(ipv6.hopLimit(HEADER, 0)).toBe(64);
  });

  test('construct and emit', () => {
    const bytes = new Uint8Array(44).fill(0xa5);
    ipv6.emit(bytes, 2, FIELDS);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...HEADER, 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(ipv6.parse(HEADER, 0)).toEqual(FIELDS);
  });

  test('check: short, other version, payload cut off, padding', () => {
    const whole = packet(17, 0, 0, 0, 0, 0, 8, 0, 0);
    expect(ipv6.check(whole, 0, 48)).toBe(ipv6.Fault.none);
    expect(ipv6.check(whole, 0, 60)).toBe(ipv6.Fault.none);
    expect(ipv6.check(whole, 0, 47)).toBe(ipv6.Fault.truncated);
    expect(ipv6.check(whole, 0, 39)).toBe(ipv6.Fault.short);
    whole[0] = 0x45;
    expect(ipv6.check(whole, 0, 48)).toBe(ipv6.Fault.version);
  });

  test('extension headers are walked, a later fragment ends the walk', () => {
    const upper = (bytes: Uint8Array) => {
      const found = ipv6.upper(bytes, 0, bytes.length);
      return found < 0 ? found : { distance: found >>> 8, protocol: found & 0xff };
    };
    expect(upper(packet(17))).toEqual({ distance: 40, protocol: 17 });
    expect(upper(packet(0, 60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0))).toEqual({ distance: 56, protocol: 6 });
    expect(upper(packet(44, 17, 0, 0, 1, 0, 0, 0, 1))).toEqual({ distance: 48, protocol: 17 });
    expect(upper(packet(44, 17, 0, 0, 8, 0, 0, 0, 1))).toEqual({ distance: 40, protocol: 44 });
    expect(upper(packet(44, 17, 0, 0, 1, 0, 0, 0))).toBe(-1);
    expect(upper(packet(0, 17, 1, 0, 0, 0, 0, 0, 0))).toBe(-1);
    expect(upper(packet(0, 17))).toBe(-1);
    expect(upper(packet(60))).toBe(-1);
  });

  test('an endless chain of extension headers is given up', () => {
    const chain = new Array<number>(12).fill(0).flatMap(() => [60, 0, 1, 4, 0, 0, 0, 0]);
    expect(ipv6.upper(packet(60, ...chain), 0, 40 + chain.length)).toBe(-1);
  });

  test('text by RFC 5952', () => {
    const bytes = new Uint8Array(16);
    const rewritten = (text: string) => {
      ipv6.writeIpv6(bytes, 0, text);
      return ipv6.formatIpv6(bytes, 0);
    };
    expect(rewritten('::')).toBe('::');
    expect(rewritten('0:0:0:0:0:0:0:1')).toBe('::1');
    expect(rewritten('2001:DB8:0:0:1:0:0:1')).toBe('2001:db8::1:0:0:1');
    expect(rewritten('2001:db8:0:1:1:1:1:1')).toBe('2001:db8:0:1:1:1:1:1');
    expect(rewritten('1::')).toBe('1::');
    for (const wrong of ['', ':', '1:2:3', '1::2::3', '1:2:3:4:5:6:7:8:9', '12345::', 'g::', '1:2:3:4::5:6:7:8']) {
      expect(() => ipv6.writeIpv6(bytes, 0, wrong)).toThrow('is not an IPv6 address');
    }
  });

  test('ICMPv6 of another stack: past hop-by-hop options, checksum right', () => {
    for (const frame of fixtureFrames('ipv6-neighbor')) {
      const length = frame.length - 14;
      expect(ipv6.check(frame, 14, length)).toBe(ipv6.Fault.none);
      const upper = ipv6.upper(frame, 14, length);
      expect(upper & 0xff).toBe(Protocol.icmpv6);
      const distance = upper >>> 8;
      const pseudo = checksum.pseudoIpv6(frame, 14, Protocol.icmpv6, length - distance);
      expect(checksum.sum(frame, 14 + distance, length - distance, pseudo)).toBe(0xffff);
    }
  });
});
