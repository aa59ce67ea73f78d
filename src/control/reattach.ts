/**
 * Finding the interface of a recorded port again, and opening it where it is.
 *
 *     namespace   by the name, path or process it was attached by, if that still leads to the same one; else by any process that is in it
 *     interface   by its alias (the container may have renamed it), else by its MAC, if it has no alias of ours
 *     open        /dev/net/tun inside of that namespace, TUNSETIFF on the present name: carrier is back at once, addresses and routes are as they were
 *
 * Such a descriptor belongs to the container's namespace and keeps it alive: namespace-watch.ts looks for the end of those. A lent interface may also be
 * at home, when its engine has not moved it yet or has brought it back.
 * Limit: a namespace that has neither the name it was attached by nor a process is taken for gone, even if it is bound to another path.
 */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { listAddresses } from '../netlink/address.js';
import { Scope } from '../netlink/constants.js';
import { deleteLink, type Link, listLinks } from '../netlink/link.js';
import { isErrno, Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { listRoutes } from '../netlink/route.js';
import { makeContainerPort, openNetns } from './container-port.js';
import type { ControlContext } from './context.js';
import { ControlError } from './control-error.js';
import { instanceOf, interfaceAlias } from './interface-alias.js';
import { makeLentPort } from './lent-port.js';
import { processesIn } from './namespace-processes.js';
import type { SavedPort } from './state-store.js';
import { type OpenTap, reopenTap } from './tap.js';
import type { Undo } from './undo.js';

/** A killed process gives its descriptors back a moment after it is gone. */
const BUSY_MILLIS = 2000;
const BUSY_PAUSE = 10;

export interface Reattached extends OpenTap {
  /** What the interface is called now. */
  name: string;
  /** Of the namespace it is in; null: the daemon's own. */
  identity: string | null;
  /** Index of an interface at home, else -1. */
  index: number;
  /** Its descriptor keeps the namespace alive. */
  held: boolean;
}

interface Place {
  netns: Netns;
  /** By the way it was attached; else found by its identity only, which the kernel may have given to another namespace since. */
  certain: boolean;
}

/**
 * @returns null when the namespace is still there and the interface is not: it may be made anew
 * @throws ControlError not-found when the namespace is gone, or a lent interface is; SystemError
 */
export async function reattach(
  context: ControlContext,
  bridge: string,
  saved: SavedPort,
  undo: Undo,
): Promise<Reattached | null> {
  const place = saved.lent && saved.netns === null ? null : findPlace(context, saved);
  try {
    const found = place === null ? null : await reattachIn(context, bridge, saved, place.netns, undo);
    if (found !== null) return found;
    const lent = saved.lent ? await reattachIn(context, bridge, saved, null, undo) : null;
    if (lent !== null) return lent;
    if (saved.lent || place?.certain !== true) {
      throw new ControlError('not-found', `its interface ${saved.ifname} is in no namespace that can be found`);
    }
    return null;
  } finally {
    place?.netns.close();
  }
}

/** Removes the interface of a port that is not to be any more, as far as it can be found. Never throws. */
export function collectInterface(context: ControlContext, bridge: string, saved: SavedPort): void {
  if (saved.ifname === null) return;
  try {
    if (saved.lent) collectIn(context, context.netlink, bridge, saved);
    if (saved.netns === null && saved.pid === null) return;
    const { netns } = findPlace(context, saved);
    try {
      const there = Netlink.open(context.binding, netns.descriptor);
      collectIn(context, there, bridge, saved);
      there.close();
    } finally {
      netns.close();
    }
  } catch (error) {
    context.log.debug({ bridge, port: saved.name, reason: String(error) }, 'nothing is left of the port');
  }
}

/** Waits for a process that is just ending. @throws what `attempt` throws in the end */
export async function whileBusy<T>(attempt: () => T): Promise<T> {
  for (const until = performance.now() + BUSY_MILLIS; ; await sleep(BUSY_PAUSE)) {
    try {
      return attempt();
    } catch (error) {
      if (!isErrno(error, constants.errno.EBUSY) || performance.now() > until) throw error;
    }
  }
}

/** @throws ControlError not-found */
function findPlace({ binding, here }: ControlContext, { netns, pid, identity }: SavedPort): Place {
  let problem: unknown;
  try {
    const found = openNetns(binding, { netns: netns ?? undefined, pid: pid ?? undefined });
    if (found.identity !== here && (identity === null || found.identity === identity)) return { netns: found, certain: true };
    found.close();
    problem = new ControlError('not-found', `${found.label} is another namespace than the one the port was attached to`);
  } catch (error) {
    problem = error;
  }
  const process = identity === null ? undefined : processesIn(new Set([identity])).get(identity);
  if (process === undefined) throw problem;
  return { netns: Netns.ofProcess(binding, process), certain: false };
}

/** @param netns null: at home */
async function reattachIn(
  context: ControlContext,
  bridge: string,
  saved: SavedPort,
  netns: Netns | null,
  undo: Undo,
): Promise<Reattached | null> {
  const { binding, engine, log } = context;
  const threads = engine.threads ?? 1;
  // Closed before this returns, though what is opened below keeps the namespace alive: it may fail.
  const there = netns === null ? context.netlink : Netlink.open(binding, netns.descriptor);
  try {
    const link = findOurs(context, there, bridge, saved);
    if (link === undefined) return null;
    const place = { name: link.name, identity: netns?.identity ?? null, index: netns === null ? link.index : -1 };
    try {
      const tap = await whileBusy(() => reopenTap(binding, link.name, netns?.descriptor ?? -1, threads));
      for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
      return { ...tap, ...place, held: netns !== null };
    } catch (error) {
      if (!isErrno(error, constants.errno.EINVAL)) throw error;
      log.warn(
        { bridge, port: saved.name, threads },
        `port ${saved.name}: its interface has another number of queues: made anew`,
      );
      if (netns === null) {
        deleteLink(there, link.index);
        const spec = {
          name: link.name,
          mac: link.mac,
          mtu: link.mtu,
          alias: interfaceAlias(context.instance, bridge, saved.name),
          threads,
        };
        return { ...makeLentPort(binding, there, undo, spec), name: link.name, identity: null, held: false };
      }
      const made = remake(context, bridge, saved, netns, there, link, undo);
      return { ...made, ...place, held: false };
    }
  } finally {
    if (netns !== null) there.close();
  }
}

/** The same interface once more, with queues for other threads: name, MAC, MTU, addresses and IPv4 routes are taken over. */
function remake(
  context: ControlContext,
  bridge: string,
  saved: SavedPort,
  netns: Netns,
  there: Netlink,
  link: Link,
  undo: Undo,
): OpenTap {
  const addresses = listAddresses(there, link.index)
    .filter(({ scope }) => scope !== Scope.link)
    .map(({ address, prefix }) => `${address}/${prefix}`);
  // Those of the addresses come back with them.
  const routes = listRoutes(there)
    .filter(({ index, gateway }) => index === link.index && gateway !== '')
    .map(({ destination, prefix, gateway }) => ({ destination: `${destination}/${prefix}`, gateway }));
  const { mac, mtu, name: ifname } = link;
  deleteLink(there, link.index);
  const alias = interfaceAlias(context.instance, bridge, saved.name);
  const threads = context.engine.threads ?? 1;
  const spec = { ifname, mac, mtu, alias, ip: null, addresses, gateway: null, routes, threads };
  return makeContainerPort(context.binding, context.workshop, netns, undo, spec);
}

/** One that is another port's, or another daemon's, may well have the same MAC: it is made of the address, and unique on a bridge only. */
function findOurs({ instance }: ControlContext, netlink: Netlink, bridge: string, saved: SavedPort): Link | undefined {
  const alias = interfaceAlias(instance, bridge, saved.name);
  const taps = listLinks(netlink).filter(({ kind }) => kind === 'tun');
  return (
    taps.find((link) => link.alias === alias) ??
    taps.find((link) => link.mac === saved.mac && instanceOf(link.alias) === undefined)
  );
}

function collectIn(context: ControlContext, netlink: Netlink, bridge: string, saved: SavedPort): void {
  const link = findOurs(context, netlink, bridge, saved);
  if (link !== undefined) deleteLink(netlink, link.index);
}
