import { describe, expect, test } from 'vitest';
import { type Batch, INGRESS_SELF } from '../../src/core/batch.js';
import { Random } from '../../src/core/random.js';
import { Fault } from '../../src/port/fault.js';
import { FAULT_COUNTERS, type FaultCounter, HOLD_MICROS } from '../../src/port/fault-direction.js';
import type { FaultSettings } from '../../src/port/fault-settings.js';
import { checksum } from '../../src/wire/checksum.js';
import { frameOf, makeBurst, numbered, numberOf, put, vnetOf } from './burst.js';

const PORT = 4;

const none: FaultSettings = { seed: 1, loss: 0, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };

function counts(fault: Fault): Record<FaultCounter, number> {
  return Object.fromEntries(FAULT_COUNTERS.map((name, index) => [name, fault.counts[index]])) as Record<FaultCounter, number>;
}

/** Numbers of the live frames of the batch, in order. */
function live(batch: Batch): number[] {
  const numbers: number[] = [];
  for (let frame = 0; frame < batch.count; frame++) {
    if (batch.length[frame] > 0) {
      expect(batch.ingress[frame]).toBe(PORT);
      numbers.push(numberOf(frameOf(batch, frame)));
    }
  }
  return numbers;
}

/** Runs bursts of numbered frames through one direction; returns the numbers that came out, in order. */
type Run = (fault: Fault, bursts: number[][], stepMicros: number) => number[];

const inward: Run = (fault, bursts, stepMicros) => {
  const { batch } = makeBurst(256);
  const out: number[] = [];
  let now = 0;
  for (const numbers of bursts) {
    batch.begin(0, now);
    for (const number of numbers) put(batch, PORT, numbered(number));
    fault.ingress(batch, 0, batch.count);
    fault.release(batch, PORT);
    out.push(...live(batch));
    now += stepMicros;
  }
  return out;
};

const outward: Run = (fault, bursts, stepMicros) => {
  const { batch } = makeBurst(256);
  const order = new Int32Array(batch.capacity);
  const out: number[] = [];
  let now = 0;
  for (const numbers of bursts) {
    batch.begin(0, now);
    for (let index = 0; index < numbers.length; index++) order[index] = put(batch, PORT, numbered(numbers[index]));
    const count = fault.egress(batch, order, numbers.length);
    for (let index = 0; index < count; index++) out.push(numberOf(frameOf(batch, order[index])));
    now += stepMicros;
  }
  return out;
};

/** `frames` numbers in bursts of 1 to 60. */
function bursts(frames: number): number[][] {
  const random = new Random(77);
  const result: number[][] = [];
  for (let next = 0; next < frames; ) {
    const size = Math.min(1 + random.below(60), frames - next);
    result.push(Array.from({ length: size }, (_, index) => next + index));
    next += size;
  }
  return result;
}

function all(frames: number): number[] {
  return Array.from({ length: frames }, (_, number) => number);
}

