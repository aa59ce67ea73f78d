/** An arena with frames in it and a transmit ring whose descriptors are turned back into frames. */
import { Transmit } from '../../src/core/transmit.js';
import type { Packet } from './packet.js';

/** What one descriptor would send. */
export interface Sent {
  port: number;
  bytes: Uint8Array;
  frames: number;
  packets: number;
  /** Arena offset and length of each segment. */
  segments: [number, number][];
}

const SLOT_LEAD = 14;

export class Ring {
  readonly bytes: Uint8Array;
  readonly ingress = new Int32Array(4096);
  readonly at = new Int32Array(4096);
  readonly length = new Int32Array(4096);
  readonly order = Int32Array.from({ length: 4096 }, (_, index) => index);
  readonly sent: Sent[] = [];
  readonly tx: Transmit;
  count = 0;
  flushes = 0;
  private next = 0;

  constructor(arenaBytes = 4 << 20, scratchBytes = 1 << 16, words = 4096) {
    const arena = new ArrayBuffer(arenaBytes);
    this.bytes = new Uint8Array(arena).fill(0xa5);
    this.tx = new Transmit(arena, new ArrayBuffer(words * 4), arenaBytes - scratchBytes, arenaBytes, {
      flush: (ring) => {
        this.flushes++;
        this.collect();
        ring.clear();
      },
    });
  }

  /** Puts a frame with its vnet header where a receive would have put it. */
  add(packet: Packet, ingress = 0): this {
    const at = this.next + SLOT_LEAD;
    this.bytes.set(packet.vnet, at - packet.vnet.length);
    this.bytes.set(packet.frame, at);
    this.ingress[this.count] = ingress;
    this.at[this.count] = at;
    this.length[this.count] = packet.frame.length;
    this.count++;
    this.next = (at + packet.frame.length + 63) & ~63;
    return this;
  }

  /** Everything emitted so far, in order. */
  frames(): Sent[] {
    this.collect();
    this.tx.clear();
    return this.sent;
  }

  private collect(): void {
    const { words, framesAt, packetsAt, used } = this.tx;
    for (let word = 0; word < used; ) {
      const segments: [number, number][] = [];
      for (let segment = 0; segment < words[word + 1]; segment++) {
        segments.push([words[word + 2 + segment * 2], words[word + 3 + segment * 2]]);
      }
      const bytes = new Uint8Array(segments.reduce((total, [, length]) => total + length, 0));
      let to = 0;
      for (const [at, length] of segments) {
        bytes.set(this.bytes.subarray(at, at + length), to);
        to += length;
      }
      this.sent.push({ port: words[word], bytes, frames: framesAt[word], packets: packetsAt[word], segments });
      word += 2 + segments.length * 2;
    }
  }
}
