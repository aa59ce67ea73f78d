/** IP addresses of links, as `ip address` shows and changes them. */
import { constants } from 'node:os';
import { formatIp, type IpBytes, parseIp } from './address-text.js';
import { Family, Ifa, IfaFlag, NlmFlag, Rtm, Scope } from './constants.js';
import { attributeString, attributeU32, type Message, MessageWriter, readAttributes, readU8, readU32 } from './message.js';
import { isErrno, type Netlink } from './netlink.js';

export interface InterfaceAddress {
  family: 'ipv4' | 'ipv6';
  /** Index of the interface. */
  index: number;
  /** '10.0.0.1' or 'fe80::1'. */
  address: string;
  /** Prefix length in bits. */
  prefix: number;
  /** IPv4; '' for none. */
  broadcast: string;
  /** RT_SCOPE_*, see `Scope`. */
  scope: number;
  /** IFA_F_*, see `IfaFlag`. */
  flags: number;
  /** IPv4: the name it was given with, usually the interface's. */
  label: string;
}

/** ifaddrmsg: family, prefix length, flags, scope, index. */
const IFADDR_BYTES = 8;
const IFADDR_PREFIX = 1;
const IFADDR_FLAGS = 2;
const IFADDR_SCOPE = 3;
const IFADDR_INDEX = 4;

/** Addresses of one interface (or of all: -1), both families. @throws SystemError */
export function listAddresses(netlink: Netlink, index: number | -1 = -1): InterfaceAddress[] {
  const request = new MessageWriter(Rtm.getAddress, NlmFlag.request | NlmFlag.dump);
  request.u8(Family.unspecified).u8(0).u8(0).u8(0).u32(0);
  const all = netlink.dump(request, 'list the addresses').map(parseAddress);
  return index < 0 ? all : all.filter((address) => address.index === index);
}

/**
 * Gives an interface an address; IPv4 with the broadcast address of its prefix (none for /31 and /32).
 * @throws SystemError EEXIST when the interface has it
 */
export function addAddress(netlink: Netlink, index: number, address: string, prefix: number): void {
  const ip = checkPrefix(address, prefix);
  const request = new MessageWriter(Rtm.newAddress, NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.exclusive);
  // No duplicate address detection: it would leave the address unusable for a second, on a link that is one of ours.
  const flags = ip.family === Family.ipv6 ? IfaFlag.noDad : 0;
  const scope = ip.family === Family.ipv4 && ip.bytes[0] === 127 ? Scope.host : Scope.universe;
  request.u8(ip.family).u8(prefix).u8(flags).u8(scope).u32(index);
  request.attribute(Ifa.local, ip.bytes).attribute(Ifa.address, ip.bytes);
  if (ip.family === Family.ipv4 && prefix < 31) request.attribute(Ifa.broadcast, broadcastOf(ip.bytes, prefix));
  netlink.change(request, `add address ${address}/${prefix} to interface ${index}`, String(index));
}

/** Takes an address away. @throws SystemError EADDRNOTAVAIL when the interface does not have it */
export function removeAddress(netlink: Netlink, index: number, address: string, prefix: number): void {
  const ip = checkPrefix(address, prefix);
  const request = new MessageWriter(Rtm.deleteAddress, NlmFlag.request | NlmFlag.ack);
  request.u8(ip.family).u8(prefix).u8(0).u8(0).u32(index).attribute(Ifa.local, ip.bytes).attribute(Ifa.address, ip.bytes);
  netlink.change(request, `remove address ${address}/${prefix} from interface ${index}`, String(index));
}

/** Takes all IPv4 addresses (and with `ipv6` those too) away. @throws SystemError */
export function flushAddresses(netlink: Netlink, index: number, options: { ipv6: boolean } = { ipv6: false }): void {
  for (const { family, address, prefix } of listAddresses(netlink, index)) {
    if (family === 'ipv6' && !options.ipv6) continue;
    try {
      removeAddress(netlink, index, address, prefix);
    } catch (error) {
      // Removing a primary address takes the secondary ones of its subnet along (net/ipv4/devinet.c, promote_secondaries off).
      if (!isErrno(error, constants.errno.EADDRNOTAVAIL)) throw error;
    }
  }
}

/** Reads an RTM_NEWADDR or RTM_DELADDR. @throws MalformedMessage */
export function parseAddress(message: Message): InterfaceAddress {
  const { payload } = message;
  const attributes = readAttributes(payload, IFADDR_BYTES);
  // On a point-to-point link IFA_ADDRESS is the other side's; IFA_LOCAL is ours where it is sent (always for IPv4).
  const address = attributes.get(Ifa.local) ?? attributes.get(Ifa.address);
  return {
    family: readU8(payload, 0) === Family.ipv6 ? 'ipv6' : 'ipv4',
    index: readU32(payload, IFADDR_INDEX),
    address: address === undefined ? '' : formatIp(address),
    prefix: readU8(payload, IFADDR_PREFIX),
    broadcast: formatIp(attributes.get(Ifa.broadcast) ?? new Uint8Array(0)),
    scope: readU8(payload, IFADDR_SCOPE),
    flags: attributeU32(attributes, Ifa.flags, readU8(payload, IFADDR_FLAGS)),
    label: attributeString(attributes, Ifa.label),
  };
}

function checkPrefix(address: string, prefix: number): IpBytes {
  const ip = parseIp(address);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > ip.bytes.length * 8) {
    throw new Error(`${address}/${prefix}: the prefix length must be 0 to ${ip.bytes.length * 8}`);
  }
  return ip;
}

function broadcastOf(address: Uint8Array, prefix: number): Uint8Array {
  return address.map((byte, at) => byte | (0xff >> Math.min(Math.max(prefix - 8 * at, 0), 8)));
}
