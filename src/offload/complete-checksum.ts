/**
 * N30: finishes a partial checksum for an egress without vnet header. The frame's bytes are shared by all its egress ports (L4), so the
 * finished field is written into a copy of the headers and the rest goes out by reference:
 *
 *     frame   [ ethernet | IP | L4 … checksum | options, payload ........ ]
 *     copy    [ ethernet | IP | L4 … checksum ] + reference to [ the rest ]
 */
import * as checksum from '../wire/checksum.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';

/** Bytes of the header copy of a frame that passed `validate` with NEEDS_CSUM: up to and including the checksum field. */
export function completedBytes(bytes: Uint8Array, at: number): number {
  const header = at - vnet.HEADER_BYTES;
  return vnet.checksumStart(bytes, header) + vnet.checksumOffset(bytes, header) + 2;
}

/** The checksum its vnet header leaves unfinished, finished; the checksum field must lie inside the frame. Neither frame nor header change. */
function finishedChecksum(bytes: Uint8Array, at: number, length: number): number {
  const header = at - vnet.HEADER_BYTES;
  const start = vnet.checksumStart(bytes, header);
  // The field holds the pseudo-header sum, so the sum over all of L4 including the field is the sum with pseudo header.
  const value = checksum.checksum(bytes, at + start, length - start);
  return value === 0 && vnet.checksumOffset(bytes, header) === udp.CHECKSUM ? 0xffff : value;
}

/** Writes the header copy, `completedBytes` long and with its checksum finished, to offset `to`. */
export function completeInto(bytes: Uint8Array, at: number, length: number, to: number): void {
  const value = finishedChecksum(bytes, at, length);
  const field = completedBytes(bytes, at) - 2;
  bytes.copyWithin(to, at, at + field);
  bytes[to + field] = value >>> 8;
  bytes[to + field + 1] = value;
}

/** Finishes the checksum in the frame itself, for one that nobody shares. Nothing happens when the field lies outside of it. */
export function completeInPlace(bytes: Uint8Array, at: number, length: number): void {
  const end = completedBytes(bytes, at);
  if (end <= length) {
    const value = finishedChecksum(bytes, at, length);
    bytes[at + end - 2] = value >>> 8;
    bytes[at + end - 1] = value;
  }
}
