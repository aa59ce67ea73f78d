/**
 * Docker's NetworkDriver: a network is a bridge, an endpoint is a port of it whose TAP is lent to dockerd.
 *
 *     CreateNetwork ─▶ bridge                  DeleteNetwork ─▶ gone
 *     CreateEndpoint ─▶ port, TAP at home ─▶ Join ─▶ dockerd moves the TAP, renames and configures it ─▶ Program ─▶ published
 *     Revoke ─▶ not published ─▶ Leave ─▶ TAP on its way home ─▶ DeleteEndpoint ─▶ gone
 *
 * Invariants: what was answered is on disk (docker-record.ts); a call that fails leaves nothing behind; every call may come again. What is made is
 * recorded after it is there, what is unmade before it goes: so a crash between leaves a bridge or a port nobody knows, which `Collector` finds, and
 * never a record of nothing. What control dropped meanwhile (the namespace ended) is no error: Revoke, Leave and Delete answer as if it had been there.
 * dockerd's word on addresses is the last: an endpoint that has the address of a new one, and whose namespace is gone, ends.
 *
 * Calls come one after the other (plugin-server.ts). Limits: as control's, 256 bridges and 1,024 ports.
 */
import { createHash } from 'node:crypto';
import { ControlError, orRefuse } from '../control/control-error.js';
import type { Undo } from '../control/undo.js';
import { formatIpv4, parseIpv4Cidr } from '../wire/ipv4-address.js';
import { type Collector, sourceNameOf } from './collector.js';
import { bridgeOfNetwork, type DockerControl, hasPort, unlessGone } from './docker-control.js';
import type { DockerRecord, EndpointRecord, NetworkRecord } from './docker-record.js';
import * as messages from './messages.js';
import { portNameOf } from './names.js';
import { needsNoGateway, planNetwork } from './network-plan.js';
import { checkEndpointOptions } from './options.js';
import { publishAll, unpublishAll, wantedOf } from './publishing.js';

/** Told, after a call, what somebody may want to know more of. */
export interface Followers {
  learn(network: string, endpoint?: string): void;
  forgetEndpoint(network: string, endpoint: string): void;
  forgetNetwork(network: string): void;
}

export interface NetworkDriverOptions {
  control: DockerControl;
  record: DockerRecord;
  collector: Collector;
  followers: Followers;
  /** Whether the host has an interface of this name. */
  interfaceExists: (name: string) => boolean;
  /** Seconds since 1970. */
  now: () => number;
}

const MAC_OPTION = 'com.docker.network.endpoint.macaddress';

export class NetworkDriver {
  private readonly control: DockerControl;
  private readonly record: DockerRecord;
  private readonly collector: Collector;
  private readonly followers: Followers;
  private readonly interfaceExists: (name: string) => boolean;
  private readonly now: () => number;

  constructor(options: NetworkDriverOptions) {
    this.control = options.control;
    this.record = options.record;
    this.collector = options.collector;
    this.followers = options.followers;
    this.interfaceExists = options.interfaceExists;
    this.now = options.now;
  }

  capabilities(): object {
    return { Scope: 'local', ConnectivityScope: 'local', GwAllocChecker: true };
  }

  /** IPv6 is bridged, without a gateway. */
  gatewayCheck(body: unknown): object {
    const { Options } = messages.parseRequest(messages.GwAllocCheckRequest, body);
    return { SkipIPv4: needsNoGateway(Options ?? {}), SkipIPv6: true };
  }

  async createNetwork(body: unknown, undo: Undo): Promise<object> {
    const network = planNetwork(messages.parseRequest(messages.CreateNetworkRequest, body));
    const { id } = network;
    if (this.record.networks.has(id)) await this.endNetwork(id);
    await this.collector.makeBridge(network);
    undo.add(() => unlessGone(this.control.removeBridge(network.bridge.name)));
    this.record.networks.set(id, network);
    undo.add(() => {
      this.record.networks.delete(id);
      this.record.save();
    });
    this.record.save();
    this.followers.learn(id);
    return {};
  }

  async deleteNetwork(body: unknown): Promise<object> {
    const { NetworkID } = messages.parseRequest(messages.NetworkRequest, body);
    this.followers.forgetNetwork(NetworkID);
    await this.endNetwork(NetworkID);
    return {};
  }

  async createEndpoint(body: unknown, undo: Undo): Promise<object> {
    const request = messages.parseRequest(messages.CreateEndpointRequest, body);
    const network = await this.networkOf(request.NetworkID);
    const { EndpointID: id } = request;
    const port = portNameOf(id);
    const asked = askedOf(request);
    await this.collector.endEndpoint(network, port);
    const mac = asked.mac ?? macOf(asked.ip, id);
    if (asked.ip !== null) await this.collector.endHolderOf(network, asked.ip);
    const endpoint: EndpointRecord = {
      port,
      source: this.sourceName(id),
      mac,
      ip: asked.ip,
      ip6: asked.ip6,
      sandbox: null,
      since: this.now(),
      publishings: [],
    };
    const bridge = network.bridge.name;
    await this.control.attach(bridge, {
      port,
      lent: endpoint.source,
      ip: asked.ip === null ? undefined : this.addressFor(network, asked.ip),
      mac,
      container: { engine: 'docker', id, name: null },
    });
    undo.add(() => unlessGone(this.control.detach(bridge, port)));
    network.endpoints.set(port, endpoint);
    undo.add(() => {
      network.endpoints.delete(port);
      this.record.save();
    });
    this.record.save();
    // A field that was filled in the request must not be in the answer.
    return { Interface: asked.isMacGiven ? {} : { MacAddress: mac } };
  }

