import {
  chmodSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Log } from '../../src/control/log.js';
import { RecordFile } from '../../src/control/record-file.js';

const schema = z.strictObject({ version: z.literal(2), names: z.array(z.string()), added: z.boolean().default(false) });
const RECORD = { version: 2 as const, names: ['web'], added: true };

let folder: string;
let path: string;
let warnings: string[];
let file: RecordFile<z.infer<typeof schema>>;
const log: Log = { debug() {}, info() {}, error() {}, warn: (_fields, message) => void warnings.push(message) };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-record-'));
  path = join(folder, 'some.json');
  warnings = [];
  file = new RecordFile(path, { schema, version: 2 });
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('written and read', () => {
  test('none is null; what is saved is loaded, private, with nothing beside it', () => {
    expect(file.load(log)).toBeNull();
    file.save(RECORD);
    expect(new RecordFile(path, { schema, version: 2 }).load(log)).toEqual(RECORD);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['some.json']);
    file.remove();
    expect(file.load(log)).toBeNull();
    expect(warnings).toEqual([]);
  });

  test('the same again is not written again, also not what was just loaded', () => {
    file.save(RECORD);
    const next = new RecordFile(path, { schema, version: 2 });
    next.load(log);
    const { ino } = statSync(path);
    next.save(RECORD);
    file.save(RECORD);
    expect(statSync(path).ino).toBe(ino);
  });

  test('a reader of the file before keeps it whole: a save never writes into it', () => {
    file.save(RECORD);
    linkSync(path, `${path}.seen`);
    file.save({ ...RECORD, names: [] });
    expect(JSON.parse(readFileSync(`${path}.seen`, 'utf8'))).toEqual(RECORD);
  });

  test('what a crash left half written is not read, and no obstacle', () => {
    file.save(RECORD);
    writeFileSync(`${path}.tmp`, '{"version": 2, "na', { mode: 0o666 });
    expect(file.load(log)).toEqual(RECORD);
    file.save({ ...RECORD, names: [] });
    expect(file.load(log)?.names).toEqual([]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('a link laid where the temporary file is written leads nowhere', () => {
    writeFileSync(join(folder, 'victim'), 'mine');
    symlinkSync(join(folder, 'victim'), `${path}.tmp`);
    file.save(RECORD);
    expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe('mine');
    expect(file.load(log)).toEqual(RECORD);
  });

  test('a field that was added since has its default', () => {
    writeFileSync(path, '{"version":2,"names":[]}', { mode: 0o600 });
    expect(file.load(log)).toEqual({ version: 2, names: [], added: false });
  });
});

describe('set aside', () => {
  test.each([
    ['no JSON', '\0\0\0', 'is damaged ('],
    ['half of it', '{"version": 2, "names": ["we', 'is damaged ('],
    ['nothing', '', 'is damaged ('],
    ['no object', '[]', 'is damaged (it has no version)'],
    ['no version', '{"names":[]}', 'is damaged (it has no version)'],
    ['a version that is no number', '{"version":"2","names":[]}', 'is damaged (it has no version)'],
    ['a field that is missing', '{"version":2}', 'is damaged ('],
    ['a newer version', '{"version":3,"anything":1}', 'is of version 3, this daemon reads versions up to 2'],
    ['a field of a newer daemon', '{"version":2,"names":[],"colour":"red"}', 'is of a newer daemon, though of version 2'],
  ])('%s, with the reason, and never over an older one', (_what, text, reason) => {
    writeFileSync(path, text, { mode: 0o600 });
    writeFileSync(`${path}.broken-1`, 'of the time before');
    expect(file.load(log)).toBeNull();
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(`${path}.broken-2`, 'utf8')).toBe(text);
    expect(warnings).toEqual([expect.stringContaining(reason)]);
    expect(warnings[0]).toContain(`set aside as ${path}.broken-2`);
  });
});

test('what others may have written is refused, and stays where it is', () => {
  file.save(RECORD);
  chmodSync(path, 0o666);
  expect(() => file.load(log)).toThrow('may be written by others');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(RECORD);
});
