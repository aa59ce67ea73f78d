/** Directories made on the way to a file, and taken away again: exactly those that were missing, and only while nobody uses them. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Makes `path` with what is missing above it. @returns what was made, the deepest first. @throws the system's error */
export function makeDirectories(path: string, mode: number): string[] {
  const first = mkdirSync(path, { recursive: true, mode });
  const made: string[] = [];
  if (first === undefined) return made;
  const end = dirname(resolve(first));
  for (let each = resolve(path); each !== end && each !== dirname(each); each = dirname(each)) made.push(each);
  return made;
}

/** Removes those that are empty, up to the first that is not. */
export function removeDirectories(made: readonly string[]): void {
  try {
    for (const each of made) rmdirSync(each);
  } catch {
    // In use by somebody else, or gone already: not ours any more.
  }
}
