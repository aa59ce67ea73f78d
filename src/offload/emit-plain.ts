/** Frames for a port whose descriptor has no vnet header: everything the header promised is done here, in software. */
import type { Transmit } from '../core/transmit.js';
import * as vnet from '../wire/vnet-header.js';
import { completedBytes, completeInto } from './complete-checksum.js';
import { emitSegments } from './segment.js';
import { validate } from './validate.js';
import { wirePackets } from './wire-packets.js';

/**
 * Emits frames order[0, count) for `port`, in that order: as they are, with a finished checksum, or segmented.
 * @param at arena offsets of the frames, their vnet headers directly before them
 * @param length bytes of the frames
 * @returns how many frames were not emitted because their vnet header contradicts them (`tx_unsegmentable`)
 */
export function emitPlain(
  bytes: Uint8Array,
  at: Int32Array,
  length: Int32Array,
  order: Int32Array,
  count: number,
  port: number,
  tx: Transmit,
): number {
  let refused = 0;
  for (let index = 0; index < count; index++) {
    const frame = order[index];
    const from = at[frame];
    const size = length[frame];
    const header = from - vnet.HEADER_BYTES;
    const flags = vnet.flags(bytes, header) & vnet.Flag.needsChecksum;
    if ((flags | vnet.gsoType(bytes, header)) === 0) {
      tx.reserve(1, 1, 0);
      tx.begin(port);
      tx.segment(from, size);
      tx.end(1, 1);
    } else if (validate(bytes, from, size) !== 0) {
      refused++;
    } else if (wirePackets(bytes, from, size) > 1) {
      refused += emitSegments(bytes, from, size, port, tx, 0) === 0 ? 1 : 0;
    } else {
      const copied = completedBytes(bytes, from);
      tx.reserve(1, 2, copied);
      const to = tx.scratch(copied);
      completeInto(bytes, from, size, to);
      tx.begin(port);
      tx.segment(to, copied);
      if (size > copied) {
        tx.segment(from + copied, size - copied);
      }
      tx.end(1, 1);
    }
  }
  return refused;
}
