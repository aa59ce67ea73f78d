/**
 * What the demo needs of the system, and how it gets it without root.
 *
 *     CAP_NET_ADMIN and CAP_SYS_ADMIN ──────────────▶ run
 *     else, /dev/net/tun open to others, unshare ───▶ run again inside a user namespace of our own, where we are root
 *     else ─────────────────────────────────────────▶ one line that says what is missing
 *
 * A user namespace cannot be entered from here: unshare(CLONE_NEWUSER) is refused to a process with threads, and Node always has some.
 * So unshare(1) of util-linux does it before Node starts.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { Capability, isCapable, TUN } from '../daemon/host-check.js';

const UNSHARE = ['--user', '--map-root-user', '--net', '--mount', '--'];

export type Rights =
  | { kind: 'enough' }
  /** Run the same command behind this one. */
  | { kind: 'through'; command: string; args: readonly string[] }
  | { kind: 'lacking'; message: string };

/** What of the system the decision rests on. */
export interface Situation {
  capable: boolean;
  tun: 'usable' | 'forbidden' | 'missing';
  /** Whether unshare(1) can make a user namespace: asked only when it matters. */
  unshare(): 'works' | 'missing' | 'refused';
}

export function situation(): Situation {
  return {
    capable: mayBuildLabs(readFileSync('/proc/self/status', 'latin1')),
    tun: existsSync(TUN) ? (mayOpen(TUN) ? 'usable' : 'forbidden') : 'missing',
    unshare: () => {
      const { error, status } = spawnSync('unshare', [...UNSHARE, 'true'], { stdio: 'ignore' });
      return error !== undefined ? 'missing' : status === 0 ? 'works' : 'refused';
    },
  };
}

/** @param again what to type once more with more rights */
export function decide({ capable, tun, unshare }: Situation, again = 'npm start'): Rights {
  if (tun === 'missing') {
    return lacking(`there is no ${TUN}: load the driver ("modprobe tun"), or give the container the device ("--device ${TUN}")`);
  }
  if (capable) {
    return tun === 'usable' ? { kind: 'enough' } : lacking(`${TUN} may not be opened: allow it ("chmod 666 ${TUN}" as root)`);
  }
  if (tun === 'forbidden') {
    return lacking(`needs root, or a ${TUN} that others may open: "sudo ${again}", or "sudo chmod 666 ${TUN}" and try again`);
  }
  switch (unshare()) {
    case 'works':
      return { kind: 'through', command: 'unshare', args: UNSHARE };
    case 'missing':
      return lacking(`needs root, or unshare(1) for a user namespace: "sudo ${again}", or install util-linux`);
    case 'refused':
      return lacking(`needs root, since this system refuses unprivileged user namespaces: "sudo ${again}"`);
  }
}

/** @param status the text of /proc/PID/status */
export function mayBuildLabs(status: string): boolean {
  return isCapable(status, Capability.netAdmin) && isCapable(status, Capability.sysAdmin);
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function lacking(message: string): Rights {
  return { kind: 'lacking', message };
}
