import { readFileSync } from 'node:fs';

/** Resident memory of processes together, MiB. @throws Error when one of them has ended */
export function residentMib(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + residentKib(pid) / 1024, 0);
}

function residentKib(pid: number): number {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch (cause) {
    throw new Error(`process ${pid} of the driver ended during the trial`, { cause });
  }
  // A process that has ended and is not waited for has a status without it.
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0);
}
