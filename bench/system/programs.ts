/** Programs a driver starts, and programs it asks once. All of them run inside a namespace of the lab, as its root. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, RunOptions } from '../../dist/lab/lab.js';
import type { LabNamespace } from '../../dist/lab/lab-namespace.js';
import { ticksOf } from '../machine.js';

const READY_MILLIS = 10_000;
const LOOK_MILLIS = 5;
/** What works less than a tick of the kernel's clock in so long is idle. */
const IDLE_MILLIS = 50;
/** Where Debian puts what only root uses; not in everybody's PATH. */
const MORE_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/** Where a program lies; undefined when it is not installed. Nothing is started to find out. */
export function findProgram(command: string): string | undefined {
  if (command.includes('/')) return isExecutable(command) ? command : undefined;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...MORE_FOLDERS].filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, command)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function locate(command: string): string {
  const path = findProgram(command);
  if (path === undefined) throw new Error(`${command} is not installed`);
  return path;
}

/** Runs a program to its end. @returns its standard output. @throws Error with what it said, when its status is not 0 */
export function ask(
  namespace: LabNamespace,
  command: string,
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): string {
  const path = locate(command);
  const { status, stdout, stderr } = namespace.inside(() =>
    spawnSync(path, args, { input, encoding: 'utf8', env: { ...process.env, ...env } }),
  );
  if (status !== 0) throw new Error(`${command} ${args[0] ?? ''}: ${stderr.trim() || `status ${status}`}`);
  return stdout;
}

/** Whether a TCP socket listens on this port at all addresses, in the network namespace of a process. */
export function listensOn(pid: number, port: number): boolean {
  const local = `00000000:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // TCP_LISTEN (include/net/tcp_states.h) is 0A.
  return readFileSync(`/proc/${pid}/net/tcp`, 'latin1').includes(`: ${local} 00000000:0000 0A `);
}

/** A program that goes on running, and what it has said so far. */
export class Program {
  readonly command: string;
  readonly pid: number;
  private readonly child: ChildProcess;
  private said = '';

  constructor(command: string, child: ChildProcess) {
    this.command = command;
    this.child = child;
    this.pid = child.pid ?? -1;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.said += chunk.toString();
      });
    }
  }

  /** Starts it; the lab ends it. */
  static start(
    lab: Lab,
    namespace: LabNamespace,
    command: string,
    args: readonly string[],
    options: Pick<RunOptions, 'env' | 'stdin'> = {},
  ): Program {
    return new Program(command, lab.start(namespace, locate(command), args, { ...options, stdio: 'pipe' }));
  }

  /** Waits until it rests. What a daemon does when it has started (its engine rehearses) is no part of what is measured. */
  untilIdle(): Promise<void> {
    let before = 0;
    return this.until('a rest', async () => {
      await sleep(IDLE_MILLIS);
      const worked = ticksOf(this.pid);
      const idle = worked - before <= 1;
      before = worked;
      return idle;
    });
  }

  /** SIGKILL; waits until it is gone. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Waits until `ready` says true. An error of `ready` means not yet. @throws Error with what the program said, when it ends or takes too long */
  async until(what: string, ready: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + READY_MILLIS;
    for (;;) {
      let cause: unknown;
      try {
        if (await ready()) return;
      } catch (error) {
        cause = error;
      }
      const { exitCode, signalCode } = this.child;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`${this.command} ended with ${signalCode ?? `status ${exitCode}`}: ${this.said.trim()}`);
      if (performance.now() > deadline) throw new Error(`${this.command}: ${what} did not come: ${this.said.trim()}`, { cause });
      await sleep(LOOK_MILLIS);
    }
  }
}
