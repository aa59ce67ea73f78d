import { expect, test } from 'vitest';
import { buildProgram } from '../../src/cli/program.js';

const all = (await buildProgram()).commands.map((command) => command.name());

test.each(all.filter((name) => name !== 'completion'))(
  'a command line that begins with %s takes this command alone',
  async (name) => {
    const { commands } = await buildProgram(name);
    expect(commands.map((command) => command.name())).toEqual([name]);
  },
);

test.each([
  ['completion', 'its scripts are made from the tree'],
  ['sho', 'a suggestion needs the names'],
  ['--help', 'all are listed'],
  ['constructor', 'it is no command'],
])('one that begins with %s takes all: %s', async (word) => {
  const { commands } = await buildProgram(word);
  expect(commands.map((command) => command.name())).toEqual(all);
});
