import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gatherFlows } from '../../src/offload/gather.js';
import { makePacket, type PacketOptions, payload } from '../helpers/packet.js';
import { Ring } from '../helpers/ring.js';

/** Flows by their letter; a dash is a frame nothing may overtake. */
function gather(list: string, different: (letter: string) => PacketOptions = byPort): string {
  const ring = new Ring();
  const numbers = new Map<string, number>();
  const names = [...list].map((letter) => {
    const number = (numbers.get(letter) ?? 0) + 1;
    numbers.set(letter, number);
    ring.add(
      letter === '-'
        ? makePacket({ protocol: 'tcp', payload: payload(30) })
        : makePacket({ payload: payload(30), ...different(letter) }),
    );
    return `${letter}${number}`;
  });
  const words = new Int32Array(ring.bytes.buffer, ring.bytes.byteOffset, ring.bytes.length >> 2);
  gatherFlows(words, ring.bytes, ring.ingress, ring.at, ring.length, ring.order, ring.count);
  return Array.from(ring.order.subarray(0, ring.count), (frame) => names[frame]).join(' ');
}

function byPort(letter: string): PacketOptions {
  return { sourcePort: 40_000 + letter.charCodeAt(0) };
}

describe('gathering the datagrams of interleaved flows', () => {
  test('each flow together, flows by their first datagram, each in its order', () => {
    expect(gather('abab')).toBe('a1 a2 b1 b2');
    expect(gather('abcacb')).toBe('a1 a2 b1 b2 c1 c2');
  });

  test('what lies together stays where it is', () => {
    expect(gather('')).toBe('');
    expect(gather('aaa')).toBe('a1 a2 a3');
    expect(gather('aabbc')).toBe('a1 a2 b1 b2 c1');
  });

  test('nothing overtakes a frame that is no datagram, and it overtakes nothing', () => {
    expect(gather('aba-bab-')).toBe('a1 a2 b1 -1 b2 b3 a3 -2');
    expect(gather('--a-a')).toBe('-1 -2 a1 -3 a2');
  });

  test('a fragment and a super-frame end a run as well', () => {
    const cut = (letter: string): PacketOptions => (letter === 'x' ? { payload: payload(250), gsoSize: 100 } : byPort(letter));
    expect(gather('abxab', cut)).toBe('a1 b1 x1 a2 b2');
  });

  test('any list: a permutation that keeps every flow in order and moves nothing past a dash', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd', '-'), { maxLength: 60 }), (letters) => {
        const gathered = gather(letters.join(''))
          .split(' ')
          .filter((name) => name !== '');
        for (const flow of 'abcd-') {
          const members = gathered.filter((name) => name.startsWith(flow));
          expect(members).toEqual(members.map((_, index) => `${flow}${index + 1}`));
        }
        const runs = (list: string[]) =>
          list
            .join(' ')
            .split(/-\d*/)
            .map((run) =>
              run
                .trim()
                .split(' ')
                .map((name) => name[0])
                .sort()
                .join(''),
            );
        expect(runs(gathered)).toEqual(runs(letters));
      }),
      { numRuns: 200 },
    );
  });
});
