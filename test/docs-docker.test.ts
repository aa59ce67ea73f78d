/** What docs/docker.md says of options, settings and commands is what there is. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { buildProgram } from '../src/cli/program.js';
import { parseConfig } from '../src/daemon/config.js';
import { NETWORK_OPTIONS } from '../src/docker/options.js';

const document = readFileSync(new URL('../docs/docker.md', import.meta.url), 'utf8');
const compose = readFileSync(new URL('../examples/docker/compose.yaml', import.meta.url), 'utf8');

/** Blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...document.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text);
}

/** The lines of a section. */
function section(title: string): string[] {
  const from = document.indexOf(`\n## ${title}\n`);
  return document.slice(from, document.indexOf('\n## ', from + 1)).split('\n');
}

test('every option of a network is in the table, as the driver means it', () => {
  const rows = Object.entries(NETWORK_OPTIONS).map(
    ([name, { meaning }]) => `| \`${name}\` | ${meaning.replaceAll('|', '\\|')} |`,
  );
  expect(section('Options of a network').filter((line) => line.startsWith('| `'))).toEqual(rows);
});

test('the configuration is one the daemon takes', async () => {
  const [yaml] = blocks('yaml');
  expect((await parseConfig(yaml, 'docs/docker.md')).docker).toEqual({
    name: 'tapbridge',
    api: '/var/run/docker.sock',
    pools: [{ base: '10.208.0.0/12', size: 22 }],
  });
});

test('the compose file is the example, and YAML', () => {
  expect(blocks('yaml')).toContain(compose);
  expect(Object.keys(parse(compose))).toEqual(['services', 'networks']);
});

test('settings of dockerd are JSON', () => {
  expect(blocks('json').map((text) => JSON.parse(text))).toEqual([
    { bridge: 'none' },
    { bridge: 'none', iptables: false, 'userland-proxy': false },
  ]);
});

test('commands and options of tapbridge in it exist', async () => {
  const program = await buildProgram();
  const used = [...document.matchAll(/(?:^ {4}(?:\$ )?|`)tapbridge ((?:[a-z]+ )*[a-z]+)((?: [^\n`]*)?)/gm)];
  expect(used.length).toBeGreaterThan(15);
  for (const [text, words, rest] of used) {
    const [first, second] = words.split(' ');
    const command = program.commands.find((each) => each.name() === first);
    expect(command, text).toBeDefined();
    const below = command?.commands.find((each) => each.name() === second);
    const known = [command, below].flatMap((each) => each?.options.map(({ long, short }) => [long, short]) ?? []).flat();
    const options = [...rest.matchAll(/(?<= )--?[a-z][a-z-]*/g)].map(([option]) => option);
    // A rule of `policy` has options of its own.
    const group = command?.commands.flatMap((each) => each.options.map(({ long }) => long)) ?? [];
    expect([...known, ...group], text).toEqual(expect.arrayContaining(options));
  }
});
