import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { defaultRanges, PortPlan, upperRanges } from '../../src/nat/port-plan.js';
import { PortPool } from '../../src/nat/port-pool.js';

const RANGES = defaultRanges(32_768, 60_999);
const LOW = 424;
const HIGH = 24_576 + 4536;

function makePool({ ranges = RANGES, rest = 0, classes = true, seed = 1, parity = false } = {}): {
  pool: PortPool;
  plan: PortPlan;
} {
  const random = new Random(seed);
  const plan = new PortPlan(ranges);
  return { pool: new PortPool({ random: () => random.fraction(), plan, restSeconds: rest, classes, parity }), plan };
}

describe('port plan', () => {
  test("N60: outside of the host's ephemeral ports, from 8192 on, and 600 … 1023", () => {
    expect(RANGES).toEqual([
      { first: 600, last: 1023 },
      { first: 8192, last: 32_767 },
      { first: 61_000, last: 65_535 },
    ]);
    expect(upperRanges(1024, 65_535)).toEqual([]);
    expect(upperRanges(1024, 20_000)).toEqual([{ first: 20_001, last: 65_535 }]);
  });

  test('ranges may overlap and touch; blocks are counted', () => {
    const plan = new PortPlan([
      { first: 100, last: 200 },
      { first: 150, last: 300 },
      { first: 301, last: 310 },
    ]);
    expect(plan.within(0, 65_536)).toEqual([{ first: 100, last: 310 }]);
    expect(plan.within(110, 120)).toEqual([{ first: 110, last: 119 }]);
    plan.exclude(100, 101);
    plan.exclude(101, 102);
    plan.include(100, 101);
    expect([100, 101, 102, 103].map((port) => plan.eligible(port))).toEqual([true, false, false, true]);
    plan.include(100, 102);
    plan.exclude(100, 100);
    expect([99, 100, 101, 310, 311].map((port) => plan.eligible(port))).toEqual([false, false, true, true, false]);
  });
});

