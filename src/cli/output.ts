/** What commands print: tables for people, aligned text for pipes, JSON for programs. */
import type { Alignment } from './table.js';
import { plainTable } from './table.js';

export interface Column {
  title: string;
  align?: Alignment;
}

/** Bold and grey only in a terminal, and not with NO_COLOR (https://no-color.org). */
export function colours(): boolean {
  return process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
}

export function printJson(value: unknown): Promise<void> {
  return print(`${JSON.stringify(value, null, 2)}\n`);
}

export async function printTable(columns: readonly Column[], rows: readonly (string | number | null)[][]): Promise<void> {
  const cells = rows.map((row) => row.map((cell) => (cell === null || cell === '' ? '-' : String(cell))));
  if (process.stdout.isTTY !== true) return print(plainTable(columns, cells));
  const { terminalTable } = await import('./terminal-table.js');
  return print(terminalTable(columns, cells, colours()));
}

export async function printTitle(text: string): Promise<void> {
  return print(colours() ? `\x1b[1m${text}\x1b[0m\n` : `${text}\n`);
}

/** Writes and waits until a pipe has taken it. */
export function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

const PROGRESS_MILLIS = 300;

/** Says on stderr what is going on when it takes a while and a person is watching. */
export async function withProgress<T>(what: string, work: Promise<T>): Promise<T> {
  if (process.stderr.isTTY !== true) return work;
  let shown = false;
  const timer = setTimeout(() => {
    shown = true;
    process.stderr.write(`${what} ...`);
  }, PROGRESS_MILLIS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    // Erases the line.
    if (shown) process.stderr.write('\r\x1b[K');
  }
}
