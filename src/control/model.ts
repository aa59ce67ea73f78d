/**
 * What the API speaks about: plain data, the same in the daemon, its clients and `--json`. MAC addresses are 'aa:bb:cc:dd:ee:ff', IPv4
 * addresses '10.0.0.1', with their prefix '10.0.0.1/24'; times are seconds where not said otherwise; null means "there is none".
 */
import type { BridgeCounter, DropReason, GatewayCounter, InterfaceDrop, PortCounter } from '../core/counters.js';
import type { FaultSettings, PortFlags } from '../engine/protocol.js';
import type { PortKind } from '../port/port.js';

/** Who is behind a port, as its engine knows it. */
export interface ContainerInfo {
  engine: ContainerEngine;
  id: string;
  /** null: not learned yet, or it has none. */
  name: string | null;
}
export const CONTAINER_ENGINES = ['docker', 'podman', 'cni'] as const;
export type ContainerEngine = (typeof CONTAINER_ENGINES)[number];

/** What an engine calls a bridge. */
export interface NetworkInfo {
  engine: NetworkEngine;
  id: string;
  /** null: not learned yet. */
  name: string | null;
}
export const NETWORK_ENGINES = ['docker', 'cni'] as const;
export type NetworkEngine = (typeof NETWORK_ENGINES)[number];

export interface BridgeInfo {
  name: string;
  mtu: number;
  /** Network of the addresses given out, null for a bridge that gives none. */
  subnet: string | null;
  /** Address of the host port. */
  gateway: string | null;
  /** Of the host port. */
  mac: string;
  ageingSeconds: number;
  fdbLimit: number;
  arpProxy: boolean;
  groupForwardMask: number;
  /** Ports attached, the host port not counted. */
  ports: number;
  /** How it reaches the outside: 'auto' by the interfaces of the host's default routes, 'none', or the names of interfaces. */
  uplink: string;
  /** No way to the outside, and none from there. */
  internal: boolean;
  /** Whether its containers reach each other. */
  icc: boolean;
  /** What its flows are translated to; null: the primary address of the uplink (MASQUERADE). */
  egressAddress: string | null;
  mssClamp: MssClamp;
  rules: Rule[];
  /** What an engine calls it; null: made by hand. */
  network: NetworkInfo | null;
}

/** 'auto': where an uplink's MTU is below the bridge's. */
export type MssClamp = 'auto' | 'on' | 'off';

/** Asked once for each flow, in order; the first that matches decides, without one the flow is allowed. */
export interface Rule {
  action: 'allow' | 'deny';
  /** Seen from the containers; default both. */
  direction?: 'in' | 'out' | 'both' | undefined;
  /** 'tcp', 'udp', 'icmp' or a number; absent: any. */
  protocol?: string | undefined;
  /** Address or network of the far end; absent: any. */
  remote?: string | undefined;
  /** Destination port, '80' or '8000-8999'; absent: any. */
  ports?: string | undefined;
  /** Only for the container behind this port. */
  port?: string | undefined;
}

export interface CreateBridge {
  name: string;
  subnet?: string | undefined;
  /** Default: the first address of the subnet. */
  gateway?: string | undefined;
  /** Default 1500. */
  mtu?: number | undefined;
  /** Default 300; 0 never learns. */
  ageingSeconds?: number | undefined;
  /** Default 65,536. */
  fdbLimit?: number | undefined;
  /** Default true. */
  arpProxy?: boolean | undefined;
  /** Default 0. */
  groupForwardMask?: number | undefined;
  /** Default 'auto' with a subnet, 'none' without. Several interfaces: 'eth0,eth1'. */
  uplink?: string | undefined;
  /** Default false. */
  internal?: boolean | undefined;
  /** Default true. */
  icc?: boolean | undefined;
  /** Default null. */
  egressAddress?: string | null | undefined;
  /** Default 'auto'. */
  mssClamp?: MssClamp | undefined;
  /** Default none. */
  rules?: Rule[] | undefined;
  network?: NetworkInfo | null | undefined;
}

export interface ChangeBridge {
  mtu?: number | undefined;
  ageingSeconds?: number | undefined;
  fdbLimit?: number | undefined;
  arpProxy?: boolean | undefined;
  groupForwardMask?: number | undefined;
  uplink?: string | undefined;
  internal?: boolean | undefined;
  icc?: boolean | undefined;
  egressAddress?: string | null | undefined;
  mssClamp?: MssClamp | undefined;
  /** All of them: what is not named is gone. */
  rules?: Rule[] | undefined;
}

/** Memory ports belong to programs that run an engine of their own. */
export type DaemonPortKind = Exclude<PortKind, 'memory'>;
/**
 * up: forwarding · down: switched off here, or the interface is by its owner · ended: a replay that is through.
 */
