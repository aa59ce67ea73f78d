/** What of the address space the host uses already: a subnet for containers must be none of it. */
import { listAddresses } from '../netlink/address.js';
import { RouteType } from '../netlink/constants.js';
import { findLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { listRoutes } from '../netlink/route.js';
import { Subnet } from './subnet.js';

export interface UsedSubnet {
  subnet: Subnet;
  /** 'interface eth0', 'a route of the host'. */
  by: string;
  /** The host only has a way there. */
  isRoute: boolean;
}

/** Networks on the host's interfaces, and IPv4 networks it has routes to; not the default route. @throws SystemError */
export function hostSubnets(netlink: Netlink): UsedSubnet[] {
  const names = new Map<number, string>();
  const nameOf = (index: number) => {
    const name = names.get(index) ?? `interface ${findLink(netlink, index)?.name ?? index}`;
    names.set(index, name);
    return name;
  };
  const onLinks = listAddresses(netlink).map(({ address, prefix, index }) => ({
    subnet: Subnet.parse(`${address}/${prefix}`),
    by: nameOf(index),
    isRoute: false,
  }));
  const routed = listRoutes(netlink)
    .filter(({ prefix, type }) => prefix > 0 && type === RouteType.unicast)
    .map(({ destination, prefix }) => ({
      subnet: Subnet.parse(`${destination}/${prefix}`),
      by: 'a route of the host',
      isRoute: true,
    }));
  return [...onLinks, ...routed];
}
