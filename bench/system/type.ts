/** The second axis of the system bench: what is measured between the hosts. */
import type { Lab } from '../../dist/lab/lab.js';
import type { LabHost } from '../../dist/lab/lab-host.js';
import type { Connection, Wiring } from './driver.js';

/** What a warm-up takes, of the length of the measurement. */
export const WARM_UP_SHARE = 1 / 3;

/** One trial, ready: hosts connected and reachable. */
export interface Trial extends Wiring, Connection {
  lab: Lab;
  /** The process in the namespace that all spare ports share; absent without any. */
  spareHost?: LabHost;
  /** How long to measure; of a search, how long one of its steps. */
  seconds: number;
}

/** Delays in nanoseconds: [upper edge of the bucket, count], ascending, empty buckets left out. At most 1 % wide, as an HDR histogram of two digits. */
export type DelayBuckets = [number, number][];

export interface Measurement {
  /** In the type's unit. */
  value: number;
  /**
   * Frames, datagrams, KiB or questions the value stands for: CPU time of the whole machine during `measure` is given per unit. 0 where
   * `measure` offers several loads (searches, calibration), because CPU per unit would say nothing.
   */
  units: number;
  /** Anything else worth keeping: offered, lost, reordered, duplicated, foreign, retransmits … */
  details: Record<string, number>;
  delays?: DelayBuckets;
  /** What a trial that is a curve by itself went through, e.g. loss against load: [x, y] ascending in x. */
  curve?: { x: string; y: string; points: [number, number][] };
}

export interface BenchType {
  /** 'udp-64', 'tcp-8'. */
  name: string;
  /** Types that make one plot: 'udp-size'. A lone type is its own family. */
  family: string;
  /** Where this type stands on its family's axis. */
  at?: { axis: string; value: number };
  what: string;
  unit: string;
  better: 'higher' | 'lower';
  /** The least layer a driver must pass. */
  layer: 2 | 3;
  ping?: boolean;
  /** Needs a driver whose a is inside of a gateway, and b outside. */
  nat?: boolean;
  /** Programs it cannot do without, and the Debian packages that have them. */
  needs?: readonly { command: string; package: string }[];
  /** Whether the hosts' kernels may leave checksums and segmentation to their interfaces. Default true: as they find them. */
  offloads?: boolean;
  /** Ports it needs, a and b included. Default 2. The trial makes the spare ones and hands them to the driver. */
  ports?: number;
  /** About how many times `trial.seconds` one `measure` takes, for the estimate of a campaign and the time limit of a trial. Default 1. */
  steps?: number;
  /** Default: `measure`, for WARM_UP_SHARE of the time. */
  warmUp?(trial: Trial): Promise<void>;
  measure(trial: Trial): Promise<Measurement>;
}
