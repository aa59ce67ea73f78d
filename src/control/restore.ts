/**
 * Makes anew what the daemon before this one left in its record, as far as it is still there, and goes on with its interfaces.
 *
 *     changes of the host ─▶ interfaces nobody remembers ─▶ numbers ─▶ each bridge: host port, ports, publishes, tables ─▶ frames ─▶ the record
 *
 * The engine reads no port before all are there: a container that asks for the MAC of one that is attached next would ask in vain, and not again for a second
 * (what was asked in vain all the same: ask-again.ts).
 * Invariants: until all is done the record on disk says what it said, so that a crash in between forgets nothing; bridges and ports get the numbers they
 * had, since flows that survived name them; what cannot be restored is dropped with a warning, its interface, publishes and entries with it;
 * a static entry that only the engine refuses stays on record.
 */
import { SystemError } from '../native/system-error.js';
import { deleteLink, listLinks } from '../netlink/link.js';
import { parseIpv4 } from '../wire/ipv4-address.js';
import { parseMac } from '../wire/mac-address.js';
import { askAgain } from './ask-again.js';
import { attachPort, keepInterface } from './attach.js';
import { joinBridge, makeBridge } from './bridges.js';
import { bridgeOf, type ControlContext, save } from './context.js';
import { ControlError } from './control-error.js';
import { defined } from './defined.js';
import { aliasPrefix, interfaceAlias } from './interface-alias.js';
import { reasonOf } from './log.js';
import type { AttachPort } from './model.js';
import { collectInterface, reattach } from './reattach.js';
import type { SavedBridge, SavedPort, SavedPublish, SavedState } from './state-store.js';
import { restoreTables } from './tables.js';
import type { Undo } from './undo.js';

/** Errnos of a system that has no room at the moment, or gives us no rights. */
const PASSING = new Set('EMFILE ENFILE ENOMEM ENOBUFS EAGAIN EBUSY EINTR ENOSPC EDQUOT EROFS EIO EPERM EACCES'.split(' '));

/** Runs one change, wholly or not at all. */
type Change = (attempt: (undo: Undo) => Promise<void>) => Promise<void>;

/**
 * What cannot be restored is dropped, with a warning.
 * @param onFailed told of ports that cannot be read after all
 */
export async function restore(
  context: ControlContext,
  change: Change,
  saved: SavedState,
  onFailed: (port: number, errno: number) => void,
): Promise<void> {
  context.restoring = saved.bridges;
  context.gateway.restore(saved);
  context.changes.mend(saved.changes, restoredInterfaces(saved.bridges));
  removeOrphans(context, saved.bridges);
  await context.engine.call('hold', {});
  try {
    await restoreBridges(context, change, saved);
    await change(() => context.gateway.restored());
  } finally {
    const { failed } = await context.engine.call('release', {});
    for (const { port, errno } of failed) onFailed(port, errno);
  }
  context.restoring = null;
  save(context);
  await askAgain(context);
}

async function restoreBridges(context: ControlContext, change: Change, saved: SavedState): Promise<void> {
  for (const each of reserveNumbers(context, saved.bridges)) {
    const began = performance.now();
    try {
      await change((undo) => restoreBridge(context, each, undo));
    } catch (error) {
      if (isOfEverything(context, error)) throw error;
      context.log.warn({ bridge: each.name, reason: reasonOf(error) }, `cannot restore bridge ${each.name}: dropped`);
      dropBridge(context, each);
      continue;
    }
    for (const port of each.ports) await restorePort(context, change, each.name, port);
    for (const publish of each.publishes) await restorePublish(context, change, each.name, publish);
    await change(() => restoreTables(context, bridgeOf(context, each.name)));
    const fields = { bridge: each.name, ports: each.ports.length, millis: Math.round(performance.now() - began) };
    context.log.info(fields, `bridge ${each.name} restored`);
  }
}

/**
 * Whether an error says nothing of the one bridge or port it came with: no memory, no descriptors, no room on the disk for the record, a dead engine, a
 * guard the kernel refuses. That must not cost the containers their interfaces: the start fails, and a later one finds all of them.
 */
function isOfEverything({ engine }: ControlContext, error: unknown): boolean {
  if (engine.alive === false) return true;
  if (!(error instanceof ControlError)) return PASSING.has((error as NodeJS.ErrnoException).code ?? '');
  // Of a file a port reads, an errno says something of this port.
  return error.code === 'forbidden' || (error.cause instanceof SystemError && PASSING.has(error.cause.code));
}

/** A container with rights of its own may hold its TAP: that costs its port, and is to keep nobody else from the daemon. */
function isBusy(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EBUSY';
}

function restoredInterfaces(bridges: readonly SavedBridge[]): Set<string> {
  return new Set(bridges.flatMap(({ ports }) => ports.flatMap(({ iface }) => iface ?? [])));
}

/**
 * Takes the numbers of the record before anybody else gets them.
 * @returns the same bridges; where a number cannot be had, it is -1
 */
function reserveNumbers({ bridgeNumbers, portNumbers }: ControlContext, bridges: readonly SavedBridge[]): SavedBridge[] {
  const port = (number: number) => (portNumbers.reserve(number) ? number : -1);
  return bridges.map((bridge) => ({
    ...bridge,
    number: bridgeNumbers.reserve(bridge.number) ? bridge.number : -1,
    hostNumber: port(bridge.hostNumber),
    ports: bridge.ports.map((each) => ({ ...each, number: port(each.number) })),
  }));
}

