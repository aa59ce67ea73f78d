/**
 * VLAN tags (IEEE 802.1Q-2018, 9.6), between the source address and the type of a frame.
 *
 *     12        14        16        18
 *     +---------+---------+---------+----------- - -
 *     |  TPID   |   TCI   |  type   |  payload
 *     +---------+---------+---------+----------- - -
 *               |PCP|D|   VID       |     PCP 3 bits, DEI 1 bit, VID 12 bits
 *
 * Up to two tags are walked (customer tag 0x8100, service tag 0x88a8); a third is an unknown type to us. All functions take the offset
 * and the length of the whole frame, of which `ethernet.check` holds.
 */
import { EtherType, HEADER_BYTES } from './ethernet.js';

const TPID = HEADER_BYTES - 2;
const TCI = TPID + 2;

export const TAG_BYTES = 4;
export const TAGS_MAX = 2;

const VID_MASK = 0x0fff;
const PRIORITY_SHIFT = 13;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Whether a type field announces a tag. */
export function isTag(type: number): boolean {
  return type === EtherType.vlan || type === EtherType.serviceVlan;
}

/** VLAN id of the outermost tag; 0 for an untagged, a priority-tagged or a truncated frame. */
export function vid(bytes: Uint8Array, at: number, length: number): number {
  return isTag(word(bytes, at + TPID)) && length >= HEADER_BYTES + TAG_BYTES ? word(bytes, at + TCI) & VID_MASK : 0;
}

/** Arena offset of what follows the last tag's type field, that is of the ARP or IP header; -1 when a tag is cut off. */
export function l3Offset(bytes: Uint8Array, at: number, length: number): number {
  let header = HEADER_BYTES;
  for (let tags = 0; tags < TAGS_MAX && isTag(word(bytes, at + header - 2)); tags++) {
    header += TAG_BYTES;
    if (length < header) {
      return -1;
    }
  }
  return at + header;
}

/** The type behind the tags, -1 when a tag is cut off. */
export function innerEtherType(bytes: Uint8Array, at: number, length: number): number {
  const l3 = l3Offset(bytes, at, length);
  return l3 < 0 ? -1 : word(bytes, l3 - 2);
}

/** Priority code point of the tag whose TPID lies at `tagAt`. */
export function priority(bytes: Uint8Array, tagAt: number): number {
  return bytes[tagAt + 2] >>> (PRIORITY_SHIFT - 8);
}

export interface VlanTag {
  /** 0x8100 or 0x88a8. */
  tpid: number;
  priority: number;
  dropEligible: boolean;
  vid: number;
}

/** The tag whose TPID lies at `tagAt`. */
export function parse(bytes: Uint8Array, tagAt: number): VlanTag {
  const tci = word(bytes, tagAt + 2);
  return {
    tpid: word(bytes, tagAt),
    priority: priority(bytes, tagAt),
    dropEligible: (tci & 0x1000) !== 0,
    vid: tci & VID_MASK,
  };
}

/** Writes the four bytes of a tag at `tagAt`; the caller has made room. */
export function emit(bytes: Uint8Array, tagAt: number, tag: VlanTag): void {
  const tci = (tag.priority << PRIORITY_SHIFT) | (tag.dropEligible ? 0x1000 : 0) | (tag.vid & VID_MASK);
  bytes[tagAt] = tag.tpid >>> 8;
  bytes[tagAt + 1] = tag.tpid;
  bytes[tagAt + 2] = tci >>> 8;
  bytes[tagAt + 3] = tci;
}
