/**
 * Links: the interfaces of a namespace, as `ip link` shows and changes them.
 *
 * Links are named by index in changes: a name may be taken over by another interface between two calls, an index is not given again soon.
 * Names are checked before the kernel is asked (interface-name.ts), so that a refused call has changed nothing.
 */
import { constants } from 'node:os';
import type { Descriptor } from '../native/binding.js';
import { formatLinkAddress, macBytes } from './address-text.js';
import { Family, Ifla, IflaInfo, LinkFlag, NlmFlag, Rtm, VETH_PEER } from './constants.js';
import { checkInterfaceName } from './interface-name.js';
import {
  attributeString,
  attributeU32,
  type Message,
  MessageWriter,
  readAttributes,
  readI32,
  readU8,
  readU32,
  readU64,
} from './message.js';
import { failure, type Netlink } from './netlink.js';

/** RFC 2863 states (include/uapi/linux/if.h, IF_OPER_*), by number. */
const OPER_STATES = ['unknown', 'not-present', 'down', 'lower-layer-down', 'testing', 'dormant', 'up'] as const;
export type OperState = (typeof OPER_STATES)[number];

export interface Link {
  index: number;
  name: string;
  mtu: number;
  /** 'aa:bb:cc:dd:ee:ff'; '' for a link without a link-layer address. */
  mac: string;
  /** IFF_*, see `LinkFlag`. */
  flags: number;
  /** Administratively up. */
  up: boolean;
  /** Has a carrier. */
  lowerUp: boolean;
  operState: OperState;
  /** 'veth', 'tun', 'bridge', 'dummy' ...; '' for hardware and the loopback. */
  kind: string;
  /** Index of the bridge or bond it belongs to, -1 for none. */
  master: number;
  /** Index of the other end of a veth (in the namespace it is in) or of the link below, -1 for none. */
  peer: number;
  /** What its owner wrote on it; '' for nothing. */
  alias: string;
  /** Frames. */
  txQueueLength: number;
  /** Frames the interface got since it was made. */
  rxPackets: number;
  /** Frames the interface was to send and dropped since it was made. Of a TAP: what its reader never got. */
  txDropped: number;
}

export interface VethEnd {
  name: string;
  /** Where it is made; -1 or absent: in the namespace of the conversation. */
  netns?: Descriptor | -1;
  /** Absent: the kernel chooses. */
  mac?: string;
  mtu?: number;
}

export interface LinkChange {
  mtu?: number;
  mac?: string;
  /** Of an interface that is up: kernels before 6.2 answer EBUSY. */
  name?: string;
  up?: boolean;
  /** Index of a bridge, -1: none. */
  master?: number;
  /** Frames. */
  txQueueLength?: number;
  /** At most 255 bytes (IFALIASZ); stays with the interface when it is moved or renamed. */
  alias?: string;
}

/** ifinfomsg: family, pad, type(2), index, flags, change mask. */
const IFINFO_BYTES = 16;
const IFINFO_INDEX = 4;
const IFINFO_FLAGS = 8;
/** rtnl_link_stats64 (include/uapi/linux/if_link.h): 64-bit numbers; rx and tx packets, bytes, errors, rx_dropped come before. */
const STATS64_RX_PACKETS = 0;
const STATS64_TX_DROPPED = 56;

/** RTEXT_FILTER_SKIP_STATS: without the counters of the IPv6 stack, 1128 bytes for a veth instead of 1496 (kernel 6.18). */
const SKIP_STATISTICS = 1 << 3;

const CREATE = NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.exclusive;
const CHANGE = NlmFlag.request | NlmFlag.ack;

/** All links of the namespace, in the kernel's order (by index). @throws SystemError */
export function listLinks(netlink: Netlink): Link[] {
  const request = linkHeader(new MessageWriter(Rtm.getLink, NlmFlag.request | NlmFlag.dump), 0).attributeU32(
    Ifla.extMask,
    SKIP_STATISTICS,
  );
  return netlink.dump(request, 'list the interfaces').map(parseLink);
}

/** A link by name or index; undefined when there is none. @throws SystemError */
export function findLink(netlink: Netlink, link: string | number): Link | undefined {
  const answer = netlink.find(getRequest(link), `look up interface ${link}`, String(link), [constants.errno.ENODEV]);
  return answer === undefined ? undefined : parseLink(answer);
}

/** A link by name or index. @throws SystemError ENODEV */
export function getLink(netlink: Netlink, link: string | number): Link {
  return parseLink(netlink.get(getRequest(link), `look up interface ${link}`, String(link)));
}

/** Makes a pair of connected ends, each at once in its namespace under its final name. @throws SystemError EEXIST when a name is taken */
export function createVeth(netlink: Netlink, end: VethEnd, peer: VethEnd): void {
  checkInterfaceName(end.name);
  checkInterfaceName(peer.name);
  const request = linkHeader(new MessageWriter(Rtm.newLink, CREATE), 0);
  vethEnd(request, end);
  request.nested(Ifla.info, () => {
    request.attributeString(IflaInfo.kind, 'veth').nested(IflaInfo.data, () => {
      request.nested(VETH_PEER, () => vethEnd(linkHeader(request, 0), peer));
    });
  });
  netlink.change(request, `create the veth pair ${end.name}, ${peer.name}`, end.name);
}

/** Makes a kernel bridge, for comparison. @throws SystemError EEXIST */
export function createBridge(netlink: Netlink, name: string): void {
  createKind(netlink, name, 'bridge');
}

/** Makes an interface that swallows what is sent to it. @throws SystemError EEXIST */
export function createDummy(netlink: Netlink, name: string): void {
  createKind(netlink, name, 'dummy');
}

