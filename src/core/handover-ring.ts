/**
 * A ring of frames between two engine threads: one writes, one reads, nobody waits.
 *
 *     control  [ head ] [ tail ] [ dozing | waker ]          a cache line each; head and tail count bytes and wrap at 2^32
 *     data     [ length | port | bridge | 0 | vnet header, frame, padded to 4 ] ...
 *
 * A frame that does not fit is refused, and the writer counts it. A record never wraps around the end: a length of -1 tells the reader to start over.
 *
 * Sleep: the reader says that it dozes, looks once more whether something is there, and only then sleeps; the writer publishes its frames and then
 * looks whether the reader dozes. One of both sees the other. Who finds the reader dozing wakes it, once: that a ring that is in use costs no wake-ups.
 *
 * Captured frames have a ring of their own kind (frame-ring.ts): many writers, a reader with an event loop, records of another shape.
 */
import { type Batch, VNET_BYTES } from './batch.js';
import { copyBytes } from './copy-bytes.js';

const LINE_WORDS = 16;
const HEAD = 0;
const TAIL = LINE_WORDS;
const DOZING = 2 * LINE_WORDS;
const WAKER = DOZING + 1;
const CONTROL_WORDS = 3 * LINE_WORDS;
const CONTROL_BYTES = CONTROL_WORDS * 4;

/** Words of a record before its vnet header. */
const RECORD_WORDS = 4;
const RECORD_BYTES = RECORD_WORDS * 4;
const WRAP = -1;
const EMPTY = -1;
const NO_WAKER = -1;

/** Room for all that one pass of a thread receives (burstIoOptions). */
const DATA_BYTES = 2 << 20;

export class HandoverRing {
  /** Of the frame `next` found. */
  port = 0;
  bridge = 0;
  private length = 0;
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly data: DataView;
  private readonly size: number;

  /** @param memory made by `HandoverRing.allocate`, shared by both sides */
  constructor(memory: SharedArrayBuffer) {
    this.control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.words = new Int32Array(memory, CONTROL_BYTES);
    this.data = new DataView(memory, CONTROL_BYTES);
    this.size = memory.byteLength - CONTROL_BYTES;
  }

  /** @param bytes room for records; a power of two */
  static allocate(bytes = DATA_BYTES): SharedArrayBuffer {
    if (bytes < 4096 || (bytes & (bytes - 1)) !== 0) {
      throw new RangeError(`a handover ring needs a power of two of at least 4096 bytes, not ${bytes}`);
    }
    const memory = new SharedArrayBuffer(CONTROL_BYTES + bytes);
    new Int32Array(memory)[WAKER] = NO_WAKER;
    return memory;
  }

  /** Writer: adds a copy of a frame with its vnet header. Returns false when there is no room for it. */
  write(batch: Batch, frame: number, port: number, bridge: number): boolean {
    const { control, words, size } = this;
    const length = batch.length[frame];
    const need = recordBytes(length);
    const head = control[HEAD];
    const free = size - ((head - Atomics.load(control, TAIL)) >>> 0);
    let offset = head & (size - 1);
    const toEnd = size - offset;
    const skip = toEnd < need ? toEnd : 0;
    if (need + skip > free) {
      return false;
    }
    if (skip > 0) {
      words[offset >> 2] = WRAP;
      offset = 0;
    }
    const word = offset >> 2;
    words[word] = length;
    words[word + 1] = port;
    words[word + 2] = bridge;
    copyBytes(this.data, offset + RECORD_BYTES, batch.view, batch.at[frame] - VNET_BYTES, VNET_BYTES + length);
    Atomics.store(control, HEAD, (head + skip + need) | 0);
    return true;
  }

  /** Writer: the waker of a reader that dozes and is to be woken, or -1. Told once for each doze. */
  sleeper(): number {
    const { control } = this;
    return Atomics.load(control, DOZING) !== 0 && Atomics.exchange(control, DOZING, 0) !== 0 ? control[WAKER] : NO_WAKER;
  }

  /** Reader: bytes of the oldest frame without its vnet header, or -1 when there is none. Where it came from is then in the fields. */
  next(): number {
    const { control, words, size } = this;
    let tail = control[TAIL];
    if (Atomics.load(control, HEAD) === tail) {
      return EMPTY;
    }
    let word = (tail & (size - 1)) >> 2;
    if (words[word] === WRAP) {
      tail = (tail + size - (tail & (size - 1))) | 0;
      Atomics.store(control, TAIL, tail);
      word = 0;
    }
    this.length = words[word];
    this.port = words[word + 1];
    this.bridge = words[word + 2];
    return this.length;
  }

  /** Reader: copies the frame `next` found to a frame of the batch of the same length, and frees it. */
  take(batch: Batch, frame: number): void {
    const at = (this.control[TAIL] & (this.size - 1)) + RECORD_BYTES;
    copyBytes(batch.view, batch.at[frame] - VNET_BYTES, this.data, at, VNET_BYTES + this.length);
    this.skip();
  }

  /** Reader: frees the frame `next` found. */
  skip(): void {
    const { control } = this;
    Atomics.store(control, TAIL, (control[TAIL] + recordBytes(this.length)) | 0);
  }

  /** Reader: says by which descriptor it is woken. */
  setWaker(waker: number): void {
    this.control[WAKER] = waker;
  }

  /** Reader: is about to sleep. Returns true when it must not, because there is a frame. */
  doze(): boolean {
    const { control } = this;
    Atomics.store(control, DOZING, 1);
    return Atomics.load(control, HEAD) !== control[TAIL];
  }

  /** Reader: is awake. */
  rise(): void {
    Atomics.store(this.control, DOZING, 0);
  }
}

function recordBytes(length: number): number {
  return (RECORD_BYTES + VNET_BYTES + length + 3) & ~3;
}
