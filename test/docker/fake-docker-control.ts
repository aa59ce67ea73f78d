/** What the Docker drivers ask of control, in memory: bridges, ports and publishes that refuse what control refuses, and steps that can be made to fail. */
import { ControlError } from '../../src/control/control-error.js';
import type {
  AddPublish,
  AttachPort,
  BridgeInfo,
  CreateBridge,
  PortInfo,
  PublishInfo,
  RemovePublish,
} from '../../src/control/model.js';
import type { DockerControl } from '../../src/docker/docker-control.js';
import type { RecordPlace, SavedDocker } from '../../src/docker/docker-record.js';

type Step = 'createBridge' | 'removeBridge' | 'attach' | 'detach' | 'place' | 'publish' | 'unpublish';

export class FakeDockerControl implements DockerControl {
  readonly bridges = new Map<string, BridgeInfo>();
  readonly ports = new Map<string, PortInfo>();
  publishes: PublishInfo[] = [];
  /** What was asked, as 'step argument'. */
  readonly said: string[] = [];
  /** Runs before a step; what it throws is what the step throws. */
  before: ((step: Step, what: string) => void | Promise<void>) | undefined;
  /** Ports of the host something else has, as '80/tcp'. */
  readonly taken = new Set<string>();
  attached: AttachPort[] = [];
  created: CreateBridge[] = [];

  async createBridge(request: CreateBridge): Promise<BridgeInfo> {
    await this.step('createBridge', request.name);
    if (this.bridges.has(request.name))
      throw new ControlError('conflict', `bridge ${request.name} exists`, 'choose another name');
    const { name, subnet = null, gateway = null, internal = false, network = null } = request;
    const bridge = { name, subnet, gateway, internal, network, mtu: request.mtu ?? 1500 } as BridgeInfo;
    this.bridges.set(name, bridge);
    this.ports.set(`${name} ${name}`, { name, bridge: name, kind: 'host', ip: null, pid: null, container: null } as PortInfo);
    this.created.push(request);
    return bridge;
  }

  async removeBridge(name: string): Promise<void> {
    await this.step('removeBridge', name);
    this.find(name);
    this.bridges.delete(name);
    for (const key of [...this.ports.keys()]) if (key.startsWith(`${name} `)) this.ports.delete(key);
    this.publishes = this.publishes.filter(({ bridge }) => bridge !== name);
  }

  listBridges(): BridgeInfo[] {
    return [...this.bridges.values()];
  }

  getPort(bridge: string, port: string): PortInfo {
    this.find(bridge);
    const found = this.ports.get(`${bridge} ${port}`);
    if (found === undefined) throw new ControlError('not-found', `bridge ${bridge} has no port ${port}`);
    return found;
  }

  listPorts(bridge: string): PortInfo[] {
    this.find(bridge);
    return [...this.ports.values()].filter((port) => port.bridge === bridge);
  }

  async attach(bridge: string, request: AttachPort): Promise<PortInfo> {
    await this.step('attach', `${bridge} ${request.port}`);
    this.find(bridge);
    for (const other of this.listPorts(bridge)) {
      if (request.mac !== undefined && other.mac === request.mac)
        throw new ControlError('conflict', `${request.mac} is the MAC of port ${other.name}`);
      const ip = request.ip?.split('/')[0];
      if (ip !== undefined && other.ip?.split('/')[0] === ip)
        throw new ControlError('conflict', `${ip} is taken by ${other.name}`);
    }
    const { port: name, lent, mac = null, ip = null, container = null, pid = null } = request;
    const cidr = ip === null ? null : ip.includes('/') ? ip : `${ip}/24`;
    const made = {
      name,
      bridge,
      kind: 'tap',
      interface: lent,
      mac,
      ip: cidr,
      container,
      pid,
      netns: null,
    } as unknown as PortInfo;
    this.ports.set(`${bridge} ${name}`, made);
    this.attached.push(request);
    return made;
  }

  async detach(bridge: string, port: string): Promise<void> {
    await this.step('detach', `${bridge} ${port}`);
    this.getPort(bridge, port);
    this.drop(bridge, port);
  }

  /** The namespace ended: control does by itself what `detach` does. */
  drop(bridge: string, port: string): void {
    this.ports.delete(`${bridge} ${port}`);
    this.publishes = this.publishes.filter((each) => each.bridge !== bridge || each.portName !== port);
  }

  async place(bridge: string, port: string, sandbox: string | null): Promise<void> {
    await this.step('place', `${bridge} ${port} ${sandbox}`);
    this.getPort(bridge, port).netns = sandbox;
  }

  async publish(bridge: string, request: AddPublish): Promise<PublishInfo> {
    const { protocol = 'tcp', hostAddress = null, hostPort, hostPortEnd = hostPort, port, portName } = request;
    await this.step('publish', `${hostAddress ?? ''}:${hostPort}-${hostPortEnd}:${port}/${protocol} ${portName}`);
    for (let each = hostPort; each <= hostPortEnd; each++) {
      const other = this.publishes.find((one) => one.protocol === protocol && one.hostPort <= each && each <= one.hostPortEnd);
      if (this.taken.has(`${each}/${protocol}`) || other !== undefined) {
        throw new ControlError('conflict', `port ${each}/${protocol} of the host is taken`, 'choose another host port');
      }
    }
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

  async unpublish(bridge: string, request: RemovePublish): Promise<void> {
    await this.step('unpublish', `${request.hostPort}/${request.protocol ?? 'tcp'}`);
    const index = this.publishes.findIndex(
      (each) => each.bridge === bridge && each.protocol === (request.protocol ?? 'tcp') && each.hostPort === request.hostPort,
    );
    if (index < 0) throw new ControlError('not-found', `bridge ${bridge} publishes no port ${request.hostPort}`);
    this.publishes.splice(index, 1);
  }

  listPublishes(bridge?: string): PublishInfo[] {
    if (bridge !== undefined) this.find(bridge);
    return this.publishes.filter((each) => bridge === undefined || each.bridge === bridge);
  }

  /** '8080-8082/tcp' of all publishes, sorted. */
  published(): string[] {
    const text = ({ hostPort, hostPortEnd, protocol }: PublishInfo) =>
      `${hostPort}${hostPortEnd === hostPort ? '' : `-${hostPortEnd}`}/${protocol}`;
    return this.publishes.map(text).sort();
  }

  private async step(step: Step, what: string): Promise<void> {
    this.said.push(`${step} ${what}`);
    await this.before?.(step, what);
  }

  private find(bridge: string): void {
    if (!this.bridges.has(bridge)) throw new ControlError('not-found', `no such bridge: ${bridge}`);
  }
}

/** A record in memory, as text: what is loaded is what was saved, and nothing shared. */
export class MemoryRecord implements RecordPlace {
  text: string | null = null;
  saves = 0;
  /** Throws instead of saving. */
  full = false;

  load(): SavedDocker | null {
    return this.text === null ? null : JSON.parse(this.text);
  }

  save(record: SavedDocker): void {
    if (this.full) throw new Error('ENOSPC: no space left on device');
    this.saves++;
    this.text = JSON.stringify(record);
  }

  remove(): void {
    this.text = null;
  }

  get saved(): SavedDocker {
    return JSON.parse(this.text ?? '{"version":1,"networks":[],"pools":[]}');
  }
}
