/** Commands of the gateway, carried out in the engine's thread between two passes. */
import { UPLINK } from '../bridge/port-table.js';
import { FlowEvents } from '../conntrack/flow-events.js';
import { Removal } from '../conntrack/flow-layout.js';
import { FlowTable, type RowMemory } from '../conntrack/flow-table.js';
import { TIMEOUT_CLASSES, type Timeouts } from '../conntrack/timeouts.js';
import type { Gateway } from '../gateway/gateway.js';
import { Filter } from '../gateway/opening.js';
import { Action, Direction, type Rule } from '../gateway/policy.js';
import { RouteKind } from '../gateway/route-table.js';
import type { Uplink } from '../gateway/uplinks.js';
import { FIRST_UPLINK, ZoneFlag } from '../gateway/zones.js';
import { GUARD_BYTES, GuardBitmap } from '../nat/port-guard.js';
import type { Publish } from '../nat/publish-table.js';
import { loadBinding } from '../native/binding.js';
import { errnoName } from '../native/system-error.js';
import { DescriptorPort } from '../port/descriptor-port.js';
import { Protocol } from '../wire/ipv4.js';
import type { Engine } from './engine.js';
import { flowMatcher, flowRow } from './flow-listing.js';
import type {
  CommandAnswer,
  CommandArguments,
  FlowFileSettings,
  GatewaySettings,
  NatSettings,
  PolicyRule,
  PublishSettings,
  UplinkSettings,
} from './protocol.js';

type GatewayCommand =
  | 'open-gateway'
  | 'flows-restored'
  | 'leave-gateway'
  | 'set-nat'
  | 'set-reserved'
  | 'add-uplink'
  | 'set-uplink'
  | 'remove-uplink'
  | 'set-routes'
  | 'set-gateway'
  | 'add-publish'
  | 'remove-publish'
  | 'set-egress'
  | 'list-flows'
  | 'flush-flows'
  | 'watch-flows'
  | 'gateway-use';
type Handlers = { [Name in GatewayCommand]: (engine: Engine, args: CommandArguments<Name>) => CommandAnswer<Name> };

const FILTERS = { apdf: Filter.addressAndPort, adf: Filter.address, eif: Filter.none } as const;
const PROTOCOLS = { tcp: Protocol.tcp, udp: Protocol.udp } as const;
const PROTOCOL_NAMES = { [Protocol.tcp]: 'tcp', [Protocol.udp]: 'udp', [Protocol.icmp]: 'icmp' } as const;
function gatewayOf(engine: Engine): Gateway {
  if (engine.gateway === null) {
    throw new Error('engine: the gateway is not open');
  }
  return engine.gateway;
}

function setNat(gateway: Gateway, { filter, ranges, timeouts, loose, liberal }: Partial<NatSettings>): void {
  const { conntrack, mappings, settings } = gateway;
  if (filter !== undefined) settings.setFilter(FILTERS[filter]);
  if (loose !== undefined) conntrack.tcp.loose = loose;
  if (liberal !== undefined) conntrack.tcp.liberal = liberal;
  if (timeouts !== undefined) {
    const known = TIMEOUT_CLASSES.filter((name) => timeouts[name] !== undefined);
    conntrack.setTimeouts(Object.fromEntries(known.map((name) => [name, timeouts[name]])) as Partial<Timeouts>);
  }
  if (ranges !== undefined) {
    for (const protocol of [Protocol.tcp, Protocol.udp, Protocol.icmp]) mappings.setRanges(protocol, portRanges(ranges));
  }
}

function portRanges(ranges: NatSettings['ranges']) {
  return ranges.map(([first, last]) => ({ first, last }));
}

function uplinkOf(port: number, settings: Omit<UplinkSettings, 'spec'>): Uplink {
  const { mac, mtu, address, addresses, up } = settings;
  const all = [...new Set([address, ...addresses])].filter((each) => each !== 0);
  return { port, macHigh: mac.high, macLow: mac.low, mtu, address, addresses: all, up };
}