/** Changes what is given, in one message. @throws SystemError ENODEV, EINVAL (MTU), EEXIST (name) */
export function setLink(netlink: Netlink, index: number, change: LinkChange): void {
  const flags = change.up === undefined ? 0 : LinkFlag.up;
  const request = linkHeader(new MessageWriter(Rtm.setLink, CHANGE), index, change.up === true ? LinkFlag.up : 0, flags);
  if (change.name !== undefined) request.attributeString(Ifla.name, checkInterfaceName(change.name));
  if (change.mtu !== undefined) request.attributeU32(Ifla.mtu, change.mtu);
  if (change.mac !== undefined) request.attribute(Ifla.address, macBytes(change.mac));
  if (change.master !== undefined) request.attributeU32(Ifla.master, Math.max(change.master, 0));
  if (change.txQueueLength !== undefined) request.attributeU32(Ifla.txQueueLength, change.txQueueLength);
  if (change.alias !== undefined) request.attributeString(Ifla.alias, change.alias);
  netlink.change(request, `change interface ${index} (${Object.keys(change).join(', ')})`, String(index));
}

/**
 * Moves a link to another namespace, and renames it, in one message. It arrives down, without addresses, and may have another index.
 *
 * When the new name is taken there, the kernel moves first and only then refuses to rename, and the link is left behind there under its old name
 * (net/core/rtnetlink.c, do_setlink; seen with 6.18). So the target is asked before; only an interface that appears there at the same
 * instant can still bring this about.
 * @param target A conversation with that namespace, where there is one already.
 * @throws SystemError EEXIST when the name is taken there; nothing has moved then
 */
export function moveLink(netlink: Netlink, index: number, netns: Descriptor, name: string, target?: Netlink): void {
  checkInterfaceName(name);
  const what = `move interface ${index} to the namespace as ${name}`;
  const there = target ?? netlink.elsewhere(netns);
  try {
    if (findLink(there, name) !== undefined)
      throw failure(constants.errno.EEXIST, what, name, `there is an interface ${name} in it`);
  } finally {
    if (target === undefined) there.close();
  }
  const request = linkHeader(new MessageWriter(Rtm.setLink, CHANGE), index);
  request.attributeU32(Ifla.netnsFd, netns).attributeString(Ifla.name, name);
  netlink.change(request, what, name);
}

/** Removes a link; of a veth both ends go. @throws SystemError ENODEV, EOPNOTSUPP (hardware) */
export function deleteLink(netlink: Netlink, index: number): void {
  const request = linkHeader(new MessageWriter(Rtm.deleteLink, CHANGE), index);
  netlink.change(request, `remove interface ${index}`, String(index));
}

/** Reads an RTM_NEWLINK or RTM_DELLINK. @throws MalformedMessage */
export function parseLink(message: Message): Link {
  const { payload } = message;
  const flags = readU32(payload, IFINFO_FLAGS);
  const attributes = readAttributes(payload, IFINFO_BYTES);
  const info = attributes.get(Ifla.info);
  const operState = attributes.get(Ifla.operState);
  const statistics = attributes.get(Ifla.stats64);
  const master = attributeU32(attributes, Ifla.master, 0);
  const peer = attributeU32(attributes, Ifla.link, 0);
  return {
    index: readI32(payload, IFINFO_INDEX),
    name: attributeString(attributes, Ifla.name),
    mtu: attributeU32(attributes, Ifla.mtu, 0),
    mac: formatLinkAddress(attributes.get(Ifla.address) ?? new Uint8Array(0)),
    flags,
    up: (flags & LinkFlag.up) !== 0,
    lowerUp: (flags & LinkFlag.lowerUp) !== 0,
    operState: OPER_STATES[operState === undefined ? 0 : readU8(operState, 0)] ?? 'unknown',
    kind: info === undefined ? '' : attributeString(readAttributes(info, 0), IflaInfo.kind),
    master: master === 0 ? -1 : master,
    peer: peer === 0 ? -1 : peer,
    alias: attributeString(attributes, Ifla.alias),
    txQueueLength: attributeU32(attributes, Ifla.txQueueLength, 0),
    rxPackets: statistics === undefined ? 0 : readU64(statistics, STATS64_RX_PACKETS),
    txDropped: statistics === undefined ? 0 : readU64(statistics, STATS64_TX_DROPPED),
  };
}

function getRequest(link: string | number): MessageWriter {
  const request = linkHeader(new MessageWriter(Rtm.getLink, NlmFlag.request), typeof link === 'number' ? link : 0);
  request.attributeU32(Ifla.extMask, SKIP_STATISTICS);
  return typeof link === 'number' ? request : request.attributeString(Ifla.name, checkInterfaceName(link));
}

function createKind(netlink: Netlink, name: string, kind: string): void {
  const request = linkHeader(new MessageWriter(Rtm.newLink, CREATE), 0).attributeString(Ifla.name, checkInterfaceName(name));
  request.nested(Ifla.info, () => request.attributeString(IflaInfo.kind, kind));
  netlink.change(request, `create the ${kind} interface ${name}`, name);
}

function vethEnd(request: MessageWriter, end: VethEnd): void {
  request.attributeString(Ifla.name, end.name);
  if (end.mac !== undefined) request.attribute(Ifla.address, macBytes(end.mac));
  if (end.mtu !== undefined) request.attributeU32(Ifla.mtu, end.mtu);
  if (end.netns !== undefined && end.netns >= 0) request.attributeU32(Ifla.netnsFd, end.netns);
}

function linkHeader(request: MessageWriter, index: number, flags = 0, changed = 0): MessageWriter {
  return request.u8(Family.unspecified).u8(0).u16(0).u32(index).u32(flags).u32(changed);
}
