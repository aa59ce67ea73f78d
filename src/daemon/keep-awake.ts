/** Whether the daemon keeps idle cores from sleeping while there is traffic (engine/awake.ts): what the user says, and what the machine is. */
import { readFileSync } from 'node:fs';
import { ControlError } from '../control/control-error.js';
import type { Log } from '../control/log.js';
import { whyCoresSleep } from '../engine/awake.js';

export const KEEP_AWAKE = ['auto', 'on', 'off'] as const;
export type KeepAwake = (typeof KEEP_AWAKE)[number];

/** All idle cores poll, also those no frame is for: with more than these the user has to want it. */
const FEW_CORES = 4;

export interface Machine {
  /** Cores that are online, whichever of them this process may use. */
  cores: number;
  /** A guest has to ask its hypervisor to wake a core; without one a sleeping core wakes much faster by itself. */
  virtual: boolean;
  /** Why cores cannot be kept awake; null when they can. */
  refusal(): string | null;
}

/** @throws ControlError when the user wants it and the machine refuses */
export function resolveKeepAwake(setting: KeepAwake, log: Log, machine: Machine = thisMachine()): boolean {
  if (setting === 'off') return false;
  const reason = (setting === 'auto' ? whyNotByItself(machine) : null) ?? machine.refusal();
  if (reason === null) return true;
  if (setting === 'on') throw new ControlError('failed', `cannot keep cores awake: ${reason}`, 'start without --keep-awake on');
  log.debug({ reason }, `idle cores may sleep while there is traffic: ${reason}`);
  return false;
}

function whyNotByItself({ cores, virtual }: Machine): string | null {
  if (!virtual) return 'this is not a virtual machine';
  return cores > FEW_CORES ? `the machine has ${cores} cores, more than ${FEW_CORES}` : null;
}

export function thisMachine(): Machine {
  const flags = /^flags\s*:.*$/m.exec(read('/proc/cpuinfo'))?.[0] ?? '';
  return {
    cores: countCores(read('/sys/devices/system/cpu/online')),
    virtual: /\bhypervisor\b/.test(flags),
    refusal: whyCoresSleep,
  };
}

/** A container may have neither /sys nor /proc as a host has them: '' then. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** How many a list of the kernel's has: '0-3,8'. Without one there may be any number. */
export function countCores(list: string): number {
  if (list.trim() === '') return Number.POSITIVE_INFINITY;
  let count = 0;
  for (const range of list.trim().split(',')) {
    const [first, last = first] = range.split('-').map(Number);
    count += last - first + 1;
  }
  return count;
}
