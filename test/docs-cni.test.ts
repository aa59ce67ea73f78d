/** docs/cni.md against what there is: keys, codes, the example, and that examples are configurations the plugin takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Code } from '../src/cni/cni-error.js';
import type { Fields } from '../src/cni/fields.js';
import { parseInput, readNetwork } from '../src/cni/network.js';
import { readOwnPool } from '../src/cni/own-pool.js';
import { KEYS, RUNTIME_KEYS, readSettings } from '../src/cni/settings.js';
import { RATE_BURST } from '../src/control/limits.js';

const page = readFileSync(new URL('../docs/cni.md', import.meta.url), 'utf8');
const examples = new URL('../examples/cni/', import.meta.url);

function section(title: string): string {
  const from = page.indexOf(`\n## ${title}\n`);
  expect(from, title).toBeGreaterThanOrEqual(0);
  const to = page.indexOf('\n## ', from + 1);
  return page.slice(from, to < 0 ? undefined : to);
}

function firstCells(title: string): string[] {
  const lines = section(title)
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|--'));
  return lines.map((line) => line.split('|')[1].trim());
}

test('every key has its row, and no row is about another', () => {
  const named = firstCells('Keys').flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(named.sort()).toEqual([...KEYS].sort());
  for (const key of RUNTIME_KEYS) expect(section('Keys')).toContain(`\`${key}\``);
});

test('every error code has its row, and no row is about another', () => {
  const codes = firstCells('Error codes').slice(1).map(Number);
  expect(codes).toEqual(Object.values(Code).sort((a, b) => a - b));
});

test('the smallest burst is the one that is written', () => {
  expect(section('Capabilities')).toContain(`${RATE_BURST.min.toLocaleString('en-US')} bytes`);
});

test('the example in the text is the file', () => {
  const shown = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  expect(shown).toBe(readFileSync(new URL('10-tapnet.conflist', examples), 'utf8'));
});

test.each(readdirSync(examples))('%s is a list the plugin takes', (file) => {
  const { plugins, ...list } = JSON.parse(readFileSync(new URL(file, examples), 'utf8')) as { plugins: Fields[] };
  const text = JSON.stringify({ ...list, ...plugins[0] });
  const network = readNetwork(parseInput(text), text);
  readSettings(network.fields);
  if (network.ipam?.own === true) readOwnPool(network.ipam.fields, undefined);
  expect(network.ipam).not.toBeNull();
});
