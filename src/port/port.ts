/** The contract between the engine and what frames come from and go to. */
import type { Batch } from '../core/batch.js';
import type { Transmit } from '../core/transmit.js';

export type PortKind = 'tap' | 'host' | 'packet' | 'memory' | 'capture' | 'replay';

/**
 * A port. Its frames enter the batch either through the addon (`descriptor` >= 0: the engine's one receive call reads all of them)
 * or through `pull` (`descriptor` -1: memory, replay). They leave as descriptors of the transmit ring, already in a form the port
 * takes: with a vnet header when `headerBytes` is 12, as plain segmented and checksummed frames when it is 0.
 */
export interface Port {
  readonly kind: PortKind;
  /** File descriptor for the addon's bursts, or -1. The port's owner closes it; the addon works on a duplicate. */
  readonly descriptor: number;
  /** 0 = tap, 1 = packet socket (native/binding `Kind`); of no meaning with descriptor -1. */
  readonly descriptorKind: 0 | 1;
  /** Bytes of the vnet header each frame carries on this port. */
  readonly headerBytes: 0 | 12;
  /** Whether super-frames of datagrams (gso type UDP_L4) may leave here. */
  readonly udpSegmentation: boolean;
  /** Appends waiting frames to the batch as frames of `port`, at most a burst. Descriptor ports have nothing to do here. */
  pull(batch: Batch, port: number, burst: number): void;
  /**
   * Takes the descriptors in ring.words[from, to) and copies what it keeps. Returns how many frames (ring.framesAt) it had no room
   * for. Never called for descriptor ports.
   */
  deliver(ring: Transmit, from: number, to: number): number;
  /** Microseconds of the monotonic clock when `pull` will have something; Infinity when only others can tell. */
  nextDue(now: number): number;
  close(): void;
}
