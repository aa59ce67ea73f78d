/** What the daemon needs of the machine, checked before anything is made. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { ControlError } from '../control/control-error.js';

export const TUN = '/dev/net/tun';

/** Bits of include/uapi/linux/capability.h. */
export const Capability = { netAdmin: 12n, netRaw: 13n, sysAdmin: 21n } as const;

/** @param status the text of /proc/PID/status */
export function isCapable(status: string, capability: bigint): boolean {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> capability) & 1n) === 1n;
}

/** @throws ControlError that says what is missing and how to get it */
export function checkHost(): void {
  const status = readFileSync('/proc/self/status', 'latin1');
  for (const [capability, name] of [
    [Capability.netAdmin, 'CAP_NET_ADMIN'],
    [Capability.netRaw, 'CAP_NET_RAW'],
  ] as const) {
    if (!isCapable(status, capability)) {
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
