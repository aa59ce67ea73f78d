/**
 * What `npm start`, `npm test` and `npm run bench` need before they run: installed packages, a built addon, compiled TypeScript.
 * Does only what is missing or stale, so that a second run costs a second.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const major = Number(process.versions.node.split('.')[0]);
const minor = Number(process.versions.node.split('.')[1]);
if (process.platform !== 'linux') {
  fail(`tapbridge runs on Linux only, not on ${process.platform}`);
}
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`tapbridge needs Node 20.19 or newer, this is ${process.version}`);
}

function fail(reason) {
  console.error(`tapbridge: ${reason}`);
  process.exit(1);
}

/** Modification time of a file, or of the newest file under a folder; 0 when there is none. */
function changed(path) {
  if (!existsSync(path)) {
    return 0;
  }
  const status = statSync(path);
  return status.isDirectory() ? Math.max(0, ...readdirSync(path).map((name) => changed(join(path, name)))) : status.mtimeMs;
}

function run(what, command, args) {
  console.error(`tapbridge: ${what}`);
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    fail(`${what}: "${[command, ...args].join(' ')}" failed${error ? `: ${error.message}` : `, see above`}`);
  }
}

if (changed('node_modules/.package-lock.json') < changed('package-lock.json')) {
  run('installing packages and building the addon', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
const addon = changed('build/Release/tapbridge.node');
if (addon < Math.max(changed('native'), changed('binding.gyp'))) {
  run('building the addon', process.execPath, ['native/install.mjs']);
}
for (const project of ['tsconfig.json', 'bench/tsconfig.json']) {
  // Incremental: a second when nothing changed.
  run(`compiling ${project}`, process.execPath, ['node_modules/typescript/bin/tsc', '-p', project]);
}
if (changed('dist/cni/tapbridge-cni.js') < Math.max(changed('dist'), changed('package.json'), changed('package-lock.json'))) {
  run('joining the modules of the CNI plugin', 'npm', ['run', '--silent', 'build:cni']);
}
