/**
 * F.4: consecutive datagrams of one UDP flow leave as ONE UDP_L4 super-frame, so that the receiving kernel runs its receive path once
 * instead of up to 64 times. The largest single gain over a frame per write that was measured (docs/performance.md).
 *
 *     frames   [ headers 0 | payload 0 ]   [ headers 1 | payload 1 ]   [ headers 2 | payload 2 ]
 *     merged   [ vnet header, headers of 0 with new lengths ] + payload 0 + payload 1 + payload 2       (references)
 *
 * Only neighbours in the list merge, after the datagrams of each flow were gathered (gather.ts): the order of a flow never changes (G26);
 * between datagrams of different flows of one burst it may (L30 holds per flow only). Whether two frames belong together is nine comparisons
 * of 32-bit words, made before anything else is looked at; that a frame is mergeable at all is asked once per group. The header checksum
 * of every member is verified on the way, because the merged header gets a fresh one, which would hide a broken one. IPv4 without tags and
 * options only; what is not merged leaves as it is.
 *
 * Words: a frame's offset is 2 mod 4 (batch.ts), so from byte 2 on it is made of aligned words, read little-endian:
 *
 *     byte    -2        2         6         10             14              18         22                26      30      34      38
 *             [..|MAC ] [  MAC  ] [  MAC  ] [ MAC | type ] [45 TOS|total ] [ID|frag ] [TTL prot|check ] [ src ] [ dst ] [ports] [len|check]
 */
import type { Transmit } from '../core/transmit.js';
import * as checksum from '../wire/checksum.js';
import { Protocol } from '../wire/ipv4.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { gatherFlows } from './gather.js';
import { emitSegments } from './segment.js';
import { wirePackets } from './wire-packets.js';

const IP = 14;
const IP_BYTES = 20;
const UDP = IP + IP_BYTES;
const HEADER_BYTES = UDP + udp.HEADER_BYTES;

const IP_TOTAL = IP + 2;
const IP_ID = IP + 4;
const IP_FRAGMENT = IP + 6;
const IP_PROTOCOL = IP + 9;
const IP_CHECKSUM = IP + 10;
const UDP_SOURCE = UDP;
const UDP_DESTINATION = UDP + 2;
const UDP_LENGTH = UDP + 4;
const UDP_CHECKSUM = UDP + udp.CHECKSUM;

/** Ethernet type and the first IP byte: IPv4, five words of header (G21). */
const ETHERTYPE_IPV4 = 0x0800;
const VERSION_IHL = 0x45;
const DONT_FRAGMENT = 0x4000;

/** G25. UDP_MAX_SEGMENTS of kernels before 6.9; later ones take 128. */
const DATAGRAMS_MAX = 64;
const IP_TOTAL_MAX = 65_535;

/** G25: VXLAN (RFC 7348, and the port Linux used before), GENEVE (RFC 8926): a receiver's tunnel code expects single datagrams. */
const TUNNEL_PORTS: readonly number[] = [4789, 8472, 6081];

/** A map of ports never to merge, for `emitCoalesced`: 1 at each of them. */
export function portSet(ports: readonly number[]): Uint8Array {
  const set = new Uint8Array(65_536);
  for (const port of ports) {
    set[port] = 1;
  }
  return set;
}

const DEFAULT_UNMERGED = portSet(TUNNEL_PORTS);

/** The arena as words, remembered for the buffer last used. */
let words: Int32Array = new Int32Array(0);

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** G20 for two frames of one ingress port, at least HEADER_BYTES long at offsets 2 mod 4: all equal that must be, the UDP ports first. */
function sameFlow(a: number, b: number): boolean {
  const x = (a + 2) >> 2;
  const y = (b + 2) >> 2;
  return (
    words[x + 8] === words[y + 8] &&
    words[x + 6] === words[y + 6] &&
    words[x + 7] === words[y + 7] &&
    words[x] === words[y] &&
    words[x + 1] === words[y + 1] &&
    words[x + 2] === words[y + 2] &&
    // Version, header length and TOS; then flags and fragment offset; then TTL and protocol; then the first two octets.
    ((words[x + 3] ^ words[y + 3]) & 0xffff) === 0 &&
    (words[x + 4] ^ words[y + 4]) >>> 16 === 0 &&
    ((words[x + 5] ^ words[y + 5]) & 0xffff) === 0 &&
    (words[x - 1] ^ words[y - 1]) >>> 16 === 0
  );
}

