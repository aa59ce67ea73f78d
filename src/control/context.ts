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

export interface ControlContext {
  readonly binding: Binding;
  readonly engine: EngineLink;
  readonly log: Log;
  /** Of the daemon's own namespace. */
  readonly netlink: Netlink;
  /** Identity of that namespace. */
  readonly here: string;
  readonly changes: HostChanges;
  readonly store: StateStore | null;
  readonly bridgeNumbers: Numbers;
  readonly portNumbers: Numbers;
  readonly bridges: Map<string, BridgeRecord>;
  /** Running ones, by number. */
  readonly captures: Map<number, CaptureSession>;
  /** Host ports among them. */
  readonly ports: Map<number, { bridge: BridgeRecord; port: PortRecord }>;
  /** Set once, right after the context is made, of which it is a part. */
  gateway: Gateway;
}

/** @throws ControlError not-found, with the names there are */
export function bridgeOf(context: ControlContext, name: string): BridgeRecord {
  const bridge = context.bridges.get(name);
  if (bridge === undefined) {
    const names = [...context.bridges.keys()];
    const hint = names.length === 0 ? `make it: tapbridge create ${name}` : `there are: ${names.join(', ')}`;
    throw new ControlError('not-found', `no such bridge: ${name}`, hint);
  }
  return bridge;
}

/** A port by name; the host port goes by the bridge's. @throws ControlError not-found, with the names there are */
export function portOf(bridge: BridgeRecord, name: string): PortRecord {
  const port = name === bridge.name ? bridge.host : bridge.ports.get(name);
  if (port === undefined) {
    const names = [bridge.name, ...bridge.ports.keys()];
    throw new ControlError(
      'not-found',
      `bridge ${bridge.name} has no port ${name}`,
      `there are: ${names.slice(0, 20).join(', ')}`,
    );
  }
  return port;
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
  context.store?.save([...context.bridges.values()].map(savedBridge), context.changes.list);
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
    rates: port.rates,
  };
}
