/**
 * Burst I/O without a kernel: for simulations, tests and library users whose ports all live in TypeScript. Same memory layout as the
 * addon's; nothing is ever received, and nothing can be sent because no port has a descriptor.
 */
import type { Clock } from '../core/clock.js';
import { type BurstIo, type BurstIoOptions, Status } from '../native/binding.js';

export class SimulatedIo implements BurstIo {
  readonly arena: ArrayBuffer;
  readonly received: ArrayBuffer;
  readonly transmit: ArrayBuffer;
  readonly failures: ArrayBuffer;
  readonly errors: ArrayBuffer;
  readonly status: ArrayBuffer;
  readonly waker: number = -1;
  private readonly columns: Float64Array;
  private readonly clock: Clock;

  constructor(options: BurstIoOptions, clock: Clock) {
    this.arena = new ArrayBuffer(options.arenaBytes);
    this.received = new ArrayBuffer(options.batchFrames * 12);
    this.transmit = new ArrayBuffer(options.transmitWords * 4);
    this.failures = new ArrayBuffer(options.transmitWords * 4);
    this.errors = new ArrayBuffer(options.maxPorts * 8);
    this.columns = new Float64Array(Object.keys(Status).length);
    this.status = this.columns.buffer as ArrayBuffer;
    this.clock = clock;
  }

  add(): number {
    return 0;
  }

  remove(): number {
    return 0;
  }

  receive(): number {
    this.columns[Status.now] = this.clock.micros();
    this.columns[Status.passes]++;
    return 0;
  }

  send(): number {
    return 0;
  }

  close(): void {}
}