function sideOf({ hostPort, mac, address, prefix, mtu, ...settings }: GatewaySettings) {
  const { internal, uplink, egressAddress, mssClamp, rules } = settings;
  return {
    macHigh: mac.high,
    macLow: mac.low,
    address,
    prefix,
    port: hostPort,
    mtu,
    flags: ZoneFlag.up | (internal ? ZoneFlag.internal : 0),
    uplink: uplink < 0 ? -1 : FIRST_UPLINK + uplink,
    egressAddress,
    mssClamp,
    rules: rules.filter(({ port }) => port < 0).map(ruleOf),
  };
}

function ruleOf({ action, direction, protocol, network, prefix, portLow, portHigh }: PolicyRule): Rule {
  return { action: Action[action], direction: Direction[direction], protocol, network, prefix, portLow, portHigh };
}

function publishOf({ id, protocol, hostAddress, hostPort, count, address, port, owner }: PublishSettings): Publish {
  return { id, protocol: PROTOCOLS[protocol], hostAddress, hostPort, count, address, port, owner };
}

/**
 * Memory of the flow table from the addon; what V8 gives is neither aligned to rows nor in huge pages (docs/performance.md).
 * @throws Error when the file cannot be mapped
 */
function flowMemory(flowLimit: number, file: FlowFileSettings | undefined): { memory?: ArrayBuffer; rows?: RowMemory } {
  const rowBytes = FlowTable.rowBytesFor(flowLimit);
  const memory = loadBinding().tableMemory(FlowTable.bytesFor(flowLimit) - (file === undefined ? 0 : rowBytes));
  const own = typeof memory === 'number' ? {} : { memory };
  if (file === undefined) return own;
  const buffer = loadBinding().mapFile(file.descriptor, file.at + rowBytes);
  if (typeof buffer === 'number') throw new Error(`engine: cannot map the file of flows (${errnoName(-buffer)})`);
  return { ...own, rows: { buffer, at: file.at } };
}

