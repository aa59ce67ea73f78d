import { execFileSync } from 'node:child_process';
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { binding, hereIs, inside, Network, scratchDirectory } from './lab.js';

const { EBADF, EEXIST, EINVAL, ENOENT } = constants.errno;

describeSystem('network namespaces', ['root'], () => {
  let folder: string;

  beforeEach(() => {
    folder = scratchDirectory();
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test('made at a path, opened by it, removed again', () => {
    const path = join(folder, 'names', 'web');
    const made = binding.createNetns(path);
    expect(made).toBeGreaterThanOrEqual(0);
    const opened = binding.openNetns(path);
    expect(inside(opened, hereIs)).toBe(inside(made, hereIs));
    expect(inside(made, hereIs)).not.toBe(hereIs());
    expect(binding.createNetns(path)).toBe(-EEXIST);
    expect(binding.removeNetns(path)).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(binding.removeNetns(path)).toBe(-ENOENT);
    expect(binding.closeDescriptor(made)).toBe(0);
    expect(binding.closeDescriptor(opened)).toBe(0);
  });

  test('an anonymous one has no name, and a silent loopback', () => {
    const net = new Network();
    expect(inside(net.netns, () => binding.icmpEcho('127.0.0.1', 1, 8, 100))).toBeLessThan(0);
    net.up('lo');
    expect(inside(net.netns, () => binding.icmpEcho('127.0.0.1', 1, 8, 1000))).toBeGreaterThan(0);
    net.close();
  });

  test('of a process', () => {
    const mine = binding.openNetns(`/proc/${process.pid}/ns/net`);
    expect(inside(mine, hereIs)).toBe(hereIs());
    binding.closeDescriptor(mine);
  });

  test('what is no network namespace is refused, and never deleted', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'precious');
    expect(binding.openNetns(file)).toBe(-EINVAL);
    expect(binding.removeNetns(file)).toBe(-EINVAL);
    expect(binding.removeNetns(folder)).toBe(-EINVAL);
    expect(binding.createNetns(file)).toBe(-EEXIST);
    expect(readFileSync(file, 'utf8')).toBe('precious');
    expect(binding.openNetns('/proc/self/ns/mnt')).toBe(-EINVAL);
    expect(binding.removeNetns('/proc/self/ns/net')).toBeLessThan(0);
    expect(binding.openNetns(join(folder, 'nothing'))).toBe(-ENOENT);
    expect(binding.createNetns(join(folder, 'no', 'such', 'folder'))).toBe(-ENOENT);
    for (const path of ['', 'name', '/', 'a\0b', 'x'.repeat(5000)]) expect(binding.createNetns(path)).toBeLessThan(0);
  });

  test('a pipe is refused at once, though nobody writes to it', () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(binding.openNetns(pipe)).toBe(-EINVAL);
    expect(binding.removeNetns(pipe)).toBe(-EINVAL);
  });

  test('entering something else changes nothing', () => {
    const home = hereIs();
    expect(binding.enterNetns(openSync('/dev/null', 'r'))).toBe(-EINVAL);
    expect(binding.enterNetns(-1)).toBe(-EBADF);
    expect(binding.enterNetns(1_000_000)).toBe(-EBADF);
    expect((binding.enterNetns as (value: unknown) => number)('x')).toBe(-EINVAL);
    expect(hereIs()).toBe(home);
  });
});
