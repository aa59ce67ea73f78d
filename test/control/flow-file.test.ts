/** The file of the flows: taken over only when it is ours and its rows mean the same. */
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FlowTable } from '../../src/conntrack/flow-table.js';
import { FlowFile, type FlowFileOptions, flowFilePath, removeFlowFile } from '../../src/control/flow-file.js';
import type { Log } from '../../src/control/log.js';

const LIMIT = 1000;

describe('the file of the flows', () => {
  let folder: string;
  let path: string;
  let warned: string[];
  let log: Log;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-flows-'));
    path = join(folder, 'tapbridge.flows');
    warned = [];
    const quiet = (): void => {};
    log = { debug: quiet, info: quiet, error: quiet, warn: (_fields: object, message: string) => void warned.push(message) };
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (options: Partial<FlowFileOptions> = {}) =>
    FlowFile.open({ path, limit: LIMIT, instance: '0011aabb', adopt: true, ...options }, log);
  /** Opens and closes it: whether flows were taken over; null: there is no file. */
  const adopts = (options: Partial<FlowFileOptions> = {}): boolean | null => {
    const file = open(options);
    file?.close();
    return file === null ? null : file.adopt;
  };
  /** Leaves a file with a byte of a row set, and says where. */
  const leave = (): string => {
    const file = open() as FlowFile;
    writeSync(file.descriptor, Uint8Array.of(0x77), 0, 1, file.at);
    file.close();
    return path;
  };
  const firstByte = () => readFileSync(path)[4096];

  test('is beside the socket', () => {
    expect(flowFilePath('/run/tapbridge/tapbridge.sock')).toBe('/run/tapbridge/tapbridge.flows');
    expect(flowFilePath('/tmp/socket')).toBe('/tmp/socket.flows');
  });

  test('a new one is whole, for its owner only, and has no flows', () => {
    expect(adopts()).toBe(false);
    const { mode, size } = statSync(path);
    expect([mode & 0o777, size]).toEqual([0o600, 4096 + FlowTable.rowBytesFor(LIMIT)]);
    expect([warned, existsSync(`${path}.new`)]).toEqual([[], false]);
  });

  test('the same daemon again takes over what is in it', () => {
    leave();
    expect(adopts()).toBe(true);
    expect([firstByte(), warned]).toEqual([0x77, []]);
  });

  test.each<[string, Partial<FlowFileOptions>, string]>([
    ['another number of flows', { limit: LIMIT + 1 }, 'nat.flowLimit'],
    ['another state directory', { instance: 'ffffffff' }, 'another state directory'],
    ['what they were of is gone', { adopt: false }, 'was removed'],
  ])('%s: a new one, and a line that says why', (_name, options, reason) => {
    leave();
    expect(adopts(options)).toBe(false);
    expect(firstByte()).toBe(0);
    expect(warned).toHaveLength(1);
    expect(warned[0]).toContain(reason);
  });

  test.each<[string, (header: string) => string]>([
    ['another boot', (text) => text.replace(/"boot":"[^"]*"/, '"boot":"x"')],
    ['another layout', (text) => text.replace(/"layout":"[^"]*"/, '"layout":"x"')],
    ['no header', (text) => '\0'.repeat(text.length)],
    ['half a header', (text) => `${text.slice(0, 30)}${' '.repeat(text.length - 30)}`],
    ['another field', (text) => text.replace('}', ',"more":1}')],
  ])('%s: a new one', (_name, change) => {
    leave();
    const text = readFileSync(path, 'latin1');
    writeFileSync(path, change(text.slice(0, 4096).replace(/\0+$/, '')).padEnd(4096, '\0') + text.slice(4096), 'latin1');
    expect(adopts()).toBe(false);
    expect([firstByte(), warned.length]).toEqual([0, 1]);
  });

  test.each([0, 100, 4096, 5000])('%d bytes of it: a new one', (bytes) => {
    leave();
    truncateSync(path, bytes);
    expect(adopts()).toBe(false);
    expect(statSync(path).size).toBe(4096 + FlowTable.rowBytesFor(LIMIT));
  });

  test.each<[string, () => void]>([
    ['others may read it', () => chmodSync(leave(), 0o640)],
    ['it has two names', () => linkSync(leave(), `${path}.too`)],
    ['it is a symbolic link', () => symlinkSync('target', path)],
    ['it is a directory', () => mkdirSync(path)],
  ])('%s: no file, and it is left alone', (_name, make) => {
    writeFileSync(join(folder, 'target'), 'x', { mode: 0o600 });
    make();
    const before = lstatSync(path);
    expect(adopts()).toBeNull();
    expect(warned).toHaveLength(1);
    removeFlowFile(path, log);
    expect(lstatSync(path)).toMatchObject({ ino: before.ino, size: before.size, mode: before.mode });
  });

  test('whoever has the old one mapped keeps it whole: a new one is another file', () => {
    const old = open() as FlowFile;
    const { ino } = statSync(path);
    expect(adopts({ limit: LIMIT * 2 })).toBe(false);
    expect(statSync(path).ino).not.toBe(ino);
    old.close();
  });

  test('no folder for it: no file', () => {
    expect(adopts({ path: join(folder, 'none', 'flows') })).toBeNull();
    expect(warned).toHaveLength(1);
  });

  test('is removed, once or twice', () => {
    leave();
    removeFlowFile(path, log);
    removeFlowFile(path, log);
    expect([existsSync(path), warned]).toEqual([false, []]);
  });
});
