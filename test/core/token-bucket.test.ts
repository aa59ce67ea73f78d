import { describe, expect, test } from 'vitest';
import { SharedTokenBucket, TokenBucket } from '../../src/core/token-bucket.js';

/** A byte a microsecond. */
const RATE = { bitsPerSecond: 8_000_000, burstBytes: 10_000 };
/** Some days after the clock began. */
const START = 1e12 + 0.25;

/** Bytes that pass when somebody asks for `frame` bytes every `step` microseconds. */
function passed(bucket: TokenBucket, frame: number, step: number, from: number, micros: number): number {
  let total = 0;
  for (let now = from; now < from + micros; now += step) {
    while (bucket.take(frame, now)) total += frame;
  }
  return total;
}

describe('token bucket', () => {
  test('full: the burst passes at once, then nothing', () => {
    const bucket = new TokenBucket(RATE);
    for (let frame = 0; frame < 10; frame++) expect(bucket.take(1000, START)).toBe(true);
    expect(bucket.take(1, START)).toBe(false);
  });

  test('empty: a frame passes when its bytes have flowed in, and `due` says when', () => {
    const bucket = new TokenBucket(RATE);
    bucket.take(10_000, START);
    expect(bucket.due(1500)).toBe(START + 1500);
    expect(bucket.take(1500, START + 1499)).toBe(false);
    expect(bucket.take(1500, START + 1500)).toBe(true);
    expect(bucket.due(1)).toBe(START + 1501);
  });

  test('refused frames cost nothing', () => {
    const bucket = new TokenBucket(RATE);
    bucket.take(10_000, START);
    for (let turn = 0; turn < 1000; turn++) expect(bucket.take(100, START + 99)).toBe(false);
    expect(bucket.take(100, START + 100)).toBe(true);
  });

  test('idle for a day: no more than the burst', () => {
    const bucket = new TokenBucket(RATE);
    bucket.take(10_000, START);
    expect(passed(bucket, 100, 1, START + 86_400e6, 1)).toBe(10_000);
  });

  for (const [bitsPerSecond, frame] of [
    [8_000, 64],
    [10_000_000, 1514],
    [1_000_000_000, 64],
    [10_000_000_000, 68_000],
  ] as const) {
    test(`${bitsPerSecond} bit/s in frames of ${frame} bytes: rate and burst over a long time, without drift`, () => {
      // Two of the longest: with one, what flows in between two questions finds no room.
      const burstBytes = 2 * 68_000;
      const bucket = new TokenBucket({ bitsPerSecond, burstBytes });
      const micros = (2_000_000 * frame * 8) / bitsPerSecond / 7;
      const wanted = (bitsPerSecond / 8e6) * micros * 1e6;
      const total = passed(bucket, frame, micros, START, micros * 1e6);
      expect(total).toBeGreaterThan(wanted * 0.98);
      expect(total).toBeLessThan(wanted * 1.02 + burstBytes);
    });
  }

  test('a frame beyond the burst passes a full bucket, and is paid for afterwards', () => {
    const bucket = new TokenBucket(RATE);
    expect(bucket.take(25_000, START)).toBe(true);
    expect(bucket.take(1, START + 15_000)).toBe(false);
    expect(bucket.take(1, START + 15_001)).toBe(true);
    expect(bucket.take(25_000, START + 20_000)).toBe(false);
    expect(bucket.take(25_000, START + 25_001)).toBe(true);
  });

  test('a clock that is a moment behind another takes nothing twice', () => {
    const bucket = new TokenBucket(RATE);
    expect(bucket.take(5000, START)).toBe(true);
    expect(bucket.take(5000, START - 3)).toBe(false);
    expect(bucket.take(4997, START - 3)).toBe(true);
    expect(bucket.take(4, START)).toBe(false);
  });

  test('another rate: what is missing stays missing, up to the new burst', () => {
    const bucket = new TokenBucket(RATE);
    bucket.take(10_000, START);
    bucket.configure({ bitsPerSecond: 80_000_000, burstBytes: 10_000 }, START);
    expect(bucket.due(10_000)).toBe(START + 1000);
    bucket.configure({ bitsPerSecond: 8_000_000, burstBytes: 10_000 }, START);
    expect(bucket.due(10_000)).toBe(START + 1000);
  });

  test('no rate: everything passes, and the next rate begins with a full bucket', () => {
    const bucket = new TokenBucket(RATE);
    bucket.take(10_000, START);
    bucket.configure(null, START);
    expect(bucket.limited).toBe(false);
    for (let frame = 0; frame < 1000; frame++) expect(bucket.take(60_000, START)).toBe(true);
    bucket.configure(RATE, START);
    expect(bucket.limited).toBe(true);
    expect(bucket.take(10_000, START)).toBe(true);
    expect(bucket.take(1, START)).toBe(false);
  });
});

describe('shared token bucket', () => {
  test('two threads take from the same bytes; another bucket has its own', () => {
    const memory = SharedTokenBucket.allocate(2);
    const [one, two] = [new SharedTokenBucket(RATE, memory, 1), new SharedTokenBucket(RATE, memory, 1)];
    const other = new SharedTokenBucket(RATE, memory, 0);
    expect(one.take(6000, START)).toBe(true);
    expect(two.take(6000, START)).toBe(false);
    expect(two.take(4000, START)).toBe(true);
    expect(one.due(1)).toBe(START + 1);
    expect(other.take(10_000, START)).toBe(true);
  });

  test('taken by another at this instant: no tokens, no waiting, nothing taken', () => {
    const memory = SharedTokenBucket.allocate(1);
    const bucket = new SharedTokenBucket(RATE, memory, 0);
    const lock = new Int32Array(memory, 8, 1);
    lock[0] = 1;
    expect(bucket.take(1, START)).toBe(false);
    lock[0] = 0;
    expect(bucket.take(10_000, START)).toBe(true);
  });

  test('a port number used again begins with a full bucket', () => {
    const memory = SharedTokenBucket.allocate(1);
    new SharedTokenBucket(RATE, memory, 0).take(10_000, START);
    expect(new SharedTokenBucket(RATE, memory, 0).take(10_000, START)).toBe(true);
  });
});
