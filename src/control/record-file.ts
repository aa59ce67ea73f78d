/**
 * A record on disk: a JSON document with a version, read whole at the start and written whole after each change.
 *
 *     write    NAME.tmp, synced ─▶ renamed over NAME ─▶ directory synced
 *     read     by its owner's rights ─▶ JSON ─▶ version ─▶ schema          what fails on the way is set aside as NAME.broken-N
 *
 * Invariants: whoever reads finds the record before a change or the one after it, also when the machine stops in between; a record that is damaged or
 * of a newer version is never taken in part; what is set aside is never written over.
 * A field that is added to a schema gets a default which says what was before there was the field; the version rises only when older records can no longer be read.
 * Limit: 256 MiB, some hundred thousand ports.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { ControlError } from './control-error.js';
import { type Log, reasonOf } from './log.js';
import { readOwned } from './ownership.js';

const MAX_BYTES = 256 << 20;

export interface RecordFormat<T extends { version: number }> {
  /** Has to contain the version, as a literal. */
  schema: z.ZodType<T>;
  version: number;
}

/** Why a record is not taken: for the log. */
class Unreadable extends Error {}

export class RecordFile<T extends { version: number }> {
  readonly path: string;
  private readonly format: RecordFormat<T>;
  private last = '';

  constructor(path: string, format: RecordFormat<T>) {
    this.path = path;
    this.format = format;
  }

  /**
   * What was written last; null when there is none, or one that cannot be taken: that is set aside, with a warning that says where and why.
   * @throws ControlError forbidden for a record somebody else may have written, the system's error when it cannot be read
   */
  load(log: Log): T | null {
    if (!existsSync(this.path)) return null;
    const text = this.read();
    try {
      const record = this.parse(text);
      this.last = text;
      return record;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      const aside = this.setAside();
      log.warn(
        { reason: error.message, aside },
        `the record ${this.path} ${error.message}: set aside as ${aside}, starting empty`,
      );
      return null;
    }
  }

  /** Does nothing when it says what is written already. @throws the system's error; the record on disk is then the one before */
  save(record: T): void {
    const text = `${JSON.stringify(record, null, 1)}\n`;
    if (text === this.last) return;
    const temporary = `${this.path}.tmp`;
    // What a crash left there is gone first: its rights are not known.
    rmSync(temporary, { force: true });
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, this.path);
    this.last = text;
    syncDirectory(dirname(this.path));
  }

  /** Takes the record away. */
  remove(): void {
    rmSync(this.path, { force: true });
    this.last = '';
  }

  private read(): string {
    try {
      return readOwned(this.path, MAX_BYTES);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      throw new ControlError(error.code, `the record of the last run is refused: ${error.message}`, error.hint, error);
    }
  }

  private parse(text: string): T {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Unreadable(`is damaged (${reasonOf(error)})`);
    }
    const version = versionOf(value);
    if (version === undefined) throw new Unreadable('is damaged (it has no version)');
    if (version > this.format.version) {
      throw new Unreadable(`is of version ${version}, this daemon reads versions up to ${this.format.version}`);
    }
    const result = this.format.schema.safeParse(value);
    if (result.success) return result.data;
    const reason = z.prettifyError(result.error).replace(/\s+/g, ' ');
    // Fields nobody here knows were written by a newer daemon with the same version.
    const unknown = result.error.issues.some(({ code }) => code === 'unrecognized_keys');
    throw new Unreadable(`${unknown ? `is of a newer daemon, though of version ${version}` : 'is damaged'} (${reason})`);
  }

  private setAside(): string {
    for (let number = 1; ; number++) {
      const aside = `${this.path}.broken-${number}`;
      if (!existsSync(aside)) {
        renameSync(this.path, aside);
        return aside;
      }
    }
  }
}

function versionOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || !('version' in value)) return undefined;
  return Number.isSafeInteger(value.version) ? (value.version as number) : undefined;
}

/** Else a rename may be lost when the machine stops. Some file systems cannot: then it is as safe as they are. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    closeSync(directory);
  }
}
