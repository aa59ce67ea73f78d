/**
 * A ring of records between threads with one consumer: captured frames on their way to the main thread.
 *
 *     control  [ head | tail | lost | armed | writing ]      Int32, atomics; head and tail count bytes and wrap at 2^32
 *     data     [ length | fields ... | bytes, padded to 4 ] ...
 *
 * The producer never waits: a record that does not fit is lost and counted. A record never wraps around the end; a length of -1 tells
 * the reader to start over. Several engine threads write one after the other: `writing` is their lock, held for one copy. `armed` is the reader's wish to be told once when something arrives, so that a busy ring costs no messages.
 */
import { copyBytes, viewOf } from './copy-bytes.js';

const HEAD = 0;
const TAIL = 1;
const LOST = 2;
const ARMED = 3;
const WRITING = 4;
/** Tries before a producer sleeps a moment: the other may need its core to finish. */
const SPINS = 1000;
const NAP_MILLIS = 0.05;
const CONTROL_BYTES = 64;
const WRAP = -1;

/** Words of a record before its bytes: length, then the fields. */
const RECORD_WORDS = 8;

/** Fields of a captured frame. `vnetFlags`: flags of its vnet header, the gso type 8 bits above them; `packet`: -1 for none. */
export const Field = { port: 0, direction: 1, originalLength: 2, microsLow: 3, microsHigh: 4, vnetFlags: 5, packet: 6 } as const;
export const FIELD_COUNT = RECORD_WORDS - 1;

const MICROS_HIGH_UNIT = 0x1_0000_0000;

/** Sets the time of a frame, whole microseconds. */
export function setMicros(fields: Int32Array, micros: number): void {
  fields[Field.microsLow] = (micros % MICROS_HIGH_UNIT) | 0;
  fields[Field.microsHigh] = Math.floor(micros / MICROS_HIGH_UNIT);
}

/** What `setMicros` set. */
export function microsOf(fields: Int32Array): number {
  return fields[Field.microsHigh] * MICROS_HIGH_UNIT + (fields[Field.microsLow] >>> 0);
}

export class FrameRing {
  readonly memory: SharedArrayBuffer;
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly data: Uint8Array;
  private readonly dataView: DataView;
  private sourceView: DataView | null = null;
  private readonly size: number;

  /** @param memory made by `FrameRing.allocate`, shared by both sides */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.size = memory.byteLength - CONTROL_BYTES;
    this.words = new Int32Array(memory, CONTROL_BYTES);
    this.data = new Uint8Array(memory, CONTROL_BYTES);
    this.dataView = new DataView(memory, CONTROL_BYTES);
  }

  /** @param bytes room for records; a power of two */
  static allocate(bytes: number): SharedArrayBuffer {
    if (bytes < 4096 || (bytes & (bytes - 1)) !== 0) {
      throw new RangeError(`a frame ring needs a power of two of at least 4096 bytes, not ${bytes}`);
    }
    return new SharedArrayBuffer(CONTROL_BYTES + bytes);
  }

  /**
   * Producer: adds a record of `length` bytes from `source`. Returns 0 when it was lost, 1 when it was added, 2 when it was added and the
   * reader asked to be told.
   */
  write(source: Uint8Array, at: number, length: number, fields: Int32Array): number {
    const { control } = this;
    for (let tries = 0; Atomics.compareExchange(control, WRITING, 0, 1) !== 0; tries++) {
      if (tries >= SPINS) {
        Atomics.wait(control, WRITING, 1, NAP_MILLIS);
      }
    }
    const outcome = this.add(source, at, length, fields);
    Atomics.store(control, WRITING, 0);
    return outcome;
  }

  private add(source: Uint8Array, at: number, length: number, fields: Int32Array): number {
    const need = RECORD_WORDS * 4 + ((length + 3) & ~3);
    const head = this.control[HEAD];
    const free = this.size - ((head - Atomics.load(this.control, TAIL)) >>> 0);
    let offset = (head >>> 0) & (this.size - 1);
    const toEnd = this.size - offset;
    const skip = toEnd < need ? toEnd : 0;
    if (need + skip > free) {
      Atomics.add(this.control, LOST, 1);
      return 0;
    }
    if (skip > 0) {
      this.words[offset >> 2] = WRAP;
      offset = 0;
    }
    const word = offset >> 2;
    this.words[word] = length;
    this.words.set(fields, word + 1);
    this.sourceView = viewOf(this.sourceView, source);
    copyBytes(this.dataView, offset + RECORD_WORDS * 4, this.sourceView, at, length);
    Atomics.store(this.control, HEAD, (head + skip + need) | 0);
    return Atomics.exchange(this.control, ARMED, 0) === 1 ? 2 : 1;
  }

  /**
   * Consumer: hands the oldest record to `take` and frees it. The view is borrowed for the call. Returns false when the ring is empty.
   */
  read(take: (bytes: Uint8Array, fields: Int32Array) => void): boolean {
    let tail = this.control[TAIL];
    if (Atomics.load(this.control, HEAD) === tail) {
      return false;
    }
    let offset = (tail >>> 0) & (this.size - 1);
    if (this.words[offset >> 2] === WRAP) {
      tail = (tail + this.size - offset) | 0;
      offset = 0;
    }
    const word = offset >> 2;
    const length = this.words[word];
    const from = offset + RECORD_WORDS * 4;
    take(this.data.subarray(from, from + length), this.words.subarray(word + 1, word + RECORD_WORDS));
    Atomics.store(this.control, TAIL, (tail + RECORD_WORDS * 4 + ((length + 3) & ~3)) | 0);
    return true;
  }

  /** Consumer: asks to be told about the next record. Returns true when there is one already. */
  arm(): boolean {
    Atomics.store(this.control, ARMED, 1);
    return Atomics.load(this.control, HEAD) !== this.control[TAIL];
  }

  /** Records lost so far because the reader was too slow. */
  get lost(): number {
    return Atomics.load(this.control, LOST) >>> 0;
  }
}
