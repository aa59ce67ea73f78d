/**
 * A lab: network namespaces with hosts in them, for the demo, the system tests and the bench. Nothing of it touches the namespace it is made
 * from, and it needs no tool but the addon.
 *
 *     const lab = Lab.create('demo');
 *     const a = await lab.host('a');            // namespace demo-<pid>-a with a process in it
 *     const b = await lab.host('b');
 *     connectHosts(a, b);                       // a veth pair; or ports of a bridge
 *     await a.ping({ address: '10.0.0.2', count: 3 });
 *     await lab.close();
 *
 * Invariant: whatever ends the process that made the lab (its end, an exception, SIGINT, SIGTERM), its processes end and its namespaces are removed;
 * all of the taking down that matters is synchronous, because a handler of 'exit' has no other choice. After SIGKILL the hosts end by
 * themselves (their channel closes), and the kernel ends what `start` started; the names in /run/netns and the folder stay until the
 * next lab of the same prefix sweeps them.
 * Limit: a namespace per host, a Node process (about 45 MB) per host.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Binding, loadBinding } from '../native/binding.js';
import { Netns } from '../netlink/netns.js';
import { compiledModule } from './compiled.js';
import { LabHost } from './lab-host.js';
import { LabNamespace } from './lab-namespace.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What a program started with `run` may take to end by itself. */
const END_MILLIS = 5000;

export interface RunOptions {
  env?: Record<string, string>;
  /** Default: 'inherit'. Of standard output and error. */
  stdio?: 'inherit' | 'pipe' | 'ignore' | number;
  /** 'pipe': standard input stays open, for programs that end when it does. Default 'ignore': nothing to read. */
  stdin?: 'pipe' | 'ignore';
}

export class Lab {
  readonly prefix: string;
  readonly binding: Binding;
  private readonly hosts: LabHost[] = [];
  private readonly namespaces: LabNamespace[] = [];
  private readonly programs: ChildProcess[] = [];
  private readonly endings: (() => void)[] = [];
  private ownFolder = '';
  private closed = false;
  private readonly onExit = (): void => this.closeNow();
  private readonly onSignal = (signal: NodeJS.Signals): void => this.interrupted(signal);

  private constructor(prefix: string, binding: Binding) {
    this.prefix = prefix;
    this.binding = binding;
    process.once('exit', this.onExit);
    for (const signal of SIGNALS) process.on(signal, this.onSignal);
  }

  /**
   * @param prefix of the names of its namespaces; letters, digits and dashes
   * @throws Error when the addon is missing
   */
  static create(prefix: string, binding: Binding = loadBinding()): Lab {
    if (!/^[a-z0-9-]{1,32}$/i.test(prefix))
      throw new Error(`${JSON.stringify(prefix)} cannot be the prefix of a lab: letters, digits and dashes`);
    sweep(prefix, binding);
    sweepFolders(prefix);
    return new Lab(prefix, binding);
  }

  /**
   * A namespace without a process. The lab's own, unless `existing` opens one that is somebody else's: a container's.
   * @throws SystemError EPERM without the rights to make one
   */
  namespace(name: string, existing?: string): LabNamespace {
    if (this.closed) throw new Error('the lab is closed');
    const namespace = new LabNamespace(this.binding, `${this.prefix}-${process.pid}-${name}`, existing);
    this.namespaces.push(namespace);
    return namespace;
  }

  /** A namespace and a process in it. @throws Error */
  async host(name: string, existing?: string): Promise<LabHost> {
    const host = await LabHost.start(name, this.namespace(name, existing));
    this.hosts.push(host);
    // The lab was closed while the process started.
    if (this.closed) host.closeNow();
    return host;
  }

  /** A folder for sockets and state, removed with the lab. */
  get folder(): string {
    if (this.closed) throw new Error('the lab is closed');
    if (this.ownFolder === '') this.ownFolder = mkdtempSync(join(tmpdir(), `${this.prefix}-${process.pid}-`));
    return this.ownFolder;
  }

