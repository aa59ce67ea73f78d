/** Structured logs: JSON lines on stderr, or lines for people when stderr is a terminal. */
import { destination, type Logger, pino } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SHORT = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' } as Record<number, string>;
const COLOUR = { 20: 90, 30: 32, 40: 33, 50: 31, 60: 31 } as Record<number, number>;
const HIDDEN = new Set(['level', 'time', 'msg']);

export function createLog(level: LogLevel, terminal: boolean, colour: boolean): Logger {
  if (terminal) {
    return pino({ level, base: null }, { write: (line: string) => void process.stderr.write(readable(line, colour)) });
  }
  const formatters = { level: (label: string) => ({ level: label }) };
  // Synchronous: the last lines before an exit must not be lost, and the daemon logs per change, never per frame.
  return pino({ level, base: null, formatters, timestamp: pino.stdTimeFunctions.isoTime }, destination({ fd: 2, sync: true }));
}

/** A line of JSON as pino writes it, for people: '12:00:01 info  bridge tb0 created  subnet=10.1.0.0/24'. */
export function readable(line: string, colour: boolean): string {
  const fields = JSON.parse(line) as Record<string, unknown> & { level: number; time: number; msg: string };
  const time = new Date(fields.time).toTimeString().slice(0, 8);
  const level = (SHORT[fields.level] ?? String(fields.level)).padEnd(5);
  const shown = colour ? `\x1b[${COLOUR[fields.level] ?? 0}m${level}\x1b[0m` : level;
  const rest = Object.entries(fields)
    .filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return `${time} ${shown} ${fields.msg}${rest.length === 0 ? '' : `  ${rest.join(' ')}`}\n`;
}
