import { readFileSync } from 'node:fs';
import { residentMib } from '../resident-memory.js';
import type { BenchType, Measurement, Trial } from '../type.js';
import { learn, macs } from './frame-load.js';

const PORTS = 10;
const ADDRESSES = 10_000;

/** What the driver's processes hold; the kernel's drivers have none, and what they take of the kernel's memory is in no process. */
export const memory: BenchType = {
  name: 'memory',
  family: 'memory',
  what: `resident memory of the driver's processes with ${PORTS} ports and ${ADDRESSES.toLocaleString('en')} addresses; 0: all of it is the kernel's`,
  unit: 'MiB',
  better: 'lower',
  layer: 2,
  ports: PORTS,
  warmUp: async () => {},
  measure,
};

async function measure(trial: Trial): Promise<Measurement> {
  const residentBefore = residentMib(trial.processes);
  const slabBefore = slabMib();
  await learn(trial, trial.a, macs(0, ADDRESSES));
  const resident = residentMib(trial.processes);
  return {
    value: resident,
    units: 0,
    // The kernel's objects of all sorts, of the whole machine: an address of its bridge is one.
    details: { withoutAddressesMib: residentBefore, kernelSlabGrowthMib: slabMib() - slabBefore },
  };
}

function slabMib(): number {
  return Number(/^Slab:\s*(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1] ?? 0) / 1024;
}
