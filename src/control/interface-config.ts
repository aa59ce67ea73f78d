/** What is configured on the interface of a container: addresses and routes, as they were asked for. */
import { isIPv4, isIPv6 } from 'node:net';
import { constants } from 'node:os';
import { addAddress } from '../netlink/address.js';
import { getLink, setLink } from '../netlink/link.js';
import { isErrno, type Netlink } from '../netlink/netlink.js';
import { addRoute, listRoutes } from '../netlink/route.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { ControlError } from './control-error.js';
import type { RouteInfo } from './model.js';

const MAX_ADDRESSES = 64;
const MAX_ROUTES = 256;

export interface InterfaceConfig {
  ip: { address: number; prefix: number } | null;
  /** Further ones: '10.0.0.5/24', '2001:db8::2/64'. */
  addresses: readonly string[];
  /** int32, or null for no default route. Used without `routes` only. */
  gateway: number | null;
  routes: readonly RouteInfo[] | null;
}

/** @throws ControlError for what is no address with a prefix, or more than an interface should have */
export function checkAddresses(addresses: readonly string[]): void {
  if (addresses.length > MAX_ADDRESSES) {
    throw new ControlError('invalid', `${addresses.length} further addresses: a port has ${MAX_ADDRESSES} at most`);
  }
  for (const each of addresses) splitCidr(each, 'an address with its prefix, like 10.0.0.5/24 or 2001:db8::2/64');
}

/** @throws ControlError */
export function checkRoutes(routes: readonly RouteInfo[]): void {
  if (routes.length > MAX_ROUTES) throw new ControlError('invalid', `${routes.length} routes: a port has ${MAX_ROUTES} at most`);
  for (const { destination, gateway } of routes) {
    const { isV6 } = splitCidr(destination, 'the destination of a route, like 10.1.0.0/16, 0.0.0.0/0 or ::/0');
    if (gateway === undefined) continue;
    if (!isPlainIp(gateway)) throw new ControlError('invalid', `${JSON.stringify(gateway)} is no address of a gateway`);
    if (isIPv6(gateway) !== isV6) {
      throw new ControlError('invalid', `the route to ${destination} has a gateway of the other family: ${gateway}`);
    }
  }
}

/**
 * Gives the interface its addresses, brings it up, adds its routes.
 * @throws SystemError the kernel's refusal: a gateway that is on no link, IPv6 switched off
 */
export function configure(there: Netlink, ifname: string, config: InterfaceConfig): void {
  const { index } = getLink(there, ifname);
  if (config.ip !== null) addAddress(there, index, formatIpv4(config.ip.address), config.ip.prefix);
  for (const each of config.addresses) {
    const { address, prefix } = splitCidr(each, '');
    addAddress(there, index, address, prefix);
  }
  setLink(there, index, { up: true });
  if (config.routes !== null) addRoutes(there, index, config.routes);
  else if (config.gateway !== null && config.ip !== null) addDefault(there, index, config.gateway);
}

/** A route that is there already stays: the container may have it by another network. */
function addRoutes(there: Netlink, index: number, routes: readonly RouteInfo[]): void {
  for (const { destination, gateway } of routes) {
    try {
      addRoute(there, { destination, index, ...(gateway !== undefined && { gateway }) });
    } catch (error) {
      if (!isErrno(error, constants.errno.EEXIST)) throw error;
    }
  }
}

/** A container may have a way out already (a second network): that one stays. */
function addDefault(there: Netlink, index: number, gateway: number): void {
  const has = listRoutes(there).some((route) => route.prefix === 0 && route.destination === '0.0.0.0');
  if (!has) addRoute(there, { destination: 'default', gateway: formatIpv4(gateway), index });
}

function splitCidr(text: string, meant: string): { address: string; prefix: number; isV6: boolean } {
  const match = /^([^/]+)\/([0-9]{1,3})$/.exec(text);
  if (match !== null && isPlainIp(match[1])) {
    const isV6 = isIPv6(match[1]);
    const prefix = Number(match[2]);
    if (prefix <= (isV6 ? 128 : 32)) return { address: match[1], prefix, isV6 };
  }
  throw new ControlError('invalid', `${JSON.stringify(text)} is not ${meant}`);
}

/** Without a zone. */
function isPlainIp(text: string): boolean {
  return isIPv4(text) || (isIPv6(text) && !text.includes('%'));
}
