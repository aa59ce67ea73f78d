import { describe, expect, test } from 'vitest';
import * as arp from '../../src/wire/arp.js';
import { fixtureFrames } from '../helpers/fixture.js';

const REPLY = new Uint8Array([
  0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x02, 0x02, 0, 0, 0, 0, 0x0b, 10, 9, 0, 2, 0x02, 0, 0, 0, 0, 0x0a, 10, 9, 0, 1,
]);
const PACKET = {
  operation: arp.Operation.reply,
  senderMac: '02:00:00:00:00:0b',
  senderIp: '10.9.0.2',
  targetMac: '02:00:00:00:00:0a',
  targetIp: '10.9.0.1',
};

describe('arp', () => {
  test('deconstruct', () => {
    expect(arp.check(REPLY, 0, REPLY.length)).toBe(true);
    expect(arp.operation(REPLY, 0)).toBe(arp.Operation.reply);
    expect([arp.senderMacHigh(REPLY, 0), arp.senderMacLow(REPLY, 0), arp.senderIp(REPLY, 0)]).toEqual([0x0200, 11, 0x0a090002]);
    expect([arp.targetMacHigh(REPLY, 0), arp.targetMacLow(REPLY, 0), arp.targetIp(REPLY, 0)]).toEqual([0x0200, 10, 0x0a090001]);
  });

  test('construct', () => {
    const bytes = new Uint8Array(32).fill(0xa5);
    arp.write(bytes, 2, arp.Operation.reply, 0x0200, 11, 0x0a090002, 0x0200, 10, 0x0a090001);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...REPLY, 0xa5, 0xa5]);
    arp.setOperation(bytes, 2, arp.Operation.request);
    arp.setSender(bytes, 2, 0x0201, 1, 2);
    arp.setTarget(bytes, 2, 0x0203, 3, 4);
    expect(arp.parse(bytes, 2)).toEqual({
      operation: 1,
      senderMac: '02:01:00:00:00:01',
      senderIp: '0.0.0.2',
      targetMac: '02:03:00:00:00:03',
      targetIp: '0.0.0.4',
    });
  });

  test('parse', () => {
    expect(arp.parse(REPLY, 0)).toEqual(PACKET);
  });

  test('emit', () => {
    const bytes = new Uint8Array(28).fill(0xa5);
    arp.emit(bytes, 0, PACKET);
    expect(bytes).toEqual(REPLY);
  });

  test('A1: other hardware, other protocol, other lengths, too short', () => {
    for (const at of [0, 1, 2, 3, 4, 5]) {
      const other = REPLY.slice();
      other[at] ^= 0x10;
      expect(arp.check(other, 0, other.length)).toBe(false);
    }
    expect(arp.check(REPLY, 0, 27)).toBe(false);
    expect(arp.check(REPLY, 0, 0)).toBe(false);
  });

  test('question and answer of two Linux stacks', () => {
    const [request, reply] = fixtureFrames('arp-icmp');
    expect(arp.check(request, 14, request.length - 14)).toBe(true);
    expect(arp.parse(request, 14)).toMatchObject({ operation: 1, senderIp: '10.9.0.1', targetIp: '10.9.0.2' });
    expect(arp.parse(reply, 14)).toEqual(PACKET);
  });
});