/** Interfaces at home that were made here and whose port is in no record: left by a daemon that was killed while it made or removed them. */
function removeOrphans(context: ControlContext, bridges: readonly SavedBridge[]): void {
  const { netlink, instance, log } = context;
  const known = new Set(
    bridges.flatMap(({ name, ports }) =>
      [name, ...ports.map((port) => port.name)].map((port) => interfaceAlias(instance, name, port)),
    ),
  );
  for (const { index, name, kind, alias } of listLinks(netlink)) {
    if (kind !== 'tun' || !alias.startsWith(aliasPrefix(instance)) || known.has(alias)) continue;
    log.warn({ interface: name, alias }, `interface ${name} was left behind: removed`);
    deleteInterface(context, index, name);
  }
}

function deleteInterface({ netlink, log }: ControlContext, index: number, name: string): void {
  try {
    deleteLink(netlink, index);
  } catch (error) {
    log.warn({ interface: name, reason: reasonOf(error) }, `cannot remove ${name}`);
  }
}

async function restoreBridge(context: ControlContext, saved: SavedBridge, undo: Undo): Promise<void> {
  const { subnet, gateway, number, hostNumber } = saved;
  const request = { ...saved, subnet: subnet ?? undefined, gateway: gateway ?? undefined };
  const bridge = await makeBridge(context, request, { mac: parseMac(saved.mac), number, hostNumber }, undo);
  bridge.fdb = saved.fdb.map(({ mac, vlan, port }) => ({ mac: parseMac(mac), vlan, port }));
  bridge.neighbors = saved.neighbors.map(({ ip, mac }) => ({ ip: parseIpv4(ip), mac: parseMac(mac) }));
  // An interface that is not there yet is waited for.
  await joinBridge(context, bridge, false, undo);
  keepInterface(context, bridge.host);
}

/** The ports of a bridge that cannot be made have nothing to go on with. Its host port's interface is removed when it is ours. */
function dropBridge(context: ControlContext, saved: SavedBridge): void {
  const { netlink, instance, bridgeNumbers, portNumbers } = context;
  bridgeNumbers.free(saved.number);
  portNumbers.free(saved.hostNumber);
  for (const port of saved.ports) {
    portNumbers.free(port.number);
    if (port.iface === null) collectInterface(context, saved.name, port);
    else context.changes.release(port.iface);
  }
  const alias = interfaceAlias(instance, saved.name, saved.name);
  for (const { index, name } of listLinks(netlink).filter((link) => link.kind === 'tun' && link.alias === alias)) {
    deleteInterface(context, index, name);
  }
}

async function restorePort(context: ControlContext, change: Change, bridgeName: string, saved: SavedPort): Promise<void> {
  const { name, identity, number } = saved;
  const isTap = saved.iface === null && saved.capture === null && saved.replay === null;
  try {
    await change(async (undo) => {
      const bridge = bridgeOf(context, bridgeName);
      const tap = isTap ? await reattach(context, bridgeName, saved, undo) : null;
      const restored = { number, identity, sandbox: saved.lent ? saved.netns : null, tap };
      await attachPort(context, bridge, requestOf(saved), restored, undo);
      const how = tap === null ? 'restored' : 'goes on with its interface';
      context.log.debug({ bridge: bridgeName, port: name, netns: saved.netns, pid: saved.pid }, `port ${name} ${how}`);
    });
  } catch (error) {
    if (isOfEverything(context, error) && !isBusy(error)) throw error;
    context.portNumbers.free(number);
    if (saved.iface === null) collectInterface(context, bridgeName, saved);
    else context.changes.release(saved.iface);
    context.log.warn({ bridge: bridgeName, port: name, reason: reasonOf(error) }, `cannot restore port ${name}: dropped`);
  }
}

function requestOf(saved: SavedPort): AttachPort {
  const { name, faults, flags, mtu, macLimit, lent } = saved;
  const optional = defined({
    netns: lent ? null : saved.netns,
    pid: lent ? null : saved.pid,
    iface: saved.iface,
    ifname: lent ? null : saved.ifname,
    lent: lent ? saved.ifname : null,
    capture: saved.capture,
    replay: saved.replay,
    mac: saved.mac,
    ip: saved.ip,
    addresses: saved.addresses,
    routes: saved.routes,
    container: saved.container,
    faults,
    rates: saved.rates,
    egressAddress: saved.egressAddress,
  });
  return { port: name, flags, mtu, macLimit, ...optional } as AttachPort;
}

async function restorePublish(context: ControlContext, change: Change, bridgeName: string, saved: SavedPublish): Promise<void> {
  const { hostPort, protocol, portName } = saved;
  try {
    await change(async (undo) => {
      await context.gateway.publishes.add(bridgeOf(context, bridgeName), saved, true, undo);
    });
  } catch (error) {
    const fields = { bridge: bridgeName, port: portName, reason: reasonOf(error) };
    context.log.warn(fields, `cannot restore the publish of ${hostPort}/${protocol}: dropped`);
  }
}
