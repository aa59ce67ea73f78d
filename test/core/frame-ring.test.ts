import { describe, expect, test } from 'vitest';
import { FrameRing } from '../../src/core/frame-ring.js';
import { Random } from '../../src/core/random.js';

const RECORD_HEADER = 32;

interface Record {
  bytes: number[];
  fields: number[];
}

function makeRing(bytes = 4096): { producer: FrameRing; consumer: FrameRing } {
  const memory = FrameRing.allocate(bytes);
  return { producer: new FrameRing(memory), consumer: new FrameRing(memory) };
}

function write(ring: FrameRing, bytes: Uint8Array, tag = 0): number {
  const source = new Uint8Array(bytes.length + 10).fill(0xee);
  source.set(bytes, 5);
  return ring.write(source, 5, bytes.length, Int32Array.of(tag, 1, 2, 3, 4, 5, 6));
}

function read(ring: FrameRing): Record | undefined {
  let record: Record | undefined;
  ring.read((bytes, fields) => {
    record = { bytes: [...bytes], fields: [...fields] };
  });
  return record;
}

const filled = (length: number, seed: number) => Uint8Array.from({ length }, (_, index) => seed + index);

describe('frame ring', () => {
  test('what goes in comes out, in order, with its fields', () => {
    const { producer, consumer } = makeRing();
    expect([write(producer, filled(1, 7), 100), write(producer, filled(61, 9), -1)]).toEqual([1, 1]);
    expect(read(consumer)).toEqual({ bytes: [...filled(1, 7)], fields: [100, 1, 2, 3, 4, 5, 6] });
    expect(read(consumer)).toEqual({ bytes: [...filled(61, 9)], fields: [-1, 1, 2, 3, 4, 5, 6] });
    expect(read(consumer)).toBeUndefined();
  });

  test('a reader that keeps up loses nothing, however often the ring wraps', () => {
    const { producer, consumer } = makeRing();
    const random = new Random(11);
    const expected: number[][] = [];
    let got = 0;
    for (let turn = 0; turn < 6000; turn++) {
      const bytes = filled(1 + random.below(900), turn);
      if (random.below(2) === 0 && write(producer, bytes, turn) > 0) {
        expected.push([...bytes]);
      }
      if (random.below(2) === 0) {
        const record = read(consumer);
        if (record !== undefined) {
          expect(record.bytes).toEqual(expected[got++]);
        }
      }
    }
    for (let record = read(consumer); record !== undefined; record = read(consumer)) {
      expect(record.bytes).toEqual(expected[got++]);
    }
    expect(got).toBe(expected.length);
    expect(got).toBeGreaterThan(1500);
  });

  test('a full ring loses the newest and counts it; the oldest are whole', () => {
    const { producer, consumer } = makeRing(4096);
    const results = Array.from({ length: 6 }, (_, index) => write(producer, filled(1000 - RECORD_HEADER, index), index));
    expect(results).toEqual([1, 1, 1, 1, 0, 0]);
    expect(consumer.lost).toBe(2);
    for (let index = 0; index < 4; index++) {
      expect(read(consumer)).toEqual({ bytes: [...filled(968, index)], fields: [index, 1, 2, 3, 4, 5, 6] });
    }
    expect(read(consumer)).toBeUndefined();
    // Room again.
    expect(write(producer, filled(968, 9))).toBe(1);
    expect(read(consumer)?.bytes).toEqual([...filled(968, 9)]);
  });

  test('a record that fits exactly at the end needs no wrap; one word more does', () => {
    for (const last of [4096 - 3000 - RECORD_HEADER, 4096 - 3000 - RECORD_HEADER + 4]) {
      const { producer, consumer } = makeRing();
      write(producer, filled(3000 - RECORD_HEADER, 1));
      read(consumer);
      expect(write(producer, filled(last, 2))).toBe(1);
      expect(read(consumer)?.bytes).toEqual([...filled(last, 2)]);
      expect(write(producer, filled(10, 3))).toBe(1);
      expect(read(consumer)?.bytes).toEqual([...filled(10, 3)]);
    }
  });

  test('a record bigger than the ring is lost, not written', () => {
    const { producer, consumer } = makeRing();
    expect(write(producer, filled(5000, 1))).toBe(0);
    expect(consumer.lost).toBe(1);
    expect(read(consumer)).toBeUndefined();
  });

  test('positions wrap at 2^32', () => {
    const { producer, consumer } = makeRing();
    const control = new Int32Array(producer.memory, 0, 16);
    control[0] = -64;
    control[1] = -64;
    for (let index = 0; index < 10; index++) {
      expect(write(producer, filled(40, index), index)).toBe(1);
      expect(read(consumer)).toEqual({ bytes: [...filled(40, index)], fields: [index, 1, 2, 3, 4, 5, 6] });
    }
    expect(control[0]).toBeGreaterThan(0);
  });

  test('armed: told once, with the next record; at once when one is there', () => {
    const { producer, consumer } = makeRing();
    expect(consumer.arm()).toBe(false);
    expect([write(producer, filled(10, 1)), write(producer, filled(10, 2))]).toEqual([2, 1]);
    expect(consumer.arm()).toBe(true);
    read(consumer);
    read(consumer);
    expect(consumer.arm()).toBe(false);
    expect(write(producer, filled(10, 3))).toBe(2);
  });

  test('a size that is no power of two, or too small, is refused', () => {
    expect(() => FrameRing.allocate(5000)).toThrow(RangeError);
    expect(() => FrameRing.allocate(2048)).toThrow(RangeError);
  });
});
