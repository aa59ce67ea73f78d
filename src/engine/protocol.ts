/**
 * What the main thread and the engine say to each other. Commands travel over a MessagePort the engine reads between two passes
 * (woken through its eventfd, since its event loop does not turn); each is answered by number. Bridges and ports are named here by
 * small integers the main thread hands out: the engine knows no names.
 */
import type { BridgeOptions } from '../bridge/bridge.js';
import type { BridgeMemory } from '../bridge/sharing.js';
import { UPLINK_COUNT } from '../gateway/zones.js';
import type { FaultSettings } from '../port/fault-settings.js';
import type { ReplayFrames } from '../port/replay-frames.js';
import type { MacAddress } from '../wire/mac-address.js';

/** Bridges of one engine at most. */
export const MAX_BRIDGES = 256;
/** Ports of one engine at most, when it is not started with another number. */
export const DEFAULT_MAX_PORTS = 1024;

/** Engine threads of one daemon at most. */
export const MAX_THREADS = 16;

/** Uplinks of one engine at most. */
export const MAX_UPLINKS = UPLINK_COUNT;

export type { FaultSettings };
export type BridgeSettings = BridgeOptions;

export interface PortFlags {
  up: boolean;
  learning: boolean;
  floodUnicast: boolean;
  floodMulticast: boolean;
  floodBroadcast: boolean;
  /** Frames may leave through the port they came from. */
  hairpin: boolean;
  /** No traffic to other isolated ports. */
  isolated: boolean;
  /** Only sources the FDB holds on this port may send, set or learned before; nothing new is learned. */
  locked: boolean;
  /** A port with a known IPv4 address sends IPv4 and ARP from no other one. */
  sourceGuard: boolean;
}

/** Which of several engine threads this is. The first is the keeper of the tables. */
export interface ThreadPlace {
  index: number;
  count: number;
  /** A HandoverRing for each thread but the keeper, in their order: frames for the gateway. Absent: these threads do not route. */
  handover?: readonly SharedArrayBuffer[];
  /** Token buckets of all ports (rates.ts), when there are several threads. */
  buckets?: SharedArrayBuffer;
}

/**
 * How the engine makes the port. Descriptors stay the main thread's; the engine works on duplicates. `queues` are the descriptors of the second
 * and further engine threads: queues of the same TAP, sockets of the same fanout group.
 */
export type PortSpec =
  | {
      kind: 'tap' | 'host' | 'packet';
      descriptor: number;
      queues?: readonly number[];
      vnetHeader: boolean;
      udpSegmentation: boolean;
    }
  /** `ring` is that of the CaptureFile the main thread writes from. */
  | { kind: 'capture'; ring: SharedArrayBuffer; snapLength: number }
  /** `speed` 1 = as recorded, 0 = as fast as the bridge takes them. */
  | { kind: 'replay'; frames: ReplayFrames; speed: number; loop: boolean };

/** Token buckets of a port, seen from the container: `in` is towards it. */
export interface RateSettings {
  in: { bitsPerSecond: number; burstBytes: number } | null;
  out: { bitsPerSecond: number; burstBytes: number } | null;
}

export interface PortSettings {
  bridge: number;
  spec: PortSpec;
  flags: PortFlags;
  mtu: number;
  /** MACs this port may teach; 0: as many as the table holds. */
  macLimit: number;
  /** The address the port was attached with: a static FDB entry and, with an IP (int32), a permanent neighbor. */
  address: { mac: MacAddress; ip: number | null } | null;
  /** The gateway's own port: frames for its MAC go nowhere else, and nobody else may send from it. */
  local: boolean;
  faults: FaultSettings | null;
  /** Absent: no limits. */
  rates?: RateSettings;
}

export interface FdbRow {
  mac: MacAddress;
  vlan: number;
  port: number;
  kind: 'learned' | 'static' | 'local';
  /** Seconds since the source was last seen; 0 for static and local ones. */
  age: number;
}

