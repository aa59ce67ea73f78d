/** The plugin on a socket of its own over a control in memory, and dockerd's side of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Log, SILENT } from '../../src/control/log.js';
import { Collector } from '../../src/docker/collector.js';
import { DockerRecord } from '../../src/docker/docker-record.js';
import type { UsedSubnet } from '../../src/docker/host-subnets.js';
import { IpamDriver } from '../../src/docker/ipam-driver.js';
import { NetworkDriver } from '../../src/docker/network-driver.js';
import { pluginMethods } from '../../src/docker/plugin-methods.js';
import { type PluginMethod, PluginServer } from '../../src/docker/plugin-server.js';
import { FakeDockerControl, MemoryRecord } from './fake-docker-control.js';

export const NETWORK = 'a1'.repeat(32);
export const ENDPOINT = 'e1'.repeat(32);
export const BRIDGE = 'tb-a1a1a1a1a1a1';
export const PORT = 'e1e1e1e1e1e1';
export const SANDBOX = '/var/run/docker/netns/d0effb097b11';

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** Recorded from dockerd 20.10. */
export function createNetwork(changes: Record<string, unknown> = {}, generic: Record<string, string> = {}): object {
  return {
    NetworkID: NETWORK,
    Options: { 'com.docker.network.enable_ipv6': false, 'com.docker.network.generic': generic },
    IPv4Data: [{ AddressSpace: 'LocalDefault', Pool: '172.30.0.0/24', Gateway: '172.30.0.1/24' }],
    IPv6Data: [],
    ...changes,
  };
}

export function createEndpoint(changes: Record<string, unknown> = {}, options: object = {}): object {
  return {
    NetworkID: NETWORK,
    EndpointID: ENDPOINT,
    Interface: { Address: '172.30.0.2/24', AddressIPv6: '', MacAddress: '' },
    Options: {
      'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
      'com.docker.network.portmap': [],
      ...options,
    },
    ...changes,
  };
}

export const ENDPOINT_CALL = { NetworkID: NETWORK, EndpointID: ENDPOINT };

export function program(...portmap: object[]): object {
  return {
    ...ENDPOINT_CALL,
    Options: { 'com.docker.network.portmap': portmap, 'com.docker.network.endpoint.exposedports': null },
  };
}

/** An entry of the port map. */
export const tcp = (hostPort: number, port: number, more: object = {}) => ({
  Proto: 6,
  IP: '',
  Port: port,
  HostIP: '',
  HostPort: hostPort,
  HostPortEnd: hostPort,
  ...more,
});

export function join4(changes: object = {}): object {
  return { ...ENDPOINT_CALL, SandboxKey: SANDBOX, Options: { 'com.docker.network.portmap': [] }, ...changes };
}

export class PluginWorld {
  control: FakeDockerControl;
  readonly place: MemoryRecord;
  record!: DockerRecord;
  collector!: Collector;
  ipamDriver!: IpamDriver;
  /** Paths that are namespaces. */
  readonly namespaces = new Set<string>([SANDBOX]);
  seconds = 1000;
  used: UsedSubnet[] = [];
  readonly told: string[] = [];
  /** What the collector said, as 'level message'. */
  readonly logged: string[] = [];
  readonly socket: string;
  private readonly folder = mkdtempSync(join(tmpdir(), 'tapbridge-plugin-'));
  private readonly agent = new Agent({ keepAlive: true });
  private server!: PluginServer;
  /** Milliseconds, of the servers that start from now on. */
  deadline = 5000;
  private readonly more: [string, PluginMethod][];

  private constructor(more: [string, PluginMethod][]) {
    this.control = new FakeDockerControl();
    this.place = new MemoryRecord();
    this.socket = join(this.folder, 'plugin.sock');
    this.more = more;
  }

  static async open(more: [string, PluginMethod][] = []): Promise<PluginWorld> {
    const world = new PluginWorld(more);
    await world.start();
    return world;
  }

  /** As the daemon does: also again, with what was recorded. */
  async start(): Promise<void> {
    const { control } = this;
    const now = () => this.seconds;
    this.record = new DockerRecord(this.place, SILENT);
    const isNamespace = (path: string) => this.namespaces.has(path);
    const parts = { control, record: this.record, now };
    this.collector = new Collector({ ...parts, log: this.log(), isNamespace });
    const followers = {
      learn: (network: string, endpoint?: string) =>
        void this.told.push(`learn ${network.slice(0, 4)} ${endpoint?.slice(0, 4) ?? ''}`),
      forgetEndpoint: () => {},
      forgetNetwork: () => {},
    };
    const interfaceExists = (name: string) => name === 'tbtakentak';
    const network = new NetworkDriver({ ...parts, collector: this.collector, followers, interfaceExists });
    const ipam = new IpamDriver({ ...parts, used: () => this.used });
    this.ipamDriver = ipam;
    await this.collector.restore();
    if (this.record.isNew) this.record.save();
    const methods = new Map([...pluginMethods(network, ipam), ...this.more]);
    this.server = new PluginServer({ methods, log: SILENT, deadline: this.deadline });
    await new Promise<void>((resolve) => this.server.server.listen(this.socket, resolve));
  }

  private log(): Log {
    const say = (level: string) => (_fields: object, message: string) => void this.logged.push(`${level} ${message}`);
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  }

  /** The daemon dies: connections break, what was being done is not finished. */
  async stop(): Promise<void> {
    this.agent.destroy();
    this.server.server.closeAllConnections();
    await new Promise((resolve) => this.server.server.close(resolve));
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A call as dockerd makes it. @param body undefined: empty; a text is sent as it is */
  call(name: string, body?: object | string): Promise<Answer> {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    return this.post(`/${name}`, text);
  }

  /** What is neither an error nor anything else but the answer. @throws Error with what was refused */
  async ask(name: string, body?: object): Promise<Record<string, unknown>> {
    const { status, body: answer } = await this.call(name, body);
    if (status !== 200 || 'Err' in answer) throw new Error(String(answer['Err']));
    return answer;
  }

  network(method: string, body: object): Promise<Record<string, unknown>> {
    return this.ask(`NetworkDriver.${method}`, body);
  }

  ipam(method: string, body: object): Promise<Record<string, unknown>> {
    return this.ask(`IpamDriver.${method}`, body);
  }

  /** Sends a call and breaks the connection once `when` has happened; until the server has seen it. No other call begins meanwhile. */
  breakDuring(name: string, body: object, when: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.server.once('connection', (socket) => socket.once('close', () => resolve()));
      const client = request({ socketPath: this.socket, path: `/${name}`, method: 'POST', agent: false }, () =>
        reject(new Error('answered')),
      );
      client.on('error', () => {});
      client.end(JSON.stringify(body));
      void when.then(() => client.destroy());
    });
  }

  post(path: string, text: string, method = 'POST'): Promise<Answer> {
    return postTo(this.socket, path, text, { method, agent: this.agent });
  }
}

/** One request as dockerd sends it: no type of content, an empty body where there are no arguments. */
export function postTo(
  socketPath: string,
  path: string,
  text: string,
  options: { method?: string; agent?: Agent } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'POST', agent = false } = options;
    const headers = { accept: 'application/vnd.docker.plugins.v1.2+json', 'content-length': Buffer.byteLength(text) };
    const client = request({ socketPath, path, method, agent, headers }, (response) => {
      let answer = '';
      response.on('data', (part) => (answer += part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(answer) }));
      response.on('error', reject);
    });
    client.on('error', reject);
    client.end(text);
  });
}
