/**
 * The unix socket of the API. Who may connect decides who may change the network, so the socket is born with mode 0600 (by the umask at bind,
 * not by a chmod after it); with a group it is handed over only once it listens: owner and group, 0660.
 */
import { chmodSync, chownSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { ControlError } from '../control/control-error.js';
import { reasonOf } from '../control/log.js';
import { makeDirectories } from '../control/made-directories.js';
import { socketPathProblem } from '../control/paths.js';

/** Makes room for a new socket: refuses one somebody answers on, removes one that is left over. @returns directories it made. @throws ControlError */
export async function claimSocket(path: string): Promise<string[]> {
  const problem = socketPathProblem(path);
  if (problem !== undefined) throw new ControlError('invalid', problem, 'choose another one with --socket');
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    try {
      return makeDirectories(dirname(path), 0o755);
    } catch (error) {
      throw new ControlError(
        'failed',
        `cannot make the directory of the socket: ${reasonOf(error)}`,
        'choose another one with --socket',
      );
    }
  }
  if (!found.isSocket()) {
    throw new ControlError('conflict', `${path} exists and is not a socket`, 'remove it, or choose another one with --socket');
  }
  if (await answers(path)) {
    throw new ControlError('conflict', `a daemon runs already at ${path}`, 'stop it, or choose another socket with --socket');
  }
  rmSync(path);
  return [];
}

/** @param gid group that may connect too, or null */
export function listen(server: Server, path: string, gid: number | null): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new ControlError('failed', `cannot listen at ${path}: ${reasonOf(error)}`, 'choose another socket with --socket'));
    });
    const before = process.umask(0o177);
    try {
      // The bind is done before this returns.
      server.listen(path, () => {
        try {
          if (gid !== null) {
            chownSync(path, process.geteuid?.() ?? 0, gid);
            chmodSync(path, 0o660);
          }
          resolve();
        } catch (error) {
          reject(
            new ControlError(
              'failed',
              `cannot give ${path} to group ${gid}: ${reasonOf(error)}`,
              'run as root, or leave --group out',
            ),
          );
        }
      });
    } finally {
      process.umask(before);
    }
  });
}

/** A group's number by its name or number. @throws ControlError */
export function groupId(group: string, database = '/etc/group'): number {
  if (/^[0-9]+$/.test(group)) return Number(group);
  for (const line of readFileSync(database, 'utf8').split('\n')) {
    const [name, , id] = line.split(':');
    if (name === group && id !== undefined) return Number(id);
  }
  throw new ControlError('not-found', `there is no group ${group}`, `make it with "groupadd ${group}"`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(new ControlError('failed', `cannot look whether a daemon runs at ${path}: ${error.message}`));
    });
  });
}
