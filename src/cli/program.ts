/** The tree of commands. Each loads what it needs when it runs: help and clients start fast, only the daemon pays for the daemon. */
import { Command } from 'commander';
import { packageVersion } from '../daemon/version.js';

/** In the order of the help. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['demo', async () => (await import('./demo-command.js')).demoCommand()],
  ['bench', async () => (await import('./bench-command.js')).benchCommand()],
  ['daemon', async () => (await import('./daemon-command.js')).daemonCommand()],
  ['create', async () => (await import('./bridge-commands.js')).createCommand()],
  ['rm', async () => (await import('./bridge-commands.js')).removeCommand()],
  ['ls', async () => (await import('./bridge-commands.js')).listCommand()],
  ['attach', async () => (await import('./port-commands.js')).attachCommand()],
  ['detach', async () => (await import('./port-commands.js')).detachCommand()],
  ['set', async () => (await import('./set-command.js')).setCommand()],
  ['show', async () => (await import('./show-command.js')).showCommand()],
  ['publish', async () => (await import('./publish-commands.js')).publishCommand()],
  ['unpublish', async () => (await import('./publish-commands.js')).unpublishCommand()],
  ['publishes', async () => (await import('./publish-commands.js')).publishesCommand()],
  ['flows', async () => (await import('./flow-commands.js')).flowsCommand()],
  ['policy', async () => (await import('./policy-command.js')).policyCommand()],
  ['uplinks', async () => (await import('./uplinks-command.js')).uplinksCommand()],
  ['fdb', async () => (await import('./table-commands.js')).fdbCommand()],
  ['neighbor', async () => (await import('./table-commands.js')).neighborCommand()],
  ['capture', async () => (await import('./capture-command.js')).captureCommand()],
  ['cni', async () => (await import('./cni-command.js')).cniCommand()],
  ['docker', async () => (await import('./docker-command.js')).dockerCommand()],
  ['doctor', async () => (await import('./doctor-command.js')).doctorCommand()],
  ['completion', async () => (await import('./completion.js')).completionCommand()],
  ['complete', async () => (await import('./complete-command.js')).completeCommand()],
]);

/** @param word what the command line begins with. The command of this name is loaded alone; any other word takes all of them, for help and suggestions. */
export async function buildProgram(word?: string): Promise<Command> {
  const program = new Command('tapbridge')
    .description('A userspace ethernet bridge for containers.')
    .version(packageVersion(), '-V, --version', 'print the version')
    // An option belongs to the command it follows: `bench --json FILE` and `bench compare A B --json`.
    .enablePositionalOptions()
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 a command line that makes no sense.');
  // The scripts that complete command lines are made from the tree.
  const load = word === undefined || word === 'completion' ? undefined : COMMANDS.get(word);
  const loads = load === undefined ? [...COMMANDS.values()] : [load];
  for (const command of await Promise.all(loads.map((each) => each()))) program.addCommand(command);
  return program;
}
