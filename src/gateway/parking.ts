/**
 * Parking: frames that wait, in a list for each row of their owner, oldest first, with what is to be known of them later.
 *
 *     row ─▶ frame ─▶ frame ─▶ frame
 *
 * Limits: 64 frames and 100 KB for a row (A16), of which the oldest make room for new ones; 1 MiB in all, where a row without frames finds no
 * room once others have taken it.
 */
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { FrameStore } from './frame-store.js';

const ROW_FRAMES = 64;
const ROW_BYTES = 100 << 10;
const STORE_BYTES = 1 << 20;
const STORE_FRAMES = 2048;

const NONE = -1;

export class Parking {
  /** Frames of each row. */
  readonly frames: Int32Array;
  /** Frames that were dropped for the last `keep`. */
  dropped = 0;
  /** Of the frame `take` handed back last: port it came in by, and the tuple its sender gave it. */
  ingress = 0;
  source = 0;
  destination = 0;
  ports = 0;
  private readonly head: Int32Array;
  private readonly tail: Int32Array;
  private readonly octets: Int32Array;
  private readonly store = new FrameStore(STORE_BYTES, STORE_FRAMES);
  private readonly frameIngress = new Int32Array(STORE_FRAMES);
  private readonly frameSource = new Int32Array(STORE_FRAMES);
  private readonly frameDestination = new Int32Array(STORE_FRAMES);
  private readonly framePorts = new Int32Array(STORE_FRAMES);

  constructor(rows: number) {
    this.frames = new Int32Array(rows);
    this.octets = new Int32Array(rows);
    this.head = new Int32Array(rows).fill(NONE);
    this.tail = new Int32Array(rows).fill(NONE);
  }

  /** Frames of all rows. */
  get count(): number {
    return this.store.count;
  }

  /** Copies a frame to the end of a row, the oldest making room. Returns false when there is none: the frame is still the caller's. */
  keep(batch: Batch, frame: number, row: number, source: number, destination: number, ports: number): boolean {
    const { store } = this;
    const bytes = FrameStore.cost(batch.length[frame]);
    this.dropped = 0;
    while (this.frames[row] > 0 && (this.frames[row] >= ROW_FRAMES || this.octets[row] + bytes > ROW_BYTES)) {
      this.dropOldest(row);
      this.dropped++;
    }
    let stored = store.put(batch, frame);
    while (stored < 0 && this.frames[row] > 0) {
      this.dropOldest(row);
      this.dropped++;
      stored = store.put(batch, frame);
    }
    if (stored < 0) {
      return false;
    }
    const last = this.tail[row];
    if (last === NONE) {
      this.head[row] = stored;
    } else {
      store.next[last] = stored;
    }
    this.tail[row] = stored;
    this.frames[row]++;
    this.octets[row] += bytes;
    this.frameIngress[stored] = batch.ingress[frame];
    this.frameSource[stored] = source;
    this.frameDestination[stored] = destination;
    this.framePorts[stored] = ports;
    return true;
  }

  /** Adds a copy of the oldest frame of a row to the batch and forgets it here. Returns its number; -1, and nothing changes, when that is full. */
  take(row: number, batch: Batch): number {
    const { store } = this;
    const stored = this.head[row];
    const after = store.next[stored];
    const bytes = FrameStore.cost(store.length[stored]);
    const frame = store.take(stored, batch, INGRESS_SELF);
    if (frame < 0) {
      return NONE;
    }
    this.unlinked(row, after, bytes);
    this.ingress = this.frameIngress[stored];
    this.source = this.frameSource[stored];
    this.destination = this.frameDestination[stored];
    this.ports = this.framePorts[stored];
    return frame;
  }

  /** Drops all frames of a row. Returns how many. */
  drop(row: number): number {
    const count = this.frames[row];
    while (this.frames[row] > 0) {
      this.dropOldest(row);
    }
    return count;
  }

  /** Drops the frames of a row that have the source of its oldest one, but for that. Returns how many. */
  dropSameSource(row: number): number {
    const { store, frameSource } = this;
    const first = this.head[row];
    let count = 0;
    let before = first;
    for (let stored = store.next[first]; stored !== NONE; ) {
      const after = store.next[stored];
      if (frameSource[stored] === frameSource[first]) {
        store.next[before] = after;
        if (after === NONE) {
          this.tail[row] = before;
        }
        this.frames[row]--;
        this.octets[row] -= FrameStore.cost(store.length[stored]);
        store.free(stored);
        count++;
      } else {
        before = stored;
      }
      stored = after;
    }
    return count;
  }

  private dropOldest(row: number): void {
    const { store } = this;
    const stored = this.head[row];
    this.unlinked(row, store.next[stored], FrameStore.cost(store.length[stored]));
    store.free(stored);
  }

  /** The first frame of a row, of so many bytes, is off its list. */
  private unlinked(row: number, after: number, bytes: number): void {
    this.head[row] = after;
    if (after === NONE) {
      this.tail[row] = NONE;
    }
    this.frames[row]--;
    this.octets[row] -= bytes;
  }
}
