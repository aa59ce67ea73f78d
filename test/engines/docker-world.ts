/**
 * The world of the suites with a real Docker engine:
 *
 *     outside 198.19.0.2 ──veth── eth0 198.19.0.1  host: dockerd, tapbridge daemon --docker NAME ── containers
 *
 * `host` is the machine the engine believes to be on; its default route leads to `outside`, which knows no way inside. Every world has a plugin name
 * of its own, because the folders of Docker's plugins are the machine's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFiles, writeImage } from '../../src/lab/container-image.js';
import { DockerEngine, dockerClient, type EngineOptions } from '../../src/lab/docker-engine.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { createVeth } from '../../src/netlink/link.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';

export const HOST_ADDRESS = '198.19.0.1';
export const OUTSIDE_ADDRESS = '198.19.0.2';
export const IMAGE = 'box';
/** A web server that answers with who asks: GET /cgi-bin/who. */
export const WEB_SERVER = ['httpd', '-f', '-p', '80', '-h', '/var/www'];
/** Containers that have nothing to do; they end at once when they are told to. */
export const IDLE = ['sleep', '100000'];
/** Not wget's own -T: Debian's static busybox crashes on it. */
const FETCH = ['timeout', '5', 'wget', '-q', '-O', '-'];
const PROGRAMS = ['iperf3', 'tcpdump'];
const FILES = {
  'var/www/index.html': 'hello\n',
  'var/www/cgi-bin/who':
    // The server listens by IPv6: an IPv4 address is mapped, in brackets.
    '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\necho "$REMOTE_ADDR" | sed "s/.*ffff://; s/]//"\n',
};

const PLUGINS = '/run/docker/plugins';

let worlds = 0;

/** Removes sockets of worlds whose process was killed. */
function sweepPlugins(): void {
  if (!existsSync(PLUGINS)) return;
  for (const name of readdirSync(PLUGINS)) {
    const pid = /^tbtest(\d+)n\d+\.sock$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(PLUGINS, name), { force: true });
  }
}

export interface WorldOptions {
  dockerd?: EngineOptions;
  /** Without a daemon there is only the engine's own bridge. */
  tapbridge?: boolean;
  /** Further arguments of `tapbridge daemon`. */
  daemon?: readonly string[];
}

export class DockerWorld {
  readonly lab: Lab;
  readonly host: LabNamespace;
  /** What `docker network create -d` takes. */
  readonly driver: string;
  readonly daemonArgs: readonly string[];
  outside!: LabHost;
  engine!: DockerEngine;
  daemon!: TestDaemon;
  /** What images hold, for servers outside of containers. */
  readonly files: string;
  private readonly running: Running[] = [];
  private hasDaemon = false;

  private constructor(lab: Lab, daemonArgs: readonly string[]) {
    this.lab = lab;
    this.host = lab.namespace('host');
    this.driver = `tbtest${process.pid}n${++worlds}`;
    this.files = join(lab.folder, 'files');
    writeFiles(this.files, FILES);
    this.daemonArgs = ['--docker', this.driver, ...daemonArgs];
  }

