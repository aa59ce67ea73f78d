/** The daemon's API over bridges and ports that are made up: what the plugin asks for is checked by the API's own schemas. */
import { Client } from '../../src/client/client.js';
import type { Call } from '../../src/cni/call.js';
import { readEnvironment } from '../../src/cni/environment.js';
import { parseInput, readNetwork } from '../../src/cni/network.js';
import { AddressPool } from '../../src/control/address-pool.js';
import { ControlError } from '../../src/control/control-error.js';
import type { AddPublish, AttachPort, BridgeInfo, CreateBridge, PortInfo } from '../../src/control/model.js';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4-address.js';
import { FakeControl } from '../helpers/fake-control.js';
import { FakeServer } from '../helpers/fake-server.js';

/** The test's own namespace: there without rights, and allowed by CNI_NETNS_OVERRIDE. */
export const NETNS = `/proc/${process.pid}/ns/net`;

export class FakeDaemon extends FakeControl {
  readonly bridges = new Map<string, BridgeInfo>();
  readonly ports = new Map<string, PortInfo & { asked: AttachPort }>();
  private readonly pools = new Map<string, AddressPool>();
  /** Thrown by the next request of that name. */
  readonly refusals = new Map<string, Error>();
  server!: FakeServer;

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon();
    daemon.server = await FakeServer.start(daemon);
    return daemon;
  }

  override listBridges(): BridgeInfo[] {
    return [...this.bridges.values()];
  }

  override getBridge(name: string): BridgeInfo {
    const bridge = this.bridges.get(name);
    if (bridge === undefined) throw new ControlError('not-found', `no such bridge: ${name}`);
    return bridge;
  }

  override async createBridge(request: CreateBridge): Promise<BridgeInfo> {
    this.refuse('create');
    if (this.bridges.has(request.name)) throw new ControlError('conflict', `bridge ${request.name} exists`);
    const pool = request.subnet === undefined ? null : AddressPool.parse(request.subnet, request.gateway);
    if (pool !== null) this.pools.set(request.name, pool);
    const made: BridgeInfo = {
      ...this.bridge,
      name: request.name,
      mtu: request.mtu ?? 1500,
      subnet: request.subnet ?? null,
      gateway: pool === null ? null : formatIpv4(pool.gateway),
      uplink: request.uplink ?? (pool === null ? 'none' : 'auto'),
      internal: request.internal ?? false,
      network: request.network ?? null,
    };
    this.bridges.set(made.name, made);
    this.created.push(request);
    return made;
  }

  override listPorts(bridge?: string): never[] {
    if (bridge !== undefined) this.getBridge(bridge);
    return [...this.ports.values()].filter((port) => port.bridge === bridge).map(shown) as never[];
  }

  getPort(bridge: string, name: string): PortInfo {
    const port = this.ports.get(`${bridge}/${name}`);
    if (port === undefined) throw new ControlError('not-found', `bridge ${bridge} has no port ${name}`);
    return shown(port);
  }

  async attach(bridge: string, request: AttachPort): Promise<PortInfo> {
    this.refuse('attach');
    const { mtu } = this.getBridge(bridge);
    const pool = this.pools.get(bridge);
    const address =
      request.ip === undefined ? null : pool === undefined ? parseIpv4(request.ip.split('/')[0]) : pool.resolve(request.ip);
    if (address !== null) pool?.take(address, request.port);
    const prefix = pool?.subnet.prefix ?? request.ip?.split('/')[1];
    const made = {
      ...PORT,
      name: request.port,
      bridge,
      interface: request.ifname ?? 'eth0',
      netns: request.netns ?? null,
      container: request.container ?? null,
      mac: request.mac ?? '02:42:0a:4d:00:02',
      ip: address === null ? null : `${formatIpv4(address)}/${prefix}`,
      mtu: request.mtu ?? mtu,
      asked: request,
    };
    this.ports.set(`${bridge}/${request.port}`, made);
    return shown(made);
  }

  async detach(bridge: string, name: string): Promise<void> {
    this.refuse('detach');
    const port = this.getPort(bridge, name);
    if (port.ip !== null) this.pools.get(bridge)?.release(parseIpv4(port.ip.split('/')[0]));
    this.ports.delete(`${bridge}/${name}`);
    this.publishes = this.publishes.filter((each) => each.portName !== name);
  }

  override async publish(bridge: string, request: AddPublish) {
    this.refuse('publish');
    this.published.push(request);
    const { protocol = 'tcp', hostAddress = null, hostPort, hostPortEnd = hostPort, port, portName } = request;
    const made = {
      bridge,
      protocol,
      hostAddress,
      hostPort,
      hostPortEnd,
      port,
      portName,
      container: null,
      address: '',
      listening: true,
    };
    this.publishes.push(made);
    return made;
  }

  override listPublishes() {
    return this.publishes;
  }

  async health(): Promise<never[]> {
    return [];
  }

  /** The one port there is. */
  onlyPort(): PortInfo & { asked: AttachPort } {
    const [port, ...others] = this.ports.values();
    if (port === undefined || others.length > 0) throw new Error(`${this.ports.size} ports`);
    return port;
  }

  /** A call as the runtime makes it. */
  call(verb: string, config: object, env: Record<string, string> = {}): Call {
    const environment = readEnvironment({
      CNI_COMMAND: verb,
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: NETNS,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/nonexistent',
      CNI_NETNS_OVERRIDE: '1',
      ...env,
    });
    const text = JSON.stringify({
      cniVersion: '1.1.0',
      name: 'tapnet',
      type: 'tapbridge',
      socket: this.server.path,
      state: '/nonexistent',
      ...config,
    });
    const network = readNetwork(parseInput(text), text);
    return { environment, network, client: new Client(network.socket) };
  }

  private refuse(name: string): void {
    const error = this.refusals.get(name);
    this.refusals.delete(name);
    if (error !== undefined) throw error;
  }
}

const PORT: PortInfo = {
  name: '',
  bridge: '',
  kind: 'tap',
  state: 'up',
  interface: 'eth0',
  netns: null,
  pid: null,
  container: null,
  file: null,
  mac: null,
  ip: null,
  mtu: 1500,
  flags: {
    up: true,
    learning: true,
    floodUnicast: true,
    floodMulticast: true,
    floodBroadcast: true,
    hairpin: false,
    isolated: false,
    locked: false,
    sourceGuard: false,
  },
  macLimit: 0,
  offloads: true,
  faults: null,
  rates: { in: null, out: null },
  egressAddress: null,
  rxFrames: 0,
  rxBytes: 0,
  txFrames: 0,
  txBytes: 0,
  drops: 0,
};

function shown({ asked: _, ...port }: PortInfo & { asked: AttachPort }): PortInfo {
  return port;
}