/** G22: the UDP checksum is there and right, or NEEDS_CSUM promises it. */
function checksumGood(bytes: Uint8Array, at: number): boolean {
  const header = at - vnet.HEADER_BYTES;
  const flags = vnet.flags(bytes, header);
  if ((flags & vnet.Flag.needsChecksum) !== 0) {
    return vnet.checksumStart(bytes, header) === UDP && vnet.checksumOffset(bytes, header) === udp.CHECKSUM;
  }
  if (word(bytes, at + UDP_CHECKSUM) === 0) {
    return false;
  }
  if ((flags & vnet.Flag.dataValid) !== 0) {
    return true;
  }
  const length = word(bytes, at + UDP_LENGTH);
  return checksum.sum(bytes, at + UDP, length, checksum.pseudoIpv4(bytes, at + IP, Protocol.udp, length)) === 0xffff;
}

/** The lengths of frame, IP and UDP agree and there is a payload (G21); `length` >= HEADER_BYTES. */
function lengthsAgree(bytes: Uint8Array, at: number, length: number): boolean {
  return length > HEADER_BYTES && word(bytes, at + IP_TOTAL) === length - IP && word(bytes, at + UDP_LENGTH) === length - UDP;
}

/** May this frame be the first of a group? */
function mayStart(bytes: Uint8Array, at: number, length: number, unmerged: Uint8Array): boolean {
  return (
    word(bytes, at + IP - 2) === ETHERTYPE_IPV4 &&
    bytes[at + IP] === VERSION_IHL &&
    bytes[at + IP_PROTOCOL] === Protocol.udp &&
    (word(bytes, at + IP_FRAGMENT) & ~DONT_FRAGMENT) === 0 &&
    lengthsAgree(bytes, at, length) &&
    (unmerged[word(bytes, at + UDP_SOURCE)] | unmerged[word(bytes, at + UDP_DESTINATION)]) === 0 &&
    checksum.checksum(bytes, at + IP, IP_BYTES) === 0 &&
    checksumGood(bytes, at)
  );
}

/**
 * The part of the header checksum's sum in which frames of one flow differ. Equal for two of them exactly when both header checksums are
 * right or both are wrong by the same amount.
 */
function varyingSum(bytes: Uint8Array, at: number): number {
  return checksum.fold(word(bytes, at + IP_TOTAL) + word(bytes, at + IP_ID) + word(bytes, at + IP_CHECKSUM));
}

/** Writes vnet header and headers of the merged frame to scratch and returns their offset. */
function writeHeaders(bytes: Uint8Array, at: number, payload: number, total: number, tx: Transmit): number {
  const scratch = tx.scratch(vnet.HEADER_BYTES + HEADER_BYTES, vnet.HEADER_BYTES);
  const to = scratch + vnet.HEADER_BYTES;
  const from = (at - 2) >> 2;
  const target = (to - 2) >> 2;
  for (let index = 0; index <= HEADER_BYTES >> 2; index++) {
    words[target + index] = words[from + index];
  }
  vnet.write(bytes, scratch, vnet.Flag.needsChecksum, vnet.GsoType.udpL4, HEADER_BYTES, payload, UDP, udp.CHECKSUM);
  const l4Length = udp.HEADER_BYTES + total;
  setWord(bytes, to + IP_TOTAL, IP_BYTES + l4Length);
  setWord(bytes, to + IP_CHECKSUM, 0);
  setWord(bytes, to + IP_CHECKSUM, checksum.checksum(bytes, to + IP, IP_BYTES));
  setWord(bytes, to + UDP_LENGTH, l4Length);
  setWord(bytes, to + UDP_CHECKSUM, checksum.pseudoIpv4(bytes, to + IP, Protocol.udp, l4Length));
  return scratch;
}

/** One frame as it is. */
function emitWhole(bytes: Uint8Array, at: number, length: number, port: number, tx: Transmit, uso: boolean): number {
  const type = vnet.gsoType(bytes, at - vnet.HEADER_BYTES);
  if (type === vnet.GsoType.none) {
    tx.reserve(1, 1, 0);
    tx.begin(port);
    tx.segment(at - vnet.HEADER_BYTES, length + vnet.HEADER_BYTES);
    tx.end(1, 1);
    return 0;
  }
  const packets = wirePackets(bytes, at, length);
  if (type === vnet.GsoType.udpL4 && !uso && packets > 1) {
    return emitSegments(bytes, at, length, port, tx, vnet.HEADER_BYTES) === 0 ? 1 : 0;
  }
  tx.reserve(1, 1, 0);
  tx.begin(port);
  tx.segment(at - vnet.HEADER_BYTES, length + vnet.HEADER_BYTES);
  tx.end(1, packets);
  return 0;
}

