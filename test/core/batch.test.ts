import { describe, expect, test } from 'vitest';
import { Batch, MAX_FRAME_BYTES, VNET_BYTES } from '../../src/core/batch.js';

const MADE_FROM = 1 << 16;

function makeBatch(madeBytes: number, capacity = 16): Batch {
  const arena = new ArrayBuffer(MADE_FROM + madeBytes + 4096);
  const batch = new Batch(arena, new ArrayBuffer(capacity * 12), capacity, MADE_FROM, MADE_FROM + madeBytes);
  batch.bytes.fill(0xa5);
  batch.begin(0, 5_000_000);
  return batch;
}

describe('batch', () => {
  test('a made frame: clear vnet header directly before it, at 2 mod 4, apart from its neighbours', () => {
    const batch = makeBatch(4096);
    const frames = [1, 60, 1514].map((length) => batch.append(3, length));
    expect(frames).toEqual([0, 1, 2]);
    let end = MADE_FROM;
    for (const frame of frames) {
      const at = batch.at[frame];
      expect(at % 4).toBe(2);
      expect(at - VNET_BYTES).toBeGreaterThanOrEqual(end);
      expect([...batch.bytes.subarray(at - VNET_BYTES, at)]).toEqual(new Array(VNET_BYTES).fill(0));
      end = at + batch.length[frame];
    }
    expect([...batch.ingress.subarray(0, 3)]).toEqual([3, 3, 3]);
  });

  test('a full region refuses, and so does a full batch; nothing is written behind the region', () => {
    const small = makeBatch(300);
    expect(small.append(1, 200)).toBe(0);
    expect(small.refused).toBe(false);
    expect(small.append(1, 200)).toBe(-1);
    expect(small.refused).toBe(true);
    expect(small.count).toBe(1);
    expect(small.bytes.subarray(MADE_FROM + 300).every((byte) => byte === 0xa5)).toBe(true);

    const short = makeBatch(1 << 16, 2);
    expect([short.append(1, 60), short.append(1, 60), short.append(1, 60)]).toEqual([0, 1, -1]);
  });

  test('the longest frame fits, a longer one is refused', () => {
    const batch = makeBatch(1 << 18);
    expect(batch.append(1, MAX_FRAME_BYTES)).toBe(0);
    expect(batch.append(1, MAX_FRAME_BYTES + 1)).toBe(-1);
  });

  test('begin starts over', () => {
    const batch = makeBatch(300);
    batch.append(1, 200);
    const { 0: at } = batch.at;
    batch.append(1, 200);
    batch.begin(0, 7_999_999);
    expect([batch.count, batch.now, batch.seconds, batch.refused]).toEqual([0, 7_999_999, 7, false]);
    expect(batch.append(1, 200)).toBe(0);
    expect(batch.at[0]).toBe(at);
  });

  test('a copy: the same bytes and vnet header elsewhere', () => {
    const batch = makeBatch(4096);
    const frame = batch.append(2, 100);
    for (let index = -VNET_BYTES; index < 100; index++) {
      batch.bytes[batch.at[frame] + index] = index + 50;
    }
    const copy = batch.appendCopy(7, frame);
    const whole = (of: number) => [...batch.bytes.subarray(batch.at[of] - VNET_BYTES, batch.at[of] + batch.length[of])];
    expect(whole(copy)).toEqual(whole(frame));
    expect(batch.at[copy]).not.toBe(batch.at[frame]);
    expect(batch.ingress[copy]).toBe(7);
    expect(makeBatch(0).appendCopy(1, 0)).toBe(-1);
  });
});
