/** A daemon of the last build in a lab namespace, and its command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../../src/client/client.js';
import { compiledModule } from '../../src/lab/compiled.js';
import type { Lab } from '../../src/lab/lab.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { THREADS } from './threads.js';

const START_MILLIS = 15_000;

export interface CliResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class TestDaemon {
  readonly folder: string;
  readonly socket: string;
  readonly state: string;
  readonly client: Client;
  readonly namespace: LabNamespace;
  /** JSON lines. */
  log = '';
  private readonly lab: Lab;
  private readonly environment: Record<string, string>;
  private program: ChildProcess | undefined;

  /** @param environment besides this process's own */
  constructor(lab: Lab, namespace: LabNamespace, environment: Record<string, string> = {}) {
    this.lab = lab;
    this.environment = environment;
    this.namespace = namespace;
    this.folder = mkdtempSync(join(tmpdir(), 'tapbridge-test-'));
    this.socket = join(this.folder, 'daemon.sock');
    this.state = join(this.folder, 'state');
    this.client = new Client(this.socket);
  }

  static async start(lab: Lab, namespace: LabNamespace, ...args: string[]): Promise<TestDaemon> {
    const daemon = new TestDaemon(lab, namespace);
    await daemon.start(...args);
    return daemon;
  }

  /** Starts it (again) and waits until it answers. @throws Error with its log when it does not */
  async start(...args: string[]): Promise<void> {
    const program = this.spawn(...args);
    this.program = program;
    for (const until = Date.now() + START_MILLIS; ; await sleep(20)) {
      if (program.exitCode !== null || Date.now() > until) throw new Error(`the daemon does not answer: ${this.log}`);
      const answered = existsSync(this.socket) && (await this.client.version().catch(() => undefined));
      if (answered) return;
    }
  }

  /** Another daemon on the same socket and state. */
  async startSecond(...args: string[]): Promise<CliResult> {
    const program = this.spawn(...args);
    let stderr = '';
    program.stderr?.on('data', (chunk) => (stderr += chunk));
    return { status: await exitOf(program), stdout: '', stderr };
  }

  get pid(): number {
    return this.program?.pid ?? -1;
  }

  /** @returns the exit status, null for an end by signal */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const ended = exitOf(this.program as ChildProcess);
    this.program?.kill(signal);
    return ended;
  }

  cli(...args: string[]): Promise<CliResult> {
    return runCli(args, { TAPBRIDGE_SOCKET: this.socket });
  }

  record(): { bridges: { name: string; ports: { name: string }[] }[]; changes: unknown[] } {
    return JSON.parse(readFileSync(join(this.state, 'state.json'), 'utf8'));
  }

  /** Removes what is left. */
  async close(): Promise<void> {
    if (this.program?.exitCode === null && this.program.signalCode === null) await this.end('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private spawn(...args: string[]): ChildProcess {
    const main = compiledModule('../cli/main.js');
    const all = ['daemon', '--socket', this.socket, '--state', this.state, '--threads', String(THREADS), ...args];
    const program = this.lab.run(this.namespace, main, all, { stdio: 'pipe', env: this.environment });
    program.stderr?.on('data', (chunk) => (this.log += chunk));
    return program;
  }
}

/** Runs the command line of the last build in the test's own namespace: clients only need the socket. */
export async function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  const program = spawn(process.execPath, [compiledModule('../cli/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  const result: CliResult = { status: null, stdout: '', stderr: '' };
  program.stdout.on('data', (chunk) => (result.stdout += chunk));
  program.stderr.on('data', (chunk) => (result.stderr += chunk));
  result.status = await exitOf(program);
  return result;
}

function exitOf(program: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => program.once('close', (status) => resolve(status)));
}

/** Waits until `look` is true, at most 10 s; what it says in the end is the test's to judge. */
export async function eventually(look: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const until = Date.now() + 10_000; Date.now() < until; await sleep(20)) {
    if (await look()) return true;
  }
  return look();
}
