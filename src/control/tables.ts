/** FDB, neighbors and counters of a bridge, with names instead of the engine's numbers. */
import { formatIpv4, isUnicastIpv4, parseIpv4 } from '../wire/ipv4-address.js';
import { formatMac, type MacAddress, parseMac } from '../wire/mac-address.js';
import { type ControlContext, portOf, save } from './context.js';
import { ControlError, orRefuse } from './control-error.js';
import { lookAtInterfaces } from './interface-status.js';
import { checkRange, stationMac, VLAN } from './limits.js';
import { reasonOf } from './log.js';
import type { AddFdb, AddNeighbor, CountersInfo, FdbInfo, NeighborInfo } from './model.js';
import { type BridgeRecord, DROPS, dropsOf, macText, queueDropsOf, sameMac } from './records.js';

export async function listFdb(context: ControlContext, bridge: BridgeRecord): Promise<FdbInfo[]> {
  const rows = await context.engine.call('list-fdb', { bridge: bridge.number });
  const named = rows.map(({ mac, vlan, port, kind, age }) => {
    // A port may have gone while the engine answered.
    return { mac: macText(mac), port: context.ports.get(port)?.port.name ?? '', vlan, kind, age: Math.floor(age) };
  });
  return named
    .filter(({ port }) => port !== '')
    .sort((a, b) => compare(a.port, b.port) || compare(a.mac, b.mac) || a.vlan - b.vlan);
}

export async function addFdb(context: ControlContext, bridge: BridgeRecord, request: AddFdb): Promise<void> {
  const mac = stationMac(request.mac);
  const vlan = request.vlan ?? 0;
  checkRange('the VLAN', vlan, VLAN);
  const port = portOf(bridge, request.port);
  refuseOwned(bridge, mac);
  await context.engine.call('add-fdb', { bridge: bridge.number, vlan, mac, port: port.number });
  bridge.fdb = bridge.fdb.filter((entry) => entry.vlan !== vlan || !sameMac(entry.mac, mac));
  bridge.fdb.push({ mac, vlan, port: port.name });
  save(context);
}

export async function removeFdb(
  context: ControlContext,
  bridge: BridgeRecord,
  macTextGiven: string,
  vlan: number,
): Promise<void> {
  const mac = orRefuse('invalid', () => parseMac(macTextGiven));
  checkRange('the VLAN', vlan, VLAN);
  refuseOwned(bridge, mac);
  const removed = await context.engine.call('remove-fdb', { bridge: bridge.number, vlan, mac });
  const kept = bridge.fdb.filter((entry) => entry.vlan !== vlan || !sameMac(entry.mac, mac));
  const known = kept.length < bridge.fdb.length;
  bridge.fdb = kept;
  save(context);
  if (!removed && !known) {
    const where = vlan === 0 ? '' : ` in VLAN ${vlan}`;
    throw new ControlError('not-found', `the FDB of ${bridge.name} has no ${formatMac(mac.high, mac.low)}${where}`);
  }
}

/** Forgets what was learned. @returns how many entries */
export function flushFdb(context: ControlContext, bridge: BridgeRecord): Promise<number> {
  return context.engine.call('flush-fdb', { bridge: bridge.number });
}

export async function listNeighbors(context: ControlContext, bridge: BridgeRecord): Promise<NeighborInfo[]> {
  const rows = await context.engine.call('list-neighbors', { bridge: bridge.number });
  const ports = new Map((await listFdb(context, bridge)).map(({ mac, port }) => [mac, port]));
  return rows
    .sort((a, b) => (a.ip >>> 0) - (b.ip >>> 0))
    .map(({ ip, mac, kind, age }) => {
      const text = macText(mac);
      return { ip: formatIpv4(ip), mac: text, port: ports.get(text) ?? null, kind, age: Math.floor(age) };
    });
}

