/**
 * The daemon keeps the capabilities it needs, for all of its threads and for good.
 *
 *     started with all of root's ─▶ options read, the group named ─▶ process started anew, limited ─▶ the daemon
 *     started with these at most, and no_new_privs ──────────────────────────────────────────────────▶ the daemon
 *
 * Capabilities belong to threads, and Node has a dozen before the first line of a program runs: so the process is replaced by itself
 * (native/privileges.cc says how, and why not otherwise), under the same process id, before anything is made. That costs another start, 0.1 s measured;
 * the systemd unit limits the service itself, and there it costs nothing.
 * Where the limits cannot be set the daemon says so and goes on: it has then what it was given.
 */
import { readFileSync } from 'node:fs';
import { loadBinding } from '../native/binding.js';
import { errnoName } from '../native/system-error.js';
import { Capability, isCapable } from './host-check.js';

/** What stays: bits of include/uapi/linux/capability.h. docs/daemon.md names the same, and a test compares. */
export const KEPT_CAPABILITIES = {
  /** Listeners of published ports below 1024. */
  CAP_NET_BIND_SERVICE: 10,
  /** Interfaces, addresses, classifiers; sockets of netlink. */
  CAP_NET_ADMIN: 12,
  /** Packet sockets. */
  CAP_NET_RAW: 13,
  /** /proc/PID/ns/net of processes with other capabilities or of other users. */
  CAP_SYS_PTRACE: 19,
  /** A network namespace of our own, setns(2) into those of containers; bpf(2), which CAP_BPF would do for on newer kernels. */
  CAP_SYS_ADMIN: 21,
} as const;

/** Set for the process that was started anew: whatever it finds, it does not try again. */
const RESTARTED = 'TAPBRIDGE_RESTARTED';
const CAP_SETPCAP = 8n;
/** Behind it is (gid_t) -1: what is no group is refused by whoever gives the socket away. */
const LAST_GROUP = 0xffff_fffe;

/** What a process has, as /proc/PID/status tells. */
export interface Privileges {
  permitted: bigint;
  bounding: bigint;
  noNewPrivileges: boolean;
}

/**
 * Limits this process; does not return when it has to be started anew.
 * @param groupOf asked only then: the group whose members may use the socket, or null
 * @returns null, or why it has more than it needs
 * @throws what `groupOf` throws
 */
export async function limitPrivileges(groupOf: () => Promise<number | null>): Promise<string | null> {
  const restarted = process.env[RESTARTED] !== undefined;
  delete process.env[RESTARTED];
  const status = readFileSync('/proc/self/status', 'latin1');
  // Without this one the daemon refuses to start anyway, and says why.
  if (!isCapable(status, Capability.netAdmin) || !hasTooMuch(privilegesOf(status), isCapable(status, CAP_SETPCAP))) return null;
  if (restarted) return `it was started anew, and has ${surplus(privilegesOf(status))} all the same`;
  const group = await groupOf();
  process.env[RESTARTED] = '1';
  // As they are by now: whoever loaded this program may have taken his own away (lab/enter.ts, which has entered a namespace already).
  const programArguments = [process.argv0, ...process.execArgv, ...process.argv.slice(1)];
  const result = loadBinding().restartLimited(
    Number(KEPT_MASK),
    group === null || group > LAST_GROUP ? -1 : group,
    programArguments,
  );
  delete process.env[RESTARTED];
  return `it could not be started anew (${errnoName(-result)})`;
}

/** @param status the text of /proc/PID/status */
export function privilegesOf(status: string): Privileges {
  const set = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  return { permitted: set('CapPrm'), bounding: set('CapBnd'), noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(status) };
}

export const KEPT_MASK = Object.values(KEPT_CAPABILITIES).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

/** @param mayLimit whether it could make its bounding set smaller */
export function hasTooMuch({ permitted, bounding, noNewPrivileges }: Privileges, mayLimit: boolean): boolean {
  return (permitted & ~KEPT_MASK) !== 0n || (mayLimit && (bounding & ~KEPT_MASK) !== 0n) || !noNewPrivileges;
}

function surplus({ permitted, noNewPrivileges }: Privileges): string {
  const more = permitted & ~KEPT_MASK;
  return more === 0n && !noNewPrivileges ? 'no no_new_privs' : `capabilities beyond those it needs (0x${more.toString(16)})`;
}