describe('port pool', () => {
  test('N10: the inner port is kept when it is free', () => {
    const { pool } = makePool();
    expect(pool.take(20_000, 0)).toBe(20_000);
    expect(pool.take(700, 0)).toBe(700);
    const other = pool.take(20_000, 0);
    expect(other).not.toBe(20_000);
    pool.release(20_000, 0);
    expect(pool.take(20_000, 0)).toBe(20_000);
  });

  test('N10, N60: a port outside of the pool is replaced, never kept', () => {
    const { pool } = makePool();
    for (const wanted of [0, 80, 1024, 8080, 40_000]) {
      const port = pool.take(wanted, 0);
      expect(RANGES.some(({ first, last }) => port >= first && port <= last)).toBe(true);
      expect(port < 1024).toBe(wanted < 1024);
    }
  });

  test('N10, REQ-3a: the class below 1024 is kept under collision; only when it is used up a low sender gets a high port', () => {
    const { pool } = makePool();
    const low = new Set(Array.from({ length: LOW }, () => pool.take(500, 0)));
    expect(low.size).toBe(LOW);
    expect([...low].every((port) => port >= 600 && port <= 1023)).toBe(true);
    expect(pool.take(500, 0)).toBeGreaterThanOrEqual(8192);
    const left = HIGH - 1;
    for (let count = 0; count < left; count++) expect(pool.take(5000, 0)).toBeGreaterThanOrEqual(8192);
    pool.release(700, 0);
    expect(pool.take(5000, 0)).toBe(-1);
    expect(pool.take(500, 0)).toBe(700);
  });

  test('every port is given out once, then none; each one given back is found again', () => {
    const { pool } = makePool({ seed: 7 });
    const taken = new Set<number>();
    for (let count = 0; count < HIGH; count++) taken.add(pool.take(1024 + count, 0));
    expect(taken.size).toBe(HIGH);
    expect(taken.has(-1)).toBe(false);
    expect(pool.take(5000, 0)).toBe(-1);
    expect([pool.taken, pool.freeCount, pool.size]).toEqual([HIGH, LOW, HIGH + LOW]);
    const random = new Random(9);
    const ports = [...taken];
    for (let round = 0; round < 2000; round++) {
      const port = ports[random.below(ports.length)];
      pool.release(port, 0);
      expect(pool.take(5000, 0)).toBe(port);
    }
  });

  test('release twice, or of a port never taken, changes nothing', () => {
    const { pool } = makePool();
    pool.take(20_000, 0);
    pool.release(20_000, 0);
    pool.release(20_000, 0);
    pool.release(80, 0);
    expect([pool.taken, pool.freeCount]).toEqual([0, HIGH + LOW]);
  });

  test('RFC 7857, 9: new ports are spread evenly over the ranges, the gap between them favours nobody', () => {
    const { pool } = makePool({ seed: 3 });
    const BINS = 40;
    const DRAWS = 10_000;
    const counts = new Array<number>(BINS).fill(0);
    for (let draw = 0; draw < DRAWS; draw++) {
      const port = pool.take(5000, 0);
      const place = port < 32_768 ? port - 8192 : port - 61_000 + 24_576;
      counts[Math.floor((place * BINS) / HIGH)]++;
      pool.release(port, 0);
    }
    const expected = DRAWS / BINS;
    const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 39 degrees of freedom: 99.9 % of fair draws stay below 72.1.
    expect(chi).toBeLessThan(72.1);
  });

  test('N11: excluded ports are not given out, and those in use stay until they are released', () => {
    const { pool, plan } = makePool({ ranges: [{ first: 20_000, last: 20_009 }] });
    expect(pool.take(20_003, 0)).toBe(20_003);
    plan.exclude(20_000, 20_004);
    pool.refresh(20_000, 20_004);
    expect(pool.freeCount).toBe(5);
    const rest = Array.from({ length: 5 }, () => pool.take(20_000, 0)).sort();
    expect(rest).toEqual([20_005, 20_006, 20_007, 20_008, 20_009]);
    expect(pool.take(20_000, 0)).toBe(-1);
    pool.release(20_003, 0);
    expect(pool.take(20_003, 0)).toBe(-1);
    plan.include(20_000, 20_004);
    pool.refresh(20_000, 20_004);
    expect(pool.take(20_003, 0)).toBe(20_003);
  });

  test('N13: ids have no classes and may be the whole range', () => {
    const { pool } = makePool({ ranges: [{ first: 0, last: 65_535 }], classes: false });
    expect([0, 1, 1023, 65_535].map((id) => pool.take(id, 0))).toEqual([0, 1, 1023, 65_535]);
    expect(pool.size).toBe(65_536);
    for (let count = 4; count < 65_536; count++) expect(pool.take(0, 0)).toBeGreaterThan(0);
    expect(pool.take(0, 0)).toBe(-1);
  });

  test('N14: a port given back rests 240 s while others are free', () => {
    const { pool } = makePool({ ranges: [{ first: 20_000, last: 20_003 }], rest: 240 });
    expect(pool.take(20_000, 10)).toBe(20_000);
    pool.release(20_000, 10);
    expect(pool.freeCount).toBe(4);
    expect(pool.take(20_000, 249)).not.toBe(20_000);
    expect(pool.take(20_000, 250)).toBe(20_000);
  });

  test('N14: when no other is left, the one that rested longest', () => {
    const { pool } = makePool({ ranges: [{ first: 20_000, last: 20_002 }], rest: 240 });
    for (const port of [20_001, 20_000, 20_002]) expect(pool.take(port, 0)).toBe(port);
    pool.release(20_002, 1);
    pool.release(20_000, 2);
    expect(pool.take(20_000, 3)).toBe(20_002);
    expect(pool.take(20_002, 3)).toBe(20_000);
    expect(pool.take(20_001, 3)).toBe(-1);
  });

  test('N14: a resting port that is blocked meanwhile is not given out, one of the low class not to a high sender', () => {
    const ranges = [
      { first: 700, last: 700 },
      { first: 20_000, last: 20_001 },
    ];
    const { pool, plan } = makePool({ ranges, rest: 240 });
    for (const port of [700, 20_000, 20_001]) expect(pool.take(port, 0)).toBe(port);
    for (const port of [700, 20_000, 20_001]) pool.release(port, 1);
    plan.exclude(20_000, 20_000);
    pool.refresh(20_000, 20_000);
    expect(pool.take(5000, 2)).toBe(20_001);
    expect(pool.take(5000, 2)).toBe(-1);
    expect(pool.take(500, 2)).toBe(700);
    expect(pool.take(500, 2)).toBe(-1);
  });

  test('N11, RFC 4787 REQ-4: parity is kept under collision while a port of it is free', () => {
    const { pool } = makePool({ ranges: [{ first: 20_000, last: 20_099 }], parity: true });
    const odd = Array.from({ length: 50 }, () => pool.take(5001, 0));
    expect(new Set(odd).size).toBe(50);
    expect(odd.every((port) => (port & 1) === 1)).toBe(true);
    expect(pool.take(5001, 0) & 1).toBe(0);
    expect(pool.take(5000, 0) & 1).toBe(0);
  });

  test('RFC 7857, 9: the port behind a run of used ones is not the likely next one', () => {
    const { pool } = makePool({ ranges: [{ first: 20_000, last: 20_999 }], seed: 5 });
    for (let port = 20_000; port < 20_500; port++) expect(pool.take(port, 0)).toBe(port);
    let behind = 0;
    for (let draw = 0; draw < 1000; draw++) {
      const port = pool.take(5000, 0);
      if (port === 20_500) behind++;
      pool.release(port, 0);
    }
    // Eight draws all miss once in 256 times; one draw would half of the time.
    expect(behind).toBeLessThan(30);
  });
});

describe('a port somebody outside counts on already', () => {
  test('is taken whatever the plan says, once, and free again as it says', () => {
    const { pool } = makePool({ rest: 60 });
    const free = pool.freeCount;
    expect([pool.adopt(20_000, 20_000, 5), pool.adopt(20_000, 1, 5), pool.adopt(40_000, 1, 5)]).toEqual([true, false, true]);
    expect([pool.taken, pool.freeCount]).toEqual([2, free - 1]);
    expect(pool.take(20_000, 1)).not.toBe(20_000);
    pool.release(40_000, 1);
    pool.release(20_000, 1);
    expect(pool.taken).toBe(1);
    // At rest; the endpoint that had it gets it back (N14).
    expect(pool.take(20_000, 2, 5)).not.toBe(-1);
    expect(pool.take(40_000, 100)).not.toBe(40_000);
  });
});
