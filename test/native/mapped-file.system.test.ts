/** A plain file as memory: shared, outliving the process, and refused when a write to it could fail. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errnoName } from '../../src/native/system-error.js';
import { describeSystem } from '../helpers/requirements.js';
import { addonPath, binding } from './lab.js';

const BYTES = 3 << 16;

describe('a mapped file', () => {
  let folder: string;
  let path: string;
  let descriptor: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-map-'));
    path = join(folder, 'file');
    descriptor = openSync(path, 'wx+', 0o600);
    ftruncateSync(descriptor, BYTES);
  });
  afterEach(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });

  const refused = (file: number, bytes: number): string => {
    const result = binding.mapFile(file, bytes);
    expect(result).toBeLessThan(0);
    return errnoName(-(result as number));
  };
  const byteAt = (at: number): number => {
    const byte = new Uint8Array(1);
    readSync(descriptor, byte, 0, 1, at);
    return byte[0];
  };

  test('what is written is in the file, and in every other mapping of it', () => {
    const one = new Uint8Array(binding.mapFile(descriptor, BYTES) as ArrayBuffer);
    const other = new Uint8Array(binding.mapFile(descriptor, BYTES) as ArrayBuffer);
    expect(one.length).toBe(BYTES);
    one[BYTES - 1] = 0x77;
    expect([other[BYTES - 1], byteAt(BYTES - 1)]).toEqual([0x77, 0x77]);
  });

  test('its blocks are there from the start: no write can fail', () => {
    expect(statSync(path).blocks).toBe(0);
    binding.mapFile(descriptor, BYTES);
    expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(BYTES);
    expect(statSync(path).size).toBe(BYTES);
  });

  test('it outlives the descriptor, and a process that is killed', () => {
    const script = `
      const { openSync, closeSync } = require('node:fs');
      const file = openSync(${JSON.stringify(path)}, 'r+');
      const memory = new Uint8Array(require(${JSON.stringify(addonPath)}).mapFile(file, ${BYTES}));
      closeSync(file);
      memory[5000] = 0x55;
      process.kill(process.pid, 'SIGKILL');`;
    expect(() => execFileSync(process.execPath, ['-e', script])).toThrow();
    expect(byteAt(5000)).toBe(0x55);
  });

  test('a shorter file, none, no plain one, one that may only be read: refused', () => {
    expect(refused(descriptor, BYTES + 1)).toBe('EINVAL');
    expect(refused(-1, BYTES)).toBe('EBADF');
    const directory = openSync(folder, constants.O_RDONLY);
    expect(refused(directory, BYTES)).toBe('EINVAL');
    closeSync(directory);
    const readOnly = openSync(path, constants.O_RDONLY);
    expect(['EBADF', 'EACCES']).toContain(refused(readOnly, BYTES));
    closeSync(readOnly);
    const nothing = openSync('/dev/zero', constants.O_RDWR);
    expect(refused(nothing, BYTES)).toBe('EINVAL');
    closeSync(nothing);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 33])('%d bytes: refused', (bytes) => {
    expect(refused(descriptor, bytes)).toBe('EINVAL');
  });

  describeSystem('on a file system with little room', ['root'], () => {
    test('ENOSPC, instead of a signal at the first write', () => {
      const mount = join(folder, 'small');
      const script = `
        mkdir ${mount} && mount -t tmpfs -o size=64k none ${mount} && truncate -s ${BYTES} ${mount}/file && exec ${process.execPath} -e '
          const file = require("node:fs").openSync("${mount}/file", "r+");
          console.log(require("${addonPath}").mapFile(file, ${BYTES}))'`;
      // In a mount namespace of its own: it ends with the process.
      const said = execFileSync('unshare', ['--mount', 'sh', '-c', script], { encoding: 'utf8' });
      expect(errnoName(-Number(said))).toBe('ENOSPC');
    });
  });
});
