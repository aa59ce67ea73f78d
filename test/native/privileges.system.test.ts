/** Starting the process anew with fewer capabilities: what stays, what goes, what is refused. */
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from './lab.js';

const { EINVAL } = constants.errno;
const NET_ADMIN = 1 << 12;

/** Runs a program that starts itself anew once, and tells what it is then. */
function restarted(group: number, ...args: string[]) {
  const module = fileURLToPath(new URL('../../dist/native/binding.js', import.meta.url));
  const script = `
    import { readFileSync } from 'node:fs';
    import { loadBinding } from ${JSON.stringify(module)};
    if (process.env.ONCE === undefined) {
      process.env.ONCE = String(process.pid);
      const result = loadBinding().restartLimited(${NET_ADMIN}, ${group}, [process.argv0, ...process.execArgv, ...process.argv.slice(1)]);
      console.log(JSON.stringify({ result }));
      process.exit(1);
    }
    const status = readFileSync('/proc/self/status', 'latin1');
    const field = (name) => new RegExp('^' + name + ':[ \\\\t]*(.*)$', 'm').exec(status)[1].trim();
    console.log(JSON.stringify({
      same: process.env.ONCE === String(process.pid),
      args: process.argv.slice(1),
      sets: ['CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs'].map(field),
      groups: field('Groups').split(' '),
      name: field('Name'),
      input: readFileSync(0, 'utf8'),
    }));`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--max-old-space-size=64', '-e', script, '--', ...args],
    {
      encoding: 'utf8',
      input: 'said',
    },
  );
  expect(stderr).toBe('');
  return JSON.parse(stdout) as { same: boolean; args: string[]; sets: string[]; groups: string[]; name: string; input: string };
}

describeSystem('starting anew with fewer capabilities', ['bpf'], () => {
  test('the same process, streams and arguments; nothing but what was kept', () => {
    const bits = NET_ADMIN.toString(16).padStart(16, '0');
    const found = restarted(-1, 'a b', '', 'ü');
    expect(found).toMatchObject({
      same: true,
      args: ['a b', '', 'ü'],
      sets: [bits, bits, bits, '1'],
      name: 'node',
      input: 'said',
    });
  });

  test('a group is joined, and those there were stay', () => {
    const before = restarted(-1).groups.filter((group) => group !== '');
    expect(restarted(54_321).groups).toEqual([...before, '54321']);
  });

  test('arguments that make no sense change nothing', () => {
    for (const args of [
      [-1, -1, ['x']],
      [2 ** 53, -1, ['x']],
      [1.5, -1, ['x']],
      [0, -2, ['x']],
      [0, 2 ** 32, ['x']],
      [0, -1, []],
      [0, -1, ['a\0b']],
      [0, -1, [1]],
      [0, -1, 'x'],
      [0, -1, undefined],
    ] as never[][]) {
      expect(binding.restartLimited(...(args as unknown as [number, number, string[]])), JSON.stringify(args)).toBe(-EINVAL);
    }
  });
});
