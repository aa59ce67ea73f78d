/**
 * F.3: cuts a super-frame into the frames a wire would carry, for an egress that cannot take it whole. Each segment is a header of its
 * own in scratch memory and a slice of the super-frame's payload by reference; nothing is copied but headers.
 *
 *     super-frame   [ headers | payload 0 | payload 1 | payload 2 ]
 *     descriptors   [ headers 0 ]+[payload 0]   [ headers 1 ]+[payload 1]   [ headers 2 ]+[payload 2]
 *
 * Segments leave consecutively (L31).
 */
import type { Transmit } from '../core/transmit.js';
import * as checksum from '../wire/checksum.js';
import * as ipv4 from '../wire/ipv4.js';
import * as ipv6 from '../wire/ipv6.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { createLayout, Layout, locate } from './layout.js';

const layout = createLayout();

/**
 * Emits the segments of the super-frame at `at`.
 * @param vnetBytes 12: each segment gets a vnet header and keeps a partial checksum (NEEDS_CSUM); 0: no header, checksum complete
 * @returns the number of segments; 0, and nothing emitted, when its headers make no sense
 */
export function emitSegments(
  bytes: Uint8Array,
  at: number,
  length: number,
  port: number,
  tx: Transmit,
  vnetBytes: 0 | typeof vnet.HEADER_BYTES,
): number {
  const size = vnet.gsoSize(bytes, at - vnet.HEADER_BYTES);
  if (size === 0 || !locate(bytes, at, length, layout)) {
    return 0;
  }
  const l4 = layout[Layout.l4] - at;
  const headerBytes = layout[Layout.payload] - at;
  const isTcp = layout[Layout.protocol] === ipv4.Protocol.tcp;
  const isIpv4 = layout[Layout.version] === 4;
  const l3 = layout[Layout.l3] - at;
  const field = l4 + (isTcp ? tcp.CHECKSUM : udp.CHECKSUM);
  const end = at + length;
  // The pseudo-header sum without its length part, which differs from segment to segment (F.3).
  const partial = (bytes[at + field] << 8) | bytes[at + field + 1];
  const pseudo = checksum.add(partial, ~checksum.fold(length - l4) & 0xffff);
  const identification = isIpv4 ? ipv4.identification(bytes, at + l3) : 0;
  const sequence = isTcp ? tcp.sequence(bytes, at + l4) : 0;
  const flags = isTcp ? tcp.flags(bytes, at + l4) : 0;

  let count = 0;
  let next = at + headerBytes;
  do {
    const slice = Math.min(size, end - next);
    const isLast = next + slice >= end;
    tx.reserve(1, 2, vnetBytes + headerBytes);
    const scratch = tx.scratch(vnetBytes + headerBytes, vnetBytes);
    const to = scratch + vnetBytes;
    bytes.copyWithin(to, at, at + headerBytes);
    if (isIpv4) {
      ipv4.setTotalLength(bytes, to + l3, headerBytes - l3 + slice);
      ipv4.setIdentification(bytes, to + l3, identification + count);
      ipv4.fillHeaderChecksum(bytes, to + l3);
    } else {
      ipv6.setPayloadLength(bytes, to + l3, headerBytes - l3 - ipv6.HEADER_BYTES + slice);
    }
    if (isTcp) {
      const notLast = isLast ? 0 : tcp.Flag.fin | tcp.Flag.psh;
      const notFirst = count === 0 ? 0 : tcp.Flag.cwr;
      tcp.setSequence(bytes, to + l4, (sequence + count * size) | 0);
      tcp.setFlags(bytes, to + l4, flags & ~(notLast | notFirst));
    } else {
      udp.setDatagramLength(bytes, to + l4, udp.HEADER_BYTES + slice);
    }
    let value = checksum.add(pseudo, headerBytes - l4 + slice);
    if (vnetBytes === 0) {
      bytes[to + field] = value >>> 8;
      bytes[to + field + 1] = value;
      const sum = checksum.add(checksum.sum(bytes, to + l4, headerBytes - l4, 0), checksum.sum(bytes, next, slice, 0));
      value = checksum.finish(sum);
      if (value === 0 && !isTcp) {
        value = 0xffff;
      }
    } else {
      vnet.write(bytes, scratch, vnet.Flag.needsChecksum, vnet.GsoType.none, headerBytes, 0, l4, field - l4);
    }
    bytes[to + field] = value >>> 8;
    bytes[to + field + 1] = value;

    tx.begin(port);
    tx.segment(scratch, vnetBytes + headerBytes);
    if (slice > 0) {
      tx.segment(next, slice);
    }
    tx.end(count === 0 ? 1 : 0, 1);
    next += slice;
    count++;
  } while (next < end);
  return count;
}