  async deleteEndpoint(body: unknown): Promise<object> {
    const { NetworkID, EndpointID } = messages.parseRequest(messages.EndpointRequest, body);
    this.followers.forgetEndpoint(NetworkID, EndpointID);
    const network = this.record.networks.get(NetworkID);
    if (network !== undefined) await this.collector.endEndpoint(network, portNameOf(EndpointID));
    return {};
  }

  operInfo(body: unknown): object {
    const { NetworkID, EndpointID } = messages.parseRequest(messages.EndpointRequest, body);
    const network = this.record.networks.get(NetworkID);
    const endpoint = network?.endpoints.get(portNameOf(EndpointID));
    if (network === undefined || endpoint === undefined) return { Value: {} };
    const portMap = endpoint.publishings.map(({ protocol, port, hostAddress, chosen }) => ({
      Proto: protocol === 'tcp' ? 6 : 17,
      IP: endpoint.ip?.split('/')[0] ?? '',
      Port: port,
      HostIP: hostAddress ?? '0.0.0.0',
      HostPort: chosen,
      HostPortEnd: chosen,
    }));
    const value = {
      'com.docker.network.endpoint.macaddress': endpoint.mac,
      [messages.PORT_MAP]: portMap,
      'tapbridge.bridge': network.bridge.name,
      'tapbridge.port': endpoint.port,
      'tapbridge.interface': endpoint.source,
      'tapbridge.sandbox': endpoint.sandbox ?? '',
      'tapbridge.address': endpoint.ip ?? '',
      'tapbridge.address_ipv6': endpoint.ip6 ?? '',
      'tapbridge.gateway': network.gateway ?? '',
      'tapbridge.attached': hasPort(this.control, network.bridge.name, endpoint.port),
    };
    return { Value: value };
  }

  async join(body: unknown): Promise<object> {
    const { NetworkID, EndpointID, SandboxKey } = messages.parseRequest(messages.JoinRequest, body);
    const network = await this.networkOf(NetworkID);
    const endpoint = this.endpointOf(network, EndpointID);
    await this.control.place(network.bridge.name, endpoint.port, SandboxKey);
    endpoint.sandbox = SandboxKey;
    endpoint.since = this.now();
    this.record.save();
    this.followers.learn(NetworkID, EndpointID);
    return {
      InterfaceName: { SrcName: endpoint.source, DstPrefix: network.interfacePrefix },
      ...(network.gateway !== null && { Gateway: network.gateway }),
      // Without a gateway and without this, dockerd makes its docker_gwbridge; not for internal networks.
      DisableGatewayService: network.gateway === null && !network.internal,
    };
  }

  async leave(body: unknown): Promise<object> {
    const { NetworkID, EndpointID } = messages.parseRequest(messages.EndpointRequest, body);
    this.followers.forgetEndpoint(NetworkID, EndpointID);
    const network = this.record.networks.get(NetworkID);
    const endpoint = network?.endpoints.get(portNameOf(EndpointID));
    if (network === undefined || endpoint === undefined) return {};
    await this.revokeFrom(network, endpoint);
    endpoint.sandbox = null;
    endpoint.since = this.now();
    this.record.save();
    await unlessGone(this.control.place(network.bridge.name, endpoint.port, null));
    return {};
  }

  async program(body: unknown, undo: Undo): Promise<object> {
    const { NetworkID, EndpointID, Options } = messages.parseRequest(messages.ProgramRequest, body);
    const network = await this.networkOf(NetworkID);
    const endpoint = this.endpointOf(network, EndpointID);
    const wanted = wantedOf(Options?.[messages.PORT_MAP] ?? [], network.hostBinding);
    const bridge = network.bridge.name;
    // The role of a gateway may change without a Revoke between: what is published stays, with the ports that were chosen.
    if (sameWishes(wanted, endpoint.publishings) && this.isPublished(bridge, endpoint.port, wanted.length)) return {};
    await this.revokeFrom(network, endpoint);
    if (wanted.length === 0) return {};
    const publish = () => publishAll(this.control, bridge, endpoint.port, wanted, undo);
    try {
      endpoint.publishings = await publish();
    } catch (error) {
      // A container that is gone may still hold the port, for as long as nobody has looked.
      await undo.run();
      const isTaken = error instanceof ControlError && error.code === 'conflict';
      if (!isTaken || !(await this.collector.endGone())) throw error;
      endpoint.publishings = await publish();
    }
    undo.add(() => {
      endpoint.publishings = [];
      this.record.save();
    });
    this.record.save();
    return {};
  }

