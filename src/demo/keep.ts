/**
 * `--keep`: the demo runs in a process of its own session, which stays when the command ends.
 *
 *     tapbridge demo --keep ── fork ──▶ keeper (own session) ──▶ demo, daemon, hosts
 *              ◀── lines, 'kept' or the exit status ──
 *     ends                              waits for SIGTERM, then takes everything down
 *
 * The keeper is the parent of everything in the lab, so the one signal ends all of it. Until 'kept' it ends with the command that
 * started it, whatever ends that.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the keeper tells the command. */
export type FromKeeper = { line: string } | { finished: 'kept' | 'failed'; results: unknown };

export interface KeepOptions {
  terminal: boolean;
  /** How a user calls this command line. */
  program: string;
}

/** Starts the keeper. `finished` settles with the results, or without any when it ended early. */
export function startKeeper(options: KeepOptions, write: (line: string) => void) {
  const module = fileURLToPath(new URL('./keeper-process.js', import.meta.url));
  if (!existsSync(module)) throw new Error(`${module} is missing: run "npm run build"`);
  const child: ChildProcess = fork(module, [JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  });
  child.stderr?.on('data', (chunk: Buffer) => process.stderr.write(chunk));
  const finished = new Promise<{ ok: boolean; results: unknown }>((resolve) => {
    child.on('message', (message: FromKeeper) => {
      if ('line' in message) {
        write(message.line);
      } else {
        resolve({ ok: message.finished === 'kept', results: message.results });
      }
    });
    child.once('exit', () => resolve({ ok: false, results: [] }));
  });
  return {
    finished,
    /** Lets it live on alone. */
    release(): void {
      child.disconnect();
      child.stderr?.destroy();
      child.unref();
    },
    /** Ends it and waits. */
    async stop(): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      await exited;
    },
  };
}
