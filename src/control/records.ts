/** What the daemon remembers of a bridge and of a port, and how the API shows it. */
import { type CounterView, DROP_REASONS, type DropReason, PORT, type PortCounter } from '../core/counters.js';
import type { BridgeSettings, FaultSettings, PortFlags } from '../engine/protocol.js';
import type { CaptureFile } from '../port/capture-file.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { formatMac, type MacAddress } from '../wire/mac-address.js';
import type { AddressPool } from './address-pool.js';
import type { Listening } from './host-listener.js';
import type {
  BridgeInfo,
  ContainerInfo,
  DaemonPortKind,
  NetworkInfo,
  PortInfo,
  PortState,
  Rates,
  Reservation,
  RouteInfo,
} from './model.js';
import { addressText, type Routing } from './routing.js';

export interface PortRecord {
  /** The engine's. */
  number: number;
  name: string;
  kind: DaemonPortKind;
  state: PortState;
  /** As it was made; a container may have renamed it. */
  interface: string | null;
  /** Of an interface in the daemon's own namespace, -1 otherwise. */
  index: number;
  netns: string | null;
  pid: number | null;
  container: ContainerInfo | null;
  /** An engine moves and configures it. `netns` is then where it moved it to, as it says; null: the interface is at home. */
  lent: boolean;
  /** Further addresses of the interface, not the bridge's business. */
  addresses: readonly string[];
  /** null: the default route by the bridge's gateway. */
  routes: readonly RouteInfo[] | null;
  /** 'device:inode' of the namespace. */
  identity: string | null;
  file: { path: string; format: 'pcap' | 'pcapng' } | { path: string; speed: number; loop: boolean } | null;
  mac: MacAddress | null;
  /** Whether the MAC is registered with the bridge as this port's (it is only shown for an interface with others behind it). */
  owned: boolean;
  ip: { address: number; prefix: number } | null;
  mtu: number;
  flags: PortFlags;
  macLimit: number;
  faults: FaultSettings | null;
  rates: Rates;
  /** What its flows are translated to, int32; 0: as the bridge has it. */
  egressAddress: number;
  offloads: boolean;
  udpSegmentation: boolean;
  /** Ours, -1 for a file; the engine works on a duplicate. */
  descriptor: number;
  /** It was opened inside of its namespace and keeps that alive (namespace-watch.ts). */
  held: boolean;
  /** Further queues, one for each engine thread behind the first. */
  queues: readonly number[];
  /** What a capture port writes through. */
  writer: CaptureFile | null;
  /** As interface-status.ts last saw it. null: as it was made. */
  presentName: string | null;
  /** True where nobody looks. */
  interfaceUp: boolean;
  /** Drops of the interface's own queue, and of those the port had before. */
  queueDrops: number;
  queueDropsBefore: number;
}

export interface BridgeRecord {
  number: number;
  name: string;
  mtu: number;
  mac: MacAddress;
  pool: AddressPool | null;
  settings: BridgeSettings;
  routing: Routing;
  publishes: PublishRecord[];
  host: PortRecord;
  /** By name, in the order they were attached; the host port is not among them. */
  ports: Map<string, PortRecord>;
  /** What a user added: ports and gateway register theirs by themselves. */
  fdb: { mac: MacAddress; vlan: number; port: string }[];
  neighbors: { ip: number; mac: MacAddress }[];
  network: NetworkInfo | null;
}

export interface PublishRecord {
  /** The engine's number. */
  id: number;
  protocol: 'tcp' | 'udp';
  /** int32; 0: every address of the host. */
  hostAddress: number;
  hostPort: number;
  /** Ports in a row. */
  count: number;
  /** The container's. */
  port: PortRecord;
  /** Of the container, for the first of the range. */
  innerPort: number;
  reservation: Reservation;
  /** How often a socket of the runtime was looked for. */
  looks: number;
  /** null: the port was taken when it was restored, or the runtime's socket is not there yet. */
  listener: Pick<Listening, 'close'> | null;
}

export const NO_RATES: Rates = { in: null, out: null };

/** Of a port whose interface nobody has looked at yet. */
export const FRESH_INTERFACE = { presentName: null, interfaceUp: true, queueDrops: 0, queueDropsBefore: 0 };

export const DROPS = Object.keys(DROP_REASONS) as DropReason[];

export function macText(mac: MacAddress): string {
  return formatMac(mac.high, mac.low);
}

export function sameMac(a: MacAddress, b: MacAddress): boolean {
  return a.high === b.high && a.low === b.low;
}

export function cidrText(ip: { address: number; prefix: number }): string {
  return `${formatIpv4(ip.address)}/${ip.prefix}`;
}

/** The flags in force: containers of a bridge without icc are all isolated, whatever each was given. */
export function portFlags(bridge: BridgeRecord, port: PortRecord): PortFlags {
  const isolated = port.flags.isolated || (!bridge.routing.icc && port.kind !== 'host');
  return { ...port.flags, isolated };
}

export function queueDropsOf(port: PortRecord): number {
  return port.queueDropsBefore + port.queueDrops;
}

export function dropsOf(counters: CounterView<PortCounter>, port: PortRecord): number {
  return DROPS.reduce((sum, reason) => sum + counters.get(port.number, PORT[reason]), queueDropsOf(port));
}

export function bridgeInfo(bridge: BridgeRecord): BridgeInfo {
  const { settings, routing } = bridge;
  return {
    name: bridge.name,
    mtu: bridge.mtu,
    subnet: bridge.pool === null ? null : bridge.pool.subnet.toString(),
    gateway: bridge.pool === null ? null : formatIpv4(bridge.pool.gateway),
    mac: macText(bridge.mac),
    ageingSeconds: settings.ageingSeconds,
    fdbLimit: settings.fdbLimit,
    arpProxy: settings.arpProxy,
    groupForwardMask: settings.groupForwardMask,
    ports: bridge.ports.size,
    uplink: routing.uplink,
    internal: routing.internal,
    icc: routing.icc,
    egressAddress: addressText(routing.egressAddress),
    mssClamp: routing.mssClamp,
    rules: routing.rules.map((rule) => ({ ...rule })),
    network: bridge.network === null ? null : { ...bridge.network },
  };
}

export function portInfo(bridge: BridgeRecord, port: PortRecord, counters: CounterView<PortCounter>): PortInfo {
  const count = (name: PortCounter) => counters.get(port.number, PORT[name]);
  return {
    name: port.name,
    bridge: bridge.name,
    kind: port.kind,
    state: port.state === 'up' && !(port.flags.up && port.interfaceUp) ? 'down' : port.state,
    interface: port.presentName ?? port.interface,
    netns: port.netns,
    pid: port.pid,
    container: port.container === null ? null : { ...port.container },
    file: port.file === null ? null : port.file.path,
    mac: port.mac === null ? null : macText(port.mac),
    ip: port.ip === null ? null : cidrText(port.ip),
    mtu: port.mtu,
    flags: portFlags(bridge, port),
    macLimit: port.macLimit,
    offloads: port.offloads,
    faults: port.faults === null ? null : { ...port.faults },
    rates: port.rates,
    egressAddress: addressText(port.egressAddress),
    rxFrames: count('rx_frames'),
    rxBytes: count('rx_bytes'),
    txFrames: count('tx_frames'),
    txBytes: count('tx_bytes'),
    drops: dropsOf(counters, port),
  };
}
