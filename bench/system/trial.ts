/**
 * One trial in a process of its own: node trial.js DRIVER TYPE SECONDS. Builds a lab, connects it by the driver, warms up with the traffic
 * of the type, measures once, and prints one line of JSON. Start-up state (JIT, heap, address layout) is part of what varies between trials.
 *
 * SIGTERM ends it with everything it made, and so does the end of the campaign that started it.
 */
import { Lab } from '../../dist/lab/lab.js';
import type { LabHost } from '../../dist/lab/lab-host.js';
import { foreignCores, processesInside, snapshotProcesses } from '../foreign-work.js';
import { cpuTimes } from '../machine.js';
import { type Connection, type Driver, hostsOf, type SparePort } from './driver.js';
import { DRIVERS, TYPES } from './matrix.js';
import { ask, findProgram } from './programs.js';
import { residentMib } from './resident-memory.js';
import type { TrialResult } from './result.js';
import { type BenchType, type Trial, WARM_UP_SHARE } from './type.js';

/** What a trial prints. */
export interface TrialReport {
  result: Omit<TrialResult, 'round'>;
  /** Features of both ends; null without ethtool, or when the type changes them. */
  offloads: { a: string; b: string } | null;
}

const PINGS = 5;
const PING_MILLIS = 2000;
/** Names of namespaces: PREFIX-PID-HOST. */
const PREFIX = 'tbbench';
const TERMINATED = 143;

async function run(driver: Driver, type: BenchType, seconds: number): Promise<TrialReport> {
  const lab = Lab.create(PREFIX);
  try {
    const trial = await connect(lab, driver, type, seconds);
    if (type.warmUp === undefined) await type.measure({ ...trial, seconds: seconds * WARM_UP_SHARE });
    else await type.warmUp(trial);
    const result = await measure(trial, driver, type);
    return { result, offloads: type.offloads === false ? null : offloads(trial.a, trial.b) };
  } finally {
    await lab.close();
  }
}

/** Hosts and spare ports, connected, and seen to be. */
async function connect(lab: Lab, driver: Driver, type: BenchType, seconds: number): Promise<Trial> {
  const { a, b } = await hostsOf(driver, lab);
  const spares = (type.ports ?? 2) - 2;
  const spareHost = spares > 0 ? await lab.host('spare') : undefined;
  const hosts = spareHost === undefined ? [a, b] : [a, b, spareHost];
  // Router solicitations and multicast reports of IPv6 are no part of the measurement.
  for (const host of hosts) await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
  const spare: SparePort[] =
    spareHost === undefined
      ? []
      : Array.from({ length: spares }, (_, index) => ({ namespace: spareHost.namespace, ifname: `s${index + 1}` }));
  const connection = await driver.connect(lab, { a, b, spare });
  if (type.offloads === false) for (const { namespace } of [a, b]) ask(namespace, 'ethtool', ['-K', 'eth0', ...OFF]);
  if (driver.ping) await checkReach(driver, a, b, connection);
  return { lab, a, b, spare, ...(spareHost === undefined ? {} : { spareHost }), ...connection, seconds };
}

async function checkReach(driver: Driver, a: LabHost, b: LabHost, { addressOfA, addressOfB }: Connection): Promise<void> {
  const there = await a.ping({ address: addressOfB, count: PINGS, timeoutMillis: PING_MILLIS });
  if (there.received === 0) throw new Error('host a cannot reach host b');
  // Behind a driver of layer 3 only a opens conversations.
  if (driver.layer !== 2) return;
  const back = await b.ping({ address: addressOfA, count: PINGS, timeoutMillis: PING_MILLIS });
  if (back.received === 0) throw new Error('host b cannot reach host a');
}

async function measure(trial: Trial, driver: Driver, type: BenchType): Promise<TrialReport['result']> {
  const processesBefore = snapshotProcesses();
  const before = cpuTimes();
  const measurement = await type.measure(trial);
  const after = cpuTimes();
  const processesAfter = snapshotProcesses();
  if (!Number.isFinite(measurement.value)) throw new Error(`${type.name} gave ${measurement.value} ${type.unit}`);
  const elapsed = after.at - before.at;
  const busy = after.busy - before.busy;
  const inside = processesInside([trial.a.netnsPath, trial.b.netnsPath]);
  const roots = [process.pid, ...trial.processes, ...inside];
  return {
    driver: driver.name,
    type: type.name,
    ...measurement,
    cpuNanosPerUnit: measurement.units > 0 ? (busy * 1e9) / measurement.units : 0,
    busyCores: busy / elapsed,
    steal: (after.steal - before.steal) / elapsed,
    // The campaign redraws its line meanwhile.
    foreignCores: foreignCores(processesBefore, processesAfter, roots, process.connected ? [process.ppid] : []),
    memoryMib: residentMib(trial.processes),
  };
}

/** What `ethtool -k` is asked for: the features that decide what a "frame" is. */
const FEATURES = [
  'rx-checksumming',
  'tx-checksumming',
  'scatter-gather',
  'tcp-segmentation-offload',
  'generic-segmentation-offload',
  'generic-receive-offload',
  'tx-udp-segmentation',
  'rx-gro-list',
  'rx-udp-gro-forwarding',
];

/** Arguments of `ethtool -K`. */
const OFF = ['tx', 'rx', 'sg', 'tso', 'gso', 'gro'].flatMap((feature) => [feature, 'off']);

function offloads(a: LabHost, b: LabHost): TrialReport['offloads'] {
  if (findProgram('ethtool') === undefined) return null;
  const of = (host: LabHost): string => {
    const said = ask(host.namespace, 'ethtool', ['-k', 'eth0']);
    const states = new Map([...said.matchAll(/^\s*([a-z-]+): (on|off)/gm)].map(([, name, state]) => [name, state]));
    const known = FEATURES.filter((name) => states.has(name));
    return known.map((name) => `${name} ${states.get(name)}`).join(', ') || 'unknown';
  };
  return { a: of(a), b: of(b) };
}

const [driverName, typeName, seconds] = process.argv.slice(2);
const driver = DRIVERS.find(({ name }) => name === driverName);
const type = TYPES.find(({ name }) => name === typeName);
if (driver === undefined || type === undefined || !(Number(seconds) > 0)) {
  process.stderr.write('usage: node trial.js DRIVER TYPE SECONDS\n');
  process.exit(2);
}
// By exit, so that everybody's handler of 'exit' removes what it made.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(TERMINATED));
process.once('disconnect', () => process.exit(TERMINATED));
process.channel?.unref();
try {
  process.stdout.write(`${JSON.stringify(await run(driver, type, Number(seconds)))}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
