import type { Driver } from '../driver.js';
import { connectByDaemon, TAPBRIDGE_PORTS } from './tapbridge.js';

const THREADS = 2;

/** Our bridge with several engine threads, whatever the default is on this machine. */
export const tapbridgeThreads: Driver = {
  name: 'tapbridge-threads',
  role: 'subject',
  what: `tapbridge daemon with ${THREADS} engine threads, a TAP with ${THREADS} queues per host`,
  layer: 2,
  ping: true,
  maxPorts: TAPBRIDGE_PORTS,
  connect: (lab, wiring) => connectByDaemon(lab, wiring, ['--threads', String(THREADS)]),
};
