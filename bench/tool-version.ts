/** Programs the bench makes use of: which version there is. */
import { spawnSync } from 'node:child_process';
import { findProgram } from './system/programs.js';

const LOOK_MILLIS = 2000;

/** The first line a program says about its version; null when it is not installed. */
export function toolVersion(command: string): string | null {
  const path = findProgram(command);
  if (path === undefined) return null;
  // iproute2 knows -V only.
  const { stdout, stderr } = spawnSync(path, [command === 'ip' ? '-V' : '--version'], { encoding: 'utf8', timeout: LOOK_MILLIS });
  const line = `${stdout ?? ''}\n${stderr ?? ''}`.split('\n').find((each) => each.trim() !== '');
  return printable(line ?? 'of unknown version').slice(0, 100);
}

/** What moves a terminal's cursor, or the text around it: control and format characters (escapes, bidirectional overrides), line separators. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/u;

/** Without these: what programs and files say ends up in terminals and result files. */
export function printable(text: string): string {
  return text.replace(new RegExp(UNPRINTABLE, 'gu'), ' ').trim();
}
