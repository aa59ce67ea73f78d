/** Result files: round trip, and what others may send. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { campaignJson, checkWritable, parseCampaign, readCampaign, writeWhole } from '../../bench/system/campaign-file.js';
import { madeCampaign } from './made-campaign.js';

const campaign = madeCampaign({ 'udp-64': { 'kernel-bridge': [1, 2, 3], tapbridge: [2, 3, 4] } });
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tbcampaign-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

test('written and read again', () => {
  const file = join(folder, 'result.json');
  writeWhole(file, campaignJson(campaign));
  expect(readCampaign(file)).toEqual(campaign);
  expect(readdirSync(folder)).toEqual(['result.json']);
});

/** The campaign with one value changed, given by its path. */
function changed(path: string, value: unknown): string {
  const copy = structuredClone(campaign);
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let at = copy as unknown as Record<string, unknown>;
  for (const key of keys) at = at[key] as Record<string, unknown>;
  at[last] = value;
  return JSON.stringify(copy);
}

test.each([
  ['not JSON', '{', 'x.json is not JSON'],
  ['something else', '[]', 'is no result of tapbridge bench'],
  ['another format', changed('format', 2), 'format'],
  ['escape sequences for a terminal', changed('drivers.0.name', '\x1b[2J'), 'drivers.0.name: has control characters'],
  ['text that runs backwards', changed('drivers.0.name', '\u202edaolnwod'), 'drivers.0.name: has control characters'],
  ['a number as text', changed('trials.1.value', '1'), 'trials.1.value'],
  ['a value that is not there', changed('summary.0.value.low', null), 'summary.0.value.low'],
])('%s is refused with the place', (_what, source, message) => {
  expect(() => parseCampaign(source, 'x.json')).toThrow(message);
});

test('files that cannot be: one line each', () => {
  expect(() => readCampaign(join(folder, 'none'))).toThrow(/cannot read .*ENOENT/);
  expect(() => checkWritable(join(folder, 'none/result.json'))).toThrow(/cannot write .*ENOENT/);
  expect(() => checkWritable(folder)).toThrow(/it is a directory/);
  writeFileSync(join(folder, 'file'), '');
  expect(() => writeWhole(join(folder, 'file/x'), '')).toThrow(/cannot write/);
});
