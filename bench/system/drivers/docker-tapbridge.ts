import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../../dist/client/client.js';
import type { DockerEngine } from '../../../dist/lab/docker-engine.js';
import type { Lab } from '../../../dist/lab/lab.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { A, B, type Driver, SUBNET } from '../driver.js';
import { Program } from '../programs.js';
import {
  addressOf,
  ENGINE_NEEDS,
  GATEWAY,
  outsideOf,
  runPair,
  runPublished,
  SERVER_NEEDS,
  SERVER_PROGRAMS,
  startEngine,
} from './docker-containers.js';
import { OUTSIDE, OUTSIDE_OF_HOST } from './nat-uplink.js';

const NETWORK = 'bench';

/** The same engine, its containers on a network of ours. */
export const dockerTapbridge: Driver = {
  name: 'docker-tapbridge',
  role: 'subject',
  what: 'a real Docker engine, two containers on a network of tapbridge daemon --docker',
  needs: ENGINE_NEEDS,
  containers: true,
  layer: 2,
  ping: true,
  maxPorts: 2,
  async makeHosts(lab) {
    const engine = await engineWithNetwork(lab, lab.namespace('engine'), []);
    const on = (address: string) => ['--network', NETWORK, '--ip', address];
    return runPair(lab, engine, { a: on(A), b: on(B) });
  },
  connect: async (lab, { a, b }) => ({ addressOfA: addressOf(a), addressOfB: addressOf(b), processes: await daemonOf(lab) }),
};

/** The same with b outside. */
export const dockerTapbridgeNat: Driver = {
  ...dockerTapbridge,
  name: 'docker-tapbridge-nat',
  what: 'a real Docker engine, a container with published ports on a network of tapbridge daemon --docker; b is outside',
  needs: [...ENGINE_NEEDS, ...SERVER_NEEDS],
  nat: true,
  layer: 3,
  async makeHosts(lab) {
    const host = lab.namespace('engine');
    const b = await outsideOf(lab, host);
    return runPublished(lab, await engineWithNetwork(lab, host, SERVER_PROGRAMS), b, ['--network', NETWORK, '--ip', A]);
  },
  connect: async (lab) => ({ addressOfA: OUTSIDE_OF_HOST, addressOfB: OUTSIDE, processes: await daemonOf(lab) }),
};

/** An engine without docker0, our daemon beside it, and a network of ours. */
async function engineWithNetwork(lab: Lab, host: LabNamespace, programs: readonly string[]): Promise<DockerEngine> {
  const { plugin } = await DaemonWithDocker.start(lab, host);
  const engine = await startEngine(lab, host, programs, { settings: { bridge: 'none' } });
  await engine.ask('network', 'create', '--driver', plugin, '--subnet', SUBNET, '--gateway', GATEWAY, NETWORK);
  return engine;
}

const socketOf = (lab: Lab) => join(lab.folder, 'socket');

async function daemonOf(lab: Lab): Promise<number[]> {
  const { pid } = await connect(socketOf(lab)).version();
  return [pid];
}

/** `tapbridge daemon --docker` in a namespace of the lab. */
export class DaemonWithDocker {
  /** Of Docker's plugin, whose folder is the machine's: one name for each process. */
  readonly plugin = `tbbench${process.pid}`;
  private readonly lab: Lab;
  private readonly host: LabNamespace;
  private program: Program | undefined;

  private constructor(lab: Lab, host: LabNamespace) {
    this.lab = lab;
    this.host = host;
  }

  static async start(lab: Lab, host: LabNamespace): Promise<DaemonWithDocker> {
    const daemon = new DaemonWithDocker(lab, host);
    // One container may fill the table: the kernel has no shares.
    writeFileSync(daemon.config, 'nat:\n  flowShare: 1\n');
    lab.beforeEnd(() => rmSync(`/run/docker/plugins/${daemon.plugin}.sock`, { force: true }));
    await daemon.startAgain();
    return daemon;
  }

  get pid(): number {
    return this.program?.pid ?? -1;
  }

  /** Starts it and waits until it answers. */
  async startAgain(): Promise<void> {
    const { lab, host, plugin, config } = this;
    const client = connect(socketOf(lab));
    const script = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
    const paths = ['--socket', client.socketPath, '--state', join(lab.folder, 'state'), '--config', config];
    const args = ['daemon', ...paths, '--docker', plugin, '--log-level', 'warn'];
    const program = Program.start(lab, host, process.execPath, [script, ...args]);
    this.program = program;
    await program.until('its answer', async () => (await client.version()).pid === program.pid);
  }

  /** At once, with all it has in memory; waits until it is gone. */
  async kill(): Promise<void> {
    await this.program?.kill();
  }

  private get config(): string {
    return join(this.lab.folder, 'tapbridge.yaml');
  }
}
