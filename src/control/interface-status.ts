/**
 * What only the kernel knows of a port's interface: what its owner calls it, whether its owner has set it down, and what its own queue dropped because
 * the engine did not read it in time. Asked when somebody looks, and once after a start (ask-again.ts), never in between.
 *
 *     host port          the daemon's own conversation
 *     tap                one conversation per namespace and look, closed before this returns: an open one would keep the namespace alive. The way
 *                        there is the descriptor's: names, processes and places told by an engine may lead elsewhere by now
 *     packet             port-watch.ts follows its interface
 *
 * What cannot be asked (a namespace that ended) keeps what was last seen.
 */
import { fstatSync } from 'node:fs';
import { findLink, type Link } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import type { ControlContext } from './context.js';
import { reasonOf } from './log.js';
import { FRESH_INTERFACE, type PortRecord } from './records.js';

/** A link takes 1.5 KB; a listing of a thousand namespaces should not leave 64 MiB of buffers behind. */
const REPLY_BYTES = 4096;

/** Brings `presentName`, `interfaceUp` and `queueDrops` of these ports up to date. Never throws. */
export function lookAtInterfaces(context: ControlContext, ports: readonly PortRecord[]): void {
  visitInterfaces(context, ports, (link, port) => {
    port.presentName = link.name === port.interface ? null : link.name;
    port.interfaceUp = link.up;
    port.queueDrops = link.txDropped;
  });
}

/** @param there a conversation with the namespace the interface is in */
export type Visit = (link: Link, port: PortRecord, there: Netlink) => void;

/** Calls `visit` for the interface of each of these ports that has one, and that can be asked. Never throws. */
export function visitInterfaces(context: ControlContext, ports: Iterable<PortRecord>, visit: Visit): void {
  const namespaces = new Map<string, PortRecord[]>();
  for (const port of ports) {
    if (port.kind === 'host') look(context, context.netlink, port, visit);
    if (port.kind !== 'tap') continue;
    const identity = identityOfTap(context, port);
    if (identity === undefined) continue;
    const others = namespaces.get(identity);
    if (others === undefined) namespaces.set(identity, [port]);
    else others.push(port);
  }
  for (const members of namespaces.values()) {
    const there = enter(context, members[0]);
    if (there === undefined) continue;
    for (const port of members) look(context, there, port, visit);
    there.close();
  }
}

/** The port's interface was made anew: its drops begin at 0 again, those of the one before stay counted. */
export function newInterface(port: PortRecord): void {
  Object.assign(port, { ...FRESH_INTERFACE, queueDropsBefore: port.queueDropsBefore + port.queueDrops });
}

/** Of the namespace a TAP is in now; undefined when it is gone. For a lent one that was moved, it is noted. */
export function identityOfTap({ binding, here }: ControlContext, port: PortRecord): string | undefined {
  const netns = binding.tapNetns(port.descriptor);
  if (netns < 0) return undefined;
  const { dev, ino } = fstatSync(netns, { bigint: true });
  binding.closeDescriptor(netns);
  const identity = `${dev}:${ino}`;
  if (port.lent && port.netns !== null && identity !== here) port.identity = identity;
  return identity;
}

function look(context: ControlContext, netlink: Netlink, port: PortRecord, visit: Visit): void {
  const name = context.binding.tapName(port.descriptor);
  if (typeof name === 'number') return;
  try {
    const link = findLink(netlink, name);
    // Moved elsewhere, and the name taken by another interface: a veth, most likely.
    if (link?.kind === 'tun') visit(link, port, netlink);
  } catch (error) {
    context.log.debug({ port: port.name, reason: reasonOf(error) }, `cannot look at the interface of port ${port.name}`);
  }
}

function enter({ binding, log }: ControlContext, port: PortRecord): Netlink | undefined {
  const netns = binding.tapNetns(port.descriptor);
  if (netns < 0) return undefined;
  try {
    return Netlink.open(binding, netns, REPLY_BYTES);
  } catch (error) {
    log.debug({ port: port.name, reason: reasonOf(error) }, `cannot look at the interface of port ${port.name}`);
    return undefined;
  } finally {
    binding.closeDescriptor(netns);
  }
}
