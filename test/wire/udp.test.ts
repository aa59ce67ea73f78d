import { describe, expect, test } from 'vitest';
import * as checksum from '../../src/wire/checksum.js';
import * as udp from '../../src/wire/udp.js';
import { fixtureFrames } from '../helpers/fixture.js';

const HEADER = new Uint8Array([0x9c, 0x41, 0x23, 0x29, 0x00, 0x09, 0x12, 0x34]);
const FIELDS = { sourcePort: 40001, destinationPort: 9001, length: 9, checksum: 0x1234 };

describe('udp', () => {
  test('deconstruct', () => {
    expect(udp.sourcePort(HEADER, 0)).toBe(40001);
    expect(udp.destinationPort(HEADER, 0)).toBe(9001);
    expect(udp.datagramLength(HEADER, 0)).toBe(9);
    expect(udp.checksumField(HEADER, 0)).toBe(0x1234);
  });

  test('construct', () => {
    const bytes = new Uint8Array(12).fill(0xa5);
    udp.setSourcePort(bytes, 2, 40001);
    udp.setDestinationPort(bytes, 2, 9001);
    udp.setDatagramLength(bytes, 2, 9);
    udp.setChecksumField(bytes, 2, 0x1234);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...HEADER, 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(udp.parse(HEADER, 0)).toEqual(FIELDS);
  });

  test('emit', () => {
    const bytes = new Uint8Array(8).fill(0xa5);
    udp.emit(bytes, 0, FIELDS);
    expect(bytes).toEqual(HEADER);
  });

  test('C4: length from 8 to what is there', () => {
    const withLength = (length: number) => {
      const bytes = HEADER.slice();
      udp.setDatagramLength(bytes, 0, length);
      return bytes;
    };
    expect(udp.check(withLength(8), 0, 8)).toBe(true);
    expect(udp.check(withLength(8), 0, 20)).toBe(true);
    expect(udp.check(withLength(7), 0, 20)).toBe(false);
    expect(udp.check(withLength(9), 0, 8)).toBe(false);
    expect(udp.check(withLength(8), 0, 7)).toBe(false);
  });

  test('datagrams of another stack, odd lengths among them: checksum right', () => {
    for (const frame of fixtureFrames('udp')) {
      const length = udp.datagramLength(frame, 34);
      expect(udp.check(frame, 34, frame.length - 34)).toBe(true);
      expect(checksum.sum(frame, 34, length, checksum.pseudoIpv4(frame, 14, 17, length))).toBe(0xffff);
    }
  });
});
