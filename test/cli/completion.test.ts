/** The scripts know every command and option, and the shells accept them. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionScript, SHELLS } from '../../src/cli/completion.js';
import { NAMED } from '../../src/cli/completion-names.js';
import { buildProgram } from '../../src/cli/program.js';

const program = await buildProgram();

/** Words bash offers for the last of `words`; what the script asks for is answered with the question and some names. */
function completions(...words: string[]): string[] {
  const script = `tapbridge() { echo "asked-$(IFS=-; echo "$*")" tb0 web 8080/tcp 192.0.2.7:53/udp; }
${completionScript('bash', program)}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _tapbridge; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const result = spawnSync('bash', ['-c', script, 'bash', 'tapbridge', ...words], { encoding: 'utf8' });
  expect(result.stderr).toBe('');
  return result.stdout.trim().split('\n');
}

test('every command and every long option is in every script', () => {
  for (const shell of SHELLS) {
    const script = completionScript(shell, program);
    for (const command of program.commands) {
      expect(script).toContain(command.name());
      for (const { long } of command.options) expect(script, `${shell} ${command.name()}`).toContain(long?.slice(2));
    }
  }
});

describe('bash', () => {
  test('commands', () => {
    expect(completions('')).toEqual(expect.arrayContaining(['create', 'attach', 'show', 'completion']));
    expect(completions('at')).toEqual(['attach']);
  });

  test('options of a command, also behind its arguments', () => {
    expect(completions('attach', 'tb0', 'web', '--n')).toEqual(['--netns']);
    expect(completions('create', '--g')).toEqual(['--gateway']);
  });

  test('choices and commands of a group', () => {
    expect(completions('show', 'tb0', 'n')).toEqual(['neighbors']);
    expect(completions('fdb', '')).toEqual(expect.arrayContaining(['add', 'del', 'flush']));
    expect(completions('fdb', 'add', '--v')).toEqual(['--vlan']);
  });

  test.each([
    [['rm', ''], 'complete-bridges'],
    [['show', ''], 'complete-bridges'],
    [['detach', 'tb0', ''], 'complete-ports-tb0'],
    [['detach', '--socket', '/x', 'tb0', ''], 'complete-ports-tb0'],
    [['publish', 'tb0', '8080:80', ''], 'complete-ports-tb0'],
    [['publish', 'tb0', '192.0.2.7', ':', '8080', ':', '80/udp', ''], 'complete-ports-tb0'],
    [['unpublish', 'tb0', ''], 'complete-publishes-tb0'],
    [['flows', 'flush', ''], 'complete-bridges'],
    [['create', 'tb0', '--uplink', ''], 'complete-interfaces-tb0'],
    [['flows', 'watch', 'tb0', '--container', ''], 'complete-ports-tb0'],
  ])('names are asked for: %j', (words, asked) => {
    expect(completions(...words)).toContain(`asked-${asked}`);
  });

  test.each([[['create', '']], [['publish', 'tb0', '']], [['uplinks', '']], [['flows', 'watch', 'tb0', '--state', '']]])(
    'nothing is asked for: %j',
    (words) => {
      expect(completions(...words).join(' ')).not.toContain('asked');
    },
  );

  test('a published port with an address, of which bash sees the last piece', () => {
    expect(completions('unpublish', 'tb0', '192.0.2.7', ':', '5')).toEqual(['53/udp']);
    expect(completions('unpublish', 'tb0', '80')).toEqual(['8080/tcp']);
  });
});

test('what names stand for are commands and options there are', () => {
  const known = program.commands.flatMap((command) => [
    command.name(),
    ...command.options.map(({ long }) => `${command.name()} ${long}`),
    ...command.commands.flatMap((child) => {
      const path = `${command.name()} ${child.name()}`;
      return [path, ...child.options.map(({ long }) => `${path} ${long}`)];
    }),
  ]);
  expect(known).toEqual(expect.arrayContaining(NAMED));
});