/** What the tables of a bridge hold. */
export interface TableUse {
  bridge: number;
  /** Static and local entries too, those included that have expired and are not swept yet. */
  fdb: number;
  neighbors: number;
}

export interface NeighborRow {
  ip: number;
  mac: MacAddress;
  kind: 'learned' | 'static';
  /** Seconds since it was last confirmed; 0 for static ones. */
  age: number;
}

export interface CaptureSettings {
  bridge: number;
  /** Only this port, both directions; -1: what every port receives, and what the bridge itself makes. */
  port: number;
  /** Bytes kept of a frame. */
  snapLength: number;
  /** Memory of a frame ring (core/frame-ring) the main thread reads. */
  ring: SharedArrayBuffer;
}

/** A port out of the host that the gateway sends through; never a member of a bridge. */
export interface UplinkSettings {
  spec: Extract<PortSpec, { kind: 'tap' | 'host' | 'packet' }>;
  mac: MacAddress;
  mtu: number;
  /** Primary address (int32) of the interface: what MASQUERADE translates to, source of its ARP requests; 0: none at present. */
  address: number;
  /** Further addresses of the interface, that SNAT and publishes may name. */
  addresses: number[];
  up: boolean;
}

/** The routed side of a bridge. */
export interface GatewaySettings {
  /** Port number of the host port: what is for the host itself goes there. */
  hostPort: number;
  mac: MacAddress;
  /** Gateway address, int32. */
  address: number;
  network: number;
  prefix: number;
  mtu: number;
  /** Uplink to use, whatever the other routes say; -1: the best route over all uplinks; MAX_UPLINKS: none, its own is not open. */
  uplink: number;
  /** No way out, no way in. */
  internal: boolean;
  /** SNAT to this address instead of the uplink's primary one; 0: MASQUERADE. */
  egressAddress: number;
  /** Lower the MSS option of TCP to what the uplink takes (R24): 'auto' where the uplink's MTU is below the bridge's. */
  mssClamp: 'auto' | 'on' | 'off';
  rules: PolicyRule[];
}

/** Asked once for each flow, first match decides; without a match the flow is allowed. */
export interface PolicyRule {
  action: 'allow' | 'deny';
  /** Seen from the containers. */
  direction: 'in' | 'out' | 'both';
  /** IP protocol number, 0 for any. */
  protocol: number;
  /** Of the far end. */
  network: number;
  prefix: number;
  /** Destination port, both ends included; 0 and 65535 for any. */
  portLow: number;
  portHigh: number;
  /** Only for the container behind this port; -1: the whole bridge. */
  port: number;
}

/** What holds for all bridges of the engine. */
export interface NatSettings {
  /** Who may answer a mapping: 'apdf' only whom it was opened to, 'adf' other ports of that host, 'eif' anybody (RFC 4787, REQ-8). */
  filter: 'apdf' | 'adf' | 'eif';
  /** Ports SNAT hands out, inclusive pairs. */
  ranges: readonly (readonly [number, number])[];
  /** Seconds by timeout class; those absent stay. */
  timeouts: Record<string, number>;
  /** Segments in the middle of an unknown connection open a flow (C10). */
  loose: boolean;
  /** TCP windows are not checked (C17). */
  liberal: boolean;
}

/** A file of flow rows (control/flow-file.ts); its descriptor stays the main thread's, and may be closed when the command is answered. */
export interface FlowFileSettings {
  descriptor: number;
  /** Where the rows begin; the file is no shorter than `at` and `FlowTable.rowBytesFor`. */
  at: number;
  /** Whether there are flows in it. */
  adopt: boolean;
}

export interface RouteRow {
  network: number;
  prefix: number;
  /** Next hop, 0: on the link. */
  gateway: number;
  metric: number;
  type: 'unicast' | 'unreachable' | 'blackhole' | 'prohibit';
  /** -1 for a route over no uplink of ours: those of type unicast are then "no route". */
  uplink: number;
  /** 0: the uplink's. */
  mtu: number;
}

