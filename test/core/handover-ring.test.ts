import { describe, expect, test } from 'vitest';
import { Batch, VNET_BYTES } from '../../src/core/batch.js';
import { HandoverRing } from '../../src/core/handover-ring.js';
import { Random } from '../../src/core/random.js';

const MADE_FROM = 1 << 12;
const BYTES = 1 << 18;

function makeRing(bytes?: number) {
  const memory = HandoverRing.allocate(bytes);
  return { writer: new HandoverRing(memory), reader: new HandoverRing(memory) };
}

function makeBatch(): Batch {
  const arena = new ArrayBuffer(BYTES);
  new Uint8Array(arena).fill(0xa5);
  return new Batch(arena, new ArrayBuffer(12 * 64), 64, MADE_FROM, BYTES);
}

const filled = (length: number, seed: number) => Uint8Array.from({ length }, (_, index) => seed + index);

/** Writes a frame of these bytes, its vnet header counted up from 1. */
function write(ring: HandoverRing, bytes: Uint8Array, port = 3, bridge = 0): boolean {
  const batch = makeBatch();
  batch.begin(0, 0);
  const frame = batch.append(port, bytes.length);
  const at = batch.at[frame];
  batch.bytes.set(filled(VNET_BYTES, 1), at - VNET_BYTES);
  batch.bytes.set(bytes, at);
  return ring.write(batch, frame, port, bridge);
}

function read(ring: HandoverRing) {
  const length = ring.next();
  if (length < 0) return undefined;
  const batch = makeBatch();
  batch.begin(0, 0);
  const { port, bridge } = ring;
  const frame = batch.append(port, length);
  ring.take(batch, frame);
  const at = batch.at[frame];
  expect(batch.bytes.slice(at - VNET_BYTES, at)).toEqual(filled(VNET_BYTES, 1));
  expect(batch.bytes[at + length], 'the byte behind the frame').toBe(0xa5);
  return { port, bridge, bytes: batch.bytes.slice(at, at + length) };
}

describe('handover ring', () => {
  test('what goes in comes out once, in order, with its vnet header, port and bridge', () => {
    const { writer, reader } = makeRing();
    expect([write(writer, filled(60, 7), 5, 2), write(writer, filled(61, 9), 6, 255)]).toEqual([true, true]);
    expect(read(reader)).toEqual({ port: 5, bridge: 2, bytes: filled(60, 7) });
    expect(read(reader)).toEqual({ port: 6, bridge: 255, bytes: filled(61, 9) });
    expect(read(reader)).toBeUndefined();
  });

  test('a frame may be looked at and left, or skipped', () => {
    const { writer, reader } = makeRing();
    for (const seed of [1, 2]) write(writer, filled(60 + seed, seed));
    expect([reader.next(), reader.next()]).toEqual([61, 61]);
    reader.skip();
    expect(read(reader)?.bytes).toEqual(filled(62, 2));
  });

  test('full: refused without a trace, and room again when one is taken', () => {
    const { writer, reader } = makeRing(4096);
    let written = 0;
    while (write(writer, filled(1000, written))) written++;
    expect(written).toBe(3);
    expect(read(reader)?.bytes).toEqual(filled(1000, 0));
    expect(write(writer, filled(900, 9))).toBe(true);
    expect([1, 2, 9].map(() => read(reader)?.bytes[0])).toEqual([1, 2, 9]);
    expect(read(reader)).toBeUndefined();
  });

  test('however often it wraps, nothing is lost, doubled or changed', () => {
    const { writer, reader } = makeRing(4096);
    const random = new Random(11);
    const expected: Uint8Array[] = [];
    let got = 0;
    for (let turn = 0; turn < 3000; turn++) {
      const bytes = filled(14 + random.below(900), turn);
      if (random.below(2) === 0 && write(writer, bytes)) expected.push(bytes);
      if (random.below(2) === 0) {
        const taken = read(reader);
        if (taken !== undefined) expect(taken.bytes).toEqual(expected[got++]);
      }
    }
    for (let taken = read(reader); taken !== undefined; taken = read(reader)) expect(taken.bytes).toEqual(expected[got++]);
    expect(got).toBe(expected.length);
    expect(got).toBeGreaterThan(1000);
  });

  test('a reader that dozes is to be woken once; one that is awake is not', () => {
    const { writer, reader } = makeRing();
    reader.setWaker(42);
    expect(writer.sleeper()).toBe(-1);
    expect(reader.doze()).toBe(false);
    expect([writer.sleeper(), writer.sleeper()]).toEqual([42, -1]);
    reader.doze();
    reader.rise();
    expect(writer.sleeper()).toBe(-1);
    write(writer, filled(60, 1));
    expect(reader.doze(), 'there is a frame: no sleep').toBe(true);
  });

  test('sizes that are no power of two are refused', () => {
    expect(() => HandoverRing.allocate(5000)).toThrow('power of two');
    expect(() => HandoverRing.allocate(2048)).toThrow('at least 4096');
  });
});
