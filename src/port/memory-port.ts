/**
 * A cable in memory: one end is a port of a bridge, the other a program (tests, library users) or the port of another bridge.
 *
 *     peer.send ──▶ [ inbound queue ] ──▶ port.pull       memoryPair: a program at the far end
 *     peer.receive ◀── [ outbound queue ] ◀── port.deliver
 *
 *     port A ══ two queues ══ port B                       memoryLink: both ends are ports, for loops and chains of bridges
 *
 * Both directions are bounded by frames and bytes and allotted up front; a full queue refuses (send returns false, deliver counts
 * the frames lost), as a real interface's queue does. Everything happens in the engine's thread: a program elsewhere uses a TAP.
 */
import type { Batch } from '../core/batch.js';
import { MAX_FRAME_BYTES, VNET_BYTES } from '../core/batch.js';
import { nextDescriptor, type Transmit } from '../core/transmit.js';
import { FrameQueue, LARGEST_ENTRY_BYTES } from './frame-queue.js';
import type { Port } from './port.js';

export interface MemoryOptions {
  /** Frames each direction holds at most. Default 1024. */
  queueFrames?: number;
  /** Bytes each direction holds at most. Default 2048 a frame, and never less than four of the largest frames. */
  queueBytes?: number;
  /** 12: frames carry a vnet header, super-frames and partial checksums pass whole. 0: only plain frames. Default 12. */
  headerBytes?: 0 | 12;
  /** Whether super-frames of datagrams may leave to the far end. Default true (with headerBytes 0 always false). */
  udpSegmentation?: boolean;
}

/** A frame and its 12-byte vnet header (all zero when nothing is left to the receiver), both the caller's to keep. */
export interface MemoryFrame {
  frame: Uint8Array;
  vnet: Uint8Array;
}

export class MemoryPort implements Port {
  readonly kind = 'memory';
  readonly descriptor = -1;
  readonly descriptorKind = 0;
  readonly headerBytes: 0 | 12;
  readonly udpSegmentation: boolean;
  private readonly inbound: FrameQueue;
  private readonly outbound: FrameQueue;
  private closed = false;

  /** @param inbound frames on their way to the bridge; @param outbound frames the bridge has sent */
  constructor(inbound: FrameQueue, outbound: FrameQueue, headerBytes: 0 | 12, udpSegmentation: boolean) {
    this.inbound = inbound;
    this.outbound = outbound;
    this.headerBytes = headerBytes;
    this.udpSegmentation = headerBytes === VNET_BYTES && udpSegmentation;
  }

  pull(batch: Batch, port: number, burst: number): void {
    const queue = this.inbound;
    for (let taken = 0; taken < burst && queue.count > 0; taken++) {
      if (queue.shiftInto(batch, port) < 0) {
        return;
      }
    }
  }

  deliver(ring: Transmit, from: number, to: number): number {
    let lost = 0;
    for (let word = from; word < to; word = nextDescriptor(ring.words, word)) {
      if (this.closed || this.outbound.pushDescriptor(ring, word, this.headerBytes) < 0) {
        lost += ring.framesAt[word];
      }
    }
    return lost;
  }

  nextDue(now: number): number {
    return this.inbound.count > 0 ? now : Number.POSITIVE_INFINITY;
  }

  /** Frames still on their way to the bridge are forgotten; those sent before stay readable at the far end. */
  close(): void {
    this.closed = true;
    this.inbound.clear();
  }

  /** Whether `close` was called: nothing sent to it arrives any more. */
  get isClosed(): boolean {
    return this.closed;
  }
}

/** The program's end of a memory pair. */
export class MemoryPeer {
  private readonly port: MemoryPort;
  private readonly toPort: FrameQueue;
  private readonly fromPort: FrameQueue;

  constructor(port: MemoryPort, toPort: FrameQueue, fromPort: FrameQueue) {
    this.port = port;
    this.toPort = toPort;
    this.fromPort = fromPort;
  }

  /**
   * Sends a copy of a frame to the bridge. Returns false when the queue is full or the port closed.
   * @param vnet 12-byte virtio-net header; all zero by default
   * @throws RangeError for what no interface could carry: no bytes, more than the largest frame, or a vnet header on a plain port
   */
  send(frame: Uint8Array, vnet?: Uint8Array): boolean {
    if (frame.length === 0 || frame.length > MAX_FRAME_BYTES) {
      throw new RangeError(`a frame has 1 to ${MAX_FRAME_BYTES} bytes, not ${frame.length}`);
    }
    if (vnet !== undefined && (vnet.length !== VNET_BYTES || this.port.headerBytes === 0)) {
      throw new RangeError(`a vnet header has ${VNET_BYTES} bytes and needs a port with headerBytes ${VNET_BYTES}`);
    }
    const slot = this.port.isClosed ? -1 : this.toPort.push(frame.length);
    if (slot < 0) {
      return false;
    }
    const at = this.toPort.offset[slot];
    if (vnet === undefined) {
      this.toPort.data.fill(0, at, at + VNET_BYTES);
    } else {
      this.toPort.data.set(vnet, at);
    }
    this.toPort.data.set(frame, at + VNET_BYTES);
    return true;
  }

  /** The oldest frame the bridge has sent, or undefined when none waits. */
  receive(): MemoryFrame | undefined {
    const queue = this.fromPort;
    if (queue.count === 0) {
      return undefined;
    }
    const at = queue.offset[queue.first];
    const vnet = queue.data.slice(at, at + VNET_BYTES);
    const frame = queue.data.slice(at + VNET_BYTES, at + VNET_BYTES + queue.length[queue.first]);
    queue.shift();
    return { frame, vnet };
  }

  /** Frames `receive` would return. */
  get waiting(): number {
    return this.fromPort.count;
  }
}

function makeQueue(options: MemoryOptions): FrameQueue {
  const frames = options.queueFrames ?? 1024;
  return new FrameQueue(frames, options.queueBytes ?? Math.max(frames * 2048, 4 * LARGEST_ENTRY_BYTES));
}

/** A port for a bridge and the far end of its cable for a program. */
export function memoryPair(options: MemoryOptions = {}): { port: MemoryPort; peer: MemoryPeer } {
  const inbound = makeQueue(options);
  const outbound = makeQueue(options);
  const port = new MemoryPort(inbound, outbound, options.headerBytes ?? VNET_BYTES, options.udpSegmentation ?? true);
  return { port, peer: new MemoryPeer(port, inbound, outbound) };
}

/** A cable whose two ends are ports: attach them to two bridges, or to one to make a loop. */
export function memoryLink(options: MemoryOptions = {}): [MemoryPort, MemoryPort] {
  const forth = makeQueue(options);
  const back = makeQueue(options);
  const headerBytes = options.headerBytes ?? VNET_BYTES;
  const udpSegmentation = options.udpSegmentation ?? true;
  return [new MemoryPort(back, forth, headerBytes, udpSegmentation), new MemoryPort(forth, back, headerBytes, udpSegmentation)];
}
