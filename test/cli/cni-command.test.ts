/** `tapbridge cni install` and `uninstall`, in a folder of the test's. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runPlugin } from '../cni/plugin.js';
import { type CliResult, runCli } from '../helpers/daemon.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-bin-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function cni(...args: string[]): Promise<CliResult> {
  return runCli(['cni', ...args, '--bin-dir', join(folder, 'bin')]);
}

test('install shows what it writes, and without a terminal only writes it with --yes', async () => {
  const file = join(folder, 'bin/tapbridge');
  const asked = await cni('install');
  expect(asked.status).toBe(2);
  expect(asked.stderr).toContain('add --yes');
  expect(existsSync(file)).toBe(false);
  const done = await cni('install', '--yes');
  expect(done.status).toBe(0);
  const written = readFileSync(file, 'utf8');
  for (const line of written.trimEnd().split('\n')) expect(asked.stdout).toContain(`    ${line}\n`);
  expect(written).toContain(process.execPath);
  expect(statSync(file).mode & 0o777).toBe(0o755);
  expect((await cni('install')).stdout).toContain('is as it should be');
});

test('what it writes is the plugin, and needs no PATH', async () => {
  await cni('install', '--yes', '--type', 'tapbridge-cni');
  const { status, stdout } = await runPlugin({ CNI_COMMAND: 'VERSION', PATH: '' }, '', join(folder, 'bin/tapbridge-cni'));
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '1.1.0' });
});

test('uninstall removes its own file and no other', async () => {
  const file = join(folder, 'bin/tapbridge');
  await cni('install', '--yes');
  writeFileSync(file, '#!/bin/sh\n');
  expect(await cni('uninstall', '--yes')).toMatchObject({ status: 0, stdout: expect.stringContaining(`leave ${file}`) });
  expect(await cni('install', '--yes')).toMatchObject({ status: 1, stderr: expect.stringContaining('--replace') });
  expect(readFileSync(file, 'utf8')).toBe('#!/bin/sh\n');
  await cni('install', '--yes', '--replace');
  expect((await cni('uninstall')).status).toBe(2);
  expect((await cni('uninstall', '--yes')).status).toBe(0);
  expect(existsSync(file)).toBe(false);
  expect(await cni('uninstall', '--yes')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('nothing of ours is there'),
  });
});

test('a wrapper of another installation is ours, too', async () => {
  const file = join(folder, 'bin/tapbridge');
  await cni('install', '--yes');
  const mine = readFileSync(file, 'utf8');
  writeFileSync(file, mine.replace(process.execPath, '/opt/another/node'));
  expect((await cni('install', '--yes')).stdout).toContain(`update ${file}`);
  expect(readFileSync(file, 'utf8')).toBe(mine);
});

test('only a type the plugin answers to', async () => {
  expect((await cni('install', '--yes', '--type', 'bridge')).status).toBe(2);
});
