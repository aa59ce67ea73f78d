/** What the daemon needs of the machine, checked before anything is made. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { ControlError } from '../control/control-error.js';

const TUN = '/dev/net/tun';
/** include/uapi/linux/capability.h */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/** @throws ControlError that says what is missing and how to get it */
export function checkHost(): void {
  const status = readFileSync('/proc/self/status', 'latin1');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  for (const [bit, name] of [
    [CAP_NET_ADMIN, 'CAP_NET_ADMIN'],
    [CAP_NET_RAW, 'CAP_NET_RAW'],
  ] as const) {
    if (((effective >> bit) & 1n) === 0n) {
      throw new ControlError('forbidden', `the daemon makes interfaces and needs ${name}`, 'run it as root, or with sudo');
    }
  }
  try {
    accessSync(TUN, constants.R_OK | constants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw missing
      ? new ControlError('failed', `there is no ${TUN}`, 'load it with "modprobe tun"; in a container, add --device /dev/net/tun')
      : new ControlError('forbidden', `${TUN} may not be opened`, 'run as root; in a container, add --device /dev/net/tun');
  }
}
