/**
 * Keeps idle cores from sleeping while there is traffic.
 *
 * A frame that is written wakes the program it is for, often on another core. If that core sleeps, it has to be interrupted, in a virtual machine
 * with the hypervisor's help; a core that polls in the kernel's idle loop sees a flag instead. What that is worth, and what it costs:
 * docs/performance.md, "Cores that sleep".
 *
 * While somebody asks for a latency of 0 through /dev/cpu_dma_latency (Documentation/power/pm_qos_interface.rst), idle cores use their first idle
 * state only, which on x86 is to poll (drivers/cpuidle/poll_state.c). The request ends with the descriptor, a crash included. Each engine thread has
 * one; the kernel takes the strictest.
 *
 *     asleep ── BEGIN passes with frames in a window ─▶ awake ── a window with fewer than GO_ON ─▶ asleep
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';

const DEVICE = '/dev/cpu_dma_latency';
const FIRST_STATE = '/sys/devices/system/cpu/cpu0/cpuidle/state0/name';
/** No latency at all, and no opinion (PM_QOS_DEFAULT_VALUE, include/linux/pm_qos.h): a signed 32-bit number of microseconds. */
const NO_LATENCY = new Int32Array([0]);
const NO_OPINION = new Int32Array([-1]);

/** A change interrupts all idle cores, so it comes at most once in so long. */
const WINDOW_MICROS = 10_000;
/** 5,000 passes a second begin it; fewer than half of that end it. */
const BEGIN = 50;
const GO_ON = 25;

/** What is told whether idle cores may sleep. */
export interface Cores {
  keepAwake(awake: boolean): void;
  close(): void;
}

export class Awake {
  /** Whether cores are kept awake now. */
  on = false;
  /** When to look again though no frame comes, in the engine's microseconds: cores that are kept awake for nothing are let go. */
  due = Number.POSITIVE_INFINITY;
  /** For how long cores were kept awake in all. */
  micros = 0;
  private cores: Cores | null;
  private passes = 0;
  private began = 0;
  private end = 0;

  /** @param cores null: they sleep as they like */
  constructor(cores: Cores | null) {
    this.cores = cores;
  }

  /** Once a pass. */
  pass(frames: number, now: number): void {
    if (frames > 0) this.passes = (this.passes + 1) | 0;
    if (now >= this.end) this.turn(now);
  }

  close(): void {
    this.cores?.close();
    this.cores = null;
    this.on = false;
    this.due = Number.POSITIVE_INFINITY;
  }

  private turn(now: number): void {
    const { on, passes, began } = this;
    if (on) this.micros += now - began;
    if (this.cores !== null) this.ask(this.cores, passes >= (on ? GO_ON : BEGIN));
    this.passes = 0;
    this.began = now;
    this.end = now + WINDOW_MICROS;
    this.due = this.on ? this.end : Number.POSITIVE_INFINITY;
  }

  private ask(cores: Cores, awake: boolean): void {
    if (awake === this.on) return;
    try {
      cores.keepAwake(awake);
      this.on = awake;
    } catch {
      // It is an improvement, nothing frames depend on.
      this.close();
    }
  }
}

/** @throws SystemError where the kernel has no such device, or we no right to it */
export function openCores(): Cores {
  const descriptor = openSync(DEVICE, constants.O_WRONLY);
  return {
    keepAwake: (awake) => void writeSync(descriptor, awake ? NO_LATENCY : NO_OPINION),
    close: () => closeSync(descriptor),
  };
}

/** Why cores cannot be kept awake here; null when they can. */
export function whyCoresSleep(): string | null {
  try {
    openCores().close();
    // Absent without a driver of the kernel's cpuidle: cores sleep in their own way then.
    const name = readFileSync(FIRST_STATE, 'latin1').trim();
    return name === 'POLL' ? null : `the first idle state of this machine's cores is ${name}, not POLL (${FIRST_STATE})`;
  } catch (error) {
    return (error as Error).message;
  }
}
