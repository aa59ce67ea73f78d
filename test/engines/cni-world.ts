/**
 * The world of the suites with CNI runtimes:
 *
 *     outside 198.19.0.2 ──veth── eth0 198.19.0.1  host: tapbridge daemon, the runtime, the plugin ── containers
 *
 * The plugin is where `tapbridge cni install` puts it; network names are the world's own, because libcni keeps its results in one folder for the machine.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bridgeNameOf } from '../../src/cni/names.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { createVeth } from '../../src/netlink/link.js';
import { type CliResult, runCli, TestDaemon } from '../helpers/daemon.js';

export const HOST_ADDRESS = '198.19.0.1';
export const OUTSIDE_ADDRESS = '198.19.0.2';
/** Debian's place of the reference plugins. */
export const REFERENCE_PLUGINS = '/usr/lib/cni';
/** Of libcni, for all runtimes of the machine. */
const RESULTS = '/var/lib/cni/results';
const COMMAND = { maxBuffer: 16 << 20, timeout: 90_000, killSignal: 'SIGKILL' } as const;

let worlds = 0;

export class CniWorld {
  readonly lab: Lab;
  readonly host: LabNamespace;
  readonly folder: string;
  /** With the plugin in it. */
  readonly plugins: string;
  /** With the network configurations in it. */
  readonly networks: string;
  readonly leases: string;
  /** Appended to each network's name. */
  readonly suffix: string;
  outside!: LabHost;
  daemon!: TestDaemon;
  private hasDaemon = false;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.host = lab.namespace('host');
    this.folder = mkdtempSync(join(tmpdir(), 'tbcni-'));
    this.plugins = join(this.folder, 'bin');
    this.networks = join(this.folder, 'net.d');
    this.leases = join(this.folder, 'leases');
    this.suffix = `${process.pid}n${++worlds}`;
    mkdirSync(this.networks);
  }

  static async open(): Promise<CniWorld> {
    const world = new CniWorld(Lab.create('tbcni'));
    try {
      world.outside = await world.lab.host('outside');
      createVeth(world.host.netlink, { name: 'eth0' }, { name: 'eth0', netns: world.outside.namespace.descriptor });
      world.outside.namespace.configure('eth0', { address: OUTSIDE_ADDRESS });
      world.host.configure('eth0', { address: HOST_ADDRESS, gateway: OUTSIDE_ADDRESS });
      world.daemon = await TestDaemon.start(world.lab, world.host);
      world.hasDaemon = true;
      const installed = await runCli(['cni', 'install', '--bin-dir', world.plugins, '--yes']);
      if (installed.status !== 0) throw new Error(installed.stderr);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.hasDaemon) await this.daemon.close();
    await this.lab.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Writes a list with tapbridge and what follows it. @returns the network's name */
  network(name: string, own: Record<string, unknown> = {}, ...chained: object[]): string {
    const network = `${name}${this.suffix}`;
    const ranges = [[{ subnet: '10.77.0.0/24', gateway: '10.77.0.1' }]];
    const ipam = { type: 'host-local', dataDir: this.leases, ranges, routes: [{ dst: '0.0.0.0/0' }] };
    const capabilities = { portMappings: true, ips: true, mac: true, aliases: true, bandwidth: true };
    const tapbridge = { type: 'tapbridge', socket: this.daemon.socket, state: this.daemon.state, capabilities, ipam, ...own };
    const list = { cniVersion: '1.0.0', name: network, plugins: [tapbridge, ...chained] };
    writeFileSync(join(this.networks, `${network}.conflist`), JSON.stringify(list));
    return network;
  }

  /** A list of the documents, its name and places the world's own. @returns the network's name */
  example(file: string): string {
    const list = JSON.parse(readFileSync(new URL(`../../examples/cni/${file}`, import.meta.url), 'utf8'));
    const network = `${list.name}${this.suffix}`;
    const { ipam, ...own } = list.plugins[0];
    const kept = ipam.type === 'host-local' ? { ...ipam, dataDir: this.leases } : ipam;
    const first = { ...own, ipam: kept, socket: this.daemon.socket, state: this.daemon.state };
    // Debian's libcni knows no later version.
    const written = { ...list, cniVersion: '1.0.0', name: network, plugins: [first, ...list.plugins.slice(1)] };
    writeFileSync(join(this.networks, `${network}.conflist`), JSON.stringify(written));
    return network;
  }

  bridgeOf(network: string): string {
    return bridgeNameOf(network);
  }

  /** Addresses host-local has given and not taken back. */
  leased(network: string): string[] {
    const folder = join(this.leases, network);
    return existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9.]+$/.test(name)) : [];
  }

  /** What libcni remembers of attachments. */
  results(network: string): string[] {
    return existsSync(RESULTS) ? readdirSync(RESULTS).filter((name) => name.startsWith(`${network}-`)) : [];
  }

  /** Ports of the network's bridge, but for the host's own. */
  async ports(network: string): Promise<string[]> {
    const ports = await this.daemon.client.listPorts(this.bridgeOf(network));
    return ports.filter(({ kind }) => kind !== 'host').map(({ name }) => name);
  }

  /** Runs a program in the host's network namespace. */
  run(command: string, args: readonly string[], env: Record<string, string> = {}, namespace = this.host): Promise<CliResult> {
    return new Promise((resolve) => {
      const options = { ...COMMAND, encoding: 'utf8', env: { ...process.env, ...env } } as const;
      const program = namespace.inside(() =>
        execFile(command, args, options, (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
          resolve({ status, stdout, stderr: stderr || (error?.message ?? '') });
        }),
      );
      program.stdin?.end();
    });
  }

  /** What a web server says to a namespace, '' when nothing. */
  async fetch(namespace: LabNamespace, url: string): Promise<string> {
    const { stdout } = await this.run('timeout', ['5', 'busybox', 'wget', '-q', '-O', '-', url], {}, namespace);
    return stdout.trim();
  }

  /** Ends the daemon with all it had in memory, and starts it again. */
  async restartDaemon(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.daemon.end(signal);
    await this.daemon.start();
  }
}
