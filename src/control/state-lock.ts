/**
 * One daemon per state directory. The lock is a file with the holder's process id and start time: a process id alone may have been given to
 * another process since. Node has no flock(2); a lock whose holder is gone is taken over by renaming it away and linking a new one, and who
 * finds that it renamed a living lock (another daemon was faster) puts it back.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from './control-error.js';

const LOCK = 'daemon.lock';
const ATTEMPTS = 5;

export class StateLock {
  private readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @throws ControlError conflict when a living process holds it */
  static take(directory: string): StateLock {
    const path = join(directory, LOCK);
    const mine = `${path}.${process.pid}`;
    writeFileSync(mine, `${process.pid} ${startTime(process.pid)}\n`, { mode: 0o600 });
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (tryLink(mine, path)) return new StateLock(path);
        refuseLiving(path, directory);
        moveAway(path, `${mine}.stale`);
      }
      throw new ControlError('conflict', `the state directory ${directory} is being taken by another daemon`, 'try again');
    } finally {
      rmSync(mine, { force: true });
      rmSync(`${mine}.stale`, { force: true });
    }
  }

  release(): void {
    rmSync(this.path, { force: true });
  }
}

/** The living process that has a state directory. */
export function lockHolder(directory: string): number | undefined {
  return holderOf(join(directory, LOCK));
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function refuseLiving(path: string, directory: string): void {
  const holder = holderOf(path);
  if (holder !== undefined) {
    const what = `the state directory ${directory} is in use by process ${holder}`;
    throw new ControlError('conflict', what, `stop it, or choose another directory with --state`);
  }
}

function moveAway(path: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (holderOf(aside) !== undefined) tryLink(aside, path);
}

/** The living process that holds a lock file, if there is one. */
function holderOf(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
  const [pid, started] = text.trim().split(' ');
  return /^[0-9]+$/.test(pid) && startTime(Number(pid)) === started ? Number(pid) : undefined;
}

/** Clock ticks after boot when a process started (proc_pid_stat(5), field 22); '' when there is none, or one that ended and was not waited for. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 2 is the command in parentheses and may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
