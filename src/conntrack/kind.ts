/**
 * What a tuple is a tuple of, in one int32:
 *
 *     31      24 23      16 15       8 7        0
 *     +---------+----------+----------+----------+
 *     | request | zone (0) | family 4 | protocol |      request: the type of an ICMP query, the same for both ends of a pair (C2)
 *     +---------+----------+----------+----------+
 */
import { Protocol } from '../wire/ipv4.js';

const FAMILY_IPV4 = 4 << 8;
const PROTOCOL_MASK = 0xff;
const REQUEST_SHIFT = 24;

/** What an ICMP type is to a gateway (C2, E.6). */
export const IcmpRole = { ignored: 0, request: 1, reply: 2, error: 3 } as const;

const role = new Uint8Array(256);
const requestOf = new Uint8Array(256);

function pair(request: number, reply: number): void {
  role[request] = IcmpRole.request;
  role[reply] = IcmpRole.reply;
  requestOf[request] = request;
  requestOf[reply] = request;
}

/** Echo, timestamp, information, address mask (RFC 792, RFC 950). */
pair(8, 0);
pair(13, 14);
pair(15, 16);
pair(17, 18);
/** Unreachable, source quench, redirect, time exceeded, parameter problem. */
for (const error of [3, 4, 5, 11, 12]) {
  role[error] = IcmpRole.error;
}

/** Kind of an IPv4 tuple; of ICMP queries see `icmpKind`. */
export function kindOf(protocol: number): number {
  return FAMILY_IPV4 | protocol;
}

/** A number of `IcmpRole`. */
export function icmpRole(type: number): number {
  return role[type];
}

/** Kind of an ICMP query or its answer; only for types of these roles. */
export function icmpKind(type: number): number {
  return (requestOf[type] << REQUEST_SHIFT) | FAMILY_IPV4 | Protocol.icmp;
}

/** Whether a number is the kind of a tuple. */
export function isKind(kind: number): boolean {
  const request = kind >>> REQUEST_SHIFT;
  const isQuery = protocolOf(kind) === Protocol.icmp;
  return (kind & 0xff_ff00) === FAMILY_IPV4 && (isQuery ? role[request] === IcmpRole.request : request === 0);
}

export function protocolOf(kind: number): number {
  return kind & PROTOCOL_MASK;
}

/** Source and destination port change places. */
export function invertPorts(ports: number): number {
  return (ports << 16) | (ports >>> 16);
}
