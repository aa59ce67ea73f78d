/**
 * Installing and removing files of ours elsewhere on the machine: planned, shown, asked for, then carried out as a whole.
 *
 *     files wanted ─▶ plan: create · replace · same · changed     ─▶ shown ─▶ yes? ─▶ written beside and renamed, or all of it undone
 *     files of ours ─▶ plan: remove · leave (changed) · absent    ─▶ shown ─▶ yes? ─▶ removed
 *
 * A file is ours while it has the text some version of this program wrote: it can be told from its content alone (`sealed`), so that a user's edits
 * are neither overwritten nor deleted unasked.
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { makeDirectories, removeDirectories } from '../control/made-directories.js';
import { UsageError } from './failure.js';
import { lineDifference } from './line-difference.js';
import { print } from './output.js';

/** A file as it is to be. */
export interface OwnFile {
  /** Absolute, on the machine it is for. */
  path: string;
  /** What it is for, as the end of a sentence. */
  what: string;
  content: string;
  mode: number;
  /** Whether a text found there is one of ours, of any version. */
  isOurs(found: string): boolean;
}

export type Action = 'create' | 'replace' | 'same' | 'changed' | 'remove' | 'leave' | 'absent';

export interface Step {
  action: Action;
  file: OwnFile;
  /** Where it really is: below the root. */
  place: string;
  /** Its text at present, null: there is none. */
  found: string | null;
}

const SEAL = '# Written by tapbridge';
const SEAL_DIGITS = 16;

/** The text behind a first line that has its digest. */
export function sealed(text: string): string {
  return `${SEAL}, seal ${digestOf(text)}: without changes below it is replaced and removed by "tapbridge"\n${text}`;
}

/** Whether a text is as `sealed` made it, whichever version did. */
export function isSealed(found: string): boolean {
  const end = found.indexOf('\n') + 1;
  const seal = /, seal ([0-9a-f]+):/.exec(found.slice(0, end))?.[1];
  return found.startsWith(SEAL) && seal === digestOf(found.slice(end));
}

/** @param root the directory that stands for / */
export function planInstall(files: readonly OwnFile[], root: string): Step[] {
  return files.map((file) => {
    const place = join(root, file.path);
    const found = textAt(place);
    const action =
      found === null ? 'create' : found === file.content ? 'same' : file.isOurs(found) ? 'replace' : ('changed' as const);
    return { action, file, place, found };
  });
}

export function planRemoval(files: readonly OwnFile[], root: string): Step[] {
  return files.map((file) => {
    const place = join(root, file.path);
    const found = textAt(place);
    const action = found === null ? 'absent' : found === file.content || file.isOurs(found) ? 'remove' : ('leave' as const);
    return { action, file, place, found };
  });
}

/** What the steps do, for a person: whole texts of new files, differences of others. */
export function planText(steps: readonly Step[]): string {
  return steps.map((step) => `${headOf(step)}\n${bodyOf(step)}`).join('');
}

/**
 * Shows what will be done and asks, where there is somebody to ask.
 * @returns whether to go on @throws UsageError without a terminal and without `yes`
 */
export async function agreed(text: string, yes: boolean): Promise<boolean> {
  await print(text);
  if (yes) return true;
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) {
    throw new UsageError('nothing was changed: nobody is there to ask', 'look at what is shown, and add --yes');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question('Go ahead? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}

/** Does what the steps say; `changed` ones are written, too. @throws the system's error, after what was done has been undone */
export function carryOut(steps: readonly Step[]): void {
  const undo: (() => void)[] = [];
  try {
    for (const step of steps) {
      if (step.action === 'create' || step.action === 'replace' || step.action === 'changed') write(step, undo);
      if (step.action === 'remove') remove(step, undo);
    }
  } catch (error) {
    for (const each of undo.reverse()) each();
    throw error;
  }
}

function write({ file, place, found }: Step, undo: (() => void)[]): void {
  const made = makeDirectories(dirname(place), 0o755);
  undo.push(() => removeDirectories(made));
  put(place, file.content, file.mode);
  undo.push(() => (found === null ? rmSync(place, { force: true }) : put(place, found, file.mode)));
}

function remove({ file, place, found }: Step, undo: (() => void)[]): void {
  rmSync(place);
  undo.push(() => put(place, found as string, file.mode));
}

/** A reader finds the old text or the new one. */
function put(place: string, text: string, mode: number): void {
  const temporary = `${place}.tapbridge-new`;
  try {
    // Not through a link somebody left there.
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { flag: 'wx', mode });
    // Whatever the umask is.
    chmodSync(temporary, mode);
    renameSync(temporary, place);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** null: there is none. @throws UsageError for what is no plain file */
function textAt(place: string): string | null {
  const facts = lstatSync(place, { throwIfNoEntry: false });
  if (facts === undefined) return null;
  if (!facts.isFile()) throw new UsageError(`${place} is not a plain file`, 'look at what it is, and move it away');
  return readFileSync(place, 'utf8');
}

function headOf({ action, file, place }: Step): string {
  switch (action) {
    case 'create':
      return `write ${place}: ${file.what}`;
    case 'replace':
      return `update ${place}: ${file.what}`;
    case 'changed':
      return `replace ${place}, which is for something else, or was changed: ${file.what}`;
    case 'same':
      return `keep ${place}: it is as it should be`;
    case 'remove':
      return `remove ${place}: ${file.what}`;
    case 'leave':
      return `leave ${place}: it is for something else, or was changed`;
    case 'absent':
      return `nothing to remove at ${place}`;
  }
}

function bodyOf({ action, file, found }: Step): string {
  if (action === 'create') return indented(file.content, '    ');
  if (action === 'replace' || action === 'changed') return indented(lineDifference(found ?? '', file.content), '    ');
  return '';
}

function indented(text: string, margin: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `${margin}${line}\n`)
    .join('');
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, SEAL_DIGITS);
}
