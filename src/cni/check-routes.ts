/** The routes of a container as CHECK compares them, of both families. */
import { isIPv4 } from 'node:net';
import { formatIp, parseIp } from '../netlink/address-text.js';
import { Family, RouteType } from '../netlink/constants.js';
import type { Netlink } from '../netlink/netlink.js';
import { listRoutes, type Route } from '../netlink/route.js';
import type { ResultRoute } from './result.js';

export type PresentRoute = Pick<Route, 'destination' | 'prefix' | 'gateway' | 'index' | 'type'>;

/** Of the main table. @throws SystemError */
export function presentRoutes(there: Netlink): PresentRoute[] {
  return [...listRoutes(there), ...listRoutes(there, Family.ipv6)];
}

/**
 * What is wrong with a route ADD made, undefined for nothing. One on another interface stands for ours: ADD leaves what the container has by another
 * network.
 * @param gateway undefined: it was on the link @param index of the attachment's interface
 */
export function routeProblem(
  { dst, gw }: ResultRoute,
  gateway: string | undefined,
  present: readonly PresentRoute[],
  index: number,
): string | undefined {
  const [destination, prefix] = networkOf(dst);
  const by = gw ?? gateway;
  const expected = by === undefined ? '' : plain(by);
  const all = present.filter((each) => each.destination === destination && each.prefix === prefix);
  const isOurs = (each: PresentRoute) => each.index === index && each.gateway === expected;
  if (all.some((each) => each.type === RouteType.unicast && (each.index !== index || isOurs(each)))) return undefined;
  const text = `the route to ${dst}${expected === '' ? '' : ` by ${expected}`}`;
  if (all.length === 0) return `${text} is gone`;
  const [{ type, gateway: other }] = all;
  if (type !== RouteType.unicast) return `${text} has been replaced: it leads nowhere`;
  return `${text} has been replaced: it goes ${other === '' ? 'on the link' : `by ${other}`}`;
}

/** As the kernel has it: without the bits of a host. */
function networkOf(cidr: string): [destination: string, prefix: number] {
  const [address, bits] = cidr.split('/');
  const prefix = Number(bits);
  const { bytes } = parseIp(address);
  const network = bytes.map((byte, at) => byte & (0xff00 >> Math.min(Math.max(prefix - 8 * at, 0), 8)));
  return [formatIp(network), prefix];
}

function plain(address: string): string {
  return isIPv4(address) ? address : formatIp(parseIp(address).bytes);
}
