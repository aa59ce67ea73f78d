import fc from 'fast-check';
import { expect, describe as suite, test } from 'vitest';
import { describe } from '../../src/wire/describe.js';
import { embed, fixtureFrames, fixtureLines } from '../helpers/fixture.js';

const CAPTURES = ['arp-icmp', 'udp', 'tcp', 'vlan', 'ipv6-neighbor', 'ipv6-transport'];

suite('describe', () => {
  for (const name of CAPTURES) {
    test(`${name}: every line is tcpdump's line`, () => {
      expect(fixtureFrames(name).map((frame) => describe(frame, 0, frame.length))).toEqual(fixtureLines(name));
    });
  }

  const frames = CAPTURES.flatMap(fixtureFrames);

  test('a frame cut off anywhere: one line, nothing read behind the cut', () => {
    for (const frame of frames) {
      for (let length = 0; length <= Math.min(frame.length, 120); length++) {
        const cut = frame.subarray(0, length);
        const line = describe(embed(cut, 18, 0x00), 18, length);
        expect(line).not.toContain('\n');
        expect(line).not.toContain('undefined');
        expect(line).not.toContain('NaN');
        expect(describe(embed(cut, 18, 0xff), 18, length)).toBe(line);
      }
    }
  });

  test('any bytes: one line, nothing read outside the frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (frame) => {
        const line = describe(embed(frame, 10, 0xa5), 10, frame.length);
        expect(line.length).toBeGreaterThan(0);
        expect(line).not.toMatch(/\n|undefined|NaN/);
        expect(describe(embed(frame, 10, 0x5a), 10, frame.length)).toBe(line);
      }),
    );
  });

  test('real frames with some bytes changed: one line, nothing read outside the frame', () => {
    const change = fc.tuple(fc.nat(119), fc.nat(255));
    fc.assert(
      fc.property(fc.constantFrom(...frames), fc.array(change, { maxLength: 4 }), (original, changes) => {
        const frame = original.slice();
        for (const [at, value] of changes) {
          frame[at % frame.length] = value;
        }
        const line = describe(embed(frame, 10, 0xa5), 10, frame.length);
        expect(line).not.toMatch(/\n|undefined|NaN/);
        expect(describe(embed(frame, 10, 0x5a), 10, frame.length)).toBe(line);
      }),
    );
  });

  test('nothing at all, a runt, an unknown type, an 802.3 length', () => {
    expect(describe(new Uint8Array(0), 0, 0)).toBe('[|ether], length 0');
    expect(describe(new Uint8Array(13), 0, 13)).toBe('[|ether], length 13');
    const frame = new Uint8Array(60);
    frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    expect(describe(frame, 0, 60)).toBe('02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype Unknown (0x88b5), length 60: 46 bytes');
    frame.set([0x00, 0x26], 12);
    expect(describe(frame, 0, 60)).toBe('02:00:00:00:00:02 > 02:00:00:00:00:01, 802.3, length 60: 46 bytes');
  });
});
