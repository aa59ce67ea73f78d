/** The host's network as the gateway needs it: interfaces, IPv4 addresses and routes of the daemon's own namespace. Pure, but for `readNetwork`. */
import type { RouteRow } from '../engine/protocol.js';
import { type InterfaceAddress, listAddresses } from '../netlink/address.js';
import { LinkFlag, RouteType } from '../netlink/constants.js';
import { type Link, listLinks } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { listRoutes, type Route } from '../netlink/route.js';
import { Ipv4Cidr, isLoopbackIpv4, parseIpv4 } from '../wire/ipv4-address.js';

export interface Network {
  links: readonly Link[];
  /** IPv4. */
  addresses: readonly InterfaceAddress[];
  /** Of the main table. */
  routes: readonly Route[];
}

/** IFA_F_SECONDARY (include/uapi/linux/if_addr.h): another address of a subnet whose first one the interface has. */
const SECONDARY = 0x01;
const MAC_TEXT_LENGTH = 'aa:bb:cc:dd:ee:ff'.length;
const TYPES: Readonly<Record<number, RouteRow['type']>> = {
  [RouteType.unicast]: 'unicast',
  [RouteType.blackhole]: 'blackhole',
  [RouteType.unreachable]: 'unreachable',
  [RouteType.prohibit]: 'prohibit',
};

/** Three tables, one after the other: what changes meanwhile is notified, and read again. @throws SystemError */
export function readNetwork(netlink: Netlink): Network {
  const links = listLinks(netlink);
  const addresses = listAddresses(netlink).filter(({ family }) => family === 'ipv4');
  return { links, addresses, routes: listRoutes(netlink) };
}

/** Whether frames can be sent there: an Ethernet interface that is no loopback and no member of another. */
export function isEthernet(link: Link): boolean {
  return link.mac.length === MAC_TEXT_LENGTH && (link.flags & LinkFlag.loopback) === 0;
}

/** Up by its owner, and with a carrier. */
export function isUsable(link: Link): boolean {
  return link.up && link.lowerUp;
}

/** Interfaces of the default routes, best metric first. @param ours indexes of interfaces that are no way out */
export function defaultInterfaces(network: Network, ours: ReadonlySet<number>): Link[] {
  const found = network.routes
    .filter(({ destination, prefix, type }) => destination === '0.0.0.0' && prefix === 0 && type === RouteType.unicast)
    .toSorted((a, b) => a.metric - b.metric)
    .map(({ index }) => network.links.find((link) => link.index === index))
    .filter((link) => link !== undefined && isEthernet(link) && link.master < 0 && !ours.has(link.index)) as Link[];
  return [...new Set(found)];
}

/**
 * The host's main table for the engine. Routes to `ours`, the bridges' own subnets, are left out: the engine knows those.
 * @param uplinks the engine's numbers by index of the interface
 */
export function routeRows(network: Network, uplinks: ReadonlyMap<number, number>, ours: ReadonlySet<number>): RouteRow[] {
  return network.routes.flatMap((route) => {
    const type = TYPES[route.type];
    if (type === undefined || (route.index >= 0 && ours.has(route.index))) return [];
    const { network: masked } = new Ipv4Cidr(parseIpv4(route.destination), route.prefix);
    return [
      {
        network: masked,
        prefix: route.prefix,
        gateway: isIpv4(route.gateway) ? parseIpv4(route.gateway) : 0,
        metric: route.metric,
        type,
        uplink: uplinks.get(route.index) ?? -1,
        mtu: 0,
      },
    ];
  });
}

/** All addresses of the host but the loopback's, and all broadcast addresses, sorted. @param more further ones of ours */
export function hostAddresses(network: Network, more: readonly number[]): { locals: Int32Array; broadcasts: Int32Array } {
  const locals = new Set(more);
  const broadcasts = new Set<number>();
  for (const { address, broadcast } of network.addresses) {
    const own = parseIpv4(address);
    if (!isLoopbackIpv4(own)) locals.add(own);
    if (broadcast !== '' && !isLoopbackIpv4(own)) broadcasts.add(parseIpv4(broadcast));
  }
  return { locals: Int32Array.from(locals).sort(), broadcasts: Int32Array.from(broadcasts).sort() };
}

/**
 * Addresses of one interface, int32. First the one MASQUERADE translates to, as the kernel chooses it (`inet_select_addr`): a primary one, in the
 * subnet of the next hop of the default route if there is one.
 */
export function interfaceAddresses(network: Network, index: number): number[] {
  const own = network.addresses.filter((address) => address.index === index);
  const hop = network.routes.find((route) => route.index === index && route.prefix === 0 && isIpv4(route.gateway))?.gateway;
  const rank = ({ address, prefix, flags }: InterfaceAddress) => {
    const near = hop !== undefined && new Ipv4Cidr(parseIpv4(address), prefix).contains(parseIpv4(hop));
    return ((flags & SECONDARY) === 0 ? 0 : 2) + (near ? 0 : 1);
  };
  // Stable: in the kernel's order otherwise.
  return own.toSorted((a, b) => rank(a) - rank(b)).map(({ address }) => parseIpv4(address));
}

/** Subnets on an interface. */
export function interfaceSubnets(network: Network, index: number): Ipv4Cidr[] {
  return network.addresses
    .filter((address) => address.index === index)
    .map(({ address, prefix }) => new Ipv4Cidr(parseIpv4(address), prefix));
}

function isIpv4(text: string): boolean {
  return text !== '' && !text.includes(':');
}
