/** The configuration file as YAML, not checked yet (config.ts): all that is needed before the daemon has given its privileges up. */
import { ControlError } from '../control/control-error.js';
import { reasonOf } from '../control/log.js';
import { readOwned } from '../control/ownership.js';

const MAX_BYTES = 1 << 20;

/**
 * @param insecure whoever wrote it
 * @throws ControlError that names the file and the line
 */
export function readConfig(path: string, insecure = false): Promise<unknown> {
  let text: string;
  try {
    text = readOwned(path, MAX_BYTES, insecure);
  } catch (error) {
    if (!(error instanceof ControlError)) {
      throw new ControlError('not-found', `cannot read the configuration: ${reasonOf(error)}`, 'name another file with --config');
    }
    const hint = error.code === 'forbidden' ? `${error.hint} mends it; --insecure-config takes it as it is` : 'name another one';
    throw new ControlError(error.code, `the configuration is refused: ${error.message}`, hint);
  }
  return parseYaml(text, path);
}

/** @throws ControlError that names the file and the line */
export async function parseYaml(text: string, path: string): Promise<unknown> {
  if (text.length > MAX_BYTES) throw new ControlError('invalid', `${path}: a configuration has at most ${MAX_BYTES} bytes`);
  const { parse } = await import('yaml');
  try {
    return parse(text) ?? {};
  } catch (error) {
    throw new ControlError('invalid', `${path}: ${reasonOf(error).split('\n')[0]}`, 'correct the file');
  }
}

/** The group it names; undefined also for what is no group. */
export function groupIn(config: unknown): string | undefined {
  const group = typeof config === 'object' && config !== null && 'group' in config ? config.group : undefined;
  return typeof group === 'string' ? group : undefined;
}