export type PortState = 'up' | 'down' | 'ended';

/** A token bucket: what comes faster waits 25 ms of the rate at most, else it is dropped (`rx_rate_limited`, `tx_rate_limited`). */
export interface Rate {
  bitsPerSecond: number;
  /** Bytes that may come at once; super-frames of 64 KiB have to fit. */
  burstBytes: number;
}

/** Seen from the container: `in` is towards it. null: as fast as it goes. */
export interface Rates {
  in: Rate | null;
  out: Rate | null;
}

export interface PortInfo {
  name: string;
  bridge: string;
  kind: DaemonPortKind;
  state: PortState;
  /** Name of the interface, in its namespace. */
  interface: string | null;
  /** The namespace as it was named at attach: a name or a path. */
  netns: string | null;
  /** The process whose namespace it is, when it was named so. */
  pid: number | null;
  /** null: nobody said. */
  container: ContainerInfo | null;
  /** File a capture port writes or a replay port reads. */
  file: string | null;
  mac: string | null;
  /** With the prefix. */
  ip: string | null;
  mtu: number;
  flags: PortFlags;
  /** MACs it may teach, 0: as many as the table holds. */
  macLimit: number;
  /** Super-frames and unfinished checksums pass. */
  offloads: boolean;
  faults: FaultSettings | null;
  rates: Rates;
  /** What its flows are translated to; null: as the bridge has it. */
  egressAddress: string | null;
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Frames that ended at this port, in either direction, those its interface dropped before the bridge saw them (`queue_drops`) included. */
  drops: number;
}

/** Where the frames of a port come from: exactly one of these. */
export interface PortSource {
  /** A name in /run/netns, or a path with a '/' in it. */
  netns?: string | undefined;
  /** A process whose namespace is meant. */
  pid?: number | undefined;
  /** An interface of the daemon's own namespace. */
  iface?: string | undefined;
  /** A file all frames flooded or sent to this port are written to. */
  capture?: { path: string; format: 'pcap' | 'pcapng' } | undefined;
  /** A classic pcap file whose frames enter here. */
  replay?: { path: string; speed: number; loop: boolean } | undefined;
  /** Name of an interface to make in the daemon's own namespace, for a container engine to move and to configure. */
  lent?: string | undefined;
}

export interface RouteInfo {
  destination: string;
  /** Absent: on the link. */
  gateway?: string | undefined;
}

export interface AttachPort extends PortSource {
  port: string;
  /** Name inside of the namespace; default eth0. */
  ifname?: string | undefined;
  /** '10.0.0.5/24', '10.0.0.5', or 'auto'. Absent: no address. */
  ip?: string | undefined;
  /** Further ones with their prefix, IPv6 too: configured on the interface, and nothing else. */
  addresses?: string[] | undefined;
  /** Exactly these. Absent: the default route by the bridge's gateway. */
  routes?: RouteInfo[] | undefined;
  container?: ContainerInfo | null | undefined;
  /** Default: 02:42 and the IPv4 address; without one a random, locally administered one. */
  mac?: string | undefined;
  /** Default: the bridge's. */
  mtu?: number | undefined;
  flags?: { [Flag in keyof PortFlags]?: boolean | undefined } | undefined;
  macLimit?: number | undefined;
  faults?: FaultSettings | undefined;
  rates?: { [Way in keyof Rates]?: Rates[Way] | undefined } | undefined;
  egressAddress?: string | null | undefined;
}

export interface ChangePort {
  flags?: { [Flag in keyof PortFlags]?: boolean | undefined } | undefined;
  mtu?: number | undefined;
  macLimit?: number | undefined;
  /** Given fields change, others stay; null ends the faults. */
  faults?: { [Field in keyof FaultSettings]?: number | undefined } | null | undefined;
  /** Given directions change, others stay. */
  rates?: { [Way in keyof Rates]?: Rates[Way] | undefined } | undefined;
  egressAddress?: string | null | undefined;
}

export interface FdbInfo {
  mac: string;
  port: string;
  /** 0: untagged. */
  vlan: number;
  kind: 'learned' | 'static' | 'local';
  age: number;
}

export interface AddFdb {
  mac: string;
  port: string;
  vlan?: number | undefined;
}

export interface NeighborInfo {
  ip: string;
  mac: string;
  /** Where the MAC is, null when the FDB does not know. */
  port: string | null;
  kind: 'learned' | 'static';
  age: number;
}

export interface AddNeighbor {
  ip: string;
  mac: string;
}

