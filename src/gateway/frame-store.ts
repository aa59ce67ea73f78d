/**
 * Frames that outlive their batch: those that wait for a neighbor or for a first fragment, copied out of the arena with their vnet header.
 *
 *     frame 7 ─▶ block ─▶ block ─▶ block      blocks of 512 bytes, threaded; a free list of blocks, another of frames
 *
 * Blocks, because waiting frames come and go in any order and in any size up to 64 KiB: nothing fragments, nothing is moved, and putting,
 * taking and freeing cost what their bytes cost. Memory is bounded by what the constructor is given; it is not touched before it is used.
 * A stored frame is a number; `next` threads it onto its owner's lists.
 */
import { type Batch, VNET_BYTES } from '../core/batch.js';
import { copyBytes, viewOf } from '../core/copy-bytes.js';

const BLOCK_BYTES = 512;
const NONE = -1;

export class FrameStore {
  /** By stored frame: bytes without vnet header. */
  readonly length: Int32Array;
  /** By stored frame: for the owner's lists. */
  readonly next: Int32Array;
  /** Frames stored. */
  count = 0;
  private readonly view: DataView;
  private arena: DataView | null = null;
  private readonly nextBlock: Int32Array;
  private readonly firstBlock: Int32Array;
  private freeBlock = 0;
  private freeBlocks: number;
  private freeFrame = 0;

  /** @param bytes memory for frames, @param frames how many at most */
  constructor(bytes: number, frames: number) {
    const blocks = Math.ceil(bytes / BLOCK_BYTES);
    this.view = new DataView(new ArrayBuffer(blocks * BLOCK_BYTES));
    this.nextBlock = Int32Array.from({ length: blocks }, (_, block) => (block + 1 < blocks ? block + 1 : NONE));
    this.freeBlocks = blocks;
    this.firstBlock = new Int32Array(frames).fill(NONE);
    this.length = new Int32Array(frames);
    this.next = Int32Array.from({ length: frames }, (_, frame) => (frame + 1 < frames ? frame + 1 : NONE));
  }

  /** Bytes of memory a frame takes. */
  static cost(length: number): number {
    return Math.ceil((length + VNET_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** Copies a frame of a batch. Returns its number, or -1 when there is no room. */
  put(batch: Batch, frame: number): number {
    const length = batch.length[frame];
    const blocks = Math.ceil((length + VNET_BYTES) / BLOCK_BYTES);
    const stored = this.freeFrame;
    if (stored === NONE || blocks > this.freeBlocks) {
      return NONE;
    }
    this.arena = viewOf(this.arena, batch.bytes);
    let from = batch.at[frame] - VNET_BYTES;
    let left = length + VNET_BYTES;
    let block = this.freeBlock;
    this.firstBlock[stored] = block;
    for (;;) {
      const piece = Math.min(left, BLOCK_BYTES);
      copyBytes(this.view, block * BLOCK_BYTES, this.arena, from, piece);
      from += piece;
      left -= piece;
      if (left === 0) {
        break;
      }
      block = this.nextBlock[block];
    }
    this.freeBlock = this.nextBlock[block];
    this.nextBlock[block] = NONE;
    this.freeBlocks -= blocks;
    this.freeFrame = this.next[stored];
    this.next[stored] = NONE;
    this.length[stored] = length;
    this.count++;
    return stored;
  }

  /** Adds a copy of a stored frame to a batch and frees it. Returns its number in the batch; -1, and the frame stays, when that is full. */
  take(stored: number, batch: Batch, ingress: number): number {
    const frame = batch.append(ingress, this.length[stored]);
    if (frame < 0) {
      return NONE;
    }
    this.arena = viewOf(this.arena, batch.bytes);
    let to = batch.at[frame] - VNET_BYTES;
    let left = this.length[stored] + VNET_BYTES;
    for (let block = this.firstBlock[stored]; block !== NONE; block = this.nextBlock[block]) {
      const piece = Math.min(left, BLOCK_BYTES);
      copyBytes(this.arena, to, this.view, block * BLOCK_BYTES, piece);
      to += piece;
      left -= piece;
    }
    this.free(stored);
    return frame;
  }

  free(stored: number): void {
    let last = this.firstBlock[stored];
    let blocks = 1;
    for (; this.nextBlock[last] !== NONE; last = this.nextBlock[last]) {
      blocks++;
    }
    this.nextBlock[last] = this.freeBlock;
    this.freeBlock = this.firstBlock[stored];
    this.freeBlocks += blocks;
    this.firstBlock[stored] = NONE;
    this.next[stored] = this.freeFrame;
    this.freeFrame = stored;
    this.count--;
  }
}
