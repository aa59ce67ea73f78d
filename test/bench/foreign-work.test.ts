/** CPU time of processes that are not the trial's, from a made-up /proc. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { foreignCores, snapshotProcesses } from '../../bench/foreign-work.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tbproc-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** @param ticks of its own, and of its children that ended */
function process(pid: number, parent: number, ticks: number, childTicks = 0, flags = 0): void {
  mkdirSync(join(folder, String(pid)), { recursive: true });
  const fields = ['S', parent, 1, 1, 0, -1, flags, 0, 0, 0, 0, ticks - 1, 1, childTicks, 0, 20];
  writeFileSync(join(folder, String(pid), 'stat'), `${pid} (a ) name) ${fields.join(' ')}`);
}

function end(pid: number): void {
  rmSync(join(folder, String(pid)), { recursive: true });
}

/** Between two snapshots a second apart. */
function foreign(meanwhile: () => void): number {
  const before = { ...snapshotProcesses(folder), at: 10 };
  meanwhile();
  return foreignCores(before, { ...snapshotProcesses(folder), at: 11 }, [100], [99]);
}

beforeEach(() => {
  process(1, 0, 10);
  process(99, 1, 10);
  process(100, 99, 10);
  process(101, 100, 10);
  process(50, 1, 10);
  process(60, 2, 10, 0, 0x20_8040);
});

test('the trial, its children, its campaign and kernel threads do not count', () => {
  const cores = foreign(() => {
    process(99, 1, 20);
    process(100, 99, 60);
    process(101, 100, 90);
    process(102, 101, 90);
    process(60, 2, 90, 0, 0x20_8040);
  });
  expect(cores).toBe(0);
});

test('others do, new ones and other children of the campaign too', () => {
  const cores = foreign(() => {
    process(50, 1, 30);
    process(51, 1, 5);
    process(98, 99, 5);
  });
  expect(cores).toBeCloseTo(0.3);
});

test('one that ends stays counted once, with its parent', () => {
  process(51, 50, 40);
  const cores = foreign(() => {
    end(51);
    process(50, 1, 10, 45);
  });
  expect(cores).toBeCloseTo(0.05);
});