export interface CountersInfo {
  bridge: Record<BridgeCounter, number>;
  ports: { port: string; drops: number; counters: Record<PortCounter | InterfaceDrop, number> }[];
  /** What the bridge's gateway counts. */
  gateway: Record<GatewayCounter, number>;
  /** Each reason summed over the ports. */
  drops: Record<DropReason | InterfaceDrop, number>;
}

export interface Publish {
  protocol: 'tcp' | 'udp';
  /** Address of the host, null for all of them. */
  hostAddress: string | null;
  hostPort: number;
  /** Last of the range. */
  hostPortEnd: number;
  /** The container's, for the first of the range. */
  port: number;
}

export interface PublishInfo extends Publish {
  bridge: string;
  /** Name of the port the container is behind. */
  portName: string;
  /** Who is behind it; null: nobody said. */
  container: ContainerInfo | null;
  /** Of the container. */
  address: string;
  /** What keeps the port reserved on the host and serves the host itself. */
  listening: boolean;
}

/**
 * Who keeps the host's port from other programs: the daemon opens a socket for it; or the runtime that starts the container does, after the publish is made
 * (podman does), and the daemon serves the host's own programs by that socket.
 */
export const RESERVATIONS = ['daemon', 'runtime'] as const;
export type Reservation = (typeof RESERVATIONS)[number];

export interface AddPublish {
  /** Default tcp. */
  protocol?: 'tcp' | 'udp' | undefined;
  hostAddress?: string | null | undefined;
  hostPort: number;
  /** Default: hostPort. */
  hostPortEnd?: number | undefined;
  port: number;
  portName: string;
  /** Default 'daemon'. */
  reservation?: Reservation | undefined;
}

export interface RemovePublish {
  protocol?: 'tcp' | 'udp' | undefined;
  hostAddress?: string | null | undefined;
  hostPort: number;
  hostPortEnd?: number | undefined;
}

export interface FlowEnds {
  source: string;
  destination: string;
  /** Of ICMP queries: the id. Null for protocols without. */
  sourcePort: number | null;
  destinationPort: number | null;
}

export interface FlowInfo {
  /** 'tcp', 'udp', 'icmp' or the protocol's number. */
  protocol: string;
  state: string;
  assured: boolean;
  /** As the one who opened it sends. */
  original: FlowEnds;
  /** As the answers come: shows what was translated. */
  reply: FlowEnds;
  bridge: string;
  /** Name of the container's port, null when it is gone. */
  port: string | null;
  /** Seconds until it ends without traffic. */
  timeout: number;
  age: number;
  packets: { original: number; reply: number };
  bytes: { original: number; reply: number };
}

export interface FlowQuery {
  /** Address or network of either end, before or after translation. */
  address?: string | undefined;
  port?: number | undefined;
  protocol?: string | undefined;
  state?: string | undefined;
  /** Name of the container's port. */
  portName?: string | undefined;
}

export interface FlowEvent {
  event: 'new' | 'update' | 'destroy' | 'lost';
  /** Why it ended. */
  reason?: string | undefined;
  flow?: FlowInfo | undefined;
  /** Events nobody took in time. */
  lost?: number | undefined;
}

export interface UplinkInfo {
  interface: string;
  state: 'up' | 'down';
  mac: string;
  mtu: number;
  /** All of the interface; the first one is what MASQUERADE translates to. */
  addresses: string[];
  /** What keeps translated traffic from the host's own stack. */
  guard: 'ebpf' | 'ebpf-tc' | 'classic';
  /** Bridges that use it. */
  bridges: string[];
  counters: Record<GatewayCounter, number>;
}

export interface GatewayInfo {
  filter: 'apdf' | 'adf' | 'eif';
  flows: number;
  flowLimit: number;
  mappings: number;
  mappingLimit: number;
  /** Ports in use for each address and protocol. */
  pools: { address: string; protocol: string; used: number; size: number }[];
  timeouts: Record<string, number>;
}

export interface CaptureOptions {
  /** Only this port, both directions. Absent: what every port receives, and what the bridge itself makes. */
  port?: string | undefined;
  /** Bytes kept of a frame; default 262,144: all. */
  snapLength?: number | undefined;
  /** Ends after so many frames. */
  count?: number | undefined;
  /** Ends after so many seconds. */
  duration?: number | undefined;
}

/** fail: the daemon cannot do its work · warn: it does, but not all that was asked of it is there. */
export const HEALTH_STATES = ['ok', 'warn', 'fail'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

export interface HealthCheck {
  name: string;
  status: HealthState;
  /** What was found, as a sentence without a full stop. */
  message: string;
}

export interface HealthInfo {
  /** The worst of the checks. */
  status: HealthState;
  checks: HealthCheck[];
}

export interface VersionInfo {
  version: string;
  node: string;
  kernel: string;
  pid: number;
}