export interface PublishSettings {
  /** Handed out by the main thread. */
  id: number;
  bridge: number;
  protocol: 'tcp' | 'udp';
  /** 0: every address of the host. */
  hostAddress: number;
  hostPort: number;
  /** Ports in a row from `hostPort` on. */
  count: number;
  address: number;
  port: number;
  /** Port number of the container: its end ends the publish. */
  owner: number;
}

/** All given fields must match. Addresses match either end, before or after translation. */
export interface FlowFilter {
  address?: number;
  /** Bits of the network `address` stands for; default 32. */
  prefix?: number;
  /** Any of the ports of either tuple. */
  port?: number;
  /** IP protocol number. */
  protocol?: number;
  /** As `FlowRow.state`. */
  state?: string;
  bridge?: number;
  /** Port number of the container. */
  owner?: number;
  publish?: number;
}

export interface FlowTuple {
  source: number;
  destination: number;
  /** The query id for ICMP. */
  sourcePort: number;
  destinationPort: number;
}

export interface FlowRow {
  protocol: number;
  /** TCP's state, 'unreplied' or 'replied' for others. */
  state: string;
  assured: boolean;
  original: FlowTuple;
  reply: FlowTuple;
  bridge: number;
  owner: number;
  /** Seconds until it ends without traffic. */
  timeout: number;
  /** Seconds since it was opened. */
  age: number;
  packets: [number, number];
  bytes: [number, number];
}

/** Use of the gateway's tables. */
export interface GatewayUse {
  flows: number;
  flowLimit: number;
  mappings: number;
  mappingLimit: number;
  neighbors: number;
  fragments: number;
  /** For each outer address and protocol in use. */
  pools: { address: number; protocol: 'tcp' | 'udp' | 'icmp'; used: number; size: number }[];
}

