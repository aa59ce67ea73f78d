import { describe, expect, test } from 'vitest';
import { Awake } from '../../src/engine/awake.js';

const MILLI = 1000;

function scripted() {
  const asked: [boolean, number][] = [];
  let now = 5e6;
  const awake = new Awake({ keepAwake: (on) => asked.push([on, now]), close() {} });
  /** So many passes in so many microseconds. */
  const run = (passes: number, micros: number, frames = 1) => {
    for (let pass = 0; pass < passes; pass++) {
      now += micros / passes;
      awake.pass(frames, now);
    }
  };
  run(1, 0, 0);
  return { awake, asked, run, now: () => now };
}

describe('cores are kept awake', () => {
  test('from 5,000 passes with frames a second on, below it they are not', () => {
    const { awake, asked, run } = scripted();
    run(1000, 250 * MILLI);
    expect([awake.on, awake.due]).toEqual([false, Number.POSITIVE_INFINITY]);
    run(120, 20 * MILLI);
    expect(awake.on).toBe(true);
    expect(asked.map(([on]) => on)).toEqual([true]);
  });

  test('passes without a frame are no traffic', () => {
    const { asked, run } = scripted();
    run(10_000, 100 * MILLI, 0);
    expect(asked).toEqual([]);
  });

  test('as long as there are 2,500 a second, until the window behind the last', () => {
    const { awake, asked, run, now } = scripted();
    run(200, 20 * MILLI);
    run(300, 100 * MILLI);
    expect(asked).toHaveLength(1);
    const quiet = now();
    // The engine has nothing else to do, and looks when it said it would.
    while (awake.on) run(1, awake.due - now(), 0);
    expect(asked).toHaveLength(2);
    expect(asked[1][0]).toBe(false);
    expect(asked[1][1] - quiet).toBeLessThanOrEqual(20 * MILLI);
    expect(awake.due).toBe(Number.POSITIVE_INFINITY);
    expect(awake.micros).toBeCloseTo(asked[1][1] - asked[0][1]);
  });

  test('asked for at most once in 10 ms, however the traffic comes', () => {
    const { asked, run } = scripted();
    for (let times = 0; times < 200; times++) {
      run(60, 1 * MILLI);
      run(1, (times % 30) * MILLI, 0);
    }
    const times = asked.map(([, at]) => at);
    expect(times.length).toBeGreaterThan(10);
    for (const [index, at] of times.slice(1).entries()) expect(at - times[index]).toBeGreaterThanOrEqual(10 * MILLI);
  });

  test('a kernel that refuses ends it, and nothing else', () => {
    let closed = 0;
    const awake = new Awake({
      keepAwake() {
        throw new Error('EINVAL');
      },
      close: () => closed++,
    });
    for (let now = 0; now < 100 * MILLI; now += 10) awake.pass(1, now);
    expect([awake.on, awake.due, awake.micros, closed]).toEqual([false, Number.POSITIVE_INFINITY, 0, 1]);
  });

  test('never, where the machine or the user does not want it', () => {
    const awake = new Awake(null);
    for (let now = 0; now < 100 * MILLI; now += 10) awake.pass(1, now);
    expect([awake.on, awake.due, awake.micros]).toEqual([false, Number.POSITIVE_INFINITY, 0]);
  });
});
