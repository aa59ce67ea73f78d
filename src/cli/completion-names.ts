/** Which names an argument or an option stands for; the scripts ask `tapbridge complete` for them. */
import type { Kind } from './complete-command.js';

/** By the place of the argument; null where there is nothing to offer. */
const ARGUMENTS: Record<string, readonly (Kind | null)[]> = {
  rm: ['bridges'],
  attach: ['bridges'],
  detach: ['bridges', 'ports'],
  set: ['bridges', 'ports'],
  show: ['bridges'],
  publish: ['bridges', null, 'ports'],
  unpublish: ['bridges', 'publishes'],
  publishes: ['bridges'],
  policy: ['bridges'],
  capture: ['bridges'],
  complete: [null, 'bridges'],
  'flows watch': ['bridges'],
  'flows flush': ['bridges'],
  'fdb add': ['bridges', null, 'ports'],
  'fdb del': ['bridges'],
  'fdb flush': ['bridges'],
  'neighbor add': ['bridges'],
  'neighbor del': ['bridges'],
};
const OPTIONS: Record<string, Kind> = {
  'attach --iface': 'interfaces',
  'create --uplink': 'interfaces',
  'capture --port': 'ports',
  'show --container': 'ports',
  'policy --container': 'ports',
  'flows watch --container': 'ports',
  'flows flush --container': 'ports',
};

/** @param path of a command, 'flows watch' */
export function namesOfArguments(path: string): readonly (Kind | null)[] {
  return ARGUMENTS[path] ?? [];
}

export function namesOfOption(path: string, long: string): Kind | null {
  return OPTIONS[`${path} ${long}`] ?? null;
}

/** All that names stand for something, for tests that compare them with the commands. */
export const NAMED = [...Object.keys(ARGUMENTS), ...Object.keys(OPTIONS)];
