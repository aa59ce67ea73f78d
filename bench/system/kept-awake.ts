import { SILENT } from '../../dist/control/log.js';
import { resolveKeepAwake } from '../../dist/daemon/keep-awake.js';

/** Whether a daemon with default settings keeps idle cores awake on this machine while there is traffic. */
export const KEPT_AWAKE = resolveKeepAwake('auto', SILENT);
