// What `npm install` runs: builds build/Release/tapbridge.node with the node-gyp that comes with npm, and downloads nothing.
//
// node-gyp normally fetches the headers of the running Node. This addon uses only Node-API, whose headers are the npm package
// node-api-headers; so a directory that looks like Node's development files is made from them and named with --nodedir.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

function fail(message) {
  process.stderr.write(`tapbridge: ${message}\n`);
  process.exit(1);
}

/** First match on PATH, or undefined. */
function onPath(names) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      if (folder !== '' && existsSync(join(folder, name))) {
        return join(folder, name);
      }
    }
  }
  return undefined;
}

function checkTools() {
  const wanted = [
    { what: 'a C++ compiler', package: 'g++', found: process.env.CXX !== undefined || onPath(['g++', 'c++']) !== undefined },
    { what: 'make', package: 'make', found: process.env.MAKE !== undefined || onPath(['make', 'gmake']) !== undefined },
    {
      what: 'python3',
      package: 'python3',
      found: (process.env.PYTHON ?? process.env.npm_config_python) !== undefined || onPath(['python3', 'python']) !== undefined,
    },
  ];
  const missing = wanted.filter((each) => !each.found);
  if (missing.length > 0) {
    const names = missing.map((each) => each.what).join(' and ');
    const packages = missing.map((each) => each.package).join(' ');
    fail(`the native addon cannot be built: ${names} not found. On Debian or Ubuntu: apt-get install ${packages}`);
  }
}

/** node-gyp as npm names it to install scripts, else the one beside the npm that comes with this Node. */
function findNodeGyp() {
  const candidates = [process.env.npm_config_node_gyp];
  const npm = onPath(['npm']);
  for (const start of [
    process.env.npm_execpath,
    npm && realpathSync(npm),
    join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js'),
  ]) {
    if (start) {
      candidates.push(join(dirname(start), '../node_modules/node-gyp/bin/node-gyp.js'));
    }
  }
  try {
    candidates.push(require.resolve('node-gyp/bin/node-gyp.js'));
  } catch {
    // not installed beside us; npm's own comes first anyway
  }
  const found = candidates.find((each) => each && existsSync(each));
  if (found === undefined) {
    fail(
      'the native addon cannot be built: node-gyp not found beside npm. Install npm (Debian: apt-get install npm), or: npm install -g node-gyp',
    );
  }
  return found;
}

/** Writes only what differs: make builds again what is older than these files. */
function writeIfChanged(path, content) {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== content) {
    writeFileSync(path, content);
  }
}

/** The headers of Node-API and the two settings files node-gyp reads, laid out as in Node's own development files. */
function makeNodeDirectory() {
  const directory = join(root, 'build', 'node-api');
  const include = join(directory, 'include', 'node');
  mkdirSync(include, { recursive: true });
  let headers;
  try {
    require.resolve('node-addon-api');
    headers = require('node-api-headers').include_dir;
  } catch {
    fail('the native addon cannot be built: its npm packages are not there. Run: npm install');
  }
  cpSync(headers, include, { recursive: true, preserveTimestamps: true });
  const settings = {
    target_defaults: {
      default_configuration: 'Release',
      cflags: ['-pthread'],
      ldflags: ['-pthread'],
      configurations: { Release: { cflags: ['-O2'] }, Debug: { cflags: ['-g', '-O0'] } },
    },
  };
  writeIfChanged(join(include, 'common.gypi'), `${JSON.stringify(settings, null, 2)}\n`);
  writeIfChanged(join(include, 'config.gypi'), `${JSON.stringify({ target_defaults: {}, variables: {} })}\n`);
  return directory;
}

function main() {
  if (process.platform !== 'linux') {
    fail(`runs on Linux only (TAP devices, packet sockets, network namespaces); this is ${process.platform}`);
  }
  checkTools();
  const nodeGyp = findNodeGyp();
  const directory = makeNodeDirectory();
  // node-gyp prefers npm's settings in the environment to its arguments: those that choose headers or a target must not get through.
  const choosesHeaders =
    /^npm_(package_)?config_(node_gyp_)?(nodedir|disturl|dist_url|target|tarball|devdir|runtime|force_process_config)$/i;
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !choosesHeaders.test(name)));
  // "configure build", not "rebuild": the latter deletes build/ with the headers made above.
  const command = [nodeGyp, 'configure', 'build', '--release', '--loglevel=error', `--nodedir=${directory}`];
  const run = spawnSync(process.execPath, command, {
    cwd: root,
    // binding.gyp asks "node" for the folders of its headers: let it be this one.
    env: {
      ...environment,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
      MAKEFLAGS: process.env.MAKEFLAGS ?? `-j${availableParallelism()}`,
    },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 << 20,
  });
  const addon = join(root, 'build', 'Release', 'tapbridge.node');
  if (run.error !== undefined || run.status !== 0 || !existsSync(addon)) {
    process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}`);
    fail(
      `building the native addon failed (${run.error?.message ?? `node-gyp ended with ${run.signal ?? run.status}`}); what it said stands above. ` +
        'Needed: a C++20 compiler (GCC 11 or newer), make, python3. On Debian or Ubuntu: apt-get install g++ make python3',
    );
  }
  process.stdout.write(`tapbridge: native addon built: ${addon}\n`);
}

main();
