/** complete: names for the completion scripts, which cannot know them when they are printed. */
import { readdirSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import type { Client } from '../client/client.js';
import { type ClientOptions, clientCommand, run, withClient } from './command.js';
import { UsageError } from './failure.js';
import { print } from './output.js';
import { hostSideText } from './published.js';

export const KINDS = ['bridges', 'ports', 'publishes', 'interfaces'] as const;
export type Kind = (typeof KINDS)[number];

/** Where the kernel lists them, for whoever asks; the loopback is nobody's uplink or port. */
const INTERFACES = '/sys/class/net';
const LOOPBACK = 'lo';
/** Somebody has pressed Tab and waits. */
const PATIENCE_MILLIS = 1000;

export function completeCommand(): Command {
  return clientCommand('complete', 'print names, one a line, for completion scripts')
    .addArgument(new Argument('<kind>').choices(KINDS))
    .argument('[bridge]', 'whose ports and publishes')
    .action((kind: Kind, bridge: string | undefined, options: ClientOptions) => {
      // The interfaces are known without a daemon.
      if (kind === 'interfaces') return run('complete', () => printNames(interfaces()));
      return withClient('complete', { ...options, patience: PATIENCE_MILLIS }, async (client) =>
        printNames(await namesOf(client, kind, bridge)),
      );
    });
}

async function namesOf(client: Client, kind: Exclude<Kind, 'interfaces'>, bridge: string | undefined): Promise<string[]> {
  if (kind === 'bridges') return (await client.listBridges()).flatMap(({ name, network }) => withLabel(name, network));
  if (bridge === undefined) throw new UsageError(`${kind} are of a bridge`, `write: complete ${kind} BRIDGE`);
  if (kind === 'ports') return (await client.listPorts(bridge)).flatMap(({ name, container }) => withLabel(name, container));
  return (await client.listPublishes(bridge)).map(hostSideText);
}

/** What an engine calls it will do as well. */
function withLabel(name: string, label: { name: string | null } | null): string[] {
  return label === null || label.name === null || label.name === name ? [name] : [name, label.name];
}

function interfaces(): string[] {
  return readdirSync(INTERFACES).filter((name) => name !== LOOPBACK);
}

function printNames(names: readonly string[]): Promise<void> {
  return names.length === 0 ? Promise.resolve() : print(`${names.join('\n')}\n`);
}
