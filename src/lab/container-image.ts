/**
 * A root file system for containers, made of what is installed here: busybox (static), and programs with the libraries they are linked to. No
 * registry is asked.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'];
const FOLDERS = ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'usr/bin', 'var/log'];
const MANY_BYTES = 1 << 26;

export interface ImageContents {
  /** Programs of this machine, by name: each comes to /usr/bin. */
  programs?: readonly string[];
  /** Further files, as `writeFiles` takes them. */
  files?: Record<string, string>;
}

/** Writes the tar file. @throws Error naming the program that is missing */
export function writeImage(tar: string, { programs = [], files = {} }: ImageContents = {}): void {
  const root = mkdtempSync(join(tmpdir(), 'tbimage-'));
  try {
    chmodSync(root, 0o755);
    for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
    mkdirSync(join(root, 'tmp'));
    chmodSync(join(root, 'tmp'), 0o1777);
    putBusybox(root);
    for (const program of programs) putProgram(root, program);
    const accounts = { 'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n', 'etc/group': 'root:x:0:\n' };
    writeFiles(root, { ...accounts, ...files });
    run('tar', ['-C', root, '--numeric-owner', '--owner=0', '--group=0', '-cf', tar, '.']);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Writes text files below a folder, by path; those below cgi-bin can be executed. */
export function writeFiles(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode: path.includes('cgi-bin/') ? 0o755 : 0o644 });
  }
}

function putBusybox(root: string): void {
  const busybox = BUSYBOX.find(existsSync);
  if (busybox === undefined) throw new Error('there is no busybox (Debian package busybox-static)');
  copyFileSync(busybox, join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o755);
  for (const applet of run(busybox, ['--list']).split('\n').filter(Boolean)) {
    // The list has busybox itself.
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
}

function putProgram(root: string, program: string): void {
  const path = run('/bin/sh', ['-c', 'PATH=$PATH:/usr/sbin:/sbin command -v -- "$0"', program], `there is no ${program}`).trim();
  copyFileSync(path, join(root, 'usr/bin', basename(path)));
  // A static program has no libraries: ldd says so with a status of 1.
  const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' });
  for (const [library] of stdout.matchAll(/\/[^ )\n]+/g)) {
    const target = join(root, library);
    mkdirSync(dirname(target), { recursive: true });
    if (!existsSync(target)) copyFileSync(library, target);
  }
}

function run(command: string, args: readonly string[], otherwise = `${command} failed`): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: MANY_BYTES });
  if (status !== 0) throw new Error(`${otherwise}: ${stderr?.trim() ?? ''}`);
  return stdout;
}