export const GATEWAY_HANDLERS: Handlers = {
  'open-gateway': (engine, { flowLimit, flowShare, guard, settings, flowFile }) => {
    const memory = guard < 0 ? new ArrayBuffer(GUARD_BYTES) : loadBinding().mapGuard(guard);
    if (typeof memory === 'number') {
      throw new Error(`engine: cannot map the guard (${errnoName(-memory)})`);
    }
    const ranges = portRanges(settings.ranges);
    const gateway = engine.openGateway({
      conntrack: { limit: flowLimit, ownerLimit: flowShare, ...flowMemory(flowLimit, flowFile) },
      guard: new GuardBitmap(memory),
      ranges: { tcp: ranges, udp: ranges, icmp: ranges },
      random: Math.random,
    });
    const flows = flowFile?.adopt === true ? gateway.adopt(engine.seconds) : 0;
    setNat(gateway, settings);
    return { flows };
  },
  'flows-restored': (engine) => ({ ended: gatewayOf(engine).restored(engine.seconds) }),
  'leave-gateway': (engine) => {
    engine.gateway = null;
    return null;
  },
  'set-nat': (engine, { settings }) => {
    setNat(gatewayOf(engine), settings);
    return null;
  },
  'set-reserved': (engine, { protocol, ports }) => {
    gatewayOf(engine).settings.setReserved(PROTOCOLS[protocol], ports);
    return null;
  },
  'add-uplink': (engine, { uplink, port, settings }) => {
    const gateway = gatewayOf(engine);
    engine.addPort(port, new DescriptorPort(settings.spec), { bridge: UPLINK, flags: 1, mtu: settings.mtu, macLimit: 0 });
    try {
      gateway.settings.setUplink(uplink, uplinkOf(port, settings), engine.seconds);
    } catch (error) {
      engine.removePort(port);
      throw error;
    }
    return null;
  },
  'set-uplink': (engine, { uplink, settings }) => {
    const gateway = gatewayOf(engine);
    const before = gateway.uplinks.list[uplink] ?? null;
    if (before === null) {
      throw new RangeError(`engine: there is no uplink ${uplink}`);
    }
    const { macHigh: high, macLow: low, ...rest } = before;
    const after = uplinkOf(before.port, { mac: { high, low }, ...rest, addresses: [...rest.addresses], ...settings });
    if (settings.addresses !== undefined)
      after.addresses = [...new Set([after.address, ...settings.addresses])].filter((each) => each !== 0);
    engine.table.mtu[before.port] = after.mtu;
    gateway.settings.setUplink(uplink, after, engine.seconds);
    return null;
  },
  'remove-uplink': (engine, { uplink }) => {
    const gateway = gatewayOf(engine);
    const before = gateway.uplinks.list[uplink] ?? null;
    if (before !== null) {
      gateway.settings.setUplink(uplink, null, engine.seconds);
      engine.removePort(before.port);
    }
    return null;
  },
  'set-routes': (engine, { routes, locals, broadcasts }) => {
    if (!engine.isKeeper) {
      engine.hostAddresses.set(locals);
      return null;
    }
    const gateway = gatewayOf(engine);
    gateway.routes.set(
      routes.map(({ network, prefix, gateway: nextHop, metric, type, uplink, mtu }) => ({
        network,
        prefix,
        nextHop,
        metric,
        mtu,
        kind: RouteKind[type],
        zone: uplink < 0 ? -1 : FIRST_UPLINK + uplink,
      })),
    );
    gateway.locals.set(locals);
    gateway.broadcasts.set(broadcasts);
    return null;
  },
  'set-gateway': (engine, { bridge, settings }) => {
    if (!engine.isKeeper) {
      // All it has to know is which frames to hand over, and whom the host may speak for.
      const target = engine.bridges[bridge] ?? null;
      if (target !== null) {
        target.gatewayPort = settings?.hostPort ?? -1;
        target.hostAddresses = settings === null ? null : engine.hostAddresses;
      }
      return null;
    }
    const gateway = gatewayOf(engine);
    gateway.settings.setBridge(bridge, settings === null ? null : sideOf(settings), engine.seconds);
    const ports = new Map<number, Rule[]>();
    for (const rule of settings?.rules ?? []) {
      if (rule.port >= 0) ports.set(rule.port, [...(ports.get(rule.port) ?? []), ruleOf(rule)]);
    }
    for (let port = 0; port < engine.table.capacity; port++) {
      if (engine.table.bridge[port] === bridge) gateway.policy.setPort(port, ports.get(port) ?? []);
    }
    return null;
  },
  'add-publish': (engine, { settings }) => {
    gatewayOf(engine).settings.publish(publishOf(settings), engine.seconds);
    return null;
  },
  'remove-publish': (engine, { id }) => {
    gatewayOf(engine).settings.unpublish(id, engine.seconds);
    return null;
  },
  'set-egress': (engine, { port, address }) => {
    gatewayOf(engine).settings.setEgress(port, address, engine.seconds);
    return null;
  },
  'list-flows': (engine, { filter, from, limit }) => {
    const { conntrack, publishes } = gatewayOf(engine);
    const matches = flowMatcher(conntrack, publishes, filter, engine.seconds);
    const to = Math.min(conntrack.flows.rows(), from + limit);
    const flows = [];
    for (let flow = from; flow < to; flow++) {
      if (conntrack.flows.used(flow) && matches(flow)) flows.push(flowRow(conntrack, flow, engine.seconds));
    }
    return { flows, next: to < conntrack.flows.rows() ? to : -1 };
  },
  'flush-flows': (engine, { filter, from, limit }) => {
    const { conntrack, publishes } = gatewayOf(engine);
    const matches = flowMatcher(conntrack, publishes, filter, engine.seconds);
    const to = Math.min(conntrack.flows.rows(), from + limit);
    const ended = conntrack.removeWhere(matches, Removal.flushed, engine.seconds, from, to);
    return { ended, next: to < conntrack.flows.rows() ? to : -1 };
  },
  'watch-flows': (engine, { ring }) => {
    gatewayOf(engine).conntrack.events = ring === null ? null : new FlowEvents(ring);
    return null;
  },
  'gateway-use': (engine) => {
    const { conntrack, mappings, resolver, fragments } = gatewayOf(engine);
    return {
      flows: conntrack.flows.size,
      flowLimit: conntrack.flows.limit,
      mappings: mappings.size,
      mappingLimit: mappings.limit,
      neighbors: resolver.parkedFrames,
      fragments: fragments.size,
      pools: mappings.poolUse().map(({ address, protocol, taken, size }) => ({
        address,
        protocol: PROTOCOL_NAMES[protocol as keyof typeof PROTOCOL_NAMES],
        used: taken,
        size,
      })),
    };
  },
};
