/**
 * Network namespaces: finding one by name, path or process, telling whether two are the same, making and removing named ones.
 *
 * Names live in /run/netns, as `ip netns` and most container engines have it: an empty file there with the namespace bound over it. A namespace
 * lives as long as a process, a descriptor or such a bind mount refers to it; its inode number on the nsfs device is its identity
 * (ioctl_ns(2)), so a process id and a name that mean the same namespace compare equal.
 *
 * Invariant: an open `Netns` owns one descriptor, and an open descriptor keeps the namespace alive. Whoever waits for a container's end must close it.
 */
import { fstatSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';

const NAMED = '/run/netns';
const MAX_NAME_BYTES = 255;
const HINTED_NAMES = 10;
const { EEXIST, EINVAL, ENOENT, ENOTDIR } = constants.errno;

export class Netns {
  readonly descriptor: Descriptor;
  /** What it was opened as: a name, a path, 'process 123'. For messages. */
  readonly label: string;
  /** 'device:inode' of the namespace; equal strings are one namespace. */
  readonly identity: string;
  private readonly binding: Binding;
  private closed = false;

  private constructor(binding: Binding, descriptor: Descriptor, label: string) {
    this.binding = binding;
    this.descriptor = descriptor;
    this.label = label;
    const stat = fstatSync(descriptor, { bigint: true });
    this.identity = `${stat.dev}:${stat.ino}`;
  }

  /**
   * A name in /run/netns, or with a '/' in it a path (/proc/123/ns/net, /var/run/docker/netns/...).
   * @throws Error saying that there is no such namespace, and which there are, or that the path is something else.
   */
  static open(binding: Binding, nameOrPath: string): Netns {
    const byName = !nameOrPath.includes('/');
    const path = byName ? pathOf(nameOrPath) : nameOrPath;
    if (path.includes('\0')) throw new Error(`${JSON.stringify(nameOrPath)} is not a path`);
    const descriptor = binding.openNetns(path);
    if (descriptor === -ENOENT || descriptor === -ENOTDIR) {
      throw new Error(byName ? noSuchName(nameOrPath) : `no such network namespace: ${nameOrPath} does not exist`);
    }
    // The addon answers EINVAL for a file that is something else.
    if (descriptor === -EINVAL) {
      throw new Error(
        byName
          ? `network namespace ${nameOrPath} is gone, only its name is left: remove it with "ip netns delete ${nameOrPath}"`
          : `${nameOrPath} is not a network namespace: expected a file like /proc/PID/ns/net or ${NAMED}/NAME`,
      );
    }
    return new Netns(binding, check(descriptor, 'openNetns', nameOrPath), nameOrPath);
  }

  /** @throws Error for a process that does not exist or whose namespace may not be opened. */
  static ofProcess(binding: Binding, pid: number): Netns {
    if (!Number.isSafeInteger(pid) || pid <= 0) throw new Error(`${pid} is not a process id`);
    const path = `/proc/${pid}/ns/net`;
    const descriptor = binding.openNetns(path);
    // A process that ended but was not waited for is still in /proc, and has no namespaces any more.
    if (descriptor === -ENOENT) throw new Error(`no such process: ${pid}`);
    return new Netns(binding, check(descriptor, 'openNetns', path), `process ${pid}`);
  }

  /** The one the calling thread is in. */
  static current(binding: Binding): Netns {
    const path = '/proc/thread-self/ns/net';
    return new Netns(binding, check(binding.openNetns(path), 'openNetns', path), 'the current network namespace');
  }

  /**
   * Makes a namespace: named ones stay until `remove`, one without a name goes when nothing refers to it any more. Its loopback is down.
   * @throws Error when the name cannot be used or is taken.
   */
  static create(binding: Binding, name: string | null): Netns {
    const path = name === null ? null : pathOf(name);
    const descriptor = binding.createNetns(path);
    if (descriptor === -EEXIST) throw new Error(`a network namespace named ${name} exists`);
    return new Netns(binding, check(descriptor, 'createNetns', name ?? ''), name ?? 'an unnamed network namespace');
  }

  /**
   * Takes the name away. The namespace itself, and the interfaces in it, go with the last process or descriptor.
   * @throws Error when there is none of that name.
   */
  static remove(binding: Binding, name: string): void {
    const path = pathOf(name);
    const result = binding.removeNetns(path);
    if (result === -ENOENT) throw new Error(noSuchName(name));
    check(result, 'removeNetns', name);
  }

  /** Names in /run/netns, sorted. Names of namespaces that are gone (a file without its mount) are among them; opening one says so. */
  static list(): string[] {
    try {
      return readdirSync(NAMED).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  same(other: Netns): boolean {
    return this.identity === other.identity;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.binding.closeDescriptor(this.descriptor);
  }
}

/** Why `name` cannot name a namespace, as the end of a sentence; undefined when it can. */
export function netnsNameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'it means a directory';
  if (name.includes('/')) return 'it contains "/"';
  if (name.includes('\0')) return 'it contains a NUL';
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > MAX_NAME_BYTES) return `it has ${bytes} bytes, a file name can have ${MAX_NAME_BYTES}`;
  return undefined;
}

function pathOf(name: string): string {
  const problem = netnsNameProblem(name);
  if (problem !== undefined) throw new Error(`${JSON.stringify(name)} cannot be the name of a network namespace: ${problem}`);
  return join(NAMED, name);
}

function noSuchName(name: string): string {
  const names = Netns.list();
  if (names.length === 0) return `no such network namespace: ${name} (${NAMED} names none)`;
  const more = names.length > HINTED_NAMES ? ', ...' : '';
  return `no such network namespace: ${name} (there are: ${names.slice(0, HINTED_NAMES).join(', ')}${more})`;
}
