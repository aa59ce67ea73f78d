/** Making and removing bridges: an engine bridge and its host port, both or none. */

import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from '../engine/protocol.js';
import { listAddresses } from '../netlink/address.js';
import { findLink, setLink } from '../netlink/link.js';
import { Ipv4Cidr, parseIpv4 } from '../wire/ipv4-address.js';
import { type MacAddress, randomMac } from '../wire/mac-address.js';
import { AddressPool } from './address-pool.js';
import type { ControlContext } from './context.js';
import { ControlError } from './control-error.js';
import { makeHostPort } from './host-port.js';
import { interfaceAlias } from './interface-alias.js';
import { AGEING_SECONDS, checkBridgeName, checkRange, FDB_LIMIT, GROUP_FORWARD_MASK, MTU } from './limits.js';
import type { ChangeBridge, CreateBridge } from './model.js';
import { checkRulePorts } from './policy.js';
import { whileBusy } from './reattach.js';
import { type BridgeRecord, FRESH_INTERFACE, macText, NO_RATES, type PortRecord, portFlags } from './records.js';
import { changedRouting, defaultRouting, goesOut, type Routing } from './routing.js';
import type { Undo } from './undo.js';

/** What a bridge had before a crash. */
export interface RestoredBridge {
  /** Of the host port. */
  mac: MacAddress;
  /** Reserved ones; -1: another daemon's record, any will do. */
  number: number;
  hostNumber: number;
}

/**
 * Its host port is not yet kept beyond the process: that is for whoever has written the record (`keepInterface`).
 * @param restored null: a new bridge
 */
export async function makeBridge(
  context: ControlContext,
  request: CreateBridge,
  restored: RestoredBridge | null,
  undo: Undo,
): Promise<BridgeRecord> {
  const { name } = request;
  checkBridgeName(name);
  if (context.bridges.has(name))
    throw new ControlError('conflict', `bridge ${name} exists`, 'choose another name, or remove it first');
  const mtu = request.mtu ?? MTU.default;
  checkRange('the MTU', mtu, MTU);
  checkSettings(request);
  const pool = poolOf(context, request, restored !== null);
  const routing = changedRouting(defaultRouting(pool !== null), request, pool !== null);
  // What a restored bridge names may come later.
  if (restored === null) context.gateway.checkRouting(routing, null);
  const number = restored !== null && restored.number >= 0 ? restored.number : context.bridgeNumbers.take();
  if (number < 0) throw new ControlError('conflict', 'the engine has no room for another bridge', 'remove one');
  undo.add(() => context.bridgeNumbers.free(number));

  const bridge: BridgeRecord = {
    number,
    name,
    mtu,
    mac: restored?.mac ?? randomMac(Math.random),
    pool,
    settings: {
      ...DEFAULT_BRIDGE_SETTINGS,
      ...settingsOf(request),
      subnet: pool === null ? null : { network: pool.subnet.network, prefix: pool.subnet.prefix },
    },
    host: hostRecord(name, mtu),
    ports: new Map(),
    routing,
    publishes: [],
    fdb: [],
    neighbors: [],
    network: request.network ?? null,
  };
  bridge.host.mac = bridge.mac;
  bridge.host.ip = pool === null ? null : { address: pool.gateway, prefix: pool.subnet.prefix };
  await context.engine.call('add-bridge', { bridge: number, settings: bridge.settings });
  undo.add(async () => void (await context.engine.call('remove-bridge', { bridge: number })));
  await addHostPort(context, bridge, undo, restored);
  return bridge;
}

/**
 * Enters a bridge among those there are, with what its gateway needs.
 * @param strict uplinks it names must be opened; else they are waited for
 * @throws ControlError
 */
export async function joinBridge(context: ControlContext, bridge: BridgeRecord, strict: boolean, undo: Undo): Promise<void> {
  const { gateway } = context;
  context.bridges.set(bridge.name, bridge);
  undo.add(async () => {
    context.bridges.delete(bridge.name);
    await gateway.bridgeLeaves(bridge);
    await gateway.update();
  });
  await gateway.update();
  if (strict) gateway.refuseMissing(bridge);
}

