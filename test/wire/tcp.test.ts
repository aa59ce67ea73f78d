import { describe, expect, test } from 'vitest';
import * as checksum from '../../src/wire/checksum.js';
import * as tcp from '../../src/wire/tcp.js';
import { fixtureFrames } from '../helpers/fixture.js';

const HEADER = new Uint8Array([
  0x9c, 0x42, 0x23, 0x2a, 0xfe, 0xdc, 0xba, 0x98, 0x80, 0x00, 0x00, 0x01, 0x50, 0x12, 0xfa, 0xf0, 0x12, 0x34, 0x00, 0x05,
]);
const FIELDS = {
  sourcePort: 40002,
  destinationPort: 9002,
  sequence: 0xfedcba98,
  acknowledgment: 0x80000001,
  headerBytes: 20,
  flags: tcp.Flag.syn | tcp.Flag.ack,
  window: 64240,
  checksum: 0x1234,
  urgentPointer: 5,
};

describe('tcp', () => {
  test('deconstruct: sequence numbers are int32', () => {
    expect(tcp.sourcePort(HEADER, 0)).toBe(40002);
    expect(tcp.destinationPort(HEADER, 0)).toBe(9002);
    expect(tcp.sequence(HEADER, 0)).toBe(0xfedcba98 | 0);
    expect(tcp.acknowledgment(HEADER, 0)).toBe(0x80000001 | 0);
    expect(tcp.headerBytes(HEADER, 0)).toBe(20);
    expect(tcp.flags(HEADER, 0)).toBe(tcp.Flag.syn | tcp.Flag.ack);
    expect(tcp.window(HEADER, 0)).toBe(64240);
    expect(tcp.checksumField(HEADER, 0)).toBe(0x1234);
    expect(tcp.urgentPointer(HEADER, 0)).toBe(5);
  });

  test('construct', () => {
    const bytes = new Uint8Array([0xa5, ...HEADER, 0xa5]);
    bytes.fill(0xa5, 1, 13);
    bytes.fill(0xa5, 14, 15);
    bytes.fill(0xa5, 17, 19);
    tcp.setSourcePort(bytes, 1, 40002);
    tcp.setDestinationPort(bytes, 1, 9002);
    tcp.setSequence(bytes, 1, 0xfedcba98 | 0);
    tcp.setAcknowledgment(bytes, 1, 0x80000001 | 0);
    bytes[13] = 0x50;
    tcp.setFlags(bytes, 1, tcp.Flag.syn | tcp.Flag.ack);
    tcp.setChecksumField(bytes, 1, 0x1234);
    expect([...bytes]).toEqual([0xa5, ...HEADER, 0xa5]);
  });

  test('parse', () => {
    expect(tcp.parse(HEADER, 0)).toEqual(FIELDS);
  });

  test('emit', () => {
    const bytes = new Uint8Array(20).fill(0xa5);
    tcp.emit(bytes, 0, FIELDS);
    expect(bytes).toEqual(HEADER);
  });

  test('check: header with options whole, at least 20 bytes', () => {
    const bytes = new Uint8Array(60);
    const withOffset = (words: number, length: number) => {
      bytes[12] = words << 4;
      return tcp.check(bytes, 0, length);
    };
    expect([withOffset(5, 20), withOffset(5, 19), withOffset(4, 60), withOffset(15, 60), withOffset(15, 59)]).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('options in their order, until one makes no sense', () => {
    const withOptions = (...options: number[]) => {
      const bytes = new Uint8Array([...HEADER, ...options]);
      bytes[12] = ((20 + options.length) >>> 2) << 4;
      return tcp.parseOptions(bytes, 0).map(({ kind, length }) => [kind, length]);
    };
    expect(withOptions(2, 4, 5, 180, 4, 2, 1, 0)).toEqual([
      [2, 4],
      [4, 2],
      [1, 1],
      [0, 1],
    ]);
    expect(withOptions(1, 1, 1, 3)).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    expect(withOptions(8, 10, 0, 0)).toEqual([]);
    expect(withOptions(8, 0, 0, 0)).toEqual([]);
    expect(withOptions(8, 1, 0, 0)).toEqual([]);
    expect(withOptions(0, 8, 10, 0)).toEqual([[0, 1]]);
  });

  test('segments of another stack: checksum right', () => {
    for (const frame of fixtureFrames('tcp')) {
      const length = frame.length - 34;
      expect(tcp.check(frame, 34, length)).toBe(true);
      expect(checksum.sum(frame, 34, length, checksum.pseudoIpv4(frame, 14, 6, length))).toBe(0xffff);
      const copy = frame.slice();
      tcp.emit(copy, 34, tcp.parse(frame, 34));
      expect(copy).toEqual(frame);
    }
  });
});
