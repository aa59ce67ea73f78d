/**
 * A bounded first-in first-out store of frames outside the arena: what memory ports hold and what a delay parks.
 *
 *     data    [ vnet | frame ][ vnet | frame ]...          one byte ring; a frame never wraps around its end
 *               ^ offset[first]                ^ end
 *     columns   offset, length by slot; slots are a ring of `capacity`
 *
 * Bounded twice, by frames and by bytes, so neither many small nor a few huge frames can grow it: all memory is allotted here.
 * A frame that finds no room is refused and stays the caller's to count. Frames leave only in order, which is what lets the store
 * be a ring without holes; what must leave out of order needs another shape.
 */
import type { Batch } from '../core/batch.js';
import { MAX_FRAME_BYTES, VNET_BYTES } from '../core/batch.js';
import { copyBytes, viewOf } from '../core/copy-bytes.js';
import { copyDescriptor, descriptorBytes, type Transmit } from '../core/transmit.js';

/** Bytes the largest frame takes with its vnet header, rounded up to the store's alignment. */
export const LARGEST_ENTRY_BYTES = (MAX_FRAME_BYTES + VNET_BYTES + 3) & ~3;

export class FrameQueue {
  readonly data: Uint8Array;
  readonly capacity: number;
  /** Where a slot's vnet header lies in `data`; the frame follows it. */
  readonly offset: Int32Array;
  /** Bytes of a slot's frame without the vnet header. */
  readonly length: Int32Array;
  /** Slot of the oldest frame; of meaning when `count` > 0. */
  first = 0;
  /** Frames held. */
  count = 0;
  private end = 0;
  private readonly view: DataView;
  /** The arena frames are copied from and to; always the same one in practice. */
  private arena: DataView;

  /**
   * @param frames frames held at most, at least 1
   * @param bytes bytes held at most with 12 bytes of vnet header each; at least one largest frame
   */
  constructor(frames: number, bytes: number) {
    if (
      !Number.isInteger(frames) ||
      frames < 1 ||
      !Number.isInteger(bytes) ||
      bytes < LARGEST_ENTRY_BYTES ||
      bytes > 0x3fff_ffff
    ) {
      throw new RangeError(`a frame queue holds at least 1 frame and ${LARGEST_ENTRY_BYTES} bytes, not ${frames} and ${bytes}`);
    }
    this.capacity = frames;
    this.data = new Uint8Array(bytes);
    this.view = viewOf(null, this.data);
    this.arena = this.view;
    this.offset = new Int32Array(frames).fill(-1);
    this.length = new Int32Array(frames);
  }

  /** Takes a slot for a frame of `length` bytes; the caller fills vnet header and bytes. Returns the slot, or -1 when full. */
  push(length: number): number {
    const at = this.room((length + VNET_BYTES + 3) & ~3);
    if (at < 0) {
      return -1;
    }
    let slot = this.first + this.count;
    if (slot >= this.capacity) {
      slot -= this.capacity;
    }
    this.offset[slot] = at;
    this.length[slot] = length;
    this.count++;
    return slot;
  }

  /** Copies a frame of a batch, vnet header included. Returns the slot, or -1 when full. */
  pushFrame(batch: Batch, frame: number): number {
    const length = batch.length[frame];
    const slot = this.push(length);
    if (slot >= 0) {
      this.arena = viewOf(this.arena, batch.bytes);
      copyBytes(this.view, this.offset[slot], this.arena, batch.at[frame] - VNET_BYTES, length + VNET_BYTES);
    }
    return slot;
  }

  /**
   * Gathers the segments of the descriptor at `word` of a transmit ring; with `headerBytes` 0 they hold no vnet header and a clear one
   * is written. Returns the slot, or -1 when full or when the descriptor holds no frame.
   */
  pushDescriptor(ring: Transmit, word: number, headerBytes: number): number {
    const words = ring.words;
    const total = descriptorBytes(words, word) - headerBytes;
    const slot = total <= 0 || total > MAX_FRAME_BYTES ? -1 : this.push(total);
    if (slot >= 0) {
      this.arena = viewOf(this.arena, ring.bytes);
      let to = this.offset[slot];
      if (headerBytes === 0) {
        this.data.fill(0, to, to + VNET_BYTES);
        to += VNET_BYTES;
      }
      copyDescriptor(words, word, this.arena, this.view, to);
    }
    return slot;
  }

  /** Appends the oldest frame to a batch as a frame of `ingress` and forgets it. Returns its index, or -1: the batch is full, nothing changed. */
  shiftInto(batch: Batch, ingress: number): number {
    const length = this.length[this.first];
    const frame = batch.append(ingress, length);
    if (frame >= 0) {
      this.arena = viewOf(this.arena, batch.bytes);
      copyBytes(this.arena, batch.at[frame] - VNET_BYTES, this.view, this.offset[this.first], length + VNET_BYTES);
      this.shift();
    }
    return frame;
  }

  /** Takes the oldest frame of another queue. Returns the slot, or -1: it holds none, or there is no room here. */
  takeOver(other: FrameQueue): number {
    const length = other.length[other.first];
    const slot = other.count === 0 ? -1 : this.push(length);
    if (slot >= 0) {
      const from = other.offset[other.first];
      this.data.set(other.data.subarray(from, from + VNET_BYTES + length), this.offset[slot]);
      other.shift();
    }
    return slot;
  }

  /** Forgets the oldest frame. */
  shift(): void {
    this.count--;
    this.first = this.first + 1 === this.capacity ? 0 : this.first + 1;
  }

  clear(): void {
    this.count = 0;
  }

  /** Offset of `need` bytes in one piece, or -1. */
  private room(need: number): number {
    const size = this.data.length;
    let at = -1;
    if (this.count === 0) {
      at = need <= size ? 0 : -1;
    } else if (this.count < this.capacity) {
      const oldest = this.offset[this.first];
      // Entries are never empty, so end === oldest means the ring is full, not that it holds nothing.
      if (this.end > oldest) {
        at = this.end + need <= size ? this.end : need <= oldest ? 0 : -1;
      } else {
        at = this.end + need <= oldest ? this.end : -1;
      }
    }
    if (at >= 0) {
      this.end = at + need;
    }
    return at;
  }
}
