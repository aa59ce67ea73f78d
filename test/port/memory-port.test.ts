import { describe, expect, test } from 'vitest';
import { MAX_FRAME_BYTES } from '../../src/core/batch.js';
import { memoryLink, memoryPair } from '../../src/port/memory-port.js';
import { describeFrame, frameOf, makeBurst, numbered, numberOf, put, vnetOf } from './burst.js';

const vnet = Uint8Array.of(1, 5, 42, 0, 18, 0, 34, 0, 6, 0, 0, 0);

describe('memory pair', () => {
  test('peer -> port: frames enter the batch in order with their vnet headers', () => {
    const { port, peer } = memoryPair();
    const { batch } = makeBurst();
    expect(port.nextDue(5)).toBe(Number.POSITIVE_INFINITY);
    expect(peer.send(numbered(1))).toBe(true);
    expect(peer.send(numbered(2, 99), vnet)).toBe(true);
    expect(port.nextDue(5)).toBe(5);
    batch.begin(0, 5);
    port.pull(batch, 3, 64);
    expect(batch.count).toBe(2);
    expect([...batch.ingress.subarray(0, 2)]).toEqual([3, 3]);
    expect(frameOf(batch, 0)).toEqual(numbered(1));
    expect(frameOf(batch, 1)).toEqual(numbered(2, 99));
    expect(vnetOf(batch, 0)).toEqual(new Uint8Array(12));
    expect(vnetOf(batch, 1)).toEqual(vnet);
    expect(port.nextDue(5)).toBe(Number.POSITIVE_INFINITY);
  });

  test('peer -> port: a pull takes a burst at most, and leaves what the batch has no room for', () => {
    const { port, peer } = memoryPair();
    const { batch } = makeBurst(6);
    for (let number = 0; number < 9; number++) peer.send(numbered(number));
    batch.begin(0, 0);
    port.pull(batch, 0, 4);
    expect(batch.count).toBe(4);
    port.pull(batch, 0, 4);
    expect(batch.count).toBe(6);
    batch.begin(0, 1);
    port.pull(batch, 0, 64);
    expect([0, 1, 2].map((index) => numberOf(frameOf(batch, index)))).toEqual([6, 7, 8]);
  });

  test('port -> peer: segments are gathered, the header is told from the frame', () => {
    const { port, peer } = memoryPair();
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    const frame = put(burst.batch, 1, numbered(7, 200), vnet);
    describeFrame(burst, frame, 12, [54, 100]);
    describeFrame(burst, frame, 12);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(0);
    expect(peer.waiting).toBe(2);
    burst.batch.bytes.fill(0);
    for (let copy = 0; copy < 2; copy++) expect(peer.receive()).toEqual({ frame: numbered(7, 200), vnet });
    expect(peer.receive()).toBeUndefined();
  });

  test('port -> peer: a plain port takes frames without header', () => {
    const { port, peer } = memoryPair({ headerBytes: 0 });
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    describeFrame(burst, put(burst.batch, 1, numbered(7), vnet), 0);
    expect(port.headerBytes).toBe(0);
    expect(port.udpSegmentation).toBe(false);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(0);
    expect(peer.receive()).toEqual({ frame: numbered(7), vnet: new Uint8Array(12) });
    expect(() => peer.send(numbered(1), vnet)).toThrow(RangeError);
  });

  test('full by frames: send refuses, deliver counts, and room comes back', () => {
    const { port, peer } = memoryPair({ queueFrames: 3 });
    const burst = makeBurst();
    expect([1, 2, 3, 4].map((number) => peer.send(numbered(number)))).toEqual([true, true, true, false]);
    burst.batch.begin(0, 0);
    port.pull(burst.batch, 0, 1);
    expect(peer.send(numbered(5))).toBe(true);
    for (let copy = 0; copy < 5; copy++) describeFrame(burst, 0, 12);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(2);
    expect(peer.waiting).toBe(3);
  });

  test('full by bytes: few huge frames fill it, a small one still fits', () => {
    const { peer } = memoryPair({ queueFrames: 1000, queueBytes: 3 * 66_000 });
    const huge = new Uint8Array(MAX_FRAME_BYTES);
    expect([0, 1, 2, 3].map(() => peer.send(huge))).toEqual([true, true, true, false]);
    expect(peer.send(numbered(1))).toBe(true);
  });

  test('100,000 frames of all sizes pass the byte ring whole and in order', () => {
    const { port, peer } = memoryPair({ queueFrames: 50, queueBytes: 70_000 });
    const { batch } = makeBurst(64, 1 << 20);
    let sent = 0;
    let seen = 0;
    while (seen < 100_000) {
      while (peer.send(numbered(sent, 14 + ((sent * 7919) % 3000)))) sent++;
      batch.begin(0, 0);
      port.pull(batch, 0, 1 + (sent % 37));
      for (let index = 0; index < batch.count; index++, seen++) {
        const at = batch.at[index];
        const length = 14 + ((seen * 7919) % 3000);
        if (batch.length[index] !== length || numberOf(frameOf(batch, index)) !== seen || batch.bytes[at + length - 1] !== 0xa5) {
          expect.fail(`frame ${seen} arrived as ${numberOf(frameOf(batch, index))} of ${batch.length[index]} bytes`);
        }
      }
    }
    expect(sent).toBeGreaterThanOrEqual(seen);
  });

  test('closed: nothing is taken or handed out any more, what was sent before stays readable', () => {
    const { port, peer } = memoryPair();
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    describeFrame(burst, put(burst.batch, 0, numbered(1)), 12);
    port.deliver(burst.ring, 0, burst.ring.used);
    peer.send(numbered(2));
    port.close();
    expect(peer.send(numbered(3))).toBe(false);
    expect(port.deliver(burst.ring, 0, burst.ring.used)).toBe(1);
    expect(port.nextDue(0)).toBe(Number.POSITIVE_INFINITY);
    expect(peer.waiting).toBe(1);
  });

  test('what no interface could carry is refused with a reason', () => {
    const { peer } = memoryPair();
    expect(() => peer.send(new Uint8Array(0))).toThrow(/1 to 65557 bytes, not 0/);
    expect(() => peer.send(new Uint8Array(MAX_FRAME_BYTES + 1))).toThrow(RangeError);
    expect(() => peer.send(numbered(1), new Uint8Array(10))).toThrow(/vnet header has 12 bytes/);
    expect(() => memoryPair({ queueFrames: 0 })).toThrow(RangeError);
  });
});

describe('memory link', () => {
  test('what leaves one end enters at the other, both ways, with its vnet header', () => {
    const [left, right] = memoryLink();
    const burst = makeBurst();
    burst.batch.begin(0, 0);
    describeFrame(burst, put(burst.batch, 0, numbered(1), vnet), 12);
    left.deliver(burst.ring, 0, burst.ring.used);
    burst.ring.clear();
    describeFrame(burst, put(burst.batch, 0, numbered(2)), 12);
    right.deliver(burst.ring, 0, burst.ring.used);
    burst.batch.begin(0, 1);
    right.pull(burst.batch, 8, 64);
    left.pull(burst.batch, 9, 64);
    expect([...burst.batch.ingress.subarray(0, burst.batch.count)]).toEqual([8, 9]);
    expect(frameOf(burst.batch, 0)).toEqual(numbered(1));
    expect(vnetOf(burst.batch, 0)).toEqual(vnet);
    expect(frameOf(burst.batch, 1)).toEqual(numbered(2));
  });
});
