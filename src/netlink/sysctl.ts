/**
 * Sysctls of the network namespace the calling thread is in: /proc/sys/net shows each reader its own namespace's values
 * (net/sysctl_net.c, `net_ctl_header_lookup` of the current task). Another namespace's are reached from a thread that entered it.
 * The synchronous calls of node:fs run on the calling thread; its asynchronous ones would run on a pool thread of another namespace.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const ROOT = '/proc/sys/';
const SHAPE = /^net(\/[^/\0]+)+$/;

/**
 * The value of e.g. 'net/ipv4/ip_forward', without the trailing newline.
 * Slashes separate, because interface names may contain dots.
 * @throws Error that names the sysctl when it is unknown or unreadable.
 */
export function readSysctl(path: string): string {
  const file = fileOf(path);
  try {
    return readFileSync(file, 'latin1').trimEnd();
  } catch (cause) {
    throw explain('read', path, cause);
  }
}

/** @throws Error that names the sysctl when it is unknown, not writable, or the value is not accepted. */
export function writeSysctl(path: string, value: string | number): void {
  const file = fileOf(path);
  try {
    writeFileSync(file, `${value}\n`, { flag: 'r+' });
  } catch (cause) {
    throw explain('write', path, cause, String(value));
  }
}

function fileOf(path: string): string {
  if (!SHAPE.test(path) || path.split('/').some((part) => part === '.' || part === '..')) {
    throw new Error(`${JSON.stringify(path)} is not a network sysctl: expected something like net/ipv4/ip_forward`);
  }
  return ROOT + path;
}

function explain(verb: 'read' | 'write', path: string, cause: unknown, value = ''): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const reasons: Record<string, string> = {
    ENOENT: 'this kernel or network namespace has no such sysctl',
    EINVAL: `the kernel does not accept the value ${JSON.stringify(value)}`,
    EACCES: 'no permission: root of this network namespace is needed',
    EPERM: 'no permission: root of this network namespace is needed',
    EROFS: '/proc/sys is mounted read-only (an unprivileged container?): remount it or run with more privileges',
  };
  return new Error(`cannot ${verb} sysctl ${path}: ${reasons[code] ?? code}`, { cause });
}
