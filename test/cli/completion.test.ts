/** The scripts know every command and option, and the shells accept them. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionScript, SHELLS } from '../../src/cli/completion.js';
import { buildProgram } from '../../src/cli/program.js';

const program = buildProgram();

/** Words bash offers for the last of `words`. */
function completions(...words: string[]): string[] {
  const script = `${completionScript('bash', program)}
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
});
