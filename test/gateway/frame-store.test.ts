import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INGRESS_SELF } from '../../src/core/batch.js';
import { FrameStore } from '../../src/gateway/frame-store.js';
import { makePacket, payload } from '../helpers/packet.js';
import { MadeBatch } from './made-batch.js';

describe('frame store', () => {
  test('gives back what it was given, vnet header included, in any order of any sizes', () => {
    const made = new MadeBatch();
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 65_000 }), free: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const store = new FrameStore(256 << 10, 16);
        const stored: { number: number; frame: Uint8Array; vnet: Uint8Array }[] = [];
        let used = 0;
        for (const { bytes, free, which } of steps) {
          made.later(0);
          const packet = makePacket({ payload: payload(bytes, which % 7), partial: which % 2 === 0 });
          const cost = FrameStore.cost(packet.frame.length);
          const number = store.put(made.batch, made.add(packet));
          expect(number >= 0).toBe(stored.length < 16 && used + cost <= 256 << 10);
          if (number >= 0) {
            stored.push({ number, ...packet });
            used += cost;
          }
          if (free && stored.length > 0) {
            const [one] = stored.splice(which % stored.length, 1);
            used -= FrameStore.cost(one.frame.length);
            expect(store.length[one.number]).toBe(one.frame.length);
            const back = store.take(one.number, made.batch, INGRESS_SELF);
            expect([made.bytesOf(back), made.vnetOf(back)]).toEqual([one.frame, one.vnet]);
          }
          expect(store.count).toBe(stored.length);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a full batch leaves a frame stored', () => {
    const store = new FrameStore(4096, 4);
    const made = new MadeBatch(64);
    const packet = makePacket({ payload: payload(500) });
    const number = store.put(made.batch, made.add(packet));
    expect(store.take(number, made.batch, INGRESS_SELF)).toBe(-1);
    expect(store.count).toBe(1);
    const roomy = new MadeBatch();
    expect(roomy.bytesOf(store.take(number, roomy.batch, INGRESS_SELF))).toEqual(packet.frame);
    expect(store.count).toBe(0);
  });
});
