/** What the doctor finds. */
import type { HealthState } from '../../control/model.js';

export interface Finding {
  /** Which part of the machine: 'kernel', 'docker' ... */
  area: string;
  status: HealthState;
  /** What was found, as a sentence without a full stop. */
  found: string;
  /** What it means for whoever runs containers; absent where all is well. */
  meaning?: string;
  /** A command, or what to do, that mends it. */
  remedy?: string;
}

export function ok(area: string, found: string): Finding {
  return { area, status: 'ok', found };
}

export function warn(area: string, found: string, meaning: string, remedy?: string): Finding {
  return { area, status: 'warn', found, meaning, ...(remedy !== undefined && { remedy }) };
}

export function fail(area: string, found: string, meaning: string, remedy?: string): Finding {
  return { area, status: 'fail', found, meaning, ...(remedy !== undefined && { remedy }) };
}
