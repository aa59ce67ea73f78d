/** What the runtime says in the environment: the verb, and which attachment is meant. */
import { statfsSync, statSync } from 'node:fs';
import { CniError, Code } from './cni-error.js';

export const VERBS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const;
export type Verb = (typeof VERBS)[number];

export interface Environment {
  verb: Verb;
  /** '' where the verb has none. */
  containerId: string;
  /** Path of the namespace; on DEL it may be '' or stale. */
  netns: string;
  ifname: string;
  /** CNI_ARGS as it came. */
  args: string;
  /** Directories with plugins. */
  path: string[];
  /** CNI_NETNS may be the plugin's own. */
  netnsOverride: boolean;
}

const REQUIRED: Record<Verb, readonly string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
  STATUS: [],
  VERSION: [],
};
/** Engines use 64 hexadecimal digits; a name of a file in Linux has at most 255 bytes. */
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
/** IFNAMSIZ less the NUL (include/uapi/linux/if.h). */
const MAX_IFNAME_BYTES = 15;
/** NSFS_MAGIC (include/uapi/linux/magic.h). */
const NSFS = 0x6e736673;

/** @throws CniError 4 naming all that is missing or wrong */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const verb = verbOf(env['CNI_COMMAND'] ?? '');
  const required = REQUIRED[verb];
  const missing = required.filter((name) => (env[name] ?? '') === '');
  if (missing.length > 0) {
    throw new CniError(Code.badEnvironment, `required env variables [${missing.join(',')}] missing`);
  }
  const containerId = env['CNI_CONTAINERID'] ?? '';
  const ifname = env['CNI_IFNAME'] ?? '';
  const netns = env['CNI_NETNS'] ?? '';
  const wrong: string[] = [];
  // Runtimes set variables a verb does not have to anything (podman: 'dummy').
  if (required.includes('CNI_CONTAINERID') && !CONTAINER_ID.test(containerId)) {
    wrong.push('CNI_CONTAINERID must begin with a letter or digit, and then have only letters, digits, "_", "." and "-"');
  }
  if (required.includes('CNI_NETNS') && !netns.startsWith('/')) wrong.push('CNI_NETNS must be an absolute path');
  if (required.includes('CNI_IFNAME')) {
    const problem = ifnameProblem(ifname);
    if (problem !== '') wrong.push(`CNI_IFNAME ${problem}`);
  }
  if (wrong.length > 0) throw new CniError(Code.badEnvironment, 'bad env variables', wrong.join('; '));
  return {
    verb,
    containerId,
    netns,
    ifname,
    args: env['CNI_ARGS'] ?? '',
    path: (env['CNI_PATH'] ?? '').split(':').filter((folder) => folder !== ''),
    netnsOverride: /^(1|true)$/i.test(env['CNI_NETNS_OVERRIDE'] ?? ''),
  };
}

/** @throws CniError 4 when CNI_NETNS is no network namespace, 8 when it is the plugin's own */
export function checkNetns({ netns, netnsOverride }: Environment): void {
  if (!isNetns(netns)) throw new CniError(Code.badEnvironment, `CNI_NETNS ${netns} is no network namespace`);
  if (netnsOverride || !sameFile(netns, '/proc/self/ns/net')) return;
  const details = 'name the namespace of a container, or set CNI_NETNS_OVERRIDE=1';
  throw new CniError(Code.invalidNetns, `CNI_NETNS ${netns} is the namespace of the runtime itself`, details);
}

/** Whether the path is (still) a namespace's. */
export function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS;
  } catch {
    return false;
  }
}

function sameFile(a: string, b: string): boolean {
  const [first, second] = [statSync(a), statSync(b)];
  return first.dev === second.dev && first.ino === second.ino;
}

function verbOf(text: string): Verb {
  const verb = VERBS.find((each) => each === text);
  if (verb !== undefined) return verb;
  if (text === '') throw new CniError(Code.badEnvironment, 'required env variables [CNI_COMMAND] missing');
  throw new CniError(Code.badEnvironment, `unknown CNI_COMMAND: ${text}`, `one of ${VERBS.join(', ')} is expected`);
}

function ifnameProblem(name: string): string {
  if (Buffer.byteLength(name) > MAX_IFNAME_BYTES) return `has more than ${MAX_IFNAME_BYTES} bytes`;
  if (name === '.' || name === '..') return 'must not be "." or ".."';
  return /[/:\s\0]/.test(name) ? 'must not have a "/", a ":" or a blank' : '';
}
