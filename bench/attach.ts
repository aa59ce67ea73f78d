/**
 * What attaching costs: node attach.js [--count N] [--idle SECONDS]. Ports are attached one after the other through the client library, each to a
 * namespace of its own, to one bridge of a daemon in a lab; behind them the kernel alone moves TAPs to namespaces, which is the floor of what we
 * can do. With --idle nothing is attached but 10 ports to the first of 8 bridges, and the daemon is watched.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client } from '../dist/client/client.js';
import { Lab } from '../dist/lab/lab.js';
import type { LabNamespace } from '../dist/lab/lab-namespace.js';
import { getLink, moveLink } from '../dist/netlink/link.js';
import { describeMachine, TICKS_PER_SECOND, ticksOf } from './machine.js';
import { percentile } from './statistics.js';

const START_MILLIS = 10_000;
const IDLE_BRIDGES = 8;
const IDLE_PORTS = 10;
const DETACHED = 20;
/** A jiffy of the commonest kernel configuration (CONFIG_HZ=250) is 4 ms: what waits for grace periods comes in such steps. */
const BIN_MILLIS = 4;

const { values } = parseArgs({ options: { count: { type: 'string', default: '200' }, idle: { type: 'string', default: '0' } } });
const [count, idle] = [Number(values.count), Number(values.idle)];
if (!Number.isInteger(count) || count < DETACHED || count > 1000 || !(idle >= 0)) {
  process.stderr.write(`usage: node attach.js [--count ${DETACHED}…1000] [--idle SECONDS]\n`);
  process.exit(2);
}

const lab = Lab.create('tbattach');
const folder = mkdtempSync(join(tmpdir(), 'tbattach-'));
try {
  const { cpu, cores, kernel, node } = describeMachine();
  print(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`);
  const client = new Client(join(folder, 'socket'));
  const host = lab.namespace('host');
  const pid = await startDaemon(client, host);
  if (idle > 0) await watchIdle(client, pid);
  else await timeAttaches(client);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}

async function timeAttaches(client: Client): Promise<void> {
  await client.createBridge({ name: 'tb0', subnet: '198.18.0.0/16' });
  const paths = Array.from({ length: count }, () => namespacePath());
  const floorHost = lab.namespace('floor');
  const attached: number[] = [];
  const moved: number[] = [];
  for (const [index, netns] of paths.entries()) {
    attached.push(await millisOf(() => client.attach('tb0', { port: `p${index}`, netns, ip: 'auto' })));
  }
  // After the attaches, and nothing closed between: what ends a TAP or a namespace keeps the kernel's grace periods going.
  for (let index = 0; index < count / 4; index++) moved.push(moveAlone(floorHost, `floor${index}`));
  const detached: number[] = [];
  for (let index = 0; index < DETACHED; index++) detached.push(await millisOf(() => client.detach('tb0', `p${index}`)));
  const removed = await millisOf(() => client.removeBridge('tb0'));
  report('attach', attached);
  report('  the kernel moving a TAP, alone', moved);
  report('detach', detached);
  print(`rm with ${count - DETACHED} ports: ${removed.toFixed(0)} ms`);
}

async function watchIdle(client: Client, pid: number): Promise<void> {
  for (let index = 0; index < IDLE_BRIDGES; index++) await client.createBridge({ name: `tb${index}` });
  for (let index = 0; index < IDLE_PORTS; index++) await client.attach('tb0', { port: `p${index}`, netns: namespacePath() });
  // What attaching left behind (garbage, router solicitations) is over by then.
  await sleep(5000);
  const before = ticksOf(pid);
  await sleep(idle * 1000);
  const percent = ((ticksOf(pid) - before) / TICKS_PER_SECOND / idle) * 100;
  const rss = Number(/VmRSS:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024;
  print(
    `idle, ${IDLE_BRIDGES} bridges, ${IDLE_PORTS} ports, ${idle} s: ${percent.toFixed(2)} % of a core, RSS ${rss.toFixed(0)} MiB`,
  );
}

/** A namespace without a name or a process, that ends with this process. */
function namespacePath(): string {
  return `/proc/${process.pid}/fd/${lab.binding.createNetns(null)}`;
}

/** The TAP and its new namespace end with this process. */
function moveAlone(host: LabNamespace, name: string): number {
  const options = { netns: host.descriptor, vnetHeader: true, offloads: 0, persistent: false, mode: 'create' } as const;
  const tap = lab.binding.openTap({ name, ...options });
  const target = lab.binding.createNetns(null);
  if (tap < 0 || target < 0) throw new Error(`cannot make a TAP or a namespace: errno ${-Math.min(tap, target)}`);
  const { index } = getLink(host.netlink, name);
  const start = performance.now();
  moveLink(host.netlink, index, target, 'eth0');
  return performance.now() - start;
}

async function startDaemon(client: Client, namespace: LabNamespace): Promise<number> {
  const script = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  const args = ['daemon', '--socket', client.socketPath, '--state', join(folder, 'state'), '--log-level', 'warn'];
  const program = lab.run(namespace, script, args);
  for (const deadline = performance.now() + START_MILLIS; ; await sleep(20)) {
    const version = await client.version().catch(() => undefined);
    if (version !== undefined) return version.pid;
    if (program.exitCode !== null || performance.now() > deadline) throw new Error('the daemon does not answer');
  }
}

async function millisOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function report(what: string, millis: readonly number[]): void {
  const sorted = [...millis].sort((one, other) => one - other);
  const at = (share: number) => percentile(sorted, share).toFixed(1);
  print(`${what}: n ${sorted.length}, median ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
  const bins = new Map<number, number>();
  for (const each of sorted) {
    const from = Math.floor(each / BIN_MILLIS) * BIN_MILLIS;
    bins.set(from, (bins.get(from) ?? 0) + 1);
  }
  print(`    ${[...bins].map(([from, number]) => `${from}-${from + BIN_MILLIS} ms: ${number}`).join('   ')}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
