import { describe, expect, test } from 'vitest';
import { clampMss, IPV4_TCP_BYTES } from '../../src/gateway/mss-clamp.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as tcp from '../../src/wire/tcp.js';
import { makePacket, type PacketOptions } from '../helpers/packet.js';
import { MadeBatch } from './made-batch.js';

const LIMIT = 1400 - IPV4_TCP_BYTES;
const mss = (value: number) => [tcp.OptionKind.mss, 4, value >>> 8, value & 0xff];

/** A segment with these options through the clamp: whether it changed, its options, its TCP checksum over all. */
function clamp(tcpOptions: number[], options: PacketOptions = {}) {
  const made = new MadeBatch();
  const payload = new Uint8Array(0);
  const frame = made.add(makePacket({ protocol: 'tcp', flags: tcp.Flag.syn, payload, tcpOptions, ...options }));
  const { bytes, at } = made.batch;
  const before = made.bytesOf(frame);
  const l4 = at[frame] + 34;
  const changed = clampMss(bytes, at[frame], l4, LIMIT);
  const length = tcp.HEADER_BYTES + tcpOptions.length;
  const after = made.bytesOf(frame);
  const sum = checksum.sum(bytes, l4, length, checksum.pseudoIpv4(bytes, at[frame] + 14, ipv4.Protocol.tcp, length));
  return { changed, options: [...after.subarray(54)], sum, before, after };
}

describe('R24: MSS', () => {
  test('a larger one is lowered to the limit, on SYN and SYN+ACK, and the checksum stays right', () => {
    for (const flags of [tcp.Flag.syn, tcp.Flag.syn | tcp.Flag.ack]) {
      const { changed, options, sum } = clamp(mss(1460), { flags });
      expect({ changed, options, sum }).toEqual({ changed: true, options: mss(LIMIT), sum: 0xffff });
    }
  });

  test('at an odd offset, too', () => {
    const { options, sum } = clamp([tcp.OptionKind.nop, ...mss(0xff37), 1, 1, 1]);
    expect({ options, sum }).toEqual({ options: [1, ...mss(LIMIT), 1, 1, 1], sum: 0xffff });
  });

  test('behind other options', () => {
    const { options } = clamp([tcp.OptionKind.sackPermitted, 2, tcp.OptionKind.windowScale, 3, 7, ...mss(9000), 0, 0, 0]);
    expect(options).toEqual([4, 2, 3, 3, 7, ...mss(LIMIT), 0, 0, 0]);
  });

  test('a partial checksum covers no options and stays', () => {
    const { changed, before, after } = clamp(mss(1460), { partial: true });
    expect(changed).toBe(true);
    expect(after.subarray(50, 52)).toEqual(before.subarray(50, 52));
  });

  test('never raised, never added, never outside of a SYN', () => {
    for (const [options, flags] of [
      [mss(LIMIT), tcp.Flag.syn],
      [mss(536), tcp.Flag.syn],
      [[], tcp.Flag.syn],
      [mss(1460), tcp.Flag.ack],
      // Behind the end option there are none; a length of 0, 1 or beyond the header is broken.
      [[0, 0, 0, 0, ...mss(1460)], tcp.Flag.syn],
      [[8, 0, 1, 1, ...mss(1460)], tcp.Flag.syn],
      [[8, 1, 1, 1, ...mss(1460)], tcp.Flag.syn],
      [[8, 40, 1, 1, ...mss(1460)], tcp.Flag.syn],
      [[1, 1, 1, tcp.OptionKind.mss], tcp.Flag.syn],
      [[tcp.OptionKind.mss, 3, 5, 0xb4], tcp.Flag.syn],
    ] as const) {
      const { changed, before, after } = clamp([...options], { flags });
      expect(changed, `${options} ${flags}`).toBe(false);
      expect(after).toEqual(before);
    }
  });
});
