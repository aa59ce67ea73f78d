/**
 * How busy others kept the machine during a trial. Of all processes there are before and after it, those that belong to the trial are left out,
 * and kernel threads: they work for whoever made them (softirqs of the traffic, kworkers).
 *
 * A process that ends is added to its parent's children's time, so that the sum over all others only grows, whether they still live or not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { identityAt } from '../dist/control/namespace-processes.js';
import { statFields, TICKS_PER_SECOND } from './machine.js';

interface ProcessTimes {
  parent: number;
  kernelThread: boolean;
  /** Its own and that of children that ended and were waited for. */
  ticks: number;
}

export interface ProcessSnapshot {
  processes: ReadonlyMap<number, ProcessTimes>;
  /** Seconds. */
  at: number;
}

/** PF_KTHREAD of linux/sched.h. */
const KERNEL_THREAD = 0x0020_0000;

/** @param folder proc(5), or one like it */
export function snapshotProcesses(folder = '/proc'): ProcessSnapshot {
  const processes = new Map<number, ProcessTimes>();
  for (const name of readdirSync(folder)) {
    if (!/^\d+$/.test(name)) continue;
    try {
      processes.set(Number(name), parseStat(readFileSync(`${folder}/${name}/stat`, 'latin1')));
    } catch {
      // It ended meanwhile.
    }
  }
  return { processes, at: performance.now() / 1000 };
}

/** Processes in the network namespaces that these paths lead to: a container's belong to the trial, but descend from its engine's shim. */
export function processesInside(paths: readonly string[]): number[] {
  const wanted = paths.map(identityAt);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => wanted.includes(identityAt(`/proc/${pid}/ns/net`) ?? 'ended')).map(Number);
}

function parseStat(text: string): ProcessTimes {
  const field = statFields(text);
  return {
    parent: field(4),
    kernelThread: (field(9) & KERNEL_THREAD) !== 0,
    ticks: field(14) + field(15) + field(16) + field(17),
  };
}

/**
 * Cores that processes of others kept busy between two snapshots.
 * @param roots processes of the trial; all their descendants are too
 * @param alone processes that are the trial's without their other children, such as the campaign that started it
 */
export function foreignCores(
  before: ProcessSnapshot,
  after: ProcessSnapshot,
  roots: readonly number[],
  alone: readonly number[] = [],
): number {
  const ticks = (snapshot: ProcessSnapshot): number => {
    let sum = 0;
    for (const [pid, { kernelThread, ticks }] of snapshot.processes) {
      if (!kernelThread && !alone.includes(pid) && !descends(pid, roots, snapshot, after)) sum += ticks;
    }
    return sum;
  };
  return Math.max(0, (ticks(after) - ticks(before)) / TICKS_PER_SECOND / (after.at - before.at));
}

/** Whether a process descends from one of the roots. What one snapshot no longer has, the other may. */
function descends(pid: number, roots: readonly number[], one: ProcessSnapshot, other: ProcessSnapshot): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 0; ) {
    if (roots.includes(at)) return true;
    at = (one.processes.get(at) ?? other.processes.get(at))?.parent;
  }
  return false;
}
