/** Whether networks of CNI that name the plugin find it, and whether it runs. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OWN_TYPES } from '../../cni/network.js';
import { type Finding, fail, ok } from './finding.js';

const AREA = 'cni';
const ANSWER_MILLIS = 5000;
const CONFIGURATION = /\.(conf|conflist|json)$/;

export interface CniPlaces {
  configurations: string;
  /** Where runtimes look for plugins. */
  programs: readonly string[];
}

/** Those of the specification's tools, containerd, CRI-O and podman. */
export function cniPlaces(path = process.env['CNI_PATH']): CniPlaces {
  const programs = path ? path.split(delimiter) : ['/opt/cni/bin', '/usr/local/lib/cni', '/usr/libexec/cni', '/usr/lib/cni'];
  return { configurations: '/etc/cni/net.d', programs };
}

export function checkCni(places: CniPlaces): Finding[] {
  const networks = networksOf(places.configurations);
  if (networks.length === 0) return [ok(AREA, `no network in ${places.configurations} uses tapbridge`)];
  return networks.flatMap(({ file, types }) =>
    types.map((type) => {
      const program = places.programs.map((folder) => join(folder, type)).find(isProgram);
      if (program === undefined) {
        const where = places.programs.join(', ');
        return fail(
          AREA,
          `${file} names the plugin ${type}, which is in none of ${where}`,
          'containers of that network do not start',
          `tapbridge cni install --bin-dir ${places.programs[0]}`,
        );
      }
      const problem = run(program);
      if (problem === null) return ok(AREA, `${file}: ${program} runs`);
      return fail(
        AREA,
        `${program} does not run: ${problem}`,
        'containers of that network do not start',
        'tapbridge cni install, with the Node that is to run it',
      );
    }),
  );
}

/** Configurations that name one of our types, and which. */
function networksOf(folder: string): { file: string; types: string[] }[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => CONFIGURATION.test(name));
  } catch {
    return [];
  }
  return names.sort().flatMap((name) => {
    const file = join(folder, name);
    const types = typesIn(file).filter((type) => OWN_TYPES.includes(type));
    return types.length === 0 ? [] : [{ file, types: [...new Set(types)] }];
  });
}

/** Types of all plugins of a configuration; none for what is not understood: the runtime says so itself. */
function typesIn(file: string): string[] {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as { type?: unknown; plugins?: unknown };
    const plugins = Array.isArray(value.plugins) ? value.plugins : [value];
    return plugins.map((plugin: { type?: unknown } | null) => plugin?.type).filter((type) => typeof type === 'string');
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  const facts = statSync(path, { throwIfNoEntry: false });
  return facts?.isFile() === true && (facts.mode & 0o111) !== 0;
}

/** Asks for its versions, as runtimes do, without a PATH. @returns why it does not say them, or null */
function run(program: string): string | null {
  const { error, status, stdout, stderr } = spawnSync(program, [], {
    env: { CNI_COMMAND: 'VERSION' },
    input: '{"cniVersion":"1.0.0"}',
    encoding: 'utf8',
    timeout: ANSWER_MILLIS,
  });
  // A program that ends without reading its input says why by its status and words.
  if (error !== undefined && (error as NodeJS.ErrnoException).code !== 'EPIPE') return error.message;
  if (status !== 0) return (stderr || stdout).trim().split('\n')[0] || `status ${status}`;
  return /"supportedVersions"/.test(stdout) ? null : 'it does not say which versions it knows';
}