/** The caller writes the record. @throws ControlError before anything is changed, or after what was changed is put back by `undo` */
export async function changeBridge(
  context: ControlContext,
  bridge: BridgeRecord,
  request: ChangeBridge,
  undo: Undo,
): Promise<void> {
  checkSettings(request);
  if (request.mtu !== undefined) checkRange('the MTU', request.mtu, MTU);
  if (request.rules !== undefined) checkRulePorts(bridge, request.rules);
  await changeRouting(context, bridge, changedRouting(bridge.routing, request, bridge.pool !== null), undo);
  if (request.mtu !== undefined) {
    setLink(context.netlink, bridge.host.index, { mtu: request.mtu });
    await context.engine.call('set-port', { port: bridge.host.number, mtu: request.mtu });
    bridge.mtu = request.mtu;
    bridge.host.mtu = request.mtu;
  }
  const settings = settingsOf(request);
  if (Object.keys(settings).length > 0) {
    await context.engine.call('set-bridge', { bridge: bridge.number, settings });
    Object.assign(bridge.settings, settings);
  }
  await context.gateway.update();
}

async function changeRouting(context: ControlContext, bridge: BridgeRecord, routing: Routing, undo: Undo): Promise<void> {
  const { gateway } = context;
  const before = bridge.routing;
  if (isDeepStrictEqual(before, routing)) return;
  gateway.checkRouting(routing, before);
  const published = bridge.publishes.length;
  if (published > 0 && !goesOut({ ...bridge, routing })) {
    const what = `bridge ${bridge.name} has ${published} publishes, which need a way in`;
    throw new ControlError('conflict', what, 'unpublish them first');
  }
  bridge.routing = routing;
  undo.add(async () => {
    bridge.routing = before;
    await gateway.update();
    if (before.icc !== routing.icc) await sendFlags(context, bridge);
  });
  await gateway.update();
  gateway.refuseMissing(bridge);
  if (before.icc !== routing.icc) await sendFlags(context, bridge);
}

async function sendFlags(context: ControlContext, bridge: BridgeRecord): Promise<void> {
  for (const port of bridge.ports.values()) {
    await context.engine.call('set-port', { port: port.number, flags: portFlags(bridge, port) });
  }
}

/** Makes the host port, also again when somebody deleted its interface: then under its number, which nobody else got, and it goes on counting. */
export async function addHostPort(
  context: ControlContext,
  bridge: BridgeRecord,
  undo: Undo,
  restored: RestoredBridge | null = null,
): Promise<void> {
  const { host } = bridge;
  const again = host.number >= 0;
  const reserved = again ? host.number : (restored?.hostNumber ?? -1);
  const number = reserved >= 0 ? reserved : context.portNumbers.take();
  if (number < 0) throw new ControlError('conflict', 'the engine has no room for another port', 'detach one');
  if (!again) undo.add(() => context.portNumbers.free(number));
  const threads = context.engine.threads ?? 1;
  const { name, mtu, pool } = bridge;
  const alias = interfaceAlias(context.instance, name, name);
  const spec = { name, mac: macText(bridge.mac), mtu, alias, pool, threads, restored: restored !== null };
  const made = await whileBusy(() => makeHostPort(context.binding, context.netlink, undo, spec));
  await context.engine.call('add-port', {
    port: number,
    keepCounters: again,
    settings: {
      bridge: bridge.number,
      spec: {
        kind: 'host',
        descriptor: made.descriptor,
        queues: made.queues,
        vnetHeader: true,
        udpSegmentation: made.udpSegmentation,
      },
      flags: host.flags,
      mtu: bridge.mtu,
      macLimit: host.macLimit,
      address: { mac: bridge.mac, ip: bridge.pool === null ? null : bridge.pool.gateway },
      local: true,
      faults: host.faults,
    },
  });
  undo.add(async () => void (await context.engine.call('remove-port', { port: number })));
  host.number = number;
  host.descriptor = made.descriptor;
  host.queues = made.queues;
  host.index = made.index;
  host.udpSegmentation = made.udpSegmentation;
  if (again) return;
  context.ports.set(number, { bridge, port: host });
  undo.add(() => void context.ports.delete(number));
}

