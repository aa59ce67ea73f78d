/** docker install, docker uninstall: what Docker and systemd need to find the daemon */
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { run } from './command.js';
import { UsageError } from './failure.js';
import { isSealed, type OwnFile, type Step, sealed } from './file-plan.js';
import { installFiles, removeFiles } from './installation.js';
import { dockerUnit, driverOf, UNIT_PATH } from './units.js';

interface Options {
  name: string;
  root: string;
  yes?: boolean;
  replace?: boolean;
}

const DEFAULT_NAME = 'tapbridge';
/** Where dockerd looks first (docker/docker.ts, which takes too long to load for its name alone). */
const PLUGIN_DIRECTORY = '/run/docker/plugins';
/** sd_booted(3) */
const SYSTEMD = '/run/systemd/system';

export function dockerCommand(): Command {
  return new Command('docker')
    .description('make tapbridge a network driver of Docker on this machine')
    .addCommand(
      settings('install', 'write the spec file Docker finds the driver by, and the systemd unit of the daemon; shows them first')
        .option('--replace', 'also files that are for something else, or were changed')
        .action((options: Options) => run('docker install', () => install(options))),
    )
    .addCommand(
      settings('uninstall', 'remove what install wrote, if nobody changed it').action((options: Options) =>
        run('docker uninstall', () => uninstall(options)),
      ),
    );
}

function settings(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--name <name>', 'of the driver: docker network create -d NAME', DEFAULT_NAME)
    .option('--root <dir>', 'a directory that stands for /', '/')
    .option('--yes', 'do not ask');
}

/** What is installed for a driver of this name. @param command Node and the program, absolute */
export function dockerFiles(name: string, command: readonly string[]): OwnFile[] {
  const spec = `unix://${PLUGIN_DIRECTORY}/${name}.sock\n`;
  return [
    {
      path: `/etc/docker/plugins/${name}.spec`,
      what: 'where Docker finds the driver',
      content: spec,
      mode: 0o644,
      isOurs: (found) => found.trim() === spec.trim(),
    },
    {
      path: UNIT_PATH,
      what: 'the daemon, started before Docker',
      content: sealed(dockerUnit({ driver: name, command })),
      mode: 0o644,
      // One of another driver is not this one's to change.
      isOurs: (found) => isSealed(found) && driverOf(found) === name,
    },
  ];
}

async function install(options: Options): Promise<void> {
  const files = dockerFiles(await nameOf(options.name), commandOf());
  const commands = ['systemctl daemon-reload', 'systemctl enable --now tapbridge.service'];
  await installFiles(files, options, () => whatNext(options.root, commands, options.name));
}

async function uninstall(options: Options): Promise<void> {
  const files = dockerFiles(await nameOf(options.name), commandOf());
  await removeFiles(files, options, (removed) => farewell(options.root, removed));
}

function whatNext(root: string, commands: readonly string[], name: string): string {
  const lines = existsSync(join(root, SYSTEMD))
    ? [`Next:`, ...commands.map((command) => `  ${command}`)]
    : [
        'systemd does not run here: start the daemon before Docker by whatever starts services:',
        `  ${commandOf().join(' ')} daemon --docker ${name} --on-stop keep`,
      ];
  return `${[...lines, `Then: docker network create -d ${name} mynet`].join('\n')}\n`;
}

/** The unit is gone, what it started is not. */
function farewell(root: string, removed: readonly Step[]): string {
  const unit = removed.some(({ file }) => file.path === UNIT_PATH);
  if (!unit || !existsSync(join(root, SYSTEMD)))
    return 'A daemon that runs goes on until it is ended; its networks stay in /var/lib/tapbridge.\n';
  return 'The daemon still runs, and is linked to the start of the machine until:\n  systemctl disable --now tapbridge.service; systemctl daemon-reload\nIts networks stay in /var/lib/tapbridge.\n';
}

/** Node and this program, as a unit needs them: whatever PATH is then. */
function commandOf(): string[] {
  return [process.execPath, realpathSync(process.argv[1])];
}

/** @throws UsageError for a name that is no driver's, or that would be another path */
async function nameOf(name: string): Promise<string> {
  const { driverNameProblem } = await import('../docker/docker.js');
  const problem = driverNameProblem(name);
  if (problem !== undefined) throw new UsageError(`a driver cannot be called ${JSON.stringify(name)}`, problem);
  return name;
}
