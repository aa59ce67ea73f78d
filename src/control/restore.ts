/** Makes anew what the daemon before this one left in its record, as far as it is still there. */
import { parseIpv4 } from '../wire/ipv4-address.js';
import { parseMac } from '../wire/mac-address.js';
import { attachPort } from './attach.js';
import { joinBridge, makeBridge } from './bridges.js';
import { bridgeOf, type ControlContext, save } from './context.js';
import { defined } from './defined.js';
import { reasonOf } from './log.js';
import type { AttachPort } from './model.js';
import type { SavedBridge, SavedPort, SavedPublish, SavedState } from './state-store.js';
import { restoreTables } from './tables.js';
import type { Undo } from './undo.js';

/** Runs one change, wholly or not at all. */
type Change = (attempt: (undo: Undo) => Promise<void>) => Promise<void>;

/** What cannot be restored is dropped, with a warning. */
export async function restore(context: ControlContext, change: Change, saved: SavedState): Promise<void> {
  context.changes.mend(saved.changes);
  for (const each of saved.bridges) {
    try {
      await change((undo) => restoreBridge(context, each, undo));
      context.log.info({ bridge: each.name }, `bridge ${each.name} restored`);
    } catch (error) {
      context.log.warn({ bridge: each.name, reason: reasonOf(error) }, `cannot restore bridge ${each.name}: dropped`);
      continue;
    }
    for (const port of each.ports) await restorePort(context, change, each.name, port);
    for (const publish of each.publishes) await restorePublish(context, change, each.name, publish);
    await change(() => restoreTables(context, bridgeOf(context, each.name)));
  }
  save(context);
}

async function restoreBridge(context: ControlContext, saved: SavedBridge, undo: Undo): Promise<void> {
  const { subnet, gateway } = saved;
  const request = { ...saved, subnet: subnet ?? undefined, gateway: gateway ?? undefined };
  const bridge = await makeBridge(context, request, parseMac(saved.mac), undo);
  bridge.fdb = saved.fdb.map(({ mac, vlan, port }) => ({ mac: parseMac(mac), vlan, port }));
  bridge.neighbors = saved.neighbors.map(({ ip, mac }) => ({ ip: parseIpv4(ip), mac: parseMac(mac) }));
  // An interface that is not there yet is waited for.
  await joinBridge(context, bridge, false, undo);
}

async function restorePort(context: ControlContext, change: Change, bridgeName: string, saved: SavedPort): Promise<void> {
  const { name, identity, faults, flags, mtu, macLimit } = saved;
  const optional = defined({
    netns: saved.netns,
    pid: saved.pid,
    iface: saved.iface,
    ifname: saved.iface === null ? saved.ifname : null,
    capture: saved.capture,
    replay: saved.replay,
    mac: saved.mac,
    ip: saved.ip,
    lent: saved.lent ? saved.ifname : null,
    container: saved.container,
    faults,
    rates: saved.rates,
    egressAddress: saved.egressAddress,
  });
  const request = { port: name, flags, mtu, macLimit, ...optional } as AttachPort;
  try {
    await change(async (undo) => void (await attachPort(context, bridgeOf(context, bridgeName), request, identity, undo)));
    context.log.info({ bridge: bridgeName, port: name }, `port ${name} restored`);
  } catch (error) {
    context.log.warn({ bridge: bridgeName, port: name, reason: reasonOf(error) }, `cannot restore port ${name}: dropped`);
  }
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
