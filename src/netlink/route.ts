/** Routes of the main table, as `ip route` and `ip -6 route` show and change them. */
import { constants } from 'node:os';
import { formatIp, parseIp } from './address-text.js';
import { Family, NlmFlag, ROUTE_CLONED, RouteProtocol, RouteTable, RouteType, Rta, Rtm, Scope } from './constants.js';
import { attributeU32, type Message, MessageWriter, readAttributes, readI32, readU8, readU16, readU32 } from './message.js';
import type { Netlink } from './netlink.js';

export interface Route {
  /** Network address; '0.0.0.0' or '::' with prefix 0 is the default route. */
  destination: string;
  /** Bits. */
  prefix: number;
  /** '' for a network that is on the link. With several next hops: the first one's. */
  gateway: string;
  /** Output interface, -1 for none (unreachable, blackhole). With several next hops: the first one's. */
  index: number;
  /** Source address for what the host sends; '' for none. */
  preferredSource: string;
  /** Lower goes first. */
  metric: number;
  table: number;
  /** RTN_*, see `RouteType`. */
  type: number;
  /** RTPROT_*: who made it. */
  protocol: number;
  scope: number;
}

export interface RouteSpec {
  /** CIDR of either family, or 'default' for 0.0.0.0/0. */
  destination: string;
  gateway?: string;
  /** Output interface; may be absent with a gateway that is on a link. */
  index?: number;
  preferredSource?: string;
  metric?: number;
}

/** rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags. */
const RTMSG_BYTES = 12;
const RTMSG_FAMILY = 0;
const RTMSG_PREFIX = 1;
const RTMSG_TABLE = 4;
const RTMSG_PROTOCOL = 5;
const RTMSG_SCOPE = 6;
const RTMSG_TYPE = 7;
const RTMSG_FLAGS = 8;

/** rtnexthop: length, flags, hops, interface, attributes (include/uapi/linux/rtnetlink.h). */
const RTNEXTHOP_BYTES = 8;
const RTNEXTHOP_INDEX = 4;

/** Routes of the main table in the kernel's order. @throws SystemError */
export function listRoutes(netlink: Netlink, family: number = Family.ipv4): Route[] {
  const request = new MessageWriter(Rtm.getRoute, NlmFlag.request | NlmFlag.dump);
  routeHeader(request, { family, prefix: 0, table: RouteTable.unspecified, protocol: 0, scope: 0, type: 0 });
  return netlink
    .dump(request, 'list the routes')
    .filter(({ payload }) => (readU32(payload, RTMSG_FLAGS) & ROUTE_CLONED) === 0)
    .map(parseRoute)
    .filter((route) => route.table === RouteTable.main);
}

/** @throws SystemError EEXIST, ENETUNREACH (the gateway is on no link), ENETDOWN (the interface is down) */
export function addRoute(netlink: Netlink, route: RouteSpec): void {
  change(netlink, Rtm.newRoute, NlmFlag.create | NlmFlag.exclusive, route, 'add');
}

/** Adds it, or takes the place of a route to the same destination with the same metric. @throws SystemError ENETUNREACH, ENETDOWN */
export function replaceRoute(netlink: Netlink, route: RouteSpec): void {
  change(netlink, Rtm.newRoute, NlmFlag.create | NlmFlag.replace, route, 'set');
}

/** Removes the first route that has everything given. @throws SystemError ESRCH */
export function removeRoute(netlink: Netlink, route: RouteSpec): void {
  change(netlink, Rtm.deleteRoute, 0, route, 'remove');
}

/**
 * The way the kernel would take to `destination`: interface, gateway, source address. Undefined when it has none.
 * @throws SystemError
 */
export function lookUpRoute(netlink: Netlink, destination: string): Route | undefined {
  const ip = parseIp(destination);
  const request = new MessageWriter(Rtm.getRoute, NlmFlag.request);
  routeHeader(request, { prefix: 32, table: RouteTable.unspecified, protocol: 0, scope: 0, type: 0 });
  request.attribute(Rta.destination, ip.bytes);
  const { ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL } = constants.errno;
  // EACCES is a prohibit route's answer, EINVAL a blackhole's.
  const answer = netlink.find(request, `find a route to ${destination}`, destination, [
    ENETUNREACH,
    EHOSTUNREACH,
    EACCES,
    EINVAL,
  ]);
  return answer === undefined ? undefined : parseRoute(answer);
}

