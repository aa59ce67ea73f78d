/** docs/gateway.md against what there is: every reason, counter and timeout stands in it, with the values of the code. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { TIMEOUT_CLASSES, TIMEOUTS_KERNEL, TIMEOUTS_RFC } from '../src/conntrack/timeouts.js';
import { DEFAULT_NAT_OPTIONS, defaultRanges } from '../src/control/nat-options.js';
import { GATEWAY_COUNTERS, GATEWAY_DROPS } from '../src/core/counters.js';
import { parseConfig } from '../src/daemon/config.js';

const page = readFileSync(new URL('../docs/gateway.md', import.meta.url), 'utf8');

/** Cells of each table row of a section. */
function rows(title: string): string[][] {
  const from = page.indexOf(`\n## ${title}\n`);
  expect(from, title).toBeGreaterThanOrEqual(0);
  const to = page.indexOf('\n## ', from + 1);
  const section = page.slice(from, to < 0 ? undefined : to);
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** Names in backticks of first cells. */
function named(title: string): string[] {
  return rows(title).flatMap(([first]) => [...first.matchAll(/`([a-z0-9_]+)`/gi)].map(([, name]) => name));
}

test('every drop of the gateway has its row, and no row is about another', () => {
  expect(named('Why was it dropped').sort()).toEqual(Object.keys(GATEWAY_DROPS).sort());
});

test('every counter of the gateway has its row, and no row is about another', () => {
  const counters = GATEWAY_COUNTERS.filter((name) => !Object.hasOwn(GATEWAY_DROPS, name));
  expect(named('How to look').sort()).toEqual(counters.toSorted());
});

test('the timeouts of both profiles are those of the code', () => {
  const told = rows('Timeouts')
    .filter(([name]) => name.startsWith('`'))
    .map(([name, rfc, kernel]) => [name.slice(1, -1), Number(rfc), Number(kernel)]);
  expect(told).toEqual(TIMEOUT_CLASSES.map((name) => [name, TIMEOUTS_RFC[name], TIMEOUTS_KERNEL[name]]));
});

test('the configuration is one the daemon takes, and its values are the defaults', async () => {
  const yaml = /```yaml\n([^`]*)```/.exec(page)?.[1] ?? '';
  const { nat } = await parseConfig(yaml, 'docs/gateway.md');
  const { ranges, ...defaults } = DEFAULT_NAT_OPTIONS;
  expect(ranges).toBeNull();
  expect(nat).toEqual(defaults);
  const keys = rows('Configuration').flatMap(([key]) => /^`([a-zA-Z]+)`$/.exec(key)?.[1] ?? []);
  expect(keys.sort()).toEqual(Object.keys(DEFAULT_NAT_OPTIONS).sort());
});

test('as many ports are handed out as it says, with the ephemeral range it names', () => {
  const ports = defaultRanges(32_768, 60_999).reduce((sum, [first, last]) => sum + last - first + 1, 0);
  expect(page).toContain(`${ports.toLocaleString('en-US')} for each address and protocol`);
});

test('every file and section it links to exists', () => {
  for (const [, target, section] of page.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
    const text = target === '' ? page : readFileSync(new URL(`../docs/${target}`, import.meta.url), 'utf8');
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replace(/\s/g, '-'),
    );
    if (section !== undefined) expect(headings, `${target}#${section}`).toContain(section);
  }
});