/** Each command with its answer. Memory is what several engine threads share; with one thread there is none. */
export interface Commands {
  'add-bridge': [{ bridge: number; settings: BridgeSettings; memory?: BridgeMemory }, null];
  /** `memory`: of a larger FDB, for a limit the one there is does not hold. */
  'set-bridge': [{ bridge: number; settings: Partial<BridgeSettings>; memory?: SharedArrayBuffer }, null];
  'remove-bridge': [{ bridge: number }, null];
  /** `keepCounters`: the port had this number before (its interface came back), and goes on counting. */
  /** Ports that are added from now on are not read until `release`, so that no frame comes before the port it is for. */
  hold: [Record<string, never>, null];
  /** Answers with the ports that cannot be read. */
  release: [Record<string, never>, { failed: { port: number; errno: number }[] }];
  'add-port': [{ port: number; settings: PortSettings; keepCounters?: boolean }, null];
  'set-port': [
    {
      port: number;
      flags?: Partial<PortFlags>;
      mtu?: number;
      macLimit?: number;
      faults?: FaultSettings | null;
      rates?: RateSettings;
    },
    null,
  ];
  'remove-port': [{ port: number }, null];
  'list-fdb': [{ bridge: number }, FdbRow[]];
  'add-fdb': [{ bridge: number; vlan: number; mac: MacAddress; port: number }, null];
  'remove-fdb': [{ bridge: number; vlan: number; mac: MacAddress }, boolean];
  'flush-fdb': [{ bridge: number }, number];
  'list-neighbors': [{ bridge: number }, NeighborRow[]];
  'table-use': [Record<string, never>, TableUse[]];
  'add-neighbor': [{ bridge: number; ip: number; mac: MacAddress }, null];
  'remove-neighbor': [{ bridge: number; ip: number }, boolean];
  'start-capture': [{ capture: number; settings: CaptureSettings }, null];
  'stop-capture': [{ capture: number }, { lost: number }];
  /**
   * Opens the gateway: flow table, mappings, guard. Once, before any other of the commands below. `guard`: descriptor of the guard's map, -1: none.
   * With `flowFile` the flows outlive the process. Answers how many were taken over; with `adopt` nothing is routed until `flows-restored`.
   */
  'open-gateway': [
    { flowLimit: number; flowShare: number; guard: number; settings: NatSettings; flowFile?: FlowFileSettings },
    { flows: number },
  ];
  /** Bridges, ports, uplinks, routes and publishes are made again: flows of what is missing end. */
  'flows-restored': [Record<string, never>, { ended: number }];
  /** Nothing is routed any more, and no flow ends by what follows: they are left as they are, for the next daemon. */
  'leave-gateway': [Record<string, never>, null];
  'set-nat': [{ settings: Partial<NatSettings> }, null];
  /** Ports of the host that are never handed out: what it listens on. */
  'set-reserved': [{ protocol: 'tcp' | 'udp'; ports: Uint16Array<ArrayBufferLike> }, null];
  'add-uplink': [{ uplink: number; port: number; settings: UplinkSettings }, null];
  /** A new address ends the flows of the old one (N21), `up: false` all of the uplink. */
  'set-uplink': [{ uplink: number; settings: Partial<Omit<UplinkSettings, 'spec'>> }, null];
  'remove-uplink': [{ uplink: number }, null];
  /** The whole table, and all addresses of the host: what is for them is delivered to it. */
  'set-routes': [{ routes: RouteRow[]; locals: Int32Array; broadcasts: Int32Array }, null];
  /** null: what is for the gateway's MAC goes to the host's own stack, as on any bridge. */
  'set-gateway': [{ bridge: number; settings: GatewaySettings | null }, null];
  'add-publish': [{ settings: PublishSettings }, null];
  /** Ends its flows, too. */
  'remove-publish': [{ id: number }, null];
  /** SNAT address of one container; 0: the bridge's choice. */
  'set-egress': [{ port: number; address: number }, null];
  /** A page of at most `limit` rows from row number `from` on; `next` is -1 at the end. */
  'list-flows': [{ filter: FlowFilter; from: number; limit: number }, { flows: FlowRow[]; next: number }];
  /** The same way, in pages: how many ended. */
  'flush-flows': [{ filter: FlowFilter; from: number; limit: number }, { ended: number; next: number }];
  /** Events go to this ring (conntrack/flow-events); null: nobody listens. */
  'watch-flows': [{ ring: SharedArrayBuffer | null }, null];
  'gateway-use': [Record<string, never>, GatewayUse];
  stop: [Record<string, never>, null];
}
export type CommandName = keyof Commands;
export type CommandArguments<Name extends CommandName> = Commands[Name][0];
export type CommandAnswer<Name extends CommandName> = Commands[Name][1];

/** What the engine tells unasked; bounded per second, so a flood of frames is no flood of messages. */
export type EngineEvent =
  | { event: 'port-failed'; port: number; errno: number }
  | { event: 'replay-ended'; port: number }
  | {
      event: 'fdb-moved';
      bridge: number;
      mac: MacAddress;
      vlan: number;
      from: number;
      to: number;
      /** Moves of this MAC in the last second. */
      times: number;
    }
  | { event: 'fdb-full'; bridge: number }
  | { event: 'arp-conflict'; bridge: number; ip: number; claimed: MacAddress }
  | { event: 'captured'; capture: number }
  /** A table of the gateway is more than 80 % full, or again below 70 %. */
  | {
      event: 'gateway-pressure';
      table: 'flows' | 'mappings' | 'pool';
      address: number;
      used: number;
      size: number;
      relieved: boolean;
    }
  | { event: 'flow-events'; lost: number };

export const DEFAULT_BRIDGE_SETTINGS: BridgeSettings = {
  ageingSeconds: 300,
  fdbLimit: 65_536,
  arpProxy: true,
  subnet: null,
  groupForwardMask: 0,
};

export const DEFAULT_PORT_FLAGS: PortFlags = {
  up: true,
  learning: true,
  floodUnicast: true,
  floodMulticast: true,
  floodBroadcast: true,
  hairpin: false,
  isolated: false,
  locked: false,
  sourceGuard: true,
};
