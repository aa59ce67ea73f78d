/**
 * After a start containers ask at once for the MACs they have asked for in vain, which they would not for a second.
 *
 *     TAP opened ─▶ the kernel tells that its owner has changed; without carrier yet, ARP and NDP forget all neighbors (drivers/net/tun.c, tun_set_iff;
 *                   net/ipv4/arp.c, arp_netdev_event)
 *                ─▶ carrier; the interface has its queue of packets again when the news get their turn (net/core/link_watch.c), up to a millisecond later
 *
 * What is asked in between is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { solicitAgain } from '../netlink/neighbor.js';
import type { ControlContext } from './context.js';
import { visitInterfaces } from './interface-status.js';

/** Until the interface opened last has its queue again. */
const CARRIER_MILLIS = 10;

/** Never throws. */
export async function askAgain(context: ControlContext): Promise<void> {
  if (context.ports.size === 0) return;
  await sleep(CARRIER_MILLIS);
  const ports = [...context.ports.values()].map(({ port }) => port);
  visitInterfaces(context, ports, (link, _, there) => solicitAgain(there, link.index));
}
