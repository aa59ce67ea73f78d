/**
 * How long containers are cut off when the daemon is killed: node restart.js [--count N] [--runs N]. N containers on one bridge with a way out; the daemon is
 * killed (SIGKILL) and started again, as a service manager does it, while echoes go from the container attached first to the one attached last, then to
 * a host behind the uplink. Measured is from the start of the new process to the first echo that is answered (L2: the last interface is
 * open again; out: the gateway goes on, too), and from the kill.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from '../dist/client/client.js';
import { connectHosts } from '../dist/lab/connect-hosts.js';
import { Lab } from '../dist/lab/lab.js';
import type { LabHost } from '../dist/lab/lab-host.js';
import { getLink } from '../dist/netlink/link.js';
import { addRoute } from '../dist/netlink/route.js';
import { describeMachine, forgetNodeSettings } from './machine.js';
import { percentile } from './statistics.js';

const DEADLINE_MILLIS = 20_000;
/** Resolution of what is measured. */
const ECHO_MILLIS = 5;
const SUBNET = '198.18.0.0/16';
const OUTSIDE = '10.99.0.2';

const { values } = parseArgs({ options: { count: { type: 'string', default: '50' }, runs: { type: 'string', default: '10' } } });
const [count, runs] = [Number(values.count), Number(values.runs)];
if (!Number.isInteger(count) || count < 2 || count > 1000 || !Number.isInteger(runs) || runs < 1) {
  process.stderr.write('usage: node restart.js [--count 2…1000] [--runs N]\n');
  process.exit(2);
}

forgetNodeSettings();
const lab = Lab.create('tbrestart');
const folder = mkdtempSync(join(tmpdir(), 'tbrestart-'));
const client = new Client(join(folder, 'socket'));
try {
  const { cpu, cores, kernel, node } = describeMachine();
  print(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`);
  const [host, outside, first, last] = await Promise.all(['host', 'outside', 'first', 'last'].map((name) => lab.host(name)));
  connectHosts(host, '10.99.0.1', outside, OUTSIDE);
  const { netlink } = host.namespace;
  addRoute(netlink, { destination: 'default', gateway: OUTSIDE, index: getLink(netlink, 'eth0').index });
  let daemon = start(host);
  await until(() => client.version());
  await client.createBridge({ name: 'tb0', subnet: SUBNET });
  await client.attach('tb0', { port: 'first', netns: first.netnsPath, ip: 'auto' });
  for (let index = 2; index < count; index++)
    await client.attach('tb0', { port: `p${index}`, netns: namespacePath(), ip: 'auto' });
  const { ip } = await client.attach('tb0', { port: 'last', netns: last.netnsPath, ip: 'auto' });
  const inside = (ip as string).split('/')[0];
  await answered(first, inside);
  await answered(first, OUTSIDE);

  const rows: number[][] = [];
  for (let run = 0; run < runs; run++) {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    const killed = performance.now();
    daemon.kill('SIGKILL');
    await ended;
    const started = performance.now();
    daemon = start(host);
    const millis = [await answered(first, inside), await answered(first, OUTSIDE)];
    const listens = (await until(() => client.version())) - started;
    rows.push([...millis.map((at) => at - started), listens, millis[0] - killed]);
    await sleep(500);
  }
  print(`${count} containers, ${runs} kills:`);
  for (const [column, what] of ['start to L2', 'start to the outside', 'start to the API', 'kill to L2'].entries()) {
    const sorted = rows.map((row) => row[column]).sort((one, other) => one - other);
    print(`  ${what.padEnd(22)} median ${percentile(sorted, 0.5).toFixed(0)} ms, max ${percentile(sorted, 1).toFixed(0)} ms`);
  }
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}

function start(host: LabHost) {
  const script = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  const args = ['daemon', '--socket', client.socketPath, '--state', join(folder, 'state'), '--log-level', 'warn'];
  return lab.run(host.namespace, script, args);
}

/** A namespace without a name or a process, that ends with this process. */
function namespacePath(): string {
  return `/proc/${process.pid}/fd/${lab.binding.createNetns(null)}`;
}

/** @returns when the first echo was answered, by `performance.now()` */
async function answered(from: LabHost, address: string): Promise<number> {
  return until(async () => {
    const { received } = await from.ping({ address, count: 1, timeoutMillis: ECHO_MILLIS });
    if (received === 0) throw new Error(`${address} does not answer`);
  });
}

async function until(attempt: () => Promise<unknown>): Promise<number> {
  for (const deadline = performance.now() + DEADLINE_MILLIS; ; await sleep(1)) {
    try {
      await attempt();
      return performance.now();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