/** Reads an RTM_NEWROUTE or RTM_DELROUTE of AF_INET. @throws MalformedMessage */
export function parseRoute(message: Message): Route {
  const { payload } = message;
  const attributes = readAttributes(payload, RTMSG_BYTES);
  const hop = firstHop(attributes.get(Rta.multipath));
  const ip = (type: number) => formatIp(attributes.get(type) ?? new Uint8Array(0));
  return {
    destination: ip(Rta.destination) || (readU8(payload, RTMSG_FAMILY) === Family.ipv6 ? '::' : '0.0.0.0'),
    prefix: readU8(payload, RTMSG_PREFIX),
    gateway: hop?.gateway ?? ip(Rta.gateway),
    index: hop?.index ?? attributeU32(attributes, Rta.outInterface, -1),
    preferredSource: ip(Rta.preferredSource),
    metric: attributeU32(attributes, Rta.priority, 0),
    table: attributeU32(attributes, Rta.table, readU8(payload, RTMSG_TABLE)),
    type: readU8(payload, RTMSG_TYPE),
    protocol: readU8(payload, RTMSG_PROTOCOL),
    scope: readU8(payload, RTMSG_SCOPE),
  };
}

function firstHop(multipath: Uint8Array | undefined): { gateway: string; index: number } | undefined {
  if (multipath === undefined) return undefined;
  const length = Math.min(Math.max(readU16(multipath, 0), RTNEXTHOP_BYTES), multipath.length);
  const attributes = readAttributes(multipath.subarray(0, length), RTNEXTHOP_BYTES);
  return {
    gateway: formatIp(attributes.get(Rta.gateway) ?? new Uint8Array(0)),
    index: readI32(multipath, RTNEXTHOP_INDEX),
  };
}

function change(netlink: Netlink, type: number, flags: number, route: RouteSpec, verb: string): void {
  const [destination, bits] = route.destination === 'default' ? ['0.0.0.0', '0'] : route.destination.split('/');
  const ip = parseIp(destination);
  const longest = 8 * ip.bytes.length;
  const prefix = bits === undefined ? longest : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > longest) {
    throw new Error(`${JSON.stringify(route.destination)} is not a destination like 10.1.0.0/24, 2001:db8::/64 or default`);
  }
  const removing = type === Rtm.deleteRoute;
  const request = new MessageWriter(type, NlmFlag.request | NlmFlag.ack | flags);
  routeHeader(request, {
    family: ip.family,
    prefix,
    table: RouteTable.main,
    protocol: removing ? RouteProtocol.unspecified : RouteProtocol.static,
    // "nowhere" matches any scope when removing.
    scope: removing ? Scope.nowhere : route.gateway === undefined ? Scope.link : Scope.universe,
    type: removing ? RouteType.unspecified : RouteType.unicast,
  });
  if (prefix > 0) request.attribute(Rta.destination, ip.bytes);
  if (route.gateway !== undefined) request.attribute(Rta.gateway, parseIp(route.gateway).bytes);
  if (route.index !== undefined) request.attributeU32(Rta.outInterface, route.index);
  if (route.preferredSource !== undefined) request.attribute(Rta.preferredSource, parseIp(route.preferredSource).bytes);
  if (route.metric !== undefined) request.attributeU32(Rta.priority, route.metric);
  const by = route.gateway === undefined ? '' : ` by ${route.gateway}`;
  netlink.change(request, `${verb} the route to ${route.destination}${by}`, route.destination);
}

function routeHeader(
  request: MessageWriter,
  header: { family?: number; prefix: number; table: number; protocol: number; scope: number; type: number },
): void {
  request
    .u8(header.family ?? Family.ipv4)
    .u8(header.prefix)
    .u8(0)
    .u8(0)
    .u8(header.table)
    .u8(header.protocol)
    .u8(header.scope)
    .u8(header.type)
    .u32(0);
}
