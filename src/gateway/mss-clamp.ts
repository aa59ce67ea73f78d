/**
 * R24: lowers the MSS option of a SYN or SYN+ACK, so that both ends send segments that fit the smaller MTU on the way without having to
 * find out (RFC 9293, 3.7.1; RFC 6691). It never raises it, and adds none where there is none.
 */
import * as checksum from '../wire/checksum.js';
import * as tcp from '../wire/tcp.js';
import * as vnet from '../wire/vnet-header.js';

/** IPv4 and TCP header without options: what an MSS leaves out of an MTU (RFC 6691). */
export const IPV4_TCP_BYTES = 40;
/** Kind, length and two bytes of value. */
const MSS_OPTION_BYTES = 4;

function swap(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}

/**
 * Lowers the MSS to `limit` (egress MTU less `IPV4_TCP_BYTES`) if it is larger. The checksum is updated, but for a partial one
 * (NEEDS_CSUM), which covers no options.
 * @param at the frame, its vnet header directly before it
 * @param l4 its TCP header, checked and whole in the frame
 * @returns whether the segment was changed
 */
export function clampMss(bytes: Uint8Array, at: number, l4: number, limit: number): boolean {
  if ((tcp.flags(bytes, l4) & tcp.Flag.syn) === 0) {
    return false;
  }
  const end = l4 + tcp.headerBytes(bytes, l4);
  let next = l4 + tcp.HEADER_BYTES;
  while (next < end && bytes[next] !== tcp.OptionKind.end) {
    if (bytes[next] === tcp.OptionKind.nop) {
      next++;
      continue;
    }
    const length = next + 1 < end ? bytes[next + 1] : 0;
    if (length < 2 || next + length > end) {
      return false;
    }
    if (bytes[next] === tcp.OptionKind.mss && length === MSS_OPTION_BYTES) {
      return lower(bytes, at, l4, next + 2, limit);
    }
    next += length;
  }
  return false;
}

function lower(bytes: Uint8Array, at: number, l4: number, value: number, limit: number): boolean {
  const before = (bytes[value] << 8) | bytes[value + 1];
  if (before <= limit) {
    return false;
  }
  bytes[value] = limit >>> 8;
  bytes[value + 1] = limit;
  if ((vnet.flags(bytes, at - vnet.HEADER_BYTES) & vnet.Flag.needsChecksum) === 0) {
    // At an odd offset the value straddles two words of the sum: as one word with its bytes swapped it adds the same (RFC 1071, 2 (B)).
    const odd = ((value - l4) & 1) !== 0;
    const field = tcp.checksumField(bytes, l4);
    tcp.setChecksumField(bytes, l4, checksum.update(field, odd ? swap(before) : before, odd ? swap(limit) : limit));
  }
  return true;
}
