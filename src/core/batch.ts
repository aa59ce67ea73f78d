/**
 * The batch: what one pass of the engine handles.
 *
 *     arena   [ received frames ............ | made frames ...... | scratch (transmit.ts) ]
 *               ^ at[0]   ^ at[1]              ^ made here: ARP answers, frames of memory ports, delayed frames
 *
 * A frame is an index. Columns say where it lies, how long it is and where it came from; `next` threads frames into the egress
 * lists of pass one without allocating. The 12-byte vnet header lies directly before each frame, at `at - 12`; `at` is 2 mod 4, so an
 * untagged IP header is 4-byte aligned. Nothing may hold an offset past its batch: the next receive writes over the arena.
 */

/** Bytes of the virtio-net header (with num_buffers) before each frame. */
export const VNET_BYTES = 12;

/** Distance from a 64-byte aligned slot to the frame: 2 spare bytes, then the vnet header. */
const SLOT_LEAD = 2 + VNET_BYTES;

/** Largest frame: what an IP packet of 65,535 bytes needs with an Ethernet header and two VLAN tags. */
export const MAX_FRAME_BYTES = 65_535 + 14 + 8;

/** `ingress` of a frame the bridge made itself. */
export const INGRESS_SELF = -1;

/** Align up to the arena's slot size (one cache line). */
function alignSlot(offset: number): number {
  return (offset + 63) & ~63;
}

export class Batch {
  /** The whole arena. */
  readonly bytes: Uint8Array;
  /** The same memory, for who reads many fields of a frame. */
  readonly view: DataView;
  readonly capacity: number;
  /** Port a frame came from, or INGRESS_SELF. */
  readonly ingress: Int32Array;
  /** Arena offset of the Ethernet header. */
  readonly at: Int32Array;
  /** Bytes of the frame without vnet header; 0 marks a frame that was taken out before classification. */
  readonly length: Int32Array;
  /** Next frame of the same egress or flood list, -1 at its end. */
  readonly next: Int32Array;
  /** Flood class of a frame on a flood list, see bridge/egress. */
  readonly floodClass: Uint8Array;
  /** Frames in the batch. */
  count = 0;
  /** Whether a frame found no room since `begin`. */
  refused = false;
  /** Monotonic microseconds, read once per batch. */
  now = 0;
  /** The same in whole seconds, the unit of ageing. */
  seconds = 0;
  private readonly madeFrom: number;
  private readonly madeTo: number;
  private madeAt: number;

  /**
   * @param arena memory of frames, shared with the addon
   * @param columns Int32 memory the addon writes: three columns of `capacity`
   * @param madeFrom, madeTo region of the arena for frames made in TypeScript
   */
  constructor(arena: ArrayBuffer, columns: ArrayBuffer, capacity: number, madeFrom: number, madeTo: number) {
    this.bytes = new Uint8Array(arena);
    this.view = new DataView(arena);
    this.capacity = capacity;
    this.ingress = new Int32Array(columns, 0, capacity);
    this.at = new Int32Array(columns, capacity * 4, capacity);
    this.length = new Int32Array(columns, capacity * 8, capacity);
    this.next = new Int32Array(capacity).fill(-1);
    this.floodClass = new Uint8Array(capacity);
    this.madeFrom = alignSlot(madeFrom);
    this.madeTo = madeTo;
    this.madeAt = this.madeFrom;
  }

  /** Starts a batch of `received` frames the addon has written. */
  begin(received: number, nowMicros: number): void {
    this.count = received;
    this.refused = false;
    this.now = nowMicros;
    this.seconds = Math.floor(nowMicros / 1_000_000);
    this.madeAt = this.madeFrom;
  }

  /**
   * Adds a frame of `length` bytes with a clear vnet header; the caller fills the bytes.
   * Returns its index, or -1 when the batch or the region for made frames is full.
   */
  append(ingress: number, length: number): number {
    const at = this.madeAt + SLOT_LEAD;
    if (this.count >= this.capacity || length > MAX_FRAME_BYTES || at + length > this.madeTo) {
      this.refused = true;
      return -1;
    }
    this.madeAt = alignSlot(at + length);
    const frame = this.count++;
    this.ingress[frame] = ingress;
    this.at[frame] = at;
    this.length[frame] = length;
    this.bytes.fill(0, at - VNET_BYTES, at);
    return frame;
  }

  /** Bytes left for made frames. */
  get madeRoom(): number {
    return Math.max(0, this.madeTo - this.madeAt - SLOT_LEAD);
  }

  /** Adds a copy of a frame, vnet header included. Returns its index or -1. */
  appendCopy(ingress: number, frame: number): number {
    const copy = this.append(ingress, this.length[frame]);
    if (copy >= 0) {
      const from = this.at[frame];
      this.bytes.copyWithin(this.at[copy] - VNET_BYTES, from - VNET_BYTES, from + this.length[frame]);
    }
    return copy;
  }
}
