/** Commands that need a user namespace and are not in one run themselves behind unshare(1). */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { USER_NAMESPACE_MARK } from '../demo/how-to.js';
import { Exit } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Shells call a death by signal n 128 + n. */
export const BY_SIGNAL = 128;

/** The same command again, behind another. Signals of the terminal reach both; others are handed on. */
export function runThrough(doing: string, command: string, args: readonly string[]): Promise<number> {
  const child = spawn(command, [...args, process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [USER_NAMESPACE_MARK]: '1' },
  });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`tapbridge: ${doing}: cannot run ${command}: ${error.message}\n`);
      resolve(Exit.failure);
    });
    child.once('exit', (status, signal) =>
      resolve(signal === null ? (status ?? Exit.failure) : BY_SIGNAL + constants.signals[signal]),
    );
  });
}
