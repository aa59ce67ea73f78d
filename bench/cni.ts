/**
 * What a container costs a runtime that speaks CNI: node cni.js [--rounds N]. Calls of the plugin, ADD and DEL in turns with a start of Node that does
 * nothing, which is the least a call can take. Addresses are of the daemon's own pool, so no second plugin is called.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from '../dist/client/client.js';
import { Lab } from '../dist/lab/lab.js';
import { describeMachine } from './machine.js';
import { percentile } from './statistics.js';
import { Program } from './system/programs.js';

/** Of the first calls, which make the bridge and find cold caches. */
const WARM_UPS = 2;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
  process.stderr.write('usage: node cni.js [--rounds 1…1000]\n');
  process.exit(2);
}

const lab = Lab.create('tbcni');
const folder = mkdtempSync(join(tmpdir(), 'tbcni-'));
const host = lab.namespace('host');
const client = new Client(join(folder, 'socket'));
try {
  const { cpu, cores, kernel, node } = describeMachine();
  print(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`);
  const script = compiled('../dist/cli/main.js');
  const args = ['--socket', client.socketPath, '--state', join(folder, 'state'), '--log-level', 'warn'];
  const daemon = Program.start(lab, host, process.execPath, [script, 'daemon', ...args]);
  await daemon.until('its answer', async () => (await client.version()) !== undefined);
  await daemon.untilIdle();
  const millis: Record<string, number[]> = { 'node alone': [], ADD: [], DEL: [] };
  for (let round = -WARM_UPS; round < rounds; round++) {
    const netns = lab.binding.createNetns(null);
    const took = { 'node alone': run(['-e', '0']), ADD: call('ADD', round, netns), DEL: call('DEL', round, netns) };
    lab.binding.closeDescriptor(netns);
    if (round < 0) continue;
    for (const [what, each] of Object.entries(took)) millis[what].push(each);
  }
  print(`${rounds} containers, from the start of a call to its end:`);
  for (const [what, all] of Object.entries(millis)) {
    const sorted = all.sort((one, other) => one - other);
    print(`  ${what.padEnd(10)} median ${percentile(sorted, 0.5).toFixed(0)} ms, max ${percentile(sorted, 1).toFixed(0)} ms`);
  }
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}

function call(verb: 'ADD' | 'DEL', container: number, netns: number): number {
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: `container${container}`,
    CNI_NETNS: `/proc/${process.pid}/fd/${netns}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: folder,
  };
  const input = {
    cniVersion: '1.0.0',
    name: 'net',
    type: 'tapbridge',
    socket: client.socketPath,
    ipam: { type: 'tapbridge', subnet: '198.18.0.0/24' },
  };
  return run([compiled('../dist/cni/tapbridge-cni.js')], env, JSON.stringify(input));
}

/** Milliseconds of a process in the host's namespace. @throws Error with what it printed, when it failed */
function run(args: string[], env: Record<string, string> = {}, input = ''): number {
  const start = performance.now();
  const { status, stdout, stderr } = host.inside(() => spawnSync(process.execPath, args, { env, input, encoding: 'utf8' }));
  const millis = performance.now() - start;
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`);
  return millis;
}

function compiled(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