  /** Runs a Node script inside a namespace of the lab until it ends or the lab is closed (SIGTERM, then SIGKILL). */
  run(namespace: LabNamespace, script: string, args: readonly string[], options: RunOptions = {}): ChildProcess {
    if (this.closed) throw new Error('the lab is closed');
    const { stdin = 'ignore', stdio = 'inherit', env = {} } = options;
    const program = spawn(process.execPath, [compiledModule('enter.js'), '/proc/self/fd/3', script, ...args], {
      stdio: [stdin, stdio, stdio, namespace.descriptor],
      env: { ...process.env, ...env },
      // A group of its own: Ctrl-C in a terminal reaches the lab, which then takes its programs down in order.
      detached: true,
    });
    this.programs.push(program);
    return program;
  }

  /**
   * Runs any program inside a namespace of the lab, like `run`. It has to stay in the foreground: only then is it known, and ended.
   * Needs setpriv (util-linux), by which the kernel ends it should this process be killed.
   * @throws Error without setpriv
   */
  start(namespace: LabNamespace, command: string, args: readonly string[], options: RunOptions = {}): ChildProcess {
    if (this.closed) throw new Error('the lab is closed');
    const { stdin = 'ignore', stdio = 'inherit', env = {} } = options;
    const program = namespace.inside(() =>
      spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
        stdio: [stdin, stdio, stdio],
        env: { ...process.env, ...env },
        detached: true,
      }),
    );
    if (program.pid === undefined) {
      program.once('error', () => {});
      throw new Error(`cannot start ${command}: there is no setpriv (Debian package util-linux)`);
    }
    this.programs.push(program);
    return program;
  }

  /** Has `work` done before programs are ended, whatever ends the lab. Nothing in it may be asynchronous, and it may come twice. */
  beforeEnd(work: () => void): void {
    this.endings.push(work);
  }

  /** Ends programs and processes, removes namespaces and the folder. Idempotent. */
  async close(): Promise<void> {
    for (const work of this.endings) work();
    const programs = this.programs.filter(alive);
    for (const program of programs) program.kill('SIGTERM');
    await Promise.all(programs.map(ended));
    this.closeNow();
    await Promise.all(this.hosts.map((host) => host.close()));
  }

  /** The same at once: programs get no chance to end by themselves. */
  closeNow(): void {
    if (this.closed) return;
    this.closed = true;
    process.off('exit', this.onExit);
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
    for (const work of this.endings) work();
    for (const program of this.programs) if (alive(program)) program.kill('SIGKILL');
    for (const host of this.hosts) host.closeNow();
    for (const namespace of this.namespaces) namespace.close();
    if (this.ownFolder !== '') removeFolder(this.ownFolder);
  }

  private interrupted(signal: NodeJS.Signals): void {
    this.closeNow();
    // With nobody else who handles it the signal ends the process, as it would have without a lab.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  }
}

function alive(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Waits for the end of a program that was asked to end, and makes it end. */
function ended(program: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => program.kill('SIGKILL'), END_MILLIS);
    program.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** A program killed a moment ago may still make a file in it. */
function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 20 });
  } catch {
    // The next lab of this prefix sweeps what is left.
  }
}

/** Removes folders of this user that a lab of this prefix left when it was killed: those whose process is gone. */
function sweepFolders(prefix: string): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(`${prefix}-`)) continue;
    const pid = /^(\d+)-\w{6}$/.exec(name.slice(prefix.length + 1))?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const path = join(tmpdir(), name);
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (entry?.isDirectory() && entry.uid === process.getuid?.()) removeFolder(path);
  }
}

/** Removes names that a lab of this prefix left when it was killed: those whose process is gone. */
function sweep(prefix: string, binding: Binding): void {
  for (const name of Netns.list()) {
    if (!name.startsWith(`${prefix}-`)) continue;
    const pid = /^(\d+)-/.exec(name.slice(prefix.length + 1))?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    try {
      Netns.remove(binding, name);
    } catch {
      // Not ours to remove (another user's), or another lab was faster.
    }
  }
}
