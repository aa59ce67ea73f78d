/**
 * Keeps idle cores from sleeping while there is traffic.
 *
 * A frame that is written wakes the program it is for, often on another core. If that core sleeps, it has to be interrupted, in a virtual machine
 * with the hypervisor's help; a core that polls in the kernel's idle loop sees a flag instead. What that is worth: docs/performance.md, "Cores that sleep".
 *
 * Cores poll while somebody asks for a latency of 0 through /dev/cpu_dma_latency (Documentation/power/pm_qos_interface.rst). The request ends with the
 * descriptor, a crash included. Each engine thread has one; the kernel takes the strictest.
 *
 *     asleep ── BEGIN passes with frames in a window ─▶ awake ── a window with fewer than GO_ON ─▶ asleep
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';

const DEVICE = '/dev/cpu_dma_latency';
/** No latency at all, and no opinion (PM_QOS_DEFAULT_VALUE, include/linux/pm_qos.h): a signed 32-bit number of microseconds. */
const NO_LATENCY = new Int32Array([0]);
const NO_OPINION = new Int32Array([-1]);

/** A change interrupts all idle cores, so it comes at most once in so long. */
const WINDOW_MICROS = 10_000;
/** 5,000 passes a second: from there on waking cores takes several percent of the time. */
const BEGIN = 50;
const GO_ON = 10;

export class Awake {
  /** Whether cores are kept awake now. */
  on = false;
  /** When to look again though no frame comes, in the engine's microseconds: cores that are kept awake for nothing are let go. */
  due = Number.POSITIVE_INFINITY;
  /** For how long cores were kept awake in all. */
  micros = 0;
  private readonly ask: ((awake: boolean) => void) | null;
  private passes = 0;
  private began = 0;
  private end = 0;

  /** @param ask tells the kernel; null: cores sleep as they like */
  constructor(ask: ((awake: boolean) => void) | null) {
    this.ask = ask;
  }

  /** @throws SystemError where the kernel has no such device, or we no right to it */
  static open(): Awake {
    const descriptor = openSync(DEVICE, constants.O_WRONLY);
    return new Awake((awake) => void writeSync(descriptor, awake ? NO_LATENCY : NO_OPINION));
  }

  /** Whether there is the device, for us. @throws SystemError why not */
  static check(): void {
    closeSync(openSync(DEVICE, constants.O_WRONLY));
  }

  /** Once a pass. */
  pass(frames: number, now: number): void {
    if (frames > 0) this.passes = (this.passes + 1) | 0;
    if (now >= this.end) this.turn(now);
  }

  private turn(now: number): void {
    const { ask, on, passes, began } = this;
    if (ask !== null) {
      if (on) this.micros += now - began;
      this.on = passes >= (on ? GO_ON : BEGIN);
      if (this.on !== on) ask(this.on);
    }
    this.passes = 0;
    this.began = now;
    this.end = now + WINDOW_MICROS;
    this.due = this.on ? this.end : Number.POSITIVE_INFINITY;
  }
}
