/**
 * What dockerd will not say: that a container is gone (dockerd was killed, and its containers with it), that a call was given up in the middle, that a bridge
 * has to be made again after a reboot. Looked at when the daemon starts, every minute, and when something stands in the way of a call.
 *
 *     network without bridge ─▶ made again                      bridge of Docker's, no network ─▶ removed when nothing is attached
 *     endpoint, its namespace or its port gone ─▶ ended         port of Docker's, no endpoint ─▶ detached
 *     endpoint nobody joined for ten minutes ─▶ ended
 *
 * A sandbox's path that is not there yet is not gone: dockerd makes it shortly after the answer to Join. So a path has a while to come.
 */
import { statfsSync } from 'node:fs';
import { type Log, reasonOf } from '../control/log.js';
import type { BridgeInfo, PortInfo } from '../control/model.js';
import { bridgeOfNetwork, type DockerControl, hasPort, portsOf, unlessGone } from './docker-control.js';
import type { DockerRecord, EndpointRecord, NetworkRecord } from './docker-record.js';
import { unpublishAll } from './publishing.js';

const SOURCE_DIGITS = 8;

/** What the TAP of an endpoint is called at home: short enough for an interface. */
export function sourceNameOf(digits: string): string {
  return `tb${digits.slice(0, SOURCE_DIGITS)}`;
}

export interface CollectorOptions {
  control: DockerControl;
  record: DockerRecord;
  log: Log;
  /** Seconds since 1970. */
  now: () => number;
  /** Whether a path is a network namespace at present. */
  isNamespace?: (path: string) => boolean;
}

/** Between Join and the sandbox's path. */
const JOINING_SECONDS = 30;
/** Between CreateEndpoint and Join, Leave and DeleteEndpoint: fractions of a second in an engine that works. */
const FORGOTTEN_SECONDS = 600;
/** include/uapi/linux/magic.h */
const NSFS_MAGIC = 0x6e736673;
/** The namespace outlived the port, as when the record of control was lost: nobody else tells whoever runs the container. */
const CUT_OFF = 'its port is gone; if the container still runs, it has no network any more: restart it';
/** Names of ports, which are the beginnings of endpoint ids. */
const PORT_OF_ENDPOINT = /^[0-9a-f]{12}$/;

export class Collector {
  private readonly control: DockerControl;
  private readonly record: DockerRecord;
  private readonly log: Log;
  private readonly now: () => number;
  private readonly isNamespace: (path: string) => boolean;

  constructor(options: CollectorOptions) {
    this.control = options.control;
    this.record = options.record;
    this.log = options.log;
    this.now = options.now;
    this.isNamespace = options.isNamespace ?? isNetns;
  }

  /** After a start: bridges that control does not have are made again. One that cannot be is tried again when a container wants it. */
  async restore(): Promise<void> {
    for (const network of this.record.networks.values()) {
      if (bridgeOfNetwork(this.control, network.id) !== undefined) continue;
      await this.makeBridge(network).catch((error) => {
        const fields = { network: network.id, bridge: network.bridge.name, reason: reasonOf(error) };
        this.log.warn(fields, `cannot make the bridge ${network.bridge.name} of a network of Docker's`);
      });
    }
    if (this.record.isNew) this.adopt();
    else await this.removeStrangers();
    await this.collect();
  }

  /** @throws ControlError */
  async makeBridge({ id, bridge }: NetworkRecord): Promise<void> {
    await this.control.createBridge({ ...bridge, network: { engine: 'docker', id, name: null } });
  }

  /** Ends what is gone, and what nobody knows of. */
  async collect(): Promise<void> {
    await this.endGone();
    for (const network of [...this.record.networks.values()]) {
      for (const endpoint of [...network.endpoints.values()]) {
        const forgotten = endpoint.sandbox === null && this.now() - endpoint.since > FORGOTTEN_SECONDS;
        if (forgotten) await this.end(network, endpoint, 'nobody joined it');
      }
      const bridge = network.bridge.name;
      const strangers = portsOf(this.control, bridge).filter((port) => isEndpointPort(port) && !network.endpoints.has(port.name));
      for (const { name } of strangers) {
        this.log.info({ bridge, port: name }, `port ${name} of ${bridge} is of no endpoint: detached`);
        await unlessGone(this.control.detach(bridge, name));
      }
    }
  }

  /** Ends the endpoints whose namespace or port is gone. @returns whether there was one */
  async endGone(): Promise<boolean> {
    let ended = false;
    for (const network of [...this.record.networks.values()]) {
      const ports = new Set(portsOf(this.control, network.bridge.name).map(({ name }) => name));
      for (const endpoint of [...network.endpoints.values()]) {
        if (ports.has(endpoint.port) && !this.isSandboxGone(endpoint)) continue;
        if (ports.has(endpoint.port)) await this.end(network, endpoint, 'its container is gone');
        else if (endpoint.sandbox === null || this.isSandboxGone(endpoint)) await this.end(network, endpoint, 'its port is gone');
        else await this.end(network, endpoint, CUT_OFF, 'warn');
        ended = true;
      }
    }
    return ended;
  }

