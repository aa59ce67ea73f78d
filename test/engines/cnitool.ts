/**
 * cnitool, libcni's own command: no package of Debian has it, so it is built from the source package `golang-github-appc-cni`, once for the machine (2 s).
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const KEPT = join(tmpdir(), 'tapbridge-cnitool', 'cnitool');
const PACKAGE = 'golang-github-appc-cni';
const SOURCES = '/etc/apt/sources.list.d/debian.sources';
const LONGEST_MILLIS = 240_000;

/** @returns the path of the program @throws Error with what apt or go said */
export function buildCnitool(): string {
  if (existsSync(KEPT)) return KEPT;
  const folder = mkdtempSync(join(tmpdir(), 'tbcnitool-'));
  try {
    const source = join(folder, 'src');
    const imports = join(folder, 'go/src/github.com/containernetworking');
    for (const each of [source, imports, join(folder, 'lists/partial')]) mkdirSync(each, { recursive: true });
    fetchSource(folder, source);
    const unpacked = readdirSync(source).find((name) => name.startsWith(`${PACKAGE}-`));
    if (unpacked === undefined) throw new Error(`apt-get source ${PACKAGE} unpacked nothing`);
    symlinkSync(join(source, unpacked), join(imports, 'cni'));
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: join(folder, 'go'), GOCACHE: join(folder, 'cache') };
    const built = join(folder, 'cnitool');
    run('go', ['build', '-o', built, '.'], { cwd: join(imports, 'cni/cnitool'), env });
    mkdirSync(join(tmpdir(), 'tapbridge-cnitool'), { recursive: true, mode: 0o755 });
    renameSync(built, KEPT);
    return KEPT;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The machine's own sources of packages, as sources of source packages; its lists stay as they are. */
function fetchSource(folder: string, source: string): void {
  const list = join(folder, 'src.sources');
  writeFileSync(list, readFileSync(SOURCES, 'utf8').replace(/^Types: deb$/gm, 'Types: deb-src'));
  const options = [
    '-qq',
    ...['-o', `Dir::Etc::sourcelist=${list}`],
    ...['-o', 'Dir::Etc::sourceparts=/dev/null'],
    ...['-o', `Dir::State::lists=${join(folder, 'lists')}`],
    // The folder is root's: apt's own user could not write there.
    ...['-o', 'APT::Sandbox::User=root'],
  ];
  run('apt-get', [...options, 'update'], { cwd: source });
  run('apt-get', [...options, 'source', PACKAGE], { cwd: source });
}

function run(command: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): void {
  execFileSync(command, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'], timeout: LONGEST_MILLIS });
}
