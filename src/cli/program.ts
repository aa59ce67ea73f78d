/** The tree of commands. Each loads what it needs when it runs: help and clients start fast, only the daemon pays for the daemon. */
import { Command } from 'commander';
import { packageVersion } from '../daemon/version.js';
import { benchCommand } from './bench-command.js';
import { createCommand, listCommand, removeCommand } from './bridge-commands.js';
import { captureCommand } from './capture-command.js';
import { cniCommand } from './cni-command.js';
import { completeCommand } from './complete-command.js';
import { completionCommand } from './completion.js';
import { daemonCommand } from './daemon-command.js';
import { demoCommand } from './demo-command.js';
import { dockerCommand } from './docker-command.js';
import { doctorCommand } from './doctor-command.js';
import { flowsCommand } from './flow-commands.js';
import { policyCommand } from './policy-command.js';
import { attachCommand, detachCommand } from './port-commands.js';
import { publishCommand, publishesCommand, unpublishCommand } from './publish-commands.js';
import { setCommand } from './set-command.js';
import { showCommand } from './show-command.js';
import { fdbCommand, neighborCommand } from './table-commands.js';
import { uplinksCommand } from './uplinks-command.js';

export function buildProgram(): Command {
  const program = new Command('tapbridge')
    .description('A userspace ethernet bridge for containers.')
    .version(packageVersion(), '-V, --version', 'print the version')
    // An option belongs to the command it follows: `bench --json FILE` and `bench compare A B --json`.
    .enablePositionalOptions()
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 a command line that makes no sense.');
  for (const command of [
    demoCommand(),
    benchCommand(),
    daemonCommand(),
    createCommand(),
    removeCommand(),
    listCommand(),
    attachCommand(),
    detachCommand(),
    setCommand(),
    showCommand(),
    publishCommand(),
    unpublishCommand(),
    publishesCommand(),
    flowsCommand(),
    policyCommand(),
    uplinksCommand(),
    fdbCommand(),
    neighborCommand(),
    captureCommand(),
    cniCommand(),
    dockerCommand(),
    doctorCommand(),
    completionCommand(),
    completeCommand(),
  ]) {
    program.addCommand(command);
  }
  return program;
}
