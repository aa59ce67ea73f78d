/**
 * Where the time of an engine's loop goes, for others to read without asking it.
 *
 *     receive n                                             receive n + 1
 *     ├── looking ──▶├── asleep ──▶├── busy: read, forward, send, commands ──▶├── looking ...
 *
 * `receive` adds the times up (native/burst_io.cc); once a second they are published. Per pass there is nothing but the count of frames: code V8 has
 * not compiled yet allots a number for each float it touches, which came to 300 bytes a pass when the sums were kept here.
 */
import { LOOP, type LoopCounters } from '../core/counters.js';
import { Status } from '../native/binding.js';
import type { Awake } from './awake.js';

export class LoopTime {
  private readonly values: Float64Array;
  private readonly row: number;
  private readonly status: Float64Array;
  private readonly awake: Awake;
  /** Since the last tick. */
  private frames = 0;

  /** @param thread owner of the counters */
  constructor(counters: LoopCounters, thread: number, status: Float64Array, awake: Awake) {
    this.values = counters.values;
    this.row = thread * counters.stride;
    this.status = status;
    this.awake = awake;
  }

  /** Once a pass. */
  handled(frames: number): void {
    this.frames = (this.frames + frames) | 0;
  }

  /** Once a second. */
  tick(): void {
    const { values, status, row } = this;
    values[row + LOOP.passes] = status[Status.passes];
    values[row + LOOP.full_passes] = status[Status.fullPasses];
    values[row + LOOP.busy_micros] = status[Status.busy];
    values[row + LOOP.poll_micros] = status[Status.polled];
    values[row + LOOP.sleep_micros] = status[Status.slept];
    values[row + LOOP.awake_micros] = this.awake.micros;
    values[row + LOOP.longest_micros] = status[Status.longest];
    values[row + LOOP.turned_micros] = status[Status.now];
    values[row + LOOP.frames] += this.frames;
    status[Status.longest] = 0;
    this.frames = 0;
  }
}
