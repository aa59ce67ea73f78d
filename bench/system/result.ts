/** What a campaign leaves behind: the JSON of --json, from which table, comparison and HTML report are derived. Written once, never edited. */
import type { Machine } from '../machine.js';
import type { Summary } from '../statistics.js';
import type { BenchType, Measurement } from './type.js';

export interface TrialResult extends Measurement {
  driver: string;
  type: string;
  /** From 1. */
  round: number;
  /** Nanoseconds of all cores together, interrupts included, per unit; 0 without units. */
  cpuNanosPerUnit: number;
  /** Cores of the whole machine busy during the measurement, and cores' worth of time the hypervisor gave to others (0.02: 2 % of one). */
  busyCores: number;
  steal: number;
  /** Cores that processes which are not the trial's kept busy meanwhile. */
  foreignCores: number;
  /** What the first attempt was repeated for: noise or an error. Absent: it was the first. */
  repeatedFor?: string;
  /** Resident memory of the driver's own processes at the end, MiB; 0 for the kernel's. */
  memoryMib: number;
}

/** One driver and type over all rounds. */
export interface Cell {
  type: string;
  driver: string;
  value: Summary;
  /** This driver's value over the reference's of the same round; 1 for the reference itself; null where the reference has no value, or a zero in some round. */
  ratio: Summary | null;
  cpuNanosPerUnit: Summary;
  busyCores: number;
  memoryMib: number;
}

export interface Campaign {
  format: 1;
  machine: Machine;
  /** `command`: what to type to do it again. */
  plan: { rounds: number; seconds: number; reference: string; command: string };
  /**
   * In the order of the report; `what` and units are repeated here so that a result explains itself. `offloads`: features of eth0 of host a and
   * host b as the trials found them ("tx-checksumming on, …"), absent without ethtool. NAME-again is the reference once more: the resolution.
   */
  drivers: { name: string; role: string; what: string; version: string; offloads?: { a: string; b: string } }[];
  types: Pick<BenchType, 'name' | 'family' | 'at' | 'what' | 'unit' | 'better'>[];
  /** Drivers asked for that cannot run here, and driver-type pairs that do not go together. */
  missing: { driver: string; type?: string; why: string }[];
  /** Trials without a result, after their repetition. */
  failures: { driver: string; type: string; round: number; error: string }[];
  /** What speaks against quoting this run. */
  objections: string[];
  trials: TrialResult[];
  summary: Cell[];
}
