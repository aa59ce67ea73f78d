/**
 * What the API speaks about: plain data, the same in the daemon, its clients and `--json`. MAC addresses are 'aa:bb:cc:dd:ee:ff', IPv4
 * addresses '10.0.0.1', with their prefix '10.0.0.1/24'; times are seconds where not said otherwise; null means "there is none".
 */
import type { BridgeCounter, DropReason, InterfaceDrop, PortCounter } from '../core/counters.js';
import type { FaultSettings, PortFlags } from '../engine/protocol.js';
import type { PortKind } from '../port/port.js';

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
}

export interface ChangeBridge {
  mtu?: number | undefined;
  ageingSeconds?: number | undefined;
  fdbLimit?: number | undefined;
  arpProxy?: boolean | undefined;
  groupForwardMask?: number | undefined;
}

/** Memory ports belong to programs that run an engine of their own. */
export type DaemonPortKind = Exclude<PortKind, 'memory'>;
/**
 * up: forwarding · down: switched off here, or the interface is by its owner · ended: a replay that is through.
 */
export type PortState = 'up' | 'down' | 'ended';

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
}

export interface AttachPort extends PortSource {
  port: string;
  /** Name inside of the namespace; default eth0. */
  ifname?: string | undefined;
  /** '10.0.0.5/24', '10.0.0.5', or 'auto'. Absent: no address. */
  ip?: string | undefined;
  /** Default: a random, locally administered one. */
  mac?: string | undefined;
  /** Default: the bridge's. */
  mtu?: number | undefined;
  flags?: { [Flag in keyof PortFlags]?: boolean | undefined } | undefined;
  macLimit?: number | undefined;
  faults?: FaultSettings | undefined;
}

export interface ChangePort {
  flags?: { [Flag in keyof PortFlags]?: boolean | undefined } | undefined;
  mtu?: number | undefined;
  macLimit?: number | undefined;
  /** Given fields change, others stay; null ends the faults. */
  faults?: { [Field in keyof FaultSettings]?: number | undefined } | null | undefined;
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
  /** Each reason summed over the ports. */
  drops: Record<DropReason | InterfaceDrop, number>;
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

export interface VersionInfo {
  version: string;
  node: string;
  kernel: string;
  pid: number;
}
