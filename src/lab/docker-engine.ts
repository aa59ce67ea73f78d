/**
 * A real Docker engine in a namespace of a lab, for the tests and the bench: dockerd and containerd of the machine's packages, with all their state
 * in one folder of their own, so that they meet no other engine of the machine.
 *
 *     lab ─ namespace 'host' ─┬─ containerd ── shims ── containers    (each with a namespace of its own)
 *                             └─ dockerd ──── FOLDER/docker.sock ◀── docker -H
 *     FOLDER = /tmp/PREFIX-PID-RANDOM: images, containers, logs; its name is also the parent of the containers' cgroups
 *
 * containerd is started here, not by dockerd: it and the containers outlive a SIGKILL of dockerd, and the next dockerd need not wait for it.
 * Only the network namespace is the lab's. Mounts, cgroups and process ids are the machine's, which dockerd needs of /sys and runc of cgroups.
 *
 * Invariant: `close` and the end of the lab leave nothing: no process, mount, cgroup, or file. After SIGKILL of the process that made it the kernel
 * ends dockerd and containerd; shims, containers and mounts stay until the next engine of the same prefix sweeps them.
 */
import type { ChildProcess } from 'node:child_process';
import { execFile, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from './lab.js';
import type { LabNamespace } from './lab-namespace.js';

const START_MILLIS = 60_000;
const LOOK_MILLIS = 20;
/** What dying processes may take to leave their mounts and cgroups. */
const GONE_MILLIS = 5000;
const COMMAND_BYTES = 16 << 20;
const CLIENT = '/usr/bin/docker';
const CGROUPS = '/sys/fs/cgroup';
const PREFIX = 'tbdocker';

export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

export interface EngineOptions {
  /** Further arguments of dockerd. */
  args?: readonly string[];
  /** Its daemon.json. */
  settings?: Record<string, unknown>;
}

export class DockerEngine {
  readonly folder: string;
  readonly namespace: LabNamespace;
  /** `unix:///…`, for other clients (DOCKER_HOST). */
  readonly host: string;
  private readonly lab: Lab;
  private containerd: ChildProcess | undefined;
  private dockerd: ChildProcess | undefined;
  private args: readonly string[] = [];
  private closed = false;

  private constructor(lab: Lab, namespace: LabNamespace) {
    this.lab = lab;
    this.namespace = namespace;
    sweep();
    this.folder = mkdtempSync(join(tmpdir(), `${PREFIX}-${process.pid}-`));
    this.host = `unix://${join(this.folder, 'docker.sock')}`;
  }

  /** @throws Error with the end of its log when it does not come up */
  static async start(lab: Lab, namespace: LabNamespace, { args = [], settings = {} }: EngineOptions = {}): Promise<DockerEngine> {
    const engine = new DockerEngine(lab, namespace);
    lab.beforeEnd(() => engine.close());
    try {
      engine.args = args;
      writeFileSync(join(engine.folder, 'daemon.json'), JSON.stringify(settings));
      await engine.startContainerd();
      await engine.startDockerd();
      return engine;
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  /** Process id of dockerd, -1 while it does not run. */
  get pid(): number {
    return isAlive(this.dockerd) ? (this.dockerd?.pid ?? -1) : -1;
  }

  /** What dockerd has logged. */
  get log(): string {
    return readFileSync(join(this.folder, 'dockerd.log'), 'utf8');
  }

  /** Runs the docker command to its end. */
  docker(...args: string[]): Promise<CommandResult> {
    const env = { ...process.env, ...this.environment };
    return new Promise((resolve) => {
      execFile(dockerClient(), args, { env, maxBuffer: COMMAND_BYTES }, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ status, stdout, stderr });
      });
    });
  }

  /** What other clients of this engine need in their environment. */
  get environment(): Record<string, string> {
    return { DOCKER_HOST: this.host, DOCKER_CONFIG: join(this.folder, 'client') };
  }

  /** The same, for what must not fail. @returns its output, trimmed. @throws Error with what docker said */
  async ask(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.docker(...args);
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr.trim() || `status ${status}`}`);
    return stdout.trim();
  }

  /** One field of `docker inspect`, e.g. '{{.State.Pid}}'. */
  inspect(what: string, format: string): Promise<string> {
    return this.ask('inspect', '--format', format, what);
  }

  /** Path of a running container's network namespace: it stays as long as docker has the container running. */
  sandboxOf(container: string): Promise<string> {
    return this.inspect(container, '{{.NetworkSettings.SandboxKey}}');
  }

  /** Makes an image of a root file system in a tar file. */
  async importImage(name: string, tar: string): Promise<void> {
    await this.ask('import', tar, name);
  }

  /** Ends dockerd, not containerd and the containers' shims, and waits until it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const program = this.dockerd;
    if (program === undefined || !isAlive(program)) return;
    const gone = new Promise((resolve) => program.once('exit', resolve));
    program.kill(signal);
    await gone;
  }

  /** Starts dockerd (again) and waits until it answers. */
  async startDockerd(): Promise<void> {
    rmSync(join(this.folder, 'docker.pid'), { force: true });
    this.dockerd = this.spawn('dockerd', [
      ...['--containerd', join(this.folder, 'ctr.sock'), '--data-root', join(this.folder, 'data')],
      ...['--exec-root', join(this.folder, 'exec'), '--pidfile', join(this.folder, 'docker.pid')],
      ...['--config-file', join(this.folder, 'daemon.json'), '--cgroup-parent', `/${basename(this.folder)}`],
      ...['--host', this.host, ...this.args],
    ]);
    await this.until('dockerd', this.dockerd, async () => (await this.docker('version')).status === 0);
  }

  /** Ends everything at once and removes what it left. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const program of [this.dockerd, this.containerd]) if (program !== undefined && isAlive(program)) program.kill('SIGKILL');
    clear(this.folder);
  }

  private async startContainerd(): Promise<void> {
    const socket = join(this.folder, 'ctr.sock');
    const settings = [
      'version = 2',
      `root = "${join(this.folder, 'ctr')}"`,
      `state = "${join(this.folder, 'ctr-state')}"`,
      // Each of these only delays the start here.
      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]',
      '[grpc]',
      `address = "${socket}"`,
    ];
    const file = join(this.folder, 'containerd.toml');
    writeFileSync(file, `${settings.join('\n')}\n`);
    this.containerd = this.spawn('containerd', ['--config', file]);
    await this.until('containerd', this.containerd, () => existsSync(socket));
  }

  private spawn(command: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.folder, `${command}.log`), 'a', 0o600);
    try {
      return this.lab.start(this.namespace, command, args, { stdio: log });
    } finally {
      closeSync(log);
    }
  }

  private async until(command: string, program: ChildProcess, ready: () => boolean | Promise<boolean>): Promise<void> {
    for (const until = Date.now() + START_MILLIS; !(await ready()); await sleep(LOOK_MILLIS)) {
      if (isAlive(program) && Date.now() < until) continue;
      const log = readFileSync(join(this.folder, `${command}.log`), 'utf8')
        .trim()
        .split('\n')
        .slice(-5)
        .join('\n');
      throw new Error(`${command} does not come up: ${log}`);
    }
  }
}

/** The client of the engine's own package: a newer one that is first in PATH refuses options the engine still has. */
export function dockerClient(): string {
  return existsSync(CLIENT) ? CLIENT : 'docker';
}

function isAlive(program: ChildProcess | undefined): boolean {
  return program?.pid !== undefined && program.exitCode === null && program.signalCode === null;
}

/** Ends what runs of an engine (shims and their containers carry its folder in their arguments), and removes its mounts, cgroups and files. */
function clear(folder: string): void {
  for (const until = Date.now() + GONE_MILLIS; ; pause(LOOK_MILLIS)) {
    killShims(folder);
    unmountBelow(folder);
    const cgroups = removeCgroups(basename(folder));
    if ((cgroups && !hasMounts(folder)) || Date.now() > until) break;
  }
  // Never through a mount that would not go.
  if (!hasMounts(folder)) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

function killShims(folder: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const words = readOr(`/proc/${pid}/cmdline`).split('\0');
    if (!words[0].includes('containerd-shim') || !words.includes(join(folder, 'ctr.sock'))) continue;
    const children = readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean);
    for (const victim of [...children, pid]) killNow(Number(victim));
  }
  // Containers whose shim went first are still in their cgroup.
  for (const group of cgroupsOf(basename(folder))) {
    for (const pid of readOr(join(group, 'cgroup.procs')).split('\n').filter(Boolean)) killNow(Number(pid));
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was faster.
  }
}

function mountsBelow(folder: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return points
    .filter((point) => point.startsWith(`${folder}/`))
    .sort()
    .reverse();
}

const hasMounts = (folder: string) => mountsBelow(folder).length > 0;

function unmountBelow(folder: string): void {
  for (const point of mountsBelow(folder)) spawnSync('umount', ['--lazy', point], { stdio: 'ignore' });
}

/** Deepest first: those of one name in all hierarchies, and what is in them. */
function cgroupsOf(name: string): string[] {
  const roots = [CGROUPS, ...foldersIn(CGROUPS)].map((root) => join(root, name)).filter(existsSync);
  return roots.flatMap((root) => [...foldersIn(root, true).reverse(), root]);
}

function foldersIn(path: string, recursive = false): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true, recursive });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

/** @returns whether all are gone */
function removeCgroups(name: string): boolean {
  for (const group of cgroupsOf(name).sort((one, other) => other.length - one.length)) {
    try {
      rmdirSync(group);
    } catch {
      // Somebody is still dying in it.
    }
  }
  return cgroupsOf(name).length === 0;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** 'exit' handlers cannot wait for anything but this. */
function pause(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis);
}

/** Removes engines whose process was killed. */
function sweep(): void {
  mkdirSync(tmpdir(), { recursive: true });
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-\\w{6}$`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) clear(join(tmpdir(), name));
  }
}
