/**
 * The transmit ring: what leaves in this batch, as descriptors of (offset, length) segments the addon hands to writev or sendmmsg.
 *
 *     words   [ port | segments | at | length | at | length ... ][ port | segments | ... ]
 *     scratch   headers written for this ring: merged, segmented or checksummed copies; never the shared bytes of a frame
 *
 * Payload is described, not copied: a flooded frame is one piece of memory and as many descriptors as egress ports. When ring or
 * scratch run out in the middle of a burst, what is there is sent and both start over, so a batch of any shape needs bounded memory.
 */

import { copyBytes } from './copy-bytes.js';

/** Who sends a full ring. */
export interface TransmitSink {
  /** Sends words[0, ring.used), counts failures and calls ring.clear(). */
  flush(ring: Transmit): void;
}

const HEADER_WORDS = 2;
const SEGMENT_WORDS = 2;

export class Transmit {
  /** The arena the offsets point into. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Frames behind the descriptor that starts at a word: several when merged, 0 for all but the first segment of a super-frame. */
  readonly framesAt: Int32Array;
  /** Wire packets behind that descriptor. */
  readonly packetsAt: Int32Array;
  /** Words in use. */
  used = 0;
  private readonly scratchFrom: number;
  private readonly scratchTo: number;
  private scratchAt: number;
  private open = 0;
  private readonly sink: TransmitSink;

  constructor(arena: ArrayBuffer, ring: ArrayBuffer, scratchFrom: number, scratchTo: number, sink: TransmitSink) {
    this.bytes = new Uint8Array(arena);
    this.words = new Int32Array(ring);
    this.framesAt = new Int32Array(this.words.length);
    this.packetsAt = new Int32Array(this.words.length);
    this.scratchFrom = scratchFrom;
    this.scratchTo = scratchTo;
    this.scratchAt = scratchFrom;
    this.sink = sink;
  }

  /** Makes room for one frame's descriptors: call before the first `begin` or `scratch` of a frame. */
  reserve(descriptors: number, segments: number, scratchBytes: number): void {
    const words = descriptors * HEADER_WORDS + segments * SEGMENT_WORDS;
    // Each scratch piece is aligned to 4 bytes plus 2.
    const scratch = scratchBytes + descriptors * 8;
    if (this.used + words > this.words.length || this.scratchAt + scratch > this.scratchTo) {
      this.sink.flush(this);
    }
  }

  /** Offset of `length` fresh bytes for a header copy, 2 mod 4 at `lead` bytes in (so that an Ethernet header lies as in a batch). */
  scratch(length: number, lead = 0): number {
    const at = ((this.scratchAt + lead + 3) & ~3) + 2 - lead;
    this.scratchAt = at + length;
    return at;
  }

  /** Starts a descriptor for a port. */
  begin(port: number): void {
    this.open = this.used;
    this.words[this.used] = port;
    this.used += HEADER_WORDS;
  }

  segment(at: number, length: number): void {
    const used = this.used;
    this.words[used] = at;
    this.words[used + 1] = length;
    this.used = used + SEGMENT_WORDS;
  }

  /** Ends the descriptor: it stands for so many frames of the batch and wire packets. */
  end(frames: number, packets: number): void {
    this.words[this.open + 1] = (this.used - this.open - HEADER_WORDS) >> 1;
    this.framesAt[this.open] = frames;
    this.packetsAt[this.open] = packets;
  }

  /** Empties ring and scratch; nothing may refer to them any more. */
  clear(): void {
    this.used = 0;
    this.scratchAt = this.scratchFrom;
  }
}

/** Word behind the descriptor at `word`. */
export function nextDescriptor(words: Int32Array, word: number): number {
  return word + HEADER_WORDS + words[word + 1] * SEGMENT_WORDS;
}

/** Bytes the segments of the descriptor at `word` add up to. */
export function descriptorBytes(words: Int32Array, word: number): number {
  const last = nextDescriptor(words, word);
  let total = 0;
  for (let segment = word + HEADER_WORDS; segment < last; segment += SEGMENT_WORDS) {
    total += words[segment + 1];
  }
  return total;
}

/** Copies what the descriptor at `word` describes, in one piece, out of the arena to offset `toAt` of other memory that has room for it. */
export function copyDescriptor(words: Int32Array, word: number, arena: DataView, to: DataView, toAt: number): void {
  const last = nextDescriptor(words, word);
  let at = toAt;
  for (let segment = word + HEADER_WORDS; segment < last; segment += SEGMENT_WORDS) {
    copyBytes(to, at, arena, words[segment], words[segment + 1]);
    at += words[segment + 1];
  }
}
