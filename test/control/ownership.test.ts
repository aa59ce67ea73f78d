/** Whose files are taken. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDirectory, checkOwnDirectory, ownershipProblem, readOwned } from '../../src/control/ownership.js';
import { describeSystem } from '../helpers/requirements.js';

const ROOT = 0;
const PLAIN = 0o100000;
const FOLDER = 0o040000;

describe('facts', () => {
  const problem = (uid: number, mode: number, trusted: readonly number[] = [ROOT]) =>
    ownershipProblem('/x', { uid, mode }, trusted);

  test('root, written by nobody else', () => {
    expect(problem(ROOT, PLAIN | 0o644)).toBeNull();
    expect(problem(ROOT, PLAIN | 0o600)).toBeNull();
  });

  test('another owner', () => {
    expect(problem(1000, PLAIN | 0o644)).toEqual({ what: '/x belongs to user 1000', hint: '"chown 0 /x"' });
    expect(problem(1000, PLAIN | 0o644, [1000, ROOT])).toBeNull();
    expect(problem(ROOT, PLAIN | 0o644, [1000, ROOT])).toBeNull();
  });

  test.each([0o620, 0o602, 0o666])('written by others: %o', (mode) => {
    expect(problem(ROOT, PLAIN | mode)?.what).toMatch(/^\/x may be written by others \(mode 06/);
    expect(problem(ROOT, PLAIN | mode)?.hint).toBe('"chmod go-w /x"');
  });

  test('both, with one command for both', () => {
    expect(problem(7, PLAIN | 0o666)).toEqual({
      what: '/x belongs to user 7 and may be written by others (mode 0666)',
      hint: '"chown 0 /x; chmod go-w /x"',
    });
  });

  test('a sticky directory keeps others from what is in it', () => {
    expect(problem(ROOT, FOLDER | 0o1777)).toBeNull();
    expect(problem(ROOT, FOLDER | 0o777)).not.toBeNull();
  });
});

describe('files', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-owner-'));
    file = join(folder, 'x.yaml');
    writeFileSync(file, 'threads: 1\n', { mode: 0o644 });
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  test('ours are read', () => {
    expect(readOwned(file, 100)).toBe('threads: 1\n');
  });

  test('one others may write is refused, unless that is wanted', () => {
    chmodSync(file, 0o666);
    expect(() => readOwned(file, 100)).toThrow(expect.objectContaining({ code: 'forbidden', hint: `"chmod go-w ${file}"` }));
    expect(readOwned(file, 100, true)).toBe('threads: 1\n');
  });

  test('one in a directory others may write is refused', () => {
    chmodSync(folder, 0o777);
    expect(() => readOwned(file, 100)).toThrow(expect.objectContaining({ code: 'forbidden', hint: `"chmod go-w ${folder}"` }));
  });

  test('a link is judged by where it leads', () => {
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    writeFileSync(join(open, 'y.yaml'), '');
    const link = join(folder, 'link.yaml');
    symlinkSync(join(open, 'y.yaml'), link);
    expect(() => readOwned(link, 100)).toThrow(`${open} may be written by others`);
  });

  test('what is no plain file, and what is too long', () => {
    expect(() => readOwned(folder, 100)).toThrow('is not a plain file');
    expect(() => readOwned(file, 5)).toThrow('more than 5 bytes');
    expect(() => readOwned(join(folder, 'none'), 5)).toThrow('ENOENT');
  });

  test('a directory of our own may not be sticky and open', () => {
    chmodSync(folder, 0o1777);
    expect(() => checkDirectory(folder)).not.toThrow();
    expect(() => checkOwnDirectory(folder)).toThrow(expect.objectContaining({ code: 'forbidden' }));
    chmodSync(folder, 0o700);
    expect(() => checkOwnDirectory(folder)).not.toThrow();
  });
});

describeSystem('a file another user keeps to himself', ['root'], () => {
  test('is refused with whose it is, not because it cannot be read', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapbridge-owner-'));
    const file = join(folder, 'x.yaml');
    writeFileSync(file, '', { mode: 0o600 });
    chmodSync(folder, 0o755);
    try {
      chownSync(file, 4711, 4711);
      // Without the rights of root, as the daemon.
      process.seteuid?.(65534);
      expect(() => readOwned(file, 100)).toThrow(
        expect.objectContaining({ code: 'forbidden', message: `${file} belongs to user 4711` }),
      );
    } finally {
      process.seteuid?.(0);
      rmSync(folder, { recursive: true });
    }
  });
});