  static async open({ dockerd = {}, tapbridge = true, daemon = [] }: WorldOptions = {}): Promise<DockerWorld> {
    sweepPlugins();
    const world = new DockerWorld(Lab.create('tbworld'), daemon);
    try {
      world.outside = await world.lab.host('outside');
      createVeth(world.host.netlink, { name: 'eth0' }, { name: 'eth0', netns: world.outside.namespace.descriptor });
      world.outside.namespace.configure('eth0', { address: OUTSIDE_ADDRESS });
      world.host.configure('eth0', { address: HOST_ADDRESS, gateway: OUTSIDE_ADDRESS });
      world.engine = await DockerEngine.start(world.lab, world.host, dockerd);
      if (tapbridge) {
        // Where it asks for names.
        world.daemon = new TestDaemon(world.lab, world.host, { DOCKER_HOST: world.engine.host });
        world.hasDaemon = true;
        await world.startDaemon();
      }
      const tar = join(world.lab.folder, 'image.tar');
      writeImage(tar, { programs: PROGRAMS, files: FILES });
      await world.engine.importImage(IMAGE, tar);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** Everything ends, and nothing stays. */
  async close(): Promise<void> {
    for (const running of this.running) running.kill();
    this.engine?.close();
    if (this.hasDaemon) await this.daemon.close();
    await this.lab.close();
    rmSync(join(PLUGINS, `${this.driver}.sock`), { force: true });
    rmSync(`/etc/docker/plugins/${this.driver}.spec`, { force: true });
  }

  /** Makes a network of our driver, its pool chosen by hand so that tests can name addresses. */
  network(name: string, ...options: string[]): Promise<string> {
    return this.engine.ask('network', 'create', '--driver', this.driver, ...options, name);
  }

  /** `docker run -d` of the tests' image. @returns the container's id */
  run(name: string, network: string, options: readonly string[], command: readonly string[]): Promise<string> {
    return this.engine.ask(
      'run',
      '--detach',
      '--name',
      name,
      '--network',
      network,
      '--stop-timeout',
      '1',
      ...options,
      IMAGE,
      ...command,
    );
  }

  /** Runs a command in a container. @returns its output */
  exec(container: string, ...command: string[]): Promise<string> {
    return this.engine.ask('exec', container, ...command);
  }

  /** What a page holds, asked for in a container. */
  fetch(container: string, url: string): Promise<string> {
    return this.exec(container, ...FETCH, url);
  }

  /** The same from a namespace of the lab, by the machine's own busybox. @returns '' when nobody answered */
  async fetchFrom(namespace: LabNamespace, url: string): Promise<string> {
    const program = this.lab.start(namespace, 'busybox', [...FETCH, url], { stdio: 'pipe' });
    let said = '';
    program.stdout?.on('data', (chunk) => (said += chunk));
    await new Promise((resolve) => program.once('close', resolve));
    return said.trim();
  }

  /** Address of a container on a network. */
  async addressOf(container: string, network: string): Promise<string> {
    return this.engine.inspect(container, `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`);
  }

  /** A command in a namespace of the lab that runs while the test goes on. */
  start(namespace: LabNamespace, command: string, ...args: string[]): Running {
    const running = new Running(this.lab.start(namespace, command, args, { stdio: 'pipe' }));
    this.running.push(running);
    return running;
  }

  /** The same in a container. */
  startIn(container: string, ...command: string[]): Running {
    return this.startClient(dockerClient(), 'exec', container, ...command);
  }

  /** A client of the engine. */
  startClient(command: string, ...args: string[]): Running {
    const env = { ...process.env, ...this.engine.environment };
    const running = new Running(spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
    this.running.push(running);
    return running;
  }

  /** The web server of the tests, outside of all containers. Ends with the world. */
  async serve(namespace: LabNamespace, port: number): Promise<void> {
    this.start(namespace, 'busybox', 'httpd', '-f', '-p', String(port), '-h', join(this.files, 'var/www'));
    await eventually(async () => (await this.fetchFrom(namespace, `http://127.0.0.1:${port}/`)) === 'hello');
  }

  async removeContainers(): Promise<void> {
    const ids = (await this.engine.ask('ps', '--all', '--quiet')).split('\n').filter(Boolean);
    if (ids.length > 0) await this.engine.ask('rm', '--force', ...ids);
  }

  /** Ends the daemon by a signal, with all it had in memory, and starts it again. */
  async restartDaemon(signal: NodeJS.Signals): Promise<void> {
    await this.daemon.end(signal);
    await this.startDaemon();
  }

  startDaemon(): Promise<void> {
    return this.daemon.start(...this.daemonArgs);
  }

  /** Everything that grows with containers: of the host, of the daemon, of its gateway. */
  async possessions(bridge: string): Promise<Possessions> {
    const { client, pid } = this.daemon;
    const [ports, neighbors, publishes, gateway] = await Promise.all([
      client.listPorts(bridge),
      client.listNeighbors(bridge),
      client.listPublishes(bridge),
      client.gateway(),
    ]);
    return {
      interfaces: this.host.interfaces().map(({ name }) => name),
      ports: ports.map(({ name }) => name),
      neighbors: neighbors.filter(({ kind }) => kind === 'static').map(({ ip }) => ip),
      publishes: publishes.length,
      listeners: listeners(pid),
      flows: gateway.flows,
      mappings: gateway.mappings,
      guardEntries: gateway.pools.reduce((sum, { used }) => sum + used, 0),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
    };
  }
}

export interface Possessions {
  interfaces: string[];
  ports: string[];
  /** Addresses given out. */
  neighbors: string[];
  publishes: number;
  /** Sockets that keep published ports from others. */
  listeners: number;
  flows: number;
  mappings: number;
  /** Ports the guard keeps for the gateway. */
  guardEntries: number;
  descriptors: number;
}

/** TCP sockets that listen in the namespace of a process. */
function listeners(pid: number): number {
  const LISTEN = '0A';
  const lines = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1));
  return lines.filter((line) => line.trim().split(/\s+/)[3] === LISTEN).length;
}

/** A program of a test that goes on running, and what it says. */
export class Running {
  stdout = '';
  stderr = '';
  /** Its status, null for an end by signal. */
  readonly ended: Promise<number | null>;
  private readonly program: ChildProcess;

  constructor(program: ChildProcess) {
    this.program = program;
    program.stdout?.on('data', (chunk) => (this.stdout += chunk));
    program.stderr?.on('data', (chunk) => (this.stderr += chunk));
    this.ended = new Promise((resolve) => program.once('close', (status) => resolve(status)));
  }

  kill(): void {
    this.program.kill('SIGKILL');
  }
}
