/**
 * Who may have written what the daemon reads: configuration, records, users' programs. The daemon acts with root's rights on what they say, so it takes
 * only what root, or who runs it, has written.
 *
 *     file        owner root or the daemon's user; no write by group or others; no other kind of file
 *     directory   the same; one that others may write has to be sticky, as /tmp is: then they cannot replace what is in it
 *
 * Looked at is the open file, so that what was checked is what is read, and the directory its path leads to, links followed.
 * Inside of a user namespace the owners outside of it all look like one user, the overflow id: that one is taken there, since nothing can be told of it.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ControlError } from './control-error.js';

const WRITE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
const MODE = 0o7777;

/** What a path is refused for and what mends it; `facts` decide, `trusted` are the owners who may. */
export function ownershipProblem(
  path: string,
  facts: Pick<Stats, 'uid' | 'mode'>,
  trusted: readonly number[],
  stickyIsSafe = true,
): { what: string; hint: string } | null {
  const strangers = !trusted.includes(facts.uid);
  const writable = (facts.mode & WRITE_BY_OTHERS) !== 0 && !(stickyIsSafe && (facts.mode & STICKY) !== 0);
  if (!strangers && !writable) return null;
  const mode = (facts.mode & MODE).toString(8).padStart(4, '0');
  const reasons = [
    ...(strangers ? [`belongs to user ${facts.uid}`] : []),
    ...(writable ? [`may be written by others (mode ${mode})`] : []),
  ];
  const remedy = [...(strangers ? [`chown ${trusted[0] ?? 0} ${path}`] : []), ...(writable ? [`chmod go-w ${path}`] : [])];
  return { what: `${path} ${reasons.join(' and ')}`, hint: `"${remedy.join('; ')}"` };
}

/**
 * The text of a file that only root, or who runs this, may have written.
 * @param insecure whoever wrote it: for development
 * @throws ControlError not-found, invalid (no plain file, too long), forbidden with what mends it
 */
export function readOwned(path: string, maxBytes: number, insecure = false): string {
  const descriptor = open(path, insecure);
  try {
    const facts = fstatSync(descriptor);
    if (!facts.isFile()) throw new ControlError('invalid', `${path} is not a plain file`);
    if (!insecure) {
      refuse(path, facts);
      checkDirectory(dirname(realpathSync(path)));
    }
    if (facts.size > maxBytes) throw new ControlError('invalid', `${path} has more than ${maxBytes} bytes`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function open(path: string, insecure: boolean): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    // The daemon has no right to read what others keep to themselves: say whose it is rather than that it cannot be read.
    if (!insecure && (error as NodeJS.ErrnoException).code === 'EACCES') refuse(path, statSync(path));
    throw error;
  }
}

/** A directory only root, or who runs this, may write. @throws ControlError forbidden, with what mends it; the system's error */
export function checkDirectory(path: string): void {
  refuse(path, statSync(path));
}

/** A directory of our own, nobody else's even if it is sticky. @throws ControlError forbidden, with what mends it; the system's error */
export function checkOwnDirectory(path: string): void {
  refuse(path, statSync(path), false);
}

function refuse(path: string, facts: Pick<Stats, 'uid' | 'mode'>, stickyIsSafe = true): void {
  const problem = ownershipProblem(path, facts, trustedUsers(), stickyIsSafe);
  if (problem !== null) throw new ControlError('forbidden', problem.what, problem.hint);
}

/** Whose files are taken: the one who runs this first, root, and the overflow user inside of a user namespace. */
function trustedUsers(): number[] {
  const own = process.geteuid?.() ?? 0;
  const inside = !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
  return [own, ...(own === 0 ? [] : [0]), ...(inside ? [Number(readFileSync('/proc/sys/kernel/overflowuid', 'latin1'))] : [])];
}
