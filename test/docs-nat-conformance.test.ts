/** docs/nat-conformance.md is complete, and what backs it exists. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url);
const document = readFileSync(new URL('docs/nat-conformance.md', root), 'utf8');

/** Requirements of each RFC; letters are rows of their own. */
const REQUIRED: Record<string, string> = {
  4787: '1 2 3 3a 4 5 5a 5b 5c 6 6a 7 8 8a 9 9a 10 10a 11 12 12a 12b 13 13a 14 14a',
  5382: '1 2 2a 3 3a 3b 4 4a 5 5a 6 7 8 8a 9 10',
  5508: '1 1a 2 2a 3 3a 3b 3c 3d 4 4a 4b 4c 5 5a 5b 5c 6 7 7a 8 9 10a 10b 10c 10d 10e 10f 11',
  7857: '2 2.1 2.2 3 4 5 6 7 7.1 8 9 10 11 12',
};

const rows = document
  .split('\n')
  .filter((line) => line.startsWith('| RFC '))
  .map((line) => {
    const [, requirement, level, what, verdict, tests] = line.split(' | ').flatMap((cell, index) => {
      return index === 0 ? ['', cell.replace('| ', '')] : [cell.replace(/ ?\|$/, '')];
    });
    return { requirement, level, what, verdict, tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, title]) => title) };
  });

/** Titles of the tests in a folder that begin with an RFC's number, as they stand in the sources. */
function titles(folder: string): Set<string> {
  const files = readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' });
  const found = new Set<string>();
  for (const name of files.filter((file) => file.endsWith('.test.ts'))) {
    const source = readFileSync(new URL(`${folder}/${name}`, root), 'utf8');
    for (const [, , title] of source.matchAll(/\(\s*(['"`])(RFC \d{4} (?:(?!\1).)+?: (?:(?!\1).)+)\1,/g)) found.add(title);
  }
  return found;
}

/** 'RFC 4787 REQ-3, REQ-11: …' backs 'RFC 4787 REQ-3' and 'RFC 4787 REQ-11'. */
function backs(title: string): string[] {
  const [, rfc, list] = /^RFC (\d{4}) ([^:]+):/.exec(title) ?? [];
  return (list ?? '').split(', ').map((requirement) => `RFC ${rfc} ${requirement}`);
}

test('every requirement has its row, in order', () => {
  const expected = Object.entries(REQUIRED).flatMap(([rfc, list]) =>
    list.split(' ').map((number) => `RFC ${rfc} ${rfc === '7857' ? number : `REQ-${number}`}`),
  );
  expect(rows.map(({ requirement }) => requirement)).toEqual(expected);
});

test('every verdict is one, and one that is not "met" has its reason', () => {
  expect(rows.filter(({ verdict }) => !/^(met(: .+)?|(deviates|not applicable): .+)$/.test(verdict))).toEqual([]);
});

test('what is met is backed by tests of that name, which exist', () => {
  const existing = titles('test');
  for (const { requirement, verdict, tests } of rows) {
    if (verdict.startsWith('met')) expect(tests.length, requirement).toBeGreaterThan(0);
    for (const title of tests) {
      expect(existing.has(title), `${requirement}: there is no test “${title}”`).toBe(true);
      expect(backs(title), title).toContain(requirement);
    }
  }
});

test('every simulated test of a requirement is named in its row', () => {
  const named = new Set(rows.flatMap(({ requirement, tests }) => tests.map((title) => `${requirement}: ${title}`)));
  const missing = [...titles('test/sim/nat')].flatMap((title) => backs(title).map((requirement) => `${requirement}: ${title}`));
  expect(missing.filter((each) => !named.has(each))).toEqual([]);
});