export async function addNeighbor(context: ControlContext, bridge: BridgeRecord, request: AddNeighbor): Promise<void> {
  const ip = orRefuse('invalid', () => parseIpv4(request.ip));
  if (!isUnicastIpv4(ip)) throw new ControlError('invalid', `${request.ip} is no address of a host`);
  if (bridge.pool !== null && !bridge.pool.subnet.isHost(ip)) {
    throw new ControlError('invalid', `${request.ip} is outside of the bridge's subnet ${bridge.pool.subnet}`);
  }
  refuseOwnedIp(bridge, ip);
  const mac = stationMac(request.mac);
  await context.engine.call('add-neighbor', { bridge: bridge.number, ip, mac });
  bridge.neighbors = bridge.neighbors.filter((entry) => entry.ip !== ip);
  bridge.neighbors.push({ ip, mac });
  save(context);
}

export async function removeNeighbor(context: ControlContext, bridge: BridgeRecord, text: string): Promise<void> {
  const ip = orRefuse('invalid', () => parseIpv4(text));
  refuseOwnedIp(bridge, ip);
  const removed = await context.engine.call('remove-neighbor', { bridge: bridge.number, ip });
  const kept = bridge.neighbors.filter((entry) => entry.ip !== ip);
  const known = kept.length < bridge.neighbors.length;
  bridge.neighbors = kept;
  save(context);
  if (!removed && !known) throw new ControlError('not-found', `bridge ${bridge.name} knows no neighbor ${formatIpv4(ip)}`);
}

/**
 * Enters again what users added, after a restart or when a port came back. One the engine refuses is told of and stays on record: no reason to go
 * without all the others.
 */
export async function restoreTables({ engine, log }: ControlContext, bridge: BridgeRecord): Promise<void> {
  const enter = async (what: string, entered: Promise<unknown>) => {
    try {
      await entered;
    } catch (error) {
      if (engine.alive === false) throw error;
      log.warn({ bridge: bridge.name, reason: reasonOf(error) }, `cannot enter ${what} again`);
    }
  };
  for (const { mac, vlan, port } of bridge.fdb) {
    const number = port === bridge.name ? bridge.host.number : bridge.ports.get(port)?.number;
    if (number === undefined) continue;
    await enter(macText(mac), engine.call('add-fdb', { bridge: bridge.number, vlan, mac, port: number }));
  }
  for (const { ip, mac } of bridge.neighbors) {
    await enter(formatIpv4(ip), engine.call('add-neighbor', { bridge: bridge.number, ip, mac }));
  }
}

export function countersOf(context: ControlContext, bridge: BridgeRecord): CountersInfo {
  const { portCounters, bridgeCounters, gatewayCounters } = context.engine;
  const all = [bridge.host, ...bridge.ports.values()];
  lookAtInterfaces(context, all);
  const ports = all.map((port) => ({
    port: port.name,
    drops: dropsOf(portCounters, port),
    counters: { ...portCounters.snapshot(port.number), queue_drops: queueDropsOf(port) },
  }));
  const drops = {} as CountersInfo['drops'];
  for (const reason of [...DROPS, 'queue_drops'] as const)
    drops[reason] = ports.reduce((sum, { counters }) => sum + counters[reason], 0);
  return { bridge: bridgeCounters.snapshot(bridge.number), ports, gateway: gatewayCounters.snapshot(bridge.number), drops };
}

/** Entries the bridge made for its ports live and die with them. */
function refuseOwned(bridge: BridgeRecord, mac: MacAddress): void {
  const owner = [bridge.host, ...bridge.ports.values()].find((port) => port.owned && port.mac !== null && sameMac(port.mac, mac));
  if (owner !== undefined) {
    throw new ControlError('conflict', `${formatMac(mac.high, mac.low)} is the address of port ${owner.name} and stays with it`);
  }
}

function refuseOwnedIp(bridge: BridgeRecord, ip: number): void {
  const owner = [bridge.host, ...bridge.ports.values()].find((port) => port.ip?.address === ip);
  if (owner !== undefined) {
    throw new ControlError('conflict', `${formatIpv4(ip)} is the address of port ${owner.name} and stays with it`);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
