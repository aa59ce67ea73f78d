/**
 * Events of flows on their way to whoever watches: a ring of fixed records in shared memory, one producer, one consumer.
 *
 *     control  [ head | tail | lost | watching ]       Int32, atomics; head and tail count records and wrap at 2^32
 *     records  24 words each, 8-byte aligned           head of the producer, tail of the consumer
 *
 * The producer never waits: an event that does not fit is lost and counted. When nobody watches, an event costs one load.
 */
import { COLD, COLD_WORDS, FLOW, FLOW_SHIFT } from './flow-layout.js';
import type { FlowTable } from './flow-table.js';

export const FlowEvent = { new: 0, update: 1, destroy: 2 } as const;

const HEAD = 0;
const TAIL = 1;
const LOST = 2;
const WATCHING = 3;
const CONTROL_BYTES = 64;

const RECORD_WORDS = 24;
/** Words 2 … 17 are the hot row as it was; see `FLOW`. */
const EVENT = 0;
const FLOW_NUMBER = 1;
const ROW = 2;
/** In the words of the row that only mean something inside the table. */
const SECONDS = ROW + FLOW.previous;
const AGE = ROW + FLOW.next;
/** Lower halves of the packets, then the bytes as float64, of both directions. */
const PACKETS = 18;
const BYTES = 20;
const REASON_SHIFT = 8;

const { status: STATUS, kind: KIND, seen: SEEN } = FLOW;

/** An event as a watcher gets it. */
export interface FlowEventRecord {
  event: 'new' | 'update' | 'destroy';
  /** A number of `Removal`; of destroy only. */
  reason: number;
  flow: number;
  /** When, in seconds of the engine's clock. */
  seconds: number;
  /** Seconds since the flow began. */
  age: number;
  /** Second of its last frame. */
  seen: number;
  kind: number;
  status: number;
  /** Source, destination, ports: int32 each. */
  original: [number, number, number];
  reply: [number, number, number];
  zones: number;
  mapping: number;
  owner: number;
  /** Lower 32 bits, of the original direction and the reply. */
  packets: [number, number];
  bytes: [number, number];
}

const NAMES = ['new', 'update', 'destroy'] as const;

export class FlowEvents {
  readonly memory: SharedArrayBuffer;
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly floats: Float64Array;
  private readonly mask: number;

  /** @param memory made by `FlowEvents.allocate`, shared by both sides */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(memory, CONTROL_BYTES);
    this.floats = new Float64Array(memory, CONTROL_BYTES);
    this.mask = this.words.length / RECORD_WORDS - 1;
  }

  /**
   * @param records a power of two
   * @throws RangeError
   */
  static allocate(records: number): SharedArrayBuffer {
    if (records < 1 || (records & (records - 1)) !== 0) {
      throw new RangeError(`a ring of events needs a power of two of records, not ${records}`);
    }
    return new SharedArrayBuffer(CONTROL_BYTES + records * RECORD_WORDS * 4);
  }

  /** Consumer: whether events are wanted. Beginning to watch forgets what is left of an earlier watch. */
  watch(on: boolean): void {
    if (on) {
      Atomics.store(this.control, TAIL, Atomics.load(this.control, HEAD));
    }
    Atomics.store(this.control, WATCHING, on ? 1 : 0);
  }

  /** A plain load: a watcher is noticed a little later, and a frame pays nothing for it. */
  get watching(): boolean {
    return this.control[WATCHING] !== 0;
  }

  /** Events that found no room, ever; wraps at 2^32. */
  get lost(): number {
    return Atomics.load(this.control, LOST) >>> 0;
  }

  /** Producer: an event of a flow, its row still whole. */
  emit(event: number, reason: number, flows: FlowTable, flow: number, seconds: number): void {
    const { control, words } = this;
    const head = Atomics.load(control, HEAD);
    if (((head - Atomics.load(control, TAIL)) | 0) > this.mask) {
      Atomics.add(control, LOST, 1);
      return;
    }
    const at = (head & this.mask) * RECORD_WORDS;
    const row = flow << FLOW_SHIFT;
    const cold = flow * COLD_WORDS;
    for (let word = 0; word < 1 << FLOW_SHIFT; word++) {
      words[at + ROW + word] = flows.words[row + word];
    }
    words[at + EVENT] = event | (reason << REASON_SHIFT);
    words[at + FLOW_NUMBER] = flow;
    words[at + SECONDS] = seconds;
    words[at + AGE] = (seconds - flows.cold[cold + COLD.created]) | 0;
    words[at + PACKETS] = flows.cold[cold + COLD.packets];
    words[at + PACKETS + 1] = flows.cold[cold + COLD.packets + 1];
    this.floats[(at + BYTES) >> 1] = flows.bytesOf(flow, 0);
    this.floats[((at + BYTES) >> 1) + 1] = flows.bytesOf(flow, 1);
    Atomics.store(control, HEAD, (head + 1) | 0);
  }

  /** Consumer: the next event, or null when there is none. */
  take(): FlowEventRecord | null {
    const { control, words, floats } = this;
    const tail = Atomics.load(control, TAIL);
    if (tail === Atomics.load(control, HEAD)) {
      return null;
    }
    const at = (tail & this.mask) * RECORD_WORDS;
    const row = at + ROW;
    const record: FlowEventRecord = {
      event: NAMES[words[at + EVENT] & 0xff],
      reason: words[at + EVENT] >>> REASON_SHIFT,
      flow: words[at + FLOW_NUMBER],
      seconds: words[at + SECONDS],
      age: words[at + AGE],
      seen: words[row + SEEN],
      kind: words[row + KIND],
      status: words[row + STATUS],
      original: [words[row + FLOW.oSource], words[row + FLOW.oDestination], words[row + FLOW.oPorts]],
      reply: [words[row + FLOW.rSource], words[row + FLOW.rDestination], words[row + FLOW.rPorts]],
      zones: words[row + FLOW.zones],
      mapping: words[row + FLOW.mapping],
      owner: words[row + FLOW.owner],
      packets: [words[at + PACKETS] >>> 0, words[at + PACKETS + 1] >>> 0],
      bytes: [floats[(at + BYTES) >> 1], floats[((at + BYTES) >> 1) + 1]],
    };
    Atomics.store(control, TAIL, (tail + 1) | 0);
    return record;
  }
}
