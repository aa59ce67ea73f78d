/**
 * What the main thread and the engine say to each other. Commands travel over a MessagePort the engine reads between two passes
 * (woken through its eventfd, since its event loop does not turn); each is answered by number. Bridges and ports are named here by
 * small integers the main thread hands out: the engine knows no names.
 */
import type { BridgeOptions } from '../bridge/bridge.js';
import type { BridgeMemory } from '../bridge/sharing.js';
import type { FaultSettings } from '../port/fault-direction.js';
import type { ReplayFrames } from '../port/replay-frames.js';
import type { MacAddress } from '../wire/mac-address.js';

/** Bridges of one engine at most. */
export const MAX_BRIDGES = 256;
/** Ports of one engine at most, when it is not started with another number. */
export const DEFAULT_MAX_PORTS = 1024;

/** Engine threads of one daemon at most. */
export const MAX_THREADS = 16;

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
}

/** Which of several engine threads this is. The first is the keeper of the tables. */
export interface ThreadPlace {
  index: number;
  count: number;
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
}

export interface FdbRow {
  mac: MacAddress;
  vlan: number;
  port: number;
  kind: 'learned' | 'static' | 'local';
  /** Seconds since the source was last seen; 0 for static and local ones. */
  age: number;
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

/** Each command with its answer. Memory is what several engine threads share; with one thread there is none. */
export interface Commands {
  'add-bridge': [{ bridge: number; settings: BridgeSettings; memory?: BridgeMemory }, null];
  /** `memory`: of a larger FDB, for a limit the one there is does not hold. */
  'set-bridge': [{ bridge: number; settings: Partial<BridgeSettings>; memory?: SharedArrayBuffer }, null];
  'remove-bridge': [{ bridge: number }, null];
  /** `keepCounters`: the port had this number before (its interface came back), and goes on counting. */
  'add-port': [{ port: number; settings: PortSettings; keepCounters?: boolean }, null];
  'set-port': [
    { port: number; flags?: Partial<PortFlags>; mtu?: number; macLimit?: number; faults?: FaultSettings | null },
    null,
  ];
  'remove-port': [{ port: number }, null];
  'list-fdb': [{ bridge: number }, FdbRow[]];
  'add-fdb': [{ bridge: number; vlan: number; mac: MacAddress; port: number }, null];
  'remove-fdb': [{ bridge: number; vlan: number; mac: MacAddress }, boolean];
  'flush-fdb': [{ bridge: number }, number];
  'list-neighbors': [{ bridge: number }, NeighborRow[]];
  'add-neighbor': [{ bridge: number; ip: number; mac: MacAddress }, null];
  'remove-neighbor': [{ bridge: number; ip: number }, boolean];
  'start-capture': [{ capture: number; settings: CaptureSettings }, null];
  'stop-capture': [{ capture: number }, { lost: number }];
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
  | { event: 'captured'; capture: number };

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
};
