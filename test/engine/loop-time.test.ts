import { describe, expect, test } from 'vitest';
import { Counters, LOOP_COUNTERS } from '../../src/core/counters.js';
import { Awake } from '../../src/engine/awake.js';
import { LoopTime } from '../../src/engine/loop-time.js';
import { Status } from '../../src/native/binding.js';
import { BROADCAST, frame, macOf } from '../sim/frames.js';
import { network } from '../sim/simulation.js';

describe('loop time', () => {
  test('published once a second: sums as they are, the longest pass of that second, the frames of all', () => {
    const counters = new Counters(LOOP_COUNTERS, 2);
    const status = new Float64Array(Object.keys(Status).length);
    const time = new LoopTime(counters, 1, status, new Awake(null));
    status.set([5e6, 0, 0, 0, 0, 40, 2, 105, 70, 1500, 60]);
    time.handled(7);
    time.handled(3);
    expect(counters.snapshot(1).frames).toBe(0);
    time.tick();
    expect(counters.snapshot(1)).toEqual({
      passes: 40,
      frames: 10,
      full_passes: 2,
      busy_micros: 105,
      poll_micros: 70,
      sleep_micros: 1500,
      awake_micros: 0,
      longest_micros: 60,
      turned_micros: 5e6,
    });
    time.handled(5);
    time.tick();
    expect(counters.snapshot(1)).toMatchObject({ frames: 15, busy_micros: 105, longest_micros: 0 });
    expect(counters.snapshot(0)).toMatchObject({ passes: 0, frames: 0, turned_micros: 0 });
  });

  test('each engine publishes its own row', () => {
    const { simulation, ports } = network(2);
    const rows = () => simulation.engines.map(({ loopCounters, place }) => loopCounters.snapshot(place.index));
    const frames = () => rows().reduce((sum, row) => sum + row.frames, 0);
    simulation.wait(2);
    const before = frames();
    ports[0].send(...Array.from({ length: 5 }, () => frame(BROADCAST, macOf(1))));
    simulation.wait(2);
    expect(frames() - before).toBe(5);
    for (const row of rows()) {
      expect(row.passes).toBeGreaterThan(0);
      expect(row.turned_micros).toBe(simulation.clock.now);
    }
  });
});
