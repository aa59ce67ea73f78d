import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Path of a compiled module for a child process, given relative to this folder. When the caller itself runs from the TypeScript sources (the
 * tests do), the child is the module's last build.
 * @throws Error when it was not built.
 */
export function compiledModule(relative: string): string {
  const folder = import.meta.url.endsWith('.ts') ? '../../dist/lab/' : './';
  const path = fileURLToPath(new URL(folder + relative, import.meta.url));
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run build"`);
  return path;
}
