/** What the commands share. */
import { Command } from 'commander';
import type { Client } from '../client/client.js';
import { exitStatus, failureLine } from './failure.js';

export interface ClientOptions {
  socket?: string;
  json?: boolean;
  /** Of the client, milliseconds. */
  patience?: number;
}

/** Makes a command that talks to the daemon. */
export function clientCommand(name: string, description: string): Command {
  return new Command(name).description(description).option('--socket <path>', 'socket of the daemon (or TAPBRIDGE_SOCKET)');
}

/** Runs an action; what it throws becomes the one line and the exit status. */
export async function run(doing: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    // Whoever read our output has seen enough.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return;
    process.stderr.write(failureLine(doing, error));
    process.exitCode = exitStatus(error);
  }
}

/** Runs an action with a client of the daemon. */
export function withClient(doing: string, options: ClientOptions, action: (client: Client) => Promise<void>): Promise<void> {
  return run(doing, async () => {
    const { connect } = await import('../client/client.js');
    await action(connect(options.socket, options.patience));
  });
}
