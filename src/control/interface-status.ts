/**
 * What only the kernel knows of a port's interface: whether its owner has set it down, and what its own queue dropped because the engine did not
 * read it in time. Asked when somebody looks, never in between.
 *
 *     host port          the daemon's own conversation
 *     tap                one conversation per namespace and look, closed before this returns: an open one would keep the namespace alive
 *     packet             port-watch.ts follows its interface
 *
 * What cannot be asked (a namespace that ended, a process that did, an interface that somebody moved) keeps what was last seen.
 */
import { findLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { openNetns } from './container-port.js';
import type { ControlContext } from './context.js';
import { reasonOf } from './log.js';
import { FRESH_INTERFACE, type PortRecord } from './records.js';

/** A link takes 1.5 KB; a listing of a thousand namespaces should not leave 64 MiB of buffers behind. */
const REPLY_BYTES = 4096;

/** Brings `interfaceUp` and `queueDrops` of these ports up to date. Never throws. */
export function lookAtInterfaces(context: ControlContext, ports: readonly PortRecord[]): void {
  const namespaces = new Map<string, PortRecord[]>();
  for (const port of ports) {
    if (port.kind === 'host') look(context, context.netlink, port);
    if (port.kind !== 'tap' || port.identity === null) continue;
    const others = namespaces.get(port.identity);
    if (others === undefined) namespaces.set(port.identity, [port]);
    else others.push(port);
  }
  for (const [identity, members] of namespaces) {
    const there = enter(context, identity, members);
    if (there === undefined) continue;
    for (const port of members) look(context, there, port);
    there.close();
  }
}

/** The port's interface was made anew: its drops begin at 0 again, those of the one before stay counted. */
export function newInterface(port: PortRecord): void {
  Object.assign(port, { ...FRESH_INTERFACE, queueDropsBefore: port.queueDropsBefore + port.queueDrops });
}

function look(context: ControlContext, netlink: Netlink, port: PortRecord): void {
  // Its owner may have renamed it.
  const name = context.binding.tapName(port.descriptor);
  if (typeof name === 'number') return;
  try {
    const link = findLink(netlink, name);
    // Moved elsewhere, and the name taken by another interface: a veth, most likely.
    if (link?.kind !== 'tun') return;
    port.interfaceUp = link.up;
    port.queueDrops = link.txDropped;
  } catch (error) {
    context.log.debug({ port: port.name, reason: reasonOf(error) }, `cannot look at the interface of port ${port.name}`);
  }
}

/** By the first of the ways its ports were attached that still leads there. */
function enter(context: ControlContext, identity: string, ports: readonly PortRecord[]): Netlink | undefined {
  const tried = new Set<string>();
  for (const { netns, pid } of ports) {
    const way = `${netns} ${pid}`;
    if (tried.has(way)) continue;
    tried.add(way);
    try {
      const found = openNetns(context.binding, { netns: netns ?? undefined, pid: pid ?? undefined });
      try {
        if (found.identity === identity) return Netlink.open(context.binding, found.descriptor, REPLY_BYTES);
      } finally {
        found.close();
      }
    } catch (error) {
      context.log.debug({ netns, pid, reason: reasonOf(error) }, 'cannot look at the interfaces of a namespace');
    }
  }
  return undefined;
}
