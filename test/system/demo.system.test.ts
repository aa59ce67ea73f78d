/**
 * The built demo as a subprocess, inside a namespace of its own that stands for the user's machine: nothing may ever appear there but its
 * loopback. Whatever ends the demo, no namespace, process or file of it stays.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/client/client.js';
import { compiledModule } from '../../src/lab/compiled.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { Netns } from '../../src/netlink/netns.js';
import { describeSystem } from '../helpers/requirements.js';

const MAIN = compiledModule('../cli/main.js');
const STEPS = 14;
const LIMIT = 60_000;

/** A demo that runs, and what it says. */
class RunningDemo {
  readonly child: ChildProcess;
  /** In the environment of every process the demo starts. */
  readonly mark = `tbdemo-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  /** Where its temporary files go. */
  readonly folder = mkdtempSync(join(tmpdir(), 'tbd-'));
  output = '';
  errors = '';
  /** Interfaces of the machine whenever the demo said something. */
  readonly seen = new Set<string>();
  private readonly ended: Promise<number>;

  constructor(machine: LabNamespace, ...args: string[]) {
    this.child = spawn(process.execPath, [compiledModule('enter.js'), '/proc/self/fd/3', MAIN, 'demo', ...args], {
      stdio: ['ignore', 'pipe', 'pipe', machine.descriptor],
      env: { ...process.env, TAPBRIDGE_TEST_MARK: this.mark, TMPDIR: this.folder },
    });
    const look = () => {
      for (const { name } of machine.interfaces()) this.seen.add(name);
    };
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.output += chunk;
      look();
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors += chunk;
    });
    this.ended = new Promise((resolve) =>
      this.child.once('close', (status, signal) => resolve(status ?? -constants.signals[signal ?? 'SIGKILL'])),
    );
  }

  /** Exit status; negative: the signal that killed it. */
  get status(): Promise<number> {
    return this.ended;
  }

  /** Waits until it has said something. */
  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`the demo ended without saying ${text}:\n${this.output}${this.errors}`);
      await sleep(5);
    }
  }

  /** Living processes it has started, itself included: their environment is readable only while they live. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(this.mark);
        } catch {
          return false;
        }
      });
  }

  /** Names in /run/netns that belong to one of these processes. */
  static namespaces(pids: readonly number[]): string[] {
    return Netns.list().filter((name) => pids.some((pid) => name.startsWith(`tbdemo-${pid}-`)));
  }

  files(): string[] {
    return readdirSync(this.folder);
  }

  dispose(): void {
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describeSystem('the demo', ['tap'], () => {
  let lab: Lab;
  let machine: LabNamespace;
  let demo: RunningDemo | undefined;

  beforeAll(() => {
    lab = Lab.create('tbdemotest');
  });
  afterAll(() => lab.close());
  beforeEach(() => {
    machine = lab.namespace(`machine${Math.random().toString(36).slice(2, 8)}`);
  });
  afterEach(() => {
    demo?.dispose();
    demo = undefined;
    machine.close();
  });

  function start(...args: string[]): RunningDemo {
    demo = new RunningDemo(machine, ...args);
    return demo;
  }

  function expectNothingLeft(of: RunningDemo, pids: readonly number[]): void {
    expect({ processes: of.processes(), files: of.files(), namespaces: RunningDemo.namespaces(pids) }).toEqual({
      processes: [],
      files: [],
      namespaces: [],
    });
    expect([...of.seen]).toEqual(['lo']);
    expect(machine.interfaces().map(({ name }) => name)).toEqual(['lo']);
  }

  test('all steps work, one line each and a table, and nothing is left', { timeout: LIMIT }, async () => {
    const running = start();
    const begun = performance.now();
    await running.says('ok lab built');
    const pids = running.processes();
    expect(await running.status).toBe(0);
    console.log(`the demo took ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    const lines = running.output.split('\n');
    expect(lines.filter((line) => /^ok .* \d[\d.]* m?s$/.test(line))).toHaveLength(STEPS);
    const table = lines.slice(lines.findIndex((line) => /^step +result +figure$/.test(line)) + 1);
    expect(table.slice(0, STEPS).every((line) => / ok /.test(line))).toBe(true);
    expect(running.output).toMatch(/ARP table of web: 10\.77\.0\.3 is at ([0-9a-f]{2}:){5}[0-9a-f]{2}\n/);
    expect(running.output).toMatch(/100 of 100 answered/);
    expect(running.output).toMatch(/guest +learned/);
    expect(running.output).toMatch(
      /original 10\.77\.0\.2:\d+ → 192\.0\.2\.1:5000\n +reply +192\.0\.2\.1:5000 → 192\.0\.2\.2:\d+\n/,
    );
    expect(running.output).toMatch(/web saw its real client, 192\.0\.2\.1:\d+\n/);
    expect(running.output).toMatch(/256 MiB arrived as they were sent, [\d.]+ Gbit\/s/);
    expect(running.output).toMatch(/IP 10\.77\.0\.2\.\d+ > 10\.77\.0\.3\.\d+: Flags \[S\]/);
    expect(running.output).toMatch(
      /before: port job, FDB .*, neighbor 10\.77\.0\.9\n +[\d.]+ m?s after its namespace ended: none/,
    );
    expect(running.output).not.toContain('\x1b');
    expect(running.errors).toBe('');
    expectNothingLeft(running, pids);
  });

  test('--json: the results alone on standard output', { timeout: LIMIT }, async () => {
    const running = start('--json');
    expect(await running.status).toBe(0);
    const results = JSON.parse(running.output) as { step: string; ok: boolean; millis: number }[];
    expect(results).toHaveLength(STEPS);
    expect(results.every(({ ok, millis }) => ok && millis > 0)).toBe(true);
    expect(running.errors).toContain('ok lab built');
  });

  test.each([
    ['SIGINT', 'ok lab built'],
    ['SIGINT', 'ok container web attached'],
    ['SIGTERM', 'ok ping web'],
  ] as const)('%s after "%s": nothing is left', { timeout: LIMIT }, async (signal, after) => {
    const running = start();
    await running.says(after);
    const pids = running.processes();
    expect(pids.length).toBeGreaterThan(3);
    running.child.kill(signal);
    expect(await running.status).toBe(128 + constants.signals[signal]);
    expect(running.output).not.toContain('FAILED');
    expectNothingLeft(running, pids);
  });

  test('a step that fails: says which and why, status 1, nothing is left', { timeout: LIMIT }, async () => {
    const running = start();
    await running.says('ok bridge tb0 created');
    const pids = running.processes();
    const daemon = Number(/process (\d+) in a network namespace of its own/.exec(running.output)?.[1]);
    process.kill(daemon, 'SIGKILL');
    expect(await running.status).toBe(1);
    expect(running.output).toMatch(/^FAILED .+: the daemon .+$/m);
    expect(running.output).not.toContain('All of it worked');
    expectNothingLeft(running, pids);
  });

  test('--keep: the lab stays usable, and the command it prints ends it', { timeout: LIMIT }, async () => {
    const running = start('--keep');
    expect(await running.status).toBe(0);
    const pids = running.processes();
    const socket = /export TAPBRIDGE_SOCKET=(\S+)/.exec(running.output)?.[1] ?? '';
    const client = connect(socket);
    expect((await client.listPorts('tb0')).map(({ name, state }) => [name, state])).toEqual([
      ['tb0', 'up'],
      ['web', 'up'],
      ['db', 'up'],
      ['guest', 'up'],
    ]);
    for (const pid of [...running.output.matchAll(/--target (\d+)/g)].map(([, text]) => Number(text)))
      expect(pids).toContain(pid);
    const end = /^End it:\n {2}(kill \d+)$/m.exec(running.output)?.[1] ?? '';
    execFileSync('/bin/sh', ['-c', end]);
    while (running.processes().length > 0) await sleep(10);
    expectNothingLeft(running, pids);
  });

  test('--keep, ended in the middle: nothing is left', { timeout: LIMIT }, async () => {
    const running = start('--keep');
    await running.says('ok container db attached');
    const pids = running.processes();
    running.child.kill('SIGINT');
    expect(await running.status).toBe(130);
    expectNothingLeft(running, pids);
  });

  test('--keep, killed in the middle: the keeper takes everything down', { timeout: LIMIT }, async () => {
    const running = start('--keep');
    await running.says('ok container db attached');
    const pids = running.processes();
    running.child.kill('SIGKILL');
    while (running.processes().length > 0) await sleep(10);
    expectNothingLeft(running, pids);
  });
});
