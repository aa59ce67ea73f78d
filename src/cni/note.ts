/**
 * A note for the daemon that is not running (control/detach-note). It is written before a last attempt, and removed when that succeeds: so a daemon
 * that starts at this moment either finds the note, or answers. The daemon looks before and after it begins to listen.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type DetachNote, NOTE_VERSION, NOTES } from '../control/detach-note.js';

/** @returns whether one was written: a state directory that does not exist has nothing to forget. @throws the system's error */
export function writeNote(state: string, note: Omit<DetachNote, 'version'>): boolean {
  if (!existsSync(state)) return false;
  const folder = join(state, NOTES);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = noteFile(state, note.port);
  const temporary = `${path}.${process.pid}`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, JSON.stringify({ version: NOTE_VERSION, ...note }));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  return true;
}

export function removeNote(state: string, port: string): void {
  rmSync(noteFile(state, port), { force: true });
}

function noteFile(state: string, port: string): string {
  return join(state, NOTES, `${port}.json`);
}