/**
 * Emits frames order[0, count) for a `port` whose descriptor takes vnet headers: datagrams of a flow gathered and merged where that is
 * correct, all else as and where it is; `order` is left in the order of sending. DATA_VALID may stay set on what leaves: TAPs and packet
 * sockets ignore it (N31), and the header is shared (L4).
 * @param bytes the arena, at an offset of its buffer that is a multiple of 4
 * @param ingress ports the frames came from: only frames of one merge (G20)
 * @param at arena offsets of the frames, their vnet headers directly before them
 * @param length bytes of the frames
 * @param uso the egress accepts gso_type UDP_L4; without it nothing is merged and such super-frames are segmented
 * @param unmerged ports never to merge, from `portSet`
 * @returns how many frames were not emitted because they could not be segmented (`tx_unsegmentable`)
 */
export function emitCoalesced(
  bytes: Uint8Array,
  ingress: Int32Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  count: number,
  port: number,
  tx: Transmit,
  uso: boolean,
  unmerged: Uint8Array = DEFAULT_UNMERGED,
): number {
  if (words.buffer !== bytes.buffer || words.byteOffset !== bytes.byteOffset) {
    words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }
  // Two datagrams of a flow can only be apart from three frames on.
  if (uso && count > 2) {
    gatherFlows(words, bytes, ingress, at, length, order, count);
  }
  let refused = 0;
  let index = 0;
  while (index < count) {
    const first = order[index];
    const members = uso ? groupSize(bytes, ingress, at, length, order, index, count, unmerged) : 1;
    if (members === 1) {
      refused += emitWhole(bytes, at[first], length[first], port, tx, uso);
    } else {
      emitMerged(bytes, at, length, order, index, members, port, tx);
    }
    index += members;
  }
  return refused;
}

/** How many frames from order[start] on leave as one; 1 when the frame leaves alone. */
function groupSize(
  bytes: Uint8Array,
  ingress: Int32Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  start: number,
  count: number,
  unmerged: Uint8Array,
): number {
  const first = order[start];
  const firstAt = at[first];
  const firstLength = length[first];
  const from = ingress[first];
  if ((firstAt & 3) !== 2 || vnet.gsoType(bytes, firstAt - vnet.HEADER_BYTES) !== vnet.GsoType.none) {
    return 1;
  }
  const payload = firstLength - HEADER_BYTES;
  let total = payload;
  let members = 1;
  let varying = 0;
  let identification = 0;
  let fixedIdentification = true;
  for (let index = start + 1; index < count && members < DATAGRAMS_MAX; index++) {
    const frame = order[index];
    const next = at[frame];
    const nextLength = length[frame];
    const nextPayload = nextLength - HEADER_BYTES;
    // G23: as long as the first, or shorter and then the last. Cheapest questions first: most lists hold different flows.
    if (
      nextPayload > payload ||
      nextPayload <= 0 ||
      total + nextPayload > IP_TOTAL_MAX - IP_BYTES - udp.HEADER_BYTES ||
      (next & 3) !== 2 ||
      ingress[frame] !== from ||
      vnet.gsoType(bytes, next - vnet.HEADER_BYTES) !== vnet.GsoType.none ||
      !sameFlow(firstAt, next)
    ) {
      break;
    }
    if (members === 1) {
      if (!mayStart(bytes, firstAt, firstLength, unmerged)) {
        break;
      }
      varying = varyingSum(bytes, firstAt);
      identification = word(bytes, firstAt + IP_ID);
      fixedIdentification = (word(bytes, firstAt + IP_FRAGMENT) & DONT_FRAGMENT) !== 0;
    }
    // G24: with fragmentation allowed the segmenter's IDs, each one more, must be those the sender chose.
    if (
      !lengthsAgree(bytes, next, nextLength) ||
      varyingSum(bytes, next) !== varying ||
      (!fixedIdentification && word(bytes, next + IP_ID) !== ((identification + members) & 0xffff)) ||
      !checksumGood(bytes, next)
    ) {
      break;
    }
    members++;
    total += nextPayload;
    if (nextPayload < payload) {
      break;
    }
  }
  return members;
}

function emitMerged(
  bytes: Uint8Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  start: number,
  members: number,
  port: number,
  tx: Transmit,
): void {
  const first = order[start];
  const payload = length[first] - HEADER_BYTES;
  const last = length[order[start + members - 1]] - HEADER_BYTES;
  tx.reserve(1, members + 1, vnet.HEADER_BYTES + HEADER_BYTES);
  const headers = writeHeaders(bytes, at[first], payload, payload * (members - 1) + last, tx);
  tx.begin(port);
  tx.segment(headers, vnet.HEADER_BYTES + HEADER_BYTES);
  for (let index = start; index < start + members; index++) {
    const frame = order[index];
    tx.segment(at[frame] + HEADER_BYTES, length[frame] - HEADER_BYTES);
  }
  tx.end(members, members);
}
