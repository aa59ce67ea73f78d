/** Whether the daemon keeps idle cores from sleeping while there is traffic (engine/awake.ts): what the user says, and what the machine has. */
import { availableParallelism } from 'node:os';
import { ControlError } from '../control/control-error.js';
import { type Log, reasonOf } from '../control/log.js';
import { Awake } from '../engine/awake.js';

export const KEEP_AWAKE = ['auto', 'on', 'off'] as const;
export type KeepAwake = (typeof KEEP_AWAKE)[number];

/** All idle cores poll, also those no frame is for. With more than these that costs more power than waking saves, unless the user says otherwise. */
const FEW_CORES = 8;

/** @throws ControlError when the user wants it and the machine refuses */
export function resolveKeepAwake(setting: KeepAwake, log: Log, cores = availableParallelism(), check = Awake.check): boolean {
  if (setting === 'off' || (setting === 'auto' && cores > FEW_CORES)) return false;
  try {
    check();
    return true;
  } catch (error) {
    const reason = reasonOf(error);
    if (setting === 'on') {
      throw new ControlError(
        'failed',
        `cannot keep cores awake: ${reason}`,
        'start without --keep-awake on, or let the daemon have /dev/cpu_dma_latency',
      );
    }
    log.debug({ reason }, 'cores are not kept awake while there is traffic');
    return false;
  }
}