describe.each([
  ['ingress', inward],
  ['egress', outward],
])('fault %s', (_name, run) => {
  test('no fault: every frame once, in order', () => {
    const fault = new Fault(none);
    expect(run(fault, bursts(2000), 100)).toEqual(all(2000));
    expect(counts(fault)).toEqual({ lost: 0, duplicated: 0, reordered: 0, corrupted: 0, delayed: 0, overflow: 0 });
  });

  test('same seed: the same faults; another seed: others', () => {
    const settings = { ...none, loss: 0.1, duplicate: 0.1, reorder: 0.1, delayMicros: 150, jitterMicros: 400 };
    const first = run(new Fault(settings), bursts(3000), 100);
    expect(run(new Fault(settings), bursts(3000), 100)).toEqual(first);
    expect(run(new Fault({ ...settings, seed: 2 }), bursts(3000), 100)).not.toEqual(first);
  });

  // 20,000 draws: four standard deviations of the rate are 4 * sqrt(p (1 - p) / 20000).
  test.each([0.01, 0.1, 0.5])('loss %d: that share of the frames, the rest in order', (loss) => {
    const fault = new Fault({ ...none, loss });
    const out = run(fault, bursts(20_000), 100);
    const { lost } = counts(fault);
    expect(out.length).toBe(20_000 - lost);
    expect(Math.abs(lost / 20_000 - loss)).toBeLessThan(4 * Math.sqrt((loss * (1 - loss)) / 20_000));
    expect(out).toEqual(out.toSorted((a, b) => a - b));
  });

  test('loss 1: nothing passes', () => {
    expect(run(new Fault({ ...none, loss: 1 }), bursts(500), 100)).toEqual([]);
  });

  test('duplicate 0.1: that share comes twice, everything at least once', () => {
    const fault = new Fault({ ...none, duplicate: 0.1 });
    const out = run(fault, bursts(20_000), 100);
    const { duplicated } = counts(fault);
    expect(out.length).toBe(20_000 + duplicated);
    expect(Math.abs(duplicated / 20_000 - 0.1)).toBeLessThan(0.0085);
    expect(new Set(out).size).toBe(20_000);
  });

  test('reorder 0.2: nothing is lost or made, p / (1 + p) of the frames change places', () => {
    const fault = new Fault({ ...none, reorder: 0.2 });
    // The empty bursts let a held last frame go.
    const out = run(fault, [...bursts(20_000), []], HOLD_MICROS);
    const { reordered } = counts(fault);
    expect(out.toSorted((a, b) => a - b)).toEqual(all(20_000));
    expect(Math.abs(reordered / 20_000 - 0.2 / 1.2)).toBeLessThan(0.01);
    const descents = out.filter((number, index) => index > 0 && number < out[index - 1]).length;
    expect(descents).toBeGreaterThan(reordered * 0.9);
    expect(fault.waiting).toBe(0);
  });

  test('reorder: a frame alone in its burst waits for the next one, and not for ever', () => {
    const fault = new Fault({ ...none, reorder: 1 });
    expect(run(fault, [[1]], 0)).toEqual([]);
    expect(fault.waiting).toBe(1);
    expect(fault.nextDue(0)).toBe(HOLD_MICROS);
    // The second finds the place taken, so it passes.
    expect(run(fault, [[2]], 0)).toEqual([2, 1]);
    expect(counts(fault).reordered).toBe(1);
    expect(run(fault, [[3], []], HOLD_MICROS)).toEqual([3]);
    expect(counts(fault).reordered).toBe(1);
    expect(fault.nextDue(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test('delay: a frame comes after its time, not before', () => {
    const fault = new Fault({ ...none, delayMicros: 1000 });
    expect(run(fault, [[1, 2]], 0)).toEqual([]);
    expect(fault.nextDue(0)).toBe(1000);
    expect(run(fault, [[], [], [3]], 500)).toEqual([1, 2]);
    expect(fault.nextDue(0)).toBe(2000);
    expect(counts(fault)).toMatchObject({ delayed: 3, lost: 0 });
  });

  test('jitter: order is kept', () => {
    const fault = new Fault({ ...none, delayMicros: 100, jitterMicros: 5000 });
    expect(run(fault, [...bursts(3000), ...Array.from({ length: 60 }, () => [])], 100)).toEqual(all(3000));
  });

  test('reorder with a delay: a frame overtakes those that wait', () => {
    const fault = new Fault({ ...none, delayMicros: 1000, reorder: 0.1 });
    const out = run(fault, [all(100), [], []], 1000);
    const { reordered } = counts(fault);
    expect(reordered).toBeGreaterThan(0);
    expect(out.toSorted((a, b) => a - b)).toEqual(all(100));
    expect(out.slice(reordered)).toEqual(out.slice(reordered).toSorted((a, b) => a - b));
    expect(out).not.toEqual(all(100));
  });

  test('overflow: what finds no parking place is lost and counted', () => {
    const fault = new Fault({ ...none, delayMicros: 1000 }, { frames: 10 });
    expect(run(fault, [all(25), []], 1000)).toEqual(all(10));
    expect(counts(fault)).toMatchObject({ delayed: 10, overflow: 15 });
  });

  test('conservation: in + duplicated = out + lost + overflow + waiting (L5)', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const settings = {
        seed,
        loss: 0.1,
        duplicate: 0.3,
        reorder: 0.3,
        corrupt: 0,
        delayMicros: (seed % 3) * 300,
        jitterMicros: 200 * (seed % 2),
      };
      const fault = new Fault(settings, { frames: 60 });
      const out = run(fault, bursts(3000), 50);
      const { lost, duplicated, overflow } = counts(fault);
      expect(3000 + duplicated).toBe(out.length + lost + overflow + fault.waiting);
    }
  });
});

describe('fault corruption', () => {
  test('ingress: exactly one bit of the frame flips, none outside', () => {
    const fault = new Fault({ ...none, corrupt: 1 });
    const { batch } = makeBurst();
    batch.begin(0, 0);
    for (let number = 0; number < 50; number++) put(batch, PORT, numbered(number, 14 + number));
    const before = batch.bytes.slice();
    fault.ingress(batch, 0, 50);
    let flipped = 0;
    for (let index = 0; index < before.length; index++) {
      let bits = before[index] ^ batch.bytes[index];
      while (bits > 0) {
        flipped += bits & 1;
        bits >>= 1;
      }
    }
    expect(flipped).toBe(50);
    for (let number = 0; number < 50; number++) {
      expect(frameOf(batch, number)).not.toEqual(numbered(number, 14 + number));
    }
    expect(counts(fault).corrupted).toBe(50);
  });

  test('egress: the flip goes into a copy, the shared bytes stay (L4)', () => {
    const fault = new Fault({ ...none, corrupt: 1 });
    const { batch } = makeBurst();
    batch.begin(0, 0);
    const order = new Int32Array(batch.capacity);
    order[0] = put(batch, PORT, numbered(1));
    expect(fault.egress(batch, order, 1)).toBe(1);
    expect(order[0]).toBe(1);
    expect(frameOf(batch, 0)).toEqual(numbered(1));
    expect(frameOf(batch, 1)).not.toEqual(numbered(1));
  });

  test('a partial checksum is completed before the flip, so the receiver can notice', () => {
    const { batch } = makeBurst();
    for (let seed = 1; seed <= 200; seed++) {
      const fault = new Fault({ ...none, seed, corrupt: 1 });
      batch.begin(0, 0);
      // 34 bytes of headers, then an 8 + 20 byte datagram whose checksum field holds the sum of its pseudo header.
      const whole = numbered(9, 62);
      whole.set([0x12, 0x34], 40);
      const frame = put(batch, PORT, whole, Uint8Array.of(1, 0, 42, 0, 0, 0, 34, 0, 6, 0, 0, 0));
      fault.ingress(batch, 0, 1);
      expect(vnetOf(batch, frame)).toEqual(new Uint8Array(12));
      const out = frameOf(batch, frame);
      const l4 = out.slice(34);
      const flippedInL4 = [...l4].some((byte, index) => index !== 6 && index !== 7 && byte !== whole[34 + index]);
      // Complete: all words plus the pseudo header's sum make 0xffff. The field once held that sum, so add it.
      const verifies = checksum(Uint8Array.of(...l4, 0x12, 0x34), 0, l4.length + 2) === 0;
      if (flippedInL4) {
        expect(verifies).toBe(false);
      } else if (out.some((byte, index) => index < 34 && byte !== whole[index])) {
        expect(verifies).toBe(true);
      }
    }
  });

  test('a super-frame keeps its vnet header, and its bit flips before the L4 header', () => {
    const { batch } = makeBurst();
    const vnet = Uint8Array.of(1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0);
    for (let seed = 1; seed <= 200; seed++) {
      batch.begin(0, 0);
      const frame = put(batch, PORT, numbered(9, 9000), vnet);
      new Fault({ ...none, seed, corrupt: 1 }).ingress(batch, 0, 1);
      expect(vnetOf(batch, frame)).toEqual(vnet);
      const out = Buffer.from(frameOf(batch, frame));
      expect(out.subarray(34).equals(numbered(9, 9000).subarray(34))).toBe(true);
      expect(out.equals(numbered(9, 9000))).toBe(false);
    }
  });

  test('hostile vnet headers: nothing outside the frame is read or written', () => {
    const random = new Random(5);
    const { batch } = makeBurst();
    for (let round = 0; round < 5000; round++) {
      batch.begin(0, 0);
      const length = 1 + random.below(80);
      const vnet = Uint8Array.from({ length: 12 }, () => random.below(256));
      const frame = put(batch, PORT, numbered(1, Math.max(4, length)), vnet);
      const end = batch.at[frame] + batch.length[frame];
      batch.bytes.fill(0x5a, end, end + 256);
      new Fault({ ...none, seed: round + 1, corrupt: 1 }).ingress(batch, 0, 1);
      expect(batch.bytes.subarray(end, end + 256).every((byte) => byte === 0x5a)).toBe(true);
    }
  });
});

describe('fault in a full batch', () => {
  test('ingress: no room for duplicates means none; released frames wait for the next pass', () => {
    const { batch } = makeBurst(4);
    const twice = new Fault({ ...none, duplicate: 1 });
    batch.begin(0, 0);
    for (let number = 0; number < 3; number++) put(batch, PORT, numbered(number));
    twice.ingress(batch, 0, 3);
    expect(live(batch)).toEqual([0, 1, 2, 0]);
    expect(counts(twice).duplicated).toBe(1);

    const late = new Fault({ ...none, delayMicros: 10 });
    batch.begin(0, 0);
    for (let number = 0; number < 4; number++) put(batch, PORT, numbered(number));
    late.ingress(batch, 0, 4);
    late.release(batch, PORT);
    batch.begin(0, 20);
    for (let number = 0; number < 2; number++) put(batch, PORT + 1, numbered(100 + number));
    late.release(batch, PORT);
    expect(batch.count).toBe(4);
    expect(late.waiting).toBe(2);
    expect(late.nextDue(20)).toBeLessThanOrEqual(20);
  });

  test('egress: the list never grows beyond the batch', () => {
    const { batch } = makeBurst(4);
    const order = new Int32Array(batch.capacity);
    const fault = new Fault({ ...none, duplicate: 1, corrupt: 1 });
    batch.begin(0, 0);
    for (let number = 0; number < 4; number++) order[number] = put(batch, PORT, numbered(number));
    expect(fault.egress(batch, order, 4)).toBe(4);
    expect([...order]).toEqual([0, 1, 2, 3]);
    expect(counts(fault)).toMatchObject({ duplicated: 0, corrupted: 0 });
  });

  test('egress: a released frame belongs to nobody, its vnet header came with it', () => {
    const { batch } = makeBurst();
    const order = new Int32Array(batch.capacity);
    const fault = new Fault({ ...none, delayMicros: 10 });
    const vnet = Uint8Array.of(1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0);
    batch.begin(0, 0);
    order[0] = put(batch, PORT, numbered(5, 3000), vnet);
    expect(fault.egress(batch, order, 1)).toBe(0);
    batch.begin(0, 10);
    expect(fault.egress(batch, order, 0)).toBe(1);
    expect(batch.ingress[order[0]]).toBe(INGRESS_SELF);
    expect(frameOf(batch, order[0])).toEqual(numbered(5, 3000));
    expect(vnetOf(batch, order[0])).toEqual(vnet);
  });
});

describe('fault settings', () => {
  test.each([
    ['loss', -0.1],
    ['duplicate', 1.01],
    ['reorder', Number.NaN],
    ['corrupt', 2],
    ['delayMicros', -1],
    ['jitterMicros', Number.POSITIVE_INFINITY],
  ])('%s %d: refused by name', (name, value) => {
    expect(() => new Fault({ ...none, [name]: value })).toThrow(new RegExp(`^${name} is a`));
  });
});
