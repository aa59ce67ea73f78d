/** The bench as people call it: a short run with all its output, a run that is interrupted, command lines that make no sense. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCampaign } from '../../bench/system/campaign-file.js';
import { describeSystem } from '../helpers/requirements.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SHORT = ['--drivers', 'kernel-bridge,veth', '--types', 'udp-64', '--seconds', '0.2'];
const TIMEOUT_MILLIS = 60_000;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tbbenchtest-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function bench(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, 'bench', ...args], { encoding: 'utf8' });
}

/** Namespaces of trials whose process is gone. */
function leftNamespaces(): string[] {
  if (!existsSync('/run/netns')) return [];
  return readdirSync('/run/netns').filter((name) => {
    const pid = /^tbbench-(\d+)-/.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);
}

describeSystem('bench', ['root', 'tap'], () => {
  test('a short run: table, JSON and HTML', { timeout: TIMEOUT_MILLIS }, () => {
    const [json, html] = ['result.json', 'result.html'].map((name) => join(folder, name));
    const { status, stdout, stderr } = bench(...SHORT, '--rounds', '1', '--json', json, '--html', html);
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/2 trials in 1 round, 0\.2 s each.*the reference is kernel-bridge/);
    expect(stdout).toMatch(/^udp-64 +veth +\d+.*kpps +\d+\.\d\d×/m);
    expect(stdout).toContain('do not quote this run: with 1 round');
    expect(stderr).toContain('round 1 of 1: 2 of 2 trials');
    const campaign = readCampaign(json);
    expect(campaign.trials.map(({ driver, type, round }) => [driver, type, round])).toEqual([
      ['kernel-bridge', 'udp-64', 1],
      ['veth', 'udp-64', 1],
    ]);
    for (const { value, units, details, cpuNanosPerUnit } of campaign.trials) {
      expect(value).toBeGreaterThan(0);
      expect(units).toBeGreaterThan(0);
      expect(cpuNanosPerUnit).toBeGreaterThan(0);
      expect(details).toMatchObject({ duplicated: 0, foreign: 0 });
    }
    expect(campaign.machine.kernel).toBe(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
    expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>/);
    expect(leftNamespaces()).toEqual([]);
    const compared = bench('compare', json, json, '--json');
    expect(JSON.parse(compared.stdout).changes.map((change: { verdict: string }) => change.verdict)).toEqual([
      'same within noise',
      'same within noise',
    ]);
  });

  test('interrupted: cleans up, writes what was measured so far', { timeout: TIMEOUT_MILLIS }, async () => {
    const json = join(folder, 'result.json');
    const child: ChildProcess = spawn(process.execPath, [MAIN, 'bench', ...SHORT, '--rounds', '100', '--json', json], {
      stdio: 'pipe',
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    // One round is measured, and a trial of the next one runs.
    const runs = () => said.includes('round 1 of 100') && childrenOf(child.pid ?? 0).length > 0;
    await expect.poll(runs, { timeout: 45_000 }).toBe(true);
    const [trial] = childrenOf(child.pid ?? 0);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    const { trials, objections } = readCampaign(json);
    expect(trials.length).toBeGreaterThanOrEqual(2);
    expect(objections[0]).toMatch(/^it was ended after \d+ of 200 trials$/);
    expect(existsSync(`/proc/${trial}`)).toBe(false);
    expect(leftNamespaces()).toEqual([]);
  });

  test('command lines that make no sense: one line, status 2', { timeout: TIMEOUT_MILLIS }, () => {
    for (const [args, message] of [
      [['--types', 'nothing'], /--types: there is no "nothing"; there are udp-64/],
      [['--drivers', 'nothing'], /--drivers: there is no "nothing"; there are docker-bridge/],
      [['--rounds', 'x'], /--rounds must be a whole number/],
      [['--seconds', '-1'], /--seconds is a number above 0/],
      [['--quick', '--full'], /exclude each other/],
    ] as const) {
      const { status, stderr } = bench(...args);
      expect(stderr).toMatch(message);
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(status).toBe(2);
    }
  });

  test('compare refuses what is no result', () => {
    const file = join(folder, 'x.json');
    writeFileSync(file, '{}');
    const { status, stderr } = bench('compare', file, file);
    expect(stderr).toMatch(/^tapbridge: bench compare: .*x\.json is no result of tapbridge bench/);
    expect(status).toBe(1);
  });
});
