/**
 * Writes a translated tuple into a frame, with every checksum that covers it (E.4), in place and without looking at the payload:
 *
 *     IP header        HC' = ~(~HC + d(addresses))                      RFC 1624, eqn 3
 *     TCP, UDP         complete:    HC' = ~(~HC + d(addresses) + d(ports)); UDP: 0 stays 0, a result of 0 is written as 0xffff
 *                      NEEDS_CSUM:  S'  = S + d(addresses)              the field is the uncomplemented pseudo-header sum (super-frames too)
 *     ICMP query       HC' = ~(~HC + d(id))                             no pseudo header
 *
 * with d = the sum of ~old + new over the 16-bit words that change (checksum-delta.ts).
 *
 * The Ethernet header starts at `at`, the vnet header 12 bytes before. What is read was checked before (R2, C4): whole headers, and a
 * vnet header that speaks of this transport header (`checksumAgrees`).
 */
import { Protocol } from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { addAt, replace32, setWord, updateAt, updateUdpAt, word } from './checksum-delta.js';

const TTL = 8;
const PROTOCOL = 9;
const IP_CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;
const ICMP_CHECKSUM = 2;
const ICMP_ID = 4;
/** One off the TTL, as a word of the header. */
const TTL_STEP = 0x0100;

/**
 * Makes `source`, `destination` (int32) and `ports` (source << 16 | destination; id << 16 | id for ICMP queries) the tuple of the packet
 * whose IP header is at `ip` and transport header at `l4`. Protocols without ports, and ICMP queries, take what applies to them.
 */
export function rewrite(
  bytes: Uint8Array,
  at: number,
  ip: number,
  l4: number,
  source: number,
  destination: number,
  ports: number,
): void {
  const addresses = rewriteAddresses(bytes, at, ip, source, destination);
  const protocol = bytes[ip + PROTOCOL];
  const partial = (bytes[at - vnet.HEADER_BYTES] & vnet.Flag.needsChecksum) !== 0;
  if (protocol === Protocol.tcp) {
    const delta = (addresses + replace32(bytes, l4, ports)) | 0;
    if (partial) {
      addAt(bytes, l4 + tcp.CHECKSUM, addresses);
    } else {
      updateAt(bytes, l4 + tcp.CHECKSUM, delta);
    }
  } else if (protocol === Protocol.udp) {
    const delta = (addresses + replace32(bytes, l4, ports)) | 0;
    if (partial) {
      addAt(bytes, l4 + udp.CHECKSUM, addresses);
    } else {
      updateUdpAt(bytes, l4 + udp.CHECKSUM, delta);
    }
  } else if (protocol === Protocol.icmp) {
    const before = word(bytes, l4 + ICMP_ID);
    const after = ports & 0xffff;
    setWord(bytes, l4 + ICMP_ID, after);
    // An unfinished sum starts without a pseudo header here and does not know the id yet.
    if (!partial) {
      updateAt(bytes, l4 + ICMP_CHECKSUM, (~before & 0xffff) + after);
    }
  }
}

/**
 * The addresses alone: fragments behind the first, protocols without ports. Also takes DATA_VALID off, which must not be set on transmit (N31).
 * @returns the sum of ~old + new over their words, not folded, at most 8 * 0xffff
 */
export function rewriteAddresses(bytes: Uint8Array, at: number, ip: number, source: number, destination: number): number {
  bytes[at - vnet.HEADER_BYTES] &= ~vnet.Flag.dataValid;
  const delta = (replace32(bytes, ip + SOURCE, source) + replace32(bytes, ip + DESTINATION, destination)) | 0;
  updateAt(bytes, ip + IP_CHECKSUM, delta);
  return delta;
}

/** One less, with the checksum (R11): adding 0x0100 with end-around carry, 0xffff counting as 0. The TTL must not be 0. */
export function decrementTtl(bytes: Uint8Array, ip: number): void {
  bytes[ip + TTL] = bytes[ip + TTL] - 1;
  const sum = word(bytes, ip + IP_CHECKSUM) + TTL_STEP;
  setWord(bytes, ip + IP_CHECKSUM, sum >= 0xffff ? sum + 1 : sum);
}

/**
 * Whether what the vnet header says about an unfinished checksum is true of this packet: the transport header at `l4`, and its checksum field.
 * Finishing anything else would write into bytes a translation relies on, addresses included. True when nothing is unfinished.
 */
export function checksumAgrees(bytes: Uint8Array, at: number, l4: number, protocol: number): boolean {
  const header = at - vnet.HEADER_BYTES;
  if ((vnet.flags(bytes, header) & vnet.Flag.needsChecksum) === 0) {
    return true;
  }
  if (vnet.checksumStart(bytes, header) !== l4 - at) {
    return false;
  }
  const offset = vnet.checksumOffset(bytes, header);
  switch (protocol) {
    case Protocol.tcp:
      return offset === tcp.CHECKSUM;
    case Protocol.udp:
      return offset === udp.CHECKSUM;
    case Protocol.icmp:
      return offset === ICMP_CHECKSUM;
    default:
      // Inside the transport header and behind the IP header, whatever the protocol.
      return true;
  }
}