  async revoke(body: unknown): Promise<object> {
    const { NetworkID, EndpointID } = messages.parseRequest(messages.EndpointRequest, body);
    const network = this.record.networks.get(NetworkID);
    const endpoint = network?.endpoints.get(portNameOf(EndpointID));
    if (network !== undefined && endpoint !== undefined) await this.revokeFrom(network, endpoint);
    return {};
  }

  /** @throws ControlError not-found for one whose record was lost; that of control when its bridge cannot be made */
  private async networkOf(id: string): Promise<NetworkRecord> {
    const network = this.record.networks.get(id);
    if (network === undefined) {
      const what = `tapbridge does not know the network ${id.slice(0, 12)}: its record was lost`;
      throw new ControlError('not-found', what, 'remove the network and create it again');
    }
    if (bridgeOfNetwork(this.control, id) === undefined) await this.collector.makeBridge(network);
    return network;
  }

  /** @throws ControlError not-found */
  private endpointOf(network: NetworkRecord, id: string): EndpointRecord {
    const port = portNameOf(id);
    const endpoint = network.endpoints.get(port);
    if (endpoint !== undefined && hasPort(this.control, network.bridge.name, port)) return endpoint;
    const what = `tapbridge does not know the endpoint ${port}, or its interface is gone`;
    throw new ControlError('not-found', what, 'restart the container');
  }

  private async endNetwork(id: string): Promise<void> {
    const network = this.record.networks.get(id);
    const bridge = bridgeOfNetwork(this.control, id);
    if (network !== undefined) {
      this.record.networks.delete(id);
      this.record.save();
    }
    if (bridge !== undefined) await unlessGone(this.control.removeBridge(bridge.name));
  }

  private async revokeFrom(network: NetworkRecord, endpoint: EndpointRecord): Promise<void> {
    await unpublishAll(this.control, network.bridge.name, endpoint.port);
    if (endpoint.publishings.length === 0) return;
    endpoint.publishings = [];
    this.record.save();
  }

  private isPublished(bridge: string, port: string, wanted: number): boolean {
    const mine = this.control.listPublishes(bridge).filter(({ portName }) => portName === port);
    return mine.reduce((ports, { hostPort, hostPortEnd }) => ports + hostPortEnd - hostPort + 1, 0) === wanted;
  }

  /** Short enough for an interface, and nobody else's: dockerd brings the TAP back under this name. */
  private sourceName(endpointId: string): string {
    const own = new Set(
      [...this.record.networks.values()].flatMap(({ endpoints }) => [...endpoints.values()].map((one) => one.source)),
    );
    for (let number = 0; ; number++) {
      const digest = number === 0 ? endpointId : createHash('sha256').update(`${endpointId} ${number}`).digest('hex');
      const name = sourceNameOf(digest);
      if (!own.has(name) && !this.interfaceExists(name)) return name;
    }
  }

  /** As control wants it: a bridge with a subnet knows the prefix itself. */
  private addressFor(network: NetworkRecord, cidr: string): string {
    return network.bridge.subnet === undefined ? cidr : cidr.slice(0, cidr.indexOf('/'));
  }
}

interface Asked {
  ip: string | null;
  ip6: string | null;
  mac: string | null;
  /** In the field that must not be answered then. */
  isMacGiven: boolean;
}

function askedOf({ Interface, Options }: messages.CreateEndpointRequest): Asked {
  checkEndpointOptions(Options ?? {});
  const ip = Interface?.Address ?? '';
  const given = Interface?.MacAddress ?? '';
  const option = Options?.[MAC_OPTION];
  const optional = typeof option === 'string' ? Buffer.from(option, 'base64') : Buffer.alloc(0);
  const mac = given !== '' ? given : optional.length === 6 ? hexPairs(optional) : null;
  return {
    ip: ip === '' ? null : textOfCidr(ip),
    ip6: Interface?.AddressIPv6 || null,
    mac,
    isMacGiven: given !== '',
  };
}

function textOfCidr(text: string): string {
  const cidr = orRefuse('invalid', () => parseIpv4Cidr(text));
  return `${formatIpv4(cidr.address)}/${cidr.prefix}`;
}

/** From the address, so that a container keeps its MAC over restarts: its endpoint is another one each time. As Docker's own bridge does it. */
function macOf(ip: string | null, endpointId: string): string {
  if (ip === null) return `02:${hexPairs(createHash('sha256').update(endpointId).digest().subarray(0, 5))}`;
  const { address } = parseIpv4Cidr(ip);
  return `02:42:${hexPairs(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address))}`;
}

function hexPairs(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function sameWishes(wanted: readonly object[], publishings: readonly { chosen: number }[]): boolean {
  const wishes = (each: object) => JSON.stringify(each, ['protocol', 'port', 'hostAddress', 'hostPort', 'hostPortEnd']);
  if (wanted.length === 0 || wanted.length !== publishings.length) return false;
  const had = new Set(publishings.map(wishes));
  return wanted.every((each) => had.has(wishes(each)));
}
