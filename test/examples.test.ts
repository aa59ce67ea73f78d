/** The examples run as a user runs them: against the build, through the package's name. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(example: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join('examples', example), ...args], { cwd: root, encoding: 'utf8' });
}

describe('examples', () => {
  test('the compiler accepts them', { timeout: 60_000 }, () => {
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', 'examples/tsconfig.json'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });

  test('simulated-bridge: flood, unicast, an answer of the bridge, flood after ageing', () => {
    const { status, stdout } = run('simulated-bridge.mjs');
    expect(status).toBe(0);
    const receivers = stdout
      .trim()
      .split('\n\n')
      .map((part) => [...part.matchAll(/^ {2}(\w) gets/gm)].map(([, name]) => name));
    expect(receivers).toEqual([['b', 'c'], ['a'], ['b'], ['a', 'c']]);
  });

  test('replay: the capture of a kernel, and what the bridge learned of it', () => {
    const { status, stdout } = run('replay.mjs', 'test/fixtures/tcp.pcap');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^0\.000000 .*Flags \[S\]/);
    expect(stdout).toMatch(/18 frames replayed; 1 reached the other port/);
    expect(stdout.match(/02:00:00:00:00:0[ab] on port 0/g)).toHaveLength(2);
  });

  test('replay without a file: says how', () => {
    expect(run('replay.mjs')).toMatchObject({ status: 2, stderr: 'usage: node examples/replay.mjs FILE.pcap\n' });
  });

  test('publish without what to publish: says how', () => {
    const usage = 'usage: node examples/publish.mjs BRIDGE HOSTPORT:PORT CONTAINER [SOCKET]\n';
    expect(run('publish.mjs', 'tb0', '8080', 'web')).toMatchObject({ status: 2, stdout: '', stderr: usage });
  });

  test('publish without a daemon: says what to do', () => {
    const { status, stderr } = run('publish.mjs', 'tb0', '8080:80', 'web', '/nonexistent/tapbridge.sock');
    expect(status).toBe(1);
    expect(stderr).toMatch(/the daemon is not running at \/nonexistent\/tapbridge\.sock; start it with/);
  });

  test('client without a daemon: says what to do', () => {
    const { status, stderr } = run('client.mjs', '/nonexistent/tapbridge.sock');
    expect(status).toBe(1);
    expect(stderr).toMatch(/the daemon is not running at \/nonexistent\/tapbridge\.sock; start it with/);
  });
});
