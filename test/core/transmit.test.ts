import { describe, expect, test } from 'vitest';
import { Transmit } from '../../src/core/transmit.js';

const SCRATCH_FROM = 1024;
const SCRATCH_TO = 2048;

/** A ring of `words` words that notes what it held at each flush. */
function makeRing(words: number): { ring: Transmit; flushed: number[][] } {
  const flushed: number[][] = [];
  const ring = new Transmit(new ArrayBuffer(4096), new ArrayBuffer(words * 4), SCRATCH_FROM, SCRATCH_TO, {
    flush: (full) => {
      flushed.push([...full.words.subarray(0, full.used)]);
      full.clear();
    },
  });
  return { ring, flushed };
}

describe('transmit', () => {
  test('a descriptor: port, number of segments, then offset and length of each', () => {
    const { ring } = makeRing(64);
    ring.reserve(1, 2, 0);
    ring.begin(7);
    ring.segment(100, 54);
    ring.segment(300, 1000);
    ring.end(3, 9);
    ring.reserve(1, 1, 0);
    ring.begin(8);
    ring.segment(500, 60);
    ring.end(1, 1);
    expect([...ring.words.subarray(0, ring.used)]).toEqual([7, 2, 100, 54, 300, 1000, 8, 1, 500, 60]);
    expect([ring.framesAt[0], ring.packetsAt[0], ring.framesAt[6], ring.packetsAt[6]]).toEqual([3, 9, 1, 1]);
  });

  test('a ring without room for the next frame is flushed before it, whole descriptors only', () => {
    const { ring, flushed } = makeRing(10);
    for (let frame = 0; frame < 5; frame++) {
      ring.reserve(1, 1, 0);
      ring.begin(1);
      ring.segment(frame, 60);
      ring.end(1, 1);
    }
    expect(flushed).toEqual([
      [1, 1, 0, 60, 1, 1, 1, 60],
      [1, 1, 2, 60, 1, 1, 3, 60],
    ]);
    expect([...ring.words.subarray(0, ring.used)]).toEqual([1, 1, 4, 60]);
  });

  test('scratch without room for the next frame is flushed before it and starts over', () => {
    const { ring, flushed } = makeRing(1024);
    const places: number[] = [];
    for (let frame = 0; frame < 4; frame++) {
      ring.reserve(1, 1, 400);
      const at = ring.scratch(400);
      places.push(at);
      ring.begin(1);
      ring.segment(at, 400);
      ring.end(1, 1);
    }
    expect(flushed.length).toBe(1);
    expect(places[2]).toBe(places[0]);
    expect(places[3]).toBe(places[1]);
  });

  test('scratch: frames at 2 mod 4 behind their lead, apart from each other, inside the region', () => {
    const { ring } = makeRing(1024);
    let end = SCRATCH_FROM;
    for (const [length, lead] of [
      [54, 12],
      [7, 0],
      [66, 12],
      [1, 12],
      [33, 5],
      [42, 0],
    ]) {
      ring.reserve(1, 1, length + lead);
      const at = ring.scratch(length + lead, lead);
      expect((at + lead) % 4).toBe(2);
      expect(at).toBeGreaterThanOrEqual(end);
      end = at + lead + length;
      expect(end).toBeLessThanOrEqual(SCRATCH_TO);
    }
  });

  test('what was reserved never reaches beyond the region, whatever its length', () => {
    for (let length = 1; length < 300; length++) {
      const { ring } = makeRing(1 << 14);
      for (let frame = 0; frame < 40; frame++) {
        ring.reserve(1, 1, length);
        expect(ring.scratch(length, frame % 13) + length).toBeLessThanOrEqual(SCRATCH_TO);
      }
    }
  });
});
