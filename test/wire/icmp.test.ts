import { describe, expect, test } from 'vitest';
import * as icmp from '../../src/wire/icmp.js';
import { fixtureFrames } from '../helpers/fixture.js';

const ECHO = new Uint8Array([8, 0, 0x7d, 0x4b, 0x12, 0x34, 0x00, 0x05, 0x68, 0x7b]);
const FIELDS = { type: icmp.Type.echoRequest, code: 0, identifier: 0x1234, sequence: 5 };

describe('icmp', () => {
  test('deconstruct', () => {
    expect([icmp.type(ECHO, 0), icmp.code(ECHO, 0), icmp.checksumField(ECHO, 0)]).toEqual([8, 0, 0x7d4b]);
    expect([icmp.identifier(ECHO, 0), icmp.sequence(ECHO, 0)]).toEqual([0x1234, 5]);
    expect(icmp.verify(ECHO, 0, ECHO.length)).toBe(true);
  });

  test('construct', () => {
    const bytes = new Uint8Array(14).fill(0xa5);
    icmp.setType(bytes, 2, 8);
    icmp.setCode(bytes, 2, 0);
    icmp.setIdentifier(bytes, 2, 0x1234);
    icmp.setSequence(bytes, 2, 5);
    bytes.set([0x68, 0x7b], 10);
    icmp.fillChecksum(bytes, 2, 10);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...ECHO, 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(icmp.parse(ECHO, 0)).toEqual(FIELDS);
  });

  test('emit', () => {
    const bytes = new Uint8Array(10).fill(0xa5);
    bytes.set([0x68, 0x7b], 8);
    icmp.emit(bytes, 0, 10, FIELDS);
    expect(bytes).toEqual(ECHO);
  });

  test('check: eight bytes; a flipped bit does not verify', () => {
    expect([icmp.check(7), icmp.check(8)]).toEqual([false, true]);
    const flipped = ECHO.slice();
    flipped[9] ^= 0x01;
    expect(icmp.verify(flipped, 0, flipped.length)).toBe(false);
  });

  test('echo and its answer of another stack: same id and sequence, checksum right', () => {
    const [, , request, reply] = fixtureFrames('arp-icmp');
    for (const frame of [request, reply]) {
      expect(icmp.verify(frame, 34, frame.length - 34)).toBe(true);
    }
    expect(icmp.parse(reply, 34)).toEqual({ ...icmp.parse(request, 34), type: icmp.Type.echoReply });
  });
});