  /** dockerd gives an address to somebody else: the endpoint that has it is over, if its namespace is. */
  async endHolderOf(network: NetworkRecord, ip: string): Promise<void> {
    for (const endpoint of [...network.endpoints.values()]) {
      if (endpoint.ip !== ip) continue;
      const lives = endpoint.sandbox !== null && this.isNamespace(endpoint.sandbox);
      if (!lives) await this.end(network, endpoint, 'its address is given to another one');
    }
  }

  /** Unpublishes, forgets and detaches; none of it has to be there. */
  async endEndpoint(network: NetworkRecord, port: string): Promise<void> {
    const bridge = network.bridge.name;
    if (network.endpoints.has(port)) {
      await unpublishAll(this.control, bridge, port);
      network.endpoints.delete(port);
      this.record.save();
    }
    if (hasPort(this.control, bridge, port)) await unlessGone(this.control.detach(bridge, port));
  }

  private async end(
    network: NetworkRecord,
    { port }: EndpointRecord,
    why: string,
    level: 'info' | 'warn' = 'info',
  ): Promise<void> {
    const bridge = network.bridge.name;
    this.log[level]({ bridge, port }, `endpoint ${port} of ${bridge} is ended: ${why}`);
    await this.endEndpoint(network, port);
  }

  private isSandboxGone({ sandbox, since }: EndpointRecord): boolean {
    if (sandbox === null || this.now() - since < JOINING_SECONDS) return false;
    return !this.isNamespace(sandbox);
  }

  /** Bridges whose CreateNetwork or DeleteNetwork a crash interrupted. One with ports stays: they may be containers that somebody needs. */
  private async removeStrangers(): Promise<void> {
    for (const bridge of this.control.listBridges().filter(isDockers)) {
      const { name, network } = bridge;
      if (this.record.networks.has(network.id)) continue;
      const ports = portsOf(this.control, name).filter(({ kind }) => kind !== 'host');
      if (ports.length > 0) {
        this.log.warn({ bridge: name }, `bridge ${name} is of a network Docker's record does not have: it stays, for its ports`);
        continue;
      }
      this.log.info({ bridge: name }, `bridge ${name} is of no network of Docker's: removed`);
      await unlessGone(this.control.removeBridge(name));
    }
  }

  /** The record was lost: what control has of Docker is as good as can be had. Names of ports are enough to know endpoints by. */
  private adopt(): void {
    for (const bridge of this.control.listBridges().filter(isDockers)) {
      const network = adopted(bridge);
      const ports = portsOf(this.control, bridge.name).filter(isEndpointPort);
      for (const port of ports) network.endpoints.set(port.name, adoptedEndpoint(port, this.now()));
      this.record.networks.set(network.id, network);
      const fields = { bridge: bridge.name, endpoints: ports.length };
      this.log.warn(fields, `bridge ${bridge.name} is taken for Docker's network ${network.id.slice(0, 12)} without its record`);
    }
    if (this.record.networks.size > 0) this.record.save();
  }
}

type NetworkBridge = BridgeInfo & { network: NonNullable<BridgeInfo['network']> };

function isDockers(bridge: BridgeInfo): bridge is NetworkBridge {
  return bridge.network?.engine === 'docker';
}

/** Whether CreateEndpoint made it; a person who attaches a container names its process or namespace. */
function isEndpointPort({ name, container, pid }: PortInfo): boolean {
  return container?.engine === 'docker' && pid === null && PORT_OF_ENDPOINT.test(name);
}

/** What cannot be seen of a bridge is as it is without options. */
function adopted(bridge: NetworkBridge): NetworkRecord {
  const { name, subnet, gateway, mtu, ageingSeconds, fdbLimit, arpProxy, internal, icc, egressAddress, mssClamp } = bridge;
  const routed = { uplink: bridge.uplink, internal, egressAddress, mssClamp };
  const addressed = subnet === null ? {} : { subnet, ...(gateway !== null && { gateway }), ...routed };
  return {
    id: bridge.network.id,
    bridge: { name, mtu, ageingSeconds, fdbLimit, arpProxy, icc, ...addressed },
    gateway: internal ? null : gateway,
    internal,
    interfacePrefix: 'eth',
    hostBinding: null,
    subnets: subnet === null ? [] : [subnet],
    endpoints: new Map(),
  };
}

function adoptedEndpoint({ name, mac, ip, netns }: PortInfo, now: number): EndpointRecord {
  const source = sourceNameOf(name);
  return { port: name, source, mac: mac ?? '', ip, ip6: null, sandbox: netns, since: now, publishings: [] };
}

function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}
