import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attributeString,
  attributeU32,
  HEADER_BYTES,
  MalformedMessage,
  MessageWriter,
  readAttributes,
  readMessages,
  readU32,
} from '../../src/netlink/message.js';
import * as recorded from './recorded.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('a netlink message', () => {
  test('construct: header, family header, padded attribute', () => {
    const message = new MessageWriter(18, 1).u8(0).u8(0).u16(0).u32(5).u32(0).u32(0).attributeString(3, 'eth0').finish(7);
    expect(hex(message)).toBe(
      '2c000000120001000700000000000000' + // length 44, RTM_GETLINK, NLM_F_REQUEST, sequence 7
        '00000000050000000000000000000000' + // ifinfomsg of interface 5
        '0900030065746830' + // IFLA_IFNAME, 9 bytes with the NUL
        '00000000',
    );
  });

  test('construct: nested attributes carry NLA_F_NESTED and the length of all they hold', () => {
    const message = new MessageWriter(16, 5)
      .nested(18, (m) => m.attributeString(1, 'veth').nested(2, (n) => n.attributeU32(1, 9)))
      .finish(1);
    expect(hex(message.subarray(HEADER_BYTES))).toBe('1c00128009000100766574680000000' + '00c0002800800010009000000');
  });

  test('construct: grows beyond its first buffer', () => {
    const writer = new MessageWriter(16, 5);
    for (let i = 0; i < 300; i++) writer.attributeU32(i, i);
    const attributes = readAttributes(writer.finish(1), HEADER_BYTES);
    expect(attributes.size).toBe(300);
    expect(attributeU32(attributes, 299, -1)).toBe(299);
  });

  test('construct: an attribute longer than its 16-bit length is refused', () => {
    expect(() => new MessageWriter(16, 5).attribute(1, new Uint8Array(0xfffc))).toThrow(RangeError);
  });

  test('one writer gives a message for each sequence number', () => {
    const writer = new MessageWriter(16, 5).attributeU32(1, 2);
    const [first, second] = [writer.finish(1), writer.finish(2)];
    expect(readMessages(first)[0].sequence).toBe(1);
    expect(readMessages(second)[0].sequence).toBe(2);
    expect(first.length).toBe(second.length);
  });

  test('deconstruct: the messages of a recorded dump, closed by NLMSG_DONE', () => {
    const messages = readMessages(recorded.neighbors);
    expect(messages.map(({ type }) => type)).toEqual([28, 28, 3]);
    expect(messages.every(({ sequence }) => sequence === recorded.SEQUENCE)).toBe(true);
  });

  test('deconstruct: strings end at their NUL, absent attributes have a default', () => {
    const attributes = readAttributes(readMessages(recorded.link)[0].payload, 16);
    expect(attributeString(attributes, 3)).toBe('eth0');
    expect(attributeString(attributes, 1000)).toBe('');
    expect(attributeU32(attributes, 1000, -1)).toBe(-1);
  });
});

describe('lengths that point outside are refused', () => {
  const message = (...words: number[]) => new Uint8Array(Uint32Array.from(words).buffer);

  test.each([
    ['a header cut off', message(16, 0, 0)],
    ['a length below the header', message(15, 0, 0, 0)],
    ['a length beyond the buffer', message(20, 0, 0, 0)],
    ['a length of zero, which would never end', message(0, 0, 0, 0)],
  ])('%s', (_, bytes) => {
    expect(() => readMessages(bytes)).toThrow(MalformedMessage);
  });

  test.each([
    ['an attribute below its header', message(0x0001_0003)],
    ['an attribute beyond the message', message(0x0001_0005)],
    ['an attribute of length zero', message(0x0001_0000, 0)],
  ])('%s', (_, bytes) => {
    expect(() => readAttributes(bytes, 0)).toThrow(MalformedMessage);
  });

  test('a number beyond the end', () => {
    expect(() => readU32(new Uint8Array(7), 4)).toThrow(MalformedMessage);
    expect(() => readU32(new Uint8Array(3), 0)).toThrow(MalformedMessage);
  });

  test('property: any bytes either parse or are refused, and nothing behind them is read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.integer({ min: 0, max: 255 }), (bytes, canary) => {
        const padded = new Uint8Array(bytes.length + 64).fill(canary);
        padded.set(bytes);
        const outcome = (input: Uint8Array) => {
          try {
            return readMessages(input).map(({ type, payload }) => [
              type,
              [...readAttributes(payload, 0)].map(([t, v]) => [t, hex(v)]),
            ]);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedMessage);
            return 'refused';
          }
        };
        expect(outcome(padded.subarray(0, bytes.length))).toEqual(outcome(bytes));
      }),
    );
  });
});
