/** The TCP options a tracker needs, read without an object. All behind `tcp.check`; a broken list ends where it breaks. */
import { HEADER_BYTES, headerBytes, OptionKind } from '../wire/tcp.js';
import { max } from './seqnum.js';

/** What the SYN of one side said: the flags of that direction. */
export const SynOption = { scaleMask: 0x0f, scaled: 0x10, sack: 0x20 } as const;

const { end: END, nop: NOP, windowScale: WINDOW_SCALE, sackPermitted: SACK_PERMITTED, sack: SACK } = OptionKind;
const { scaled: SCALED, sack: SACKED } = SynOption;
/** RFC 7323, 2.3: a larger shift counts as this one. */
const SCALE_MAX = 14;
const SACK_BLOCKS = 2;
const SACK_BLOCK_BYTES = 8;
const RIGHT_EDGE = 4;
/** NOP NOP and a timestamps option of ten bytes: all the options most segments carry. */
const TIMESTAMPS_ONLY = 0x0101080a;
const TIMESTAMPS_ONLY_BYTES = HEADER_BYTES + 12;

function word32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Bytes of the option at `at`, or 0 where the list ends or is broken. */
function optionBytes(bytes: Uint8Array, at: number, end: number): number {
  const kind = bytes[at];
  if (kind === NOP) {
    return 1;
  }
  if (kind === END || at + 1 >= end) {
    return 0;
  }
  const length = bytes[at + 1];
  return length < 2 || at + length > end ? 0 : length;
}

/** Bits of `SynOption`, from a segment with SYN. */
export function synOptions(bytes: Uint8Array, at: number): number {
  const end = at + headerBytes(bytes, at);
  let result = 0;
  let next = at + HEADER_BYTES;
  while (next < end) {
    const length = optionBytes(bytes, next, end);
    if (length === 0) {
      break;
    }
    if (bytes[next] === WINDOW_SCALE && length === 3) {
      const scale = bytes[next + 2];
      result |= SCALED | (scale > SCALE_MAX ? SCALE_MAX : scale);
    } else if (bytes[next] === SACK_PERMITTED && length === 2) {
      result |= SACKED;
    }
    next += length;
  }
  return result;
}

/** The highest byte acknowledged, selectively or not (RFC 2018): `acknowledgment`, or the right edge of a block behind it. */
export function highestAcknowledged(bytes: Uint8Array, at: number, acknowledgment: number): number {
  const header = headerBytes(bytes, at);
  if (header === HEADER_BYTES) {
    return acknowledgment;
  }
  if (header === TIMESTAMPS_ONLY_BYTES && word32(bytes, at + HEADER_BYTES) === TIMESTAMPS_ONLY) {
    return acknowledgment;
  }
  const end = at + header;
  let highest = acknowledgment;
  let next = at + HEADER_BYTES;
  while (next < end) {
    const length = optionBytes(bytes, next, end);
    if (length === 0) {
      break;
    }
    if (bytes[next] === SACK) {
      for (let block = next + SACK_BLOCKS; block + SACK_BLOCK_BYTES <= next + length; block += SACK_BLOCK_BYTES) {
        const edge = word32(bytes, block + RIGHT_EDGE);
        highest = max(edge, highest);
      }
    }
    next += length;
  }
  return highest;
}
