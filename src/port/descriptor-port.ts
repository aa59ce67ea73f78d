import type { Batch } from '../core/batch.js';
import { nextDescriptor, type Transmit } from '../core/transmit.js';
import { Kind } from '../native/binding.js';
import type { Port } from './port.js';

export interface DescriptorPortOptions {
  /** 'tap': in a container's namespace; 'host': a TAP in the host's; 'packet': a raw socket on an existing interface. */
  kind: 'tap' | 'host' | 'packet';
  descriptor: number;
  /** Each frame on the descriptor carries a 12-byte virtio-net header. */
  vnetHeader: boolean;
  /** The kernel behind it takes super-frames of datagrams (TUN_F_USO4|USO6, Linux 6.2). */
  udpSegmentation: boolean;
}

/**
 * A TAP or a raw socket. One class for all: what differs between them is how the addon reads and writes the descriptor, and the
 * frames never pass through here.
 */
export class DescriptorPort implements Port {
  readonly kind: 'tap' | 'host' | 'packet';
  readonly descriptor: number;
  readonly descriptorKind: 0 | 1;
  readonly headerBytes: 0 | 12;
  readonly udpSegmentation: boolean;

  constructor(options: DescriptorPortOptions) {
    if (!Number.isInteger(options.descriptor) || options.descriptor < 0) {
      throw new RangeError(`a ${options.kind} port needs a file descriptor, not ${options.descriptor}`);
    }
    this.kind = options.kind;
    this.descriptor = options.descriptor;
    this.descriptorKind = options.kind === 'packet' ? Kind.packet : Kind.tap;
    this.headerBytes = options.vnetHeader ? 12 : 0;
    // Without a vnet header there is nothing to say "super-frame" with.
    this.udpSegmentation = options.vnetHeader && options.udpSegmentation;
  }

  /** The addon's receive call has read the frames already. */
  pull(_batch: Batch, _port: number, _burst: number): void {}

  /** The addon's send call takes the descriptors; whatever came here instead was sent nowhere. */
  deliver(ring: Transmit, from: number, to: number): number {
    let lost = 0;
    for (let word = from; word < to; word = nextDescriptor(ring.words, word)) {
      lost += ring.framesAt[word];
    }
    return lost;
  }

  nextDue(_now: number): number {
    return Number.POSITIVE_INFINITY;
  }

  /** The owner of the descriptor closes it. */
  close(): void {}
}