/** What of a request is the engine's business. */
export function settingsOf(request: ChangeBridge) {
  const { ageingSeconds, fdbLimit, arpProxy, groupForwardMask } = request;
  return {
    ...(ageingSeconds !== undefined && { ageingSeconds }),
    ...(fdbLimit !== undefined && { fdbLimit }),
    ...(arpProxy !== undefined && { arpProxy }),
    ...(groupForwardMask !== undefined && { groupForwardMask }),
  };
}

export function checkSettings(request: ChangeBridge): void {
  if (request.ageingSeconds !== undefined) checkRange('the ageing time', request.ageingSeconds, AGEING_SECONDS);
  if (request.fdbLimit !== undefined) checkRange('the FDB limit', request.fdbLimit, FDB_LIMIT);
  if (request.groupForwardMask === undefined) return;
  checkRange('the group forward mask', request.groupForwardMask, GROUP_FORWARD_MASK);
  if ((request.groupForwardMask & 7) !== 0) {
    throw new ControlError(
      'invalid',
      'the group forward mask cannot open 01-80-c2-00-00-00 to -02',
      'leave its bits 0 to 2 clear',
    );
  }
}

/** @param restored it was there before a crash: then its host port, if that still is, was there before whoever overlaps it now */
function poolOf(context: ControlContext, request: CreateBridge, restored: boolean): AddressPool | null {
  if (request.subnet === undefined) {
    if (request.gateway === undefined) return null;
    throw new ControlError('invalid', 'a gateway needs a subnet', 'add --subnet');
  }
  const pool = AddressPool.parse(request.subnet, request.gateway);
  for (const other of context.bridges.values()) {
    if (other.pool?.subnet.overlaps(pool.subnet)) {
      const what = `the subnet ${pool.subnet} overlaps ${other.pool.subnet} of bridge ${other.name}`;
      throw new ControlError('conflict', what, 'choose another one');
    }
  }
  for (const { family, address, prefix, index } of listAddresses(context.netlink)) {
    if (family === 'ipv4' && new Ipv4Cidr(parseIpv4(address), prefix).overlaps(pool.subnet)) {
      const link = findLink(context.netlink, index);
      // The host port of this bridge, from before a crash.
      if (link?.name === request.name && link.kind === 'tun') continue;
      const owner = link?.name ?? `interface ${index}`;
      const what = `the subnet ${pool.subnet} overlaps ${address}/${prefix} of the host's interface ${owner}`;
      if (restored && findLink(context.netlink, request.name)?.kind === 'tun') {
        context.log.warn({ bridge: request.name, interface: owner }, `bridge ${request.name} goes on, though ${what}`);
        continue;
      }
      throw new ControlError('conflict', what, 'choose another one');
    }
  }
  return pool;
}

function hostRecord(name: string, mtu: number): PortRecord {
  return {
    number: -1,
    name,
    kind: 'host',
    state: 'up',
    interface: name,
    index: -1,
    netns: null,
    pid: null,
    container: null,
    lent: false,
    addresses: [],
    routes: null,
    identity: null,
    file: null,
    mac: null,
    owned: true,
    ip: null,
    mtu,
    flags: { ...DEFAULT_PORT_FLAGS },
    macLimit: 0,
    faults: null,
    rates: NO_RATES,
    egressAddress: 0,
    offloads: true,
    udpSegmentation: false,
    descriptor: -1,
    held: false,
    queues: [],
    writer: null,
    ...FRESH_INTERFACE,
  };
}
