/** What the parts of the control plane share. */
import type { Binding } from '../native/binding.js';
import type { Netlink } from '../netlink/netlink.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import type { CaptureSession } from './capture-session.js';
import { ControlError } from './control-error.js';
import type { EngineLink } from './engine-link.js';
import type { Gateway } from './gateway.js';
import type { HostChanges } from './host-changes.js';
import type { Log } from './log.js';
import type { Numbers } from './numbers.js';
import { savedPublish } from './publishes.js';
import { type BridgeRecord, cidrText, macText, type PortRecord } from './records.js';
import { addressText } from './routing.js';
import type { SavedBridge, SavedPort, StateStore } from './state-store.js';
import type { Workshop } from './workshop.js';

export interface ControlContext {
  readonly binding: Binding;
  readonly engine: EngineLink;
  readonly log: Log;
  /** Of the daemon's own namespace. */
  readonly netlink: Netlink;
  /** Identity of that namespace. */
  readonly here: string;
  /** Where interfaces of containers are made. */
  readonly workshop: Workshop;
  readonly changes: HostChanges;
  readonly store: StateStore | null;
  /** What the aliases of its interfaces begin with (interface-alias.ts). */
  readonly instance: string;
  readonly bridgeNumbers: Numbers;
  readonly portNumbers: Numbers;
  readonly bridges: Map<string, BridgeRecord>;
  /** What the record goes on saying while it is being restored: what was not looked at yet must not be forgotten by a crash. null: what there is. */
  restoring: SavedBridge[] | null;
  /** Running ones, by number. */
  readonly captures: Map<number, CaptureSession>;
  /** Host ports among them. */
  readonly ports: Map<number, { bridge: BridgeRecord; port: PortRecord }>;
  /** Set once, right after the context is made, of which it is a part. */
  gateway: Gateway;
}

/**
 * A bridge by its own name, which wins; else by what an engine calls it: the name or the id of its network, or a beginning of the id.
 * @throws ControlError not-found, with the names there are; conflict when an engine's name means several
 */
export function bridgeOf(context: ControlContext, name: string): BridgeRecord {
  const bridges = [...context.bridges.values()];
  const bridge = context.bridges.get(name) ?? onlyOne(bridges, name, ({ network }) => network, 'network');
  if (bridge !== undefined) return bridge;
  const names = bridges.slice(0, SHOWN_NAMES).map((each) => withName(each.name, each.network));
  const hint = names.length === 0 ? `make it: tapbridge create ${name}` : `there are: ${names.join(', ')}`;
  throw new ControlError('not-found', `no such bridge: ${name}`, hint);
}

/**
 * A port by its own name, which wins; else by the name or the id of its container, or a beginning of the id. The host port goes by the bridge's
 * name.
 * @throws ControlError not-found, with the names there are; conflict when a container has several ports
 */
export function portOf(bridge: BridgeRecord, name: string): PortRecord {
  const own = name === bridge.name ? bridge.host : bridge.ports.get(name);
  const port = own ?? onlyOne([...bridge.ports.values()], name, ({ container }) => container, 'container');
  if (port !== undefined) return port;
  const names = [bridge.name, ...[...bridge.ports.values()].map((each) => withName(each.name, each.container))];
  const hint = `there are: ${names.slice(0, SHOWN_NAMES).join(', ')}`;
  throw new ControlError('not-found', `bridge ${bridge.name} has no port ${name}`, hint);
}

const SHOWN_NAMES = 20;
/** Shorter ones may mean anybody; engines print 12 digits. */
const SHORTEST_ID = 12;

interface Label {
  id: string;
  name: string | null;
}

/** 'tb-4f1c (mynet)': its own name, and what an engine calls it. */
export function withName(name: string, label: Label | null): string {
  return label?.name ? `${name} (${label.name})` : name;
}

function onlyOne<T extends { name: string }>(
  all: readonly T[],
  name: string,
  labelOf: (each: T) => Label | null,
  what: string,
): T | undefined {
  const isMeant = (each: T): boolean => {
    const label = labelOf(each);
    if (label === null) return false;
    return label.name === name || label.id === name || (name.length >= SHORTEST_ID && label.id.startsWith(name));
  };
  const meant = all.filter(isMeant);
  if (meant.length > 1) {
    const names = meant.map((each) => each.name).join(', ');
    throw new ControlError('conflict', `several have the ${what} ${name}: ${names}`, 'say which by its own name');
  }
  return meant[0];
}

/** What an interface of the host is to a bridge already, as the end of a sentence. */
export function portAt(context: ControlContext, index: number): string | undefined {
  for (const { bridge, port } of context.ports.values()) {
    if (port.index !== index) continue;
    return port.kind === 'host' ? `the host port of bridge ${bridge.name}` : `port ${port.name} of bridge ${bridge.name} already`;
  }
  return undefined;
}

/** Writes the record of what there is. */
export function save(context: ControlContext): void {
  const bridges = context.restoring ?? [...context.bridges.values()].map(savedBridge);
  context.store?.save(bridges, context.changes.list, context.gateway.savedUplinks());
}

function savedBridge(bridge: BridgeRecord): SavedBridge {
  const { settings, routing } = bridge;
  return {
    name: bridge.name,
    mtu: bridge.mtu,
    mac: macText(bridge.mac),
    subnet: bridge.pool === null ? null : bridge.pool.subnet.toString(),
    gateway: bridge.pool === null ? null : formatIpv4(bridge.pool.gateway),
    ageingSeconds: settings.ageingSeconds,
    fdbLimit: settings.fdbLimit,
    arpProxy: settings.arpProxy,
    groupForwardMask: settings.groupForwardMask,
    uplink: routing.uplink,
    internal: routing.internal,
    icc: routing.icc,
    egressAddress: addressText(routing.egressAddress),
    mssClamp: routing.mssClamp,
    rules: routing.rules,
    publishes: bridge.publishes.map(savedPublish),
    // A replay that is through is not begun again.
    ports: [...bridge.ports.values()].filter(({ state }) => state !== 'ended').map(savedPort),
    fdb: bridge.fdb.map(({ mac, vlan, port }) => ({ mac: macText(mac), vlan, port })),
    neighbors: bridge.neighbors.map(({ ip, mac }) => ({ ip: formatIpv4(ip), mac: macText(mac) })),
    number: bridge.number,
    hostNumber: bridge.host.number,
    network: bridge.network,
  };
}

function savedPort(port: PortRecord): SavedPort {
  const packet = port.kind === 'packet';
  return {
    name: port.name,
    netns: port.netns,
    pid: port.pid,
    identity: port.identity,
    iface: packet ? port.interface : null,
    ifname: packet ? null : port.interface,
    capture: port.file !== null && 'format' in port.file ? port.file : null,
    replay: port.file !== null && 'speed' in port.file ? port.file : null,
    mac: port.mac !== null && port.owned ? macText(port.mac) : null,
    ip: port.ip === null ? null : cidrText(port.ip),
    mtu: port.mtu,
    flags: port.flags,
    macLimit: port.macLimit,
    faults: port.faults,
    egressAddress: addressText(port.egressAddress),
    number: port.number,
    container: port.container,
    lent: port.lent,
    addresses: [...port.addresses],
    routes: port.routes === null ? null : port.routes.map((route) => ({ ...route })),
    rates: port.rates,
  };
}
