/** Runs a command in the test's own process, and keeps what it prints. */
import { vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.js';

export interface Result {
  out: string;
  err: string;
  status: number;
  /** Largest piece written at once. */
  largest: number;
}

/**
 * @param socket of the daemon it talks to
 * @param onOut called with each piece on its way out; false ends the pipe as a reader that left does
 */
export async function runCommand(socket: string, args: string[], onOut: (text: string) => boolean = () => true): Promise<Result> {
  const result: Result = { out: '', err: '', status: 0, largest: 0 };
  vi.spyOn(process.stdout, 'write').mockImplementation(((text: string, done?: (error?: Error) => void) => {
    result.out += text;
    result.largest = Math.max(result.largest, text.length);
    const error = onOut(text) ? undefined : Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
    done?.(error);
    return true;
  }) as never);
  vi.spyOn(process.stderr, 'write').mockImplementation(((text: string) => {
    result.err += text;
    return true;
  }) as never);
  process.exitCode = undefined;
  await (await buildProgram()).parseAsync([...args, '--socket', socket], { from: 'user' });
  result.status = Number(process.exitCode ?? 0);
  vi.restoreAllMocks();
  return result;
}
