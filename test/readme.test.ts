/** What the README says about commands and examples is what there is. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { buildProgram } from '../src/cli/program.js';
import { parseConfig } from '../src/daemon/config.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const reference = readme.slice(readme.indexOf('\n## Commands'), readme.indexOf('\n## How fast'));

/** Rows of the reference that begin with this command. */
function rowsOf(path: string): string {
  return reference
    .split('\n')
    .filter(
      (line) => (line.startsWith('|') && line.split('|')[1].includes(`\`${path}`)) || line.split('|')[1]?.includes(`, \`${path}`),
    )
    .join('\n');
}

/** What can be run: commands without others below them, and those with options of their own, as bench. */
function runnable(command: Command, path: string): [string, Command][] {
  const below = command.commands.flatMap((child) => runnable(child, `${path} ${child.name()}`.trim()));
  const itself = path !== '' && (below.length === 0 || command.options.length > 0);
  return itself ? [[path, command], ...below] : below;
}

/** Told once for all commands. */
const COMMON = ['--socket', '--json', '--help'];

const commands = runnable(await buildProgram(), '');

test.each(commands)('the reference names %s and its options', (path, command) => {
  const rows = rowsOf(path);
  expect(rows).not.toBe('');
  const missing = command.options
    .map(({ long }) => long ?? '')
    .filter(
      (long) =>
        !COMMON.includes(long) && !rows.includes(`\`${long}`) && !rows.includes(`, ${long} `) && !rows.includes(`, ${long}\``),
    );
  expect(missing).toEqual([]);
});

test('options in the reference exist', () => {
  const known = new Set(commands.flatMap(([, command]) => command.options.map(({ long }) => long)));
  const named = [...reference.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option);
  expect(named.filter((option) => option !== '--help' && !known.has(option))).toEqual([]);
});

test('the library example is examples/simulated-bridge.mjs, and prints what stands below it', () => {
  const source = readFileSync(new URL('../examples/simulated-bridge.mjs', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`js\n${source}\`\`\``);
  const { stdout } = spawnSync(process.execPath, ['examples/simulated-bridge.mjs'], { cwd: root, encoding: 'utf8' });
  const indented = stdout
    .trim()
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}`))
    .join('\n');
  expect(readme).toContain(indented);
});

test('the configuration in docs/daemon.md is one the daemon takes', async () => {
  const document = readFileSync(new URL('../docs/daemon.md', import.meta.url), 'utf8');
  const yaml = /```yaml\n([^`]*)```/.exec(document)?.[1] ?? '';
  const config = await parseConfig(yaml, 'docs/daemon.md');
  expect(config.bridges?.[0].ports?.map(({ port }) => port)).toEqual(['lan', 'build']);
});

test('every file the documents link to exists', () => {
  for (const name of [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'docs/architecture.md',
    'docs/ports.md',
    'docs/api.md',
    'docs/daemon.md',
    'docs/gateway.md',
    'docs/docker.md',
    'docs/ports.md',
  ]) {
    const document = new URL(`../${name}`, import.meta.url);
    for (const [, target] of readFileSync(document, 'utf8').matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (!target.startsWith('http'))
        expect(() => readFileSync(new URL(target, document)), `${name} links to ${target}`).not.toThrow(/ENOENT/);
    }
  }
});
