/** Neighbor entries of the kernel (its ARP table), as `ip neighbor` shows and changes them. Not the bridge's own table. */
import { formatIp, formatLinkAddress, macBytes, parseIp } from './address-text.js';
import { Family, Nda, NeighborFlag, NeighborState, NlmFlag, Rtm } from './constants.js';
import { type Message, MessageWriter, readAttributes, readU8, readU16, readU32 } from './message.js';
import type { Netlink } from './netlink.js';

export interface Neighbor {
  family: 'ipv4' | 'ipv6';
  /** Index of the interface. */
  index: number;
  /** '10.0.0.1' */
  address: string;
  /** 'aa:bb:cc:dd:ee:ff'; '' while it is not known. */
  mac: string;
  /** NUD_* bits, see `NeighborState`. */
  state: number;
}

/** ndmsg: family, pad(3), interface, state(2), flags, type. */
const NDMSG_BYTES = 12;
const NDMSG_INDEX = 4;
const NDMSG_STATE = 8;

/**
 * Entries of one interface (or of all: -1), without the kernel's own for multicast and broadcast (NUD_NOARP).
 * @param family AF_UNSPEC: both
 * @throws SystemError
 */
export function listNeighbors(netlink: Netlink, index: number | -1 = -1, family: number = Family.ipv4): Neighbor[] {
  const request = neighborHeader(new MessageWriter(Rtm.getNeighbor, NlmFlag.request | NlmFlag.dump), family, 0, 0);
  return netlink
    .dump(request, 'list the neighbors')
    .map(parseNeighbor)
    .filter((neighbor) => (index < 0 || neighbor.index === index) && (neighbor.state & NeighborState.noArp) === 0);
}

/** Sets an entry that neither ages nor is resolved; takes the place of one that is there. @throws SystemError */
export function setPermanentNeighbor(netlink: Netlink, index: number, address: string, mac: string): void {
  const ip = parseIp(address);
  const request = new MessageWriter(Rtm.newNeighbor, NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.replace);
  neighborHeader(request, ip.family, index, NeighborState.permanent);
  request.attribute(Nda.destination, ip.bytes).attribute(Nda.linkAddress, macBytes(mac));
  netlink.change(request, `add neighbor ${address} at ${mac} to interface ${index}`, String(index));
}

/** @throws SystemError ENOENT when there is none */
export function removeNeighbor(netlink: Netlink, index: number, address: string): void {
  const ip = parseIp(address);
  const request = neighborHeader(new MessageWriter(Rtm.deleteNeighbor, NlmFlag.request | NlmFlag.ack), ip.family, index, 0);
  request.attribute(Nda.destination, ip.bytes);
  netlink.change(request, `remove neighbor ${address} from interface ${index}`, String(index));
}

/**
 * Makes the kernel solicit again, at once, for each address of an interface that still waits for its first answer. What is queued for it stays queued:
 * removing the entry would tell its senders that the host is unreachable (net/core/neighbour.c, neigh_invalidate).
 * @throws SystemError
 */
export function solicitAgain(netlink: Netlink, index: number): void {
  for (const { address, state } of listNeighbors(netlink, index, Family.unspecified)) {
    if ((state & NeighborState.incomplete) === 0) continue;
    const { family, bytes } = parseIp(address);
    for (const flags of [0, NeighborFlag.use]) {
      const request = new MessageWriter(Rtm.newNeighbor, NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.replace);
      neighborHeader(request, family, index, NeighborState.none, flags).attribute(Nda.destination, bytes);
      netlink.change(request, `ask for neighbor ${address} of interface ${index}`, String(index));
    }
  }
}

/** Reads an RTM_NEWNEIGH or RTM_DELNEIGH. @throws MalformedMessage */
function parseNeighbor(message: Message): Neighbor {
  const { payload } = message;
  const attributes = readAttributes(payload, NDMSG_BYTES);
  return {
    family: readU8(payload, 0) === Family.ipv6 ? 'ipv6' : 'ipv4',
    index: readU32(payload, NDMSG_INDEX),
    address: formatIp(attributes.get(Nda.destination) ?? new Uint8Array(0)),
    mac: formatLinkAddress(attributes.get(Nda.linkAddress) ?? new Uint8Array(0)),
    state: readU16(payload, NDMSG_STATE),
  };
}

function neighborHeader(request: MessageWriter, family: number, index: number, state: number, flags = 0): MessageWriter {
  return request.u8(family).u8(0).u16(0).u32(index).u16(state).u8(flags).u8(0);
}
