/**
 * Captures: copies of frames for people to look at, in rings the main thread reads (core/frame-ring.ts). With none running the loop pays
 * one comparison per burst.
 *
 * A capture of a bridge shows each frame once: as it was received, and what the bridge made itself as it is sent. A capture of one port
 * shows what that port received and what was sent to it. Copies of one frame carry one packet id.
 */
import { type Batch, INGRESS_SELF, VNET_BYTES } from '../core/batch.js';
import { FIELD_COUNT, Field, FrameRing, setMicros } from '../core/frame-ring.js';
import { Direction } from '../port/pcapng-writer.js';
import * as vnet from '../wire/vnet-header.js';
import type { ThreadPlace } from './protocol.js';

interface Capture {
  readonly number: number;
  readonly bridge: number;
  readonly port: number;
  readonly snapLength: number;
  readonly ring: FrameRing;
}

export class Captures {
  private readonly running: Capture[] = [];
  private readonly fields = new Int32Array(FIELD_COUNT);
  private readonly bridgeOf: Int32Array;
  /** Told at most once per wish of the reader that its ring has something. */
  private readonly notify: (capture: number) => void;
  private readonly place: ThreadPlace;
  private packetBase = 0;

  constructor(bridgeOf: Int32Array, place: ThreadPlace, notify: (capture: number) => void) {
    this.bridgeOf = bridgeOf;
    this.place = place;
    this.notify = notify;
  }

  start(number: number, bridge: number, port: number, snapLength: number, memory: SharedArrayBuffer): void {
    this.running.push({ number, bridge, port, snapLength, ring: new FrameRing(memory) });
  }

  /** Ends a capture; returns how many records it lost, or -1 when there is none of that number. */
  stop(number: number): number {
    const index = this.running.findIndex((capture) => capture.number === number);
    return index < 0 ? -1 : this.running.splice(index, 1)[0].ring.lost;
  }

  /** Takes note that a batch is over: packet ids of the next one follow on. */
  endBatch(batch: Batch): void {
    this.packetBase = (this.packetBase + batch.count) | 0;
  }

  /** Frames [from, to) were received on a port. */
  onReceive(batch: Batch, port: number, from: number, to: number): void {
    for (const capture of this.running) {
      if (capture.bridge === this.bridgeOf[port] && (capture.port < 0 || capture.port === port)) {
        for (let frame = from; frame < to; frame++) {
          this.copy(capture, batch, frame, port, Direction.in);
        }
      }
    }
  }

  /** The frames of `order` are about to leave through a port. */
  onSend(batch: Batch, port: number, order: Int32Array, count: number): void {
    for (const capture of this.running) {
      if (capture.bridge !== this.bridgeOf[port] || (capture.port >= 0 && capture.port !== port)) {
        continue;
      }
      for (let index = 0; index < count; index++) {
        if (capture.port === port || batch.ingress[order[index]] === INGRESS_SELF) {
          this.copy(capture, batch, order[index], port, Direction.out);
        }
      }
    }
  }

  private copy(capture: Capture, batch: Batch, frame: number, port: number, direction: number): void {
    const length = batch.length[frame];
    if (length === 0) {
      return;
    }
    const at = batch.at[frame];
    const fields = this.fields;
    fields[Field.port] = port;
    fields[Field.direction] = direction;
    fields[Field.originalLength] = length;
    setMicros(fields, batch.now);
    fields[Field.vnetFlags] = vnet.flags(batch.bytes, at - VNET_BYTES) | (vnet.gsoType(batch.bytes, at - VNET_BYTES) << 8);
    // No two threads give the same id.
    fields[Field.packet] = (Math.imul(this.packetBase + frame, this.place.count) + this.place.index) | 0;
    if (capture.ring.write(batch.bytes, at, Math.min(length, capture.snapLength), fields) === 2) {
      this.notify(capture.number);
    }
  }
}
