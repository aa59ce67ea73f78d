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

/** Writes the header copy, `completedBytes` long and with its checksum finished, to offset `to`. */
export function completeInto(bytes: Uint8Array, at: number, length: number, to: number): void {
  const header = at - vnet.HEADER_BYTES;
  const start = vnet.checksumStart(bytes, header);
  const offset = vnet.checksumOffset(bytes, header);
  // The field holds the pseudo-header sum, so the sum over all of L4 including the field is the sum with pseudo header.
  let field = checksum.finish(checksum.sum(bytes, at + start, length - start, 0));
  if (field === 0 && offset === udp.CHECKSUM) {
    field = 0xffff;
  }
  const end = start + offset;
  bytes.copyWithin(to, at, at + end);
  bytes[to + end] = field >>> 8;
  bytes[to + end + 1] = field;
}
