#!/usr/bin/env node
import type { Command } from 'commander';
import { CommanderError } from 'commander';
import { Exit, failureLine } from './failure.js';
import { buildProgram } from './program.js';

/** Usage errors in the one form all errors have, instead of commander's own. */
function speakOneLine(command: Command, path: string): void {
  command.exitOverride();
  command.configureOutput({
    outputError: (text, write) => {
      const message = text
        .trim()
        .replace(/^error: (command-argument value )?/, '')
        .replace(/\n\(Did you mean (.*)\?\)/, ' (did you mean $1?)')
        .replace(/\.$/, '');
      write(failureLine('', Object.assign(new Error(message), { hint: `see ${path} --help` })));
    },
  });
  for (const child of command.commands) speakOneLine(child, `${path} ${child.name()}`);
}

const program = await buildProgram(process.argv[2]);
speakOneLine(program, 'tapbridge');
// A reader that left is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? Exit.ok : Exit.usage;
  } else {
    process.stderr.write(failureLine('', error));
    process.exitCode = Exit.failure;
  }
}
