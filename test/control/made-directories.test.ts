import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirectories, removeDirectories } from '../../src/control/made-directories.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-made-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('only what was missing is made, and only that is removed', () => {
  mkdirSync(join(folder, 'a'));
  const made = makeDirectories(join(folder, 'a/../a/b/c/'), 0o700);
  expect(made).toEqual([join(folder, 'a/b/c'), join(folder, 'a/b')]);
  expect(statSync(join(folder, 'a/b')).mode & 0o777).toBe(0o700);
  removeDirectories(made);
  expect(readdirSync(folder, { recursive: true })).toEqual(['a']);
});

test('one that was there is nobody’s to remove', () => {
  expect(makeDirectories(folder, 0o700)).toEqual([]);
});

test('one in use stays, and what is above it; one that is gone already is no error', () => {
  const made = makeDirectories(join(folder, 'a/b/c'), 0o755);
  writeFileSync(join(folder, 'a/b/mine'), '');
  removeDirectories(made);
  expect(readdirSync(folder, { recursive: true }).sort()).toEqual(['a', 'a/b', 'a/b/mine']);
  rmSync(join(folder, 'a'), { recursive: true });
  removeDirectories(made);
  expect(existsSync(join(folder, 'a'))).toBe(false);
});
