/** The two axes of the system bench: what connects two hosts (driver), and what is measured between them (type). */
import type { Lab } from '../../dist/lab/lab.js';
import type { LabHost } from '../../dist/lab/lab-host.js';

/** Test addresses of RFC 2544. */
export const A = '198.18.0.1';
export const B = '198.18.0.2';
export const SUBNET = '198.18.0.0/24';

/** Something that forwards between two hosts. */
export interface Driver {
  name: string;
  /** One line for the report: what is between the hosts. */
  what: string;
  /** A program it cannot do without, and the Debian package that has it. */
  needs?: { command: string; package: string };
  /** Gives host a the address A on eth0, host b the address B, and connects both. */
  connect(lab: Lab, a: LabHost, b: LabHost): Promise<void>;
}

export interface Measurement {
  /** In the type's unit. */
  value: number;
  /** Anything else worth keeping: lost, reordered, percentiles. */
  details: Record<string, number>;
}

export interface BenchType {
  name: string;
  what: string;
  unit: string;
  better: 'higher' | 'lower';
  /** One trial from a to b. */
  measure(a: LabHost, b: LabHost, seconds: number): Promise<Measurement>;
}
