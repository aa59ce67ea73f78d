/** Small networks for the tests of the addon: anonymous namespaces, TAPs, and one BurstIo with views on its buffers. */
import { mkdtempSync, readlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BurstIo, type BurstIoOptions, type Descriptor, Kind, loadBinding, Status } from '../../src/native/binding.js';
import { check } from '../../src/native/system-error.js';
import { deleteLink, findLink, getLink, setLink } from '../../src/netlink/link.js';
import { Netlink } from '../../src/netlink/netlink.js';

export const binding = loadBinding();
/** For workers, which load the addon themselves. */
export const addonPath =
  process.env['TAPBRIDGE_ADDON'] ?? fileURLToPath(new URL('../../build/Release/tapbridge.node', import.meta.url));

export const VNET = 12;
/** IEEE Std 802 local experimental EtherType: nothing in a kernel sends or answers it. */
export const EXPERIMENTAL = 0x88b5;
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6 (include/uapi/linux/if_tun.h). */
export const OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;

export const OPTIONS: BurstIoOptions = {
  arenaBytes: 8 << 20,
  receiveBytes: 6 << 20,
  batchFrames: 128,
  receiveFrames: 128,
  batchBytes: 1 << 20,
  burstFrames: 64,
  transmitWords: 4096,
  maxPorts: 70,
};

/** Of a BurstIo that moves next to nothing. */
export const SMALL_OPTIONS: BurstIoOptions = {
  arenaBytes: 1 << 20,
  receiveBytes: 1 << 19,
  batchFrames: 8,
  receiveFrames: 8,
  batchBytes: 1 << 19,
  burstFrames: 8,
  transmitWords: 64,
  maxPorts: 4,
};

export function hereIs(): string {
  return readlinkSync('/proc/thread-self/ns/net');
}

export function scratchDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'tapbridge-native-'));
}

/** Runs `act` on this thread inside the namespace. */
export function inside<T>(netns: Descriptor, act: () => T): T {
  const home = check(binding.openNetns('/proc/thread-self/ns/net'), 'openNetns', 'home');
  check(binding.enterNetns(netns), 'enterNetns', String(netns));
  try {
    return act();
  } finally {
    check(binding.enterNetns(home), 'enterNetns', 'home');
    binding.closeDescriptor(home);
  }
}

/** An anonymous namespace: gone with its last descriptor. Its interfaces stay silent, IPv6 is off. */
export class Network {
  readonly netns: Descriptor;
  readonly netlink: Netlink;

  constructor() {
    this.netns = check(binding.createNetns(null), 'createNetns', '');
    this.netlink = Netlink.open(binding, this.netns);
    inside(this.netns, () => {
      for (const scope of ['all', 'default']) {
        try {
          writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, '1');
        } catch {
          // a kernel without IPv6 is silent anyway
        }
      }
    });
  }

  /** A TAP in this namespace, opened inside it, up. */
  tap(name: string, vnetHeader = true): Descriptor {
    const descriptor = check(
      binding.openTap({
        name,
        netns: this.netns,
        vnetHeader,
        offloads: vnetHeader ? OFFLOADS : 0,
        persistent: false,
        mode: 'create',
      }),
      'openTap',
      name,
    );
    this.up(name);
    return descriptor;
  }

  packet(name: string, vnetHeader = true): Descriptor {
    return check(
      binding.openPacket({ interface: name, netns: this.netns, vnetHeader, promiscuous: true, ignoreOutgoing: true }),
      'openPacket',
      name,
    );
  }

  up(name: string, up = true): void {
    setLink(this.netlink, getLink(this.netlink, name).index, { up });
  }

  has(name: string): boolean {
    return findLink(this.netlink, name) !== undefined;
  }

  delete(name: string): void {
    deleteLink(this.netlink, getLink(this.netlink, name).index);
  }

  close(): void {
    this.netlink.close();
    binding.closeDescriptor(this.netns);
  }
}

export interface Frame {
  port: number;
  at: number;
  /** The virtio-net header before the frame. */
  vnet: Uint8Array;
  bytes: Uint8Array;
}

/** A BurstIo with copies out of and into its arena. */
export class Bench {
  readonly io: BurstIo;
  readonly options: BurstIoOptions;
  readonly arena: Uint8Array;
  readonly received: Int32Array;
  readonly transmit: Int32Array;
  readonly status: Float64Array;
  words = 0;
  private used: number;

  constructor(options: Partial<BurstIoOptions> = {}) {
    this.options = { ...OPTIONS, ...options };
    this.io = new binding.BurstIo(this.options);
    this.arena = new Uint8Array(this.io.arena);
    this.received = new Int32Array(this.io.received);
    this.transmit = new Int32Array(this.io.transmit);
    this.status = new Float64Array(this.io.status);
    this.used = this.options.receiveBytes;
  }

  add(port: number, descriptor: Descriptor, kind: Kind, header: 0 | 12 = VNET): void {
    check(this.io.add(port, descriptor, kind, header), 'add', String(port));
  }

  /** One burst, copied out. */
  receive(sleepMicros = 0): Frame[] {
    const count = check(this.io.receive(0, sleepMicros), 'receive', '');
    const frames: Frame[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.received[this.options.batchFrames + i]!;
      const length = this.received[2 * this.options.batchFrames + i]!;
      frames.push({
        port: this.received[i]!,
        at,
        vnet: this.arena.slice(at - VNET, at),
        bytes: this.arena.slice(at, at + length),
      });
    }
    return frames;
  }

  /** Receives until `count` frames came, or nothing more comes within half a second. */
  pull(count: number): Frame[] {
    const frames: Frame[] = [];
    while (frames.length < count) {
      const burst = this.receive(500_000);
      if (burst.length === 0) break;
      frames.push(...burst);
    }
    return frames;
  }

  /** Appends a descriptor to the ring; the parts are copied behind the receive area. */
  describe(port: number, ...parts: Uint8Array[]): void {
    this.transmit[this.words++] = port;
    this.transmit[this.words++] = parts.length;
    for (const part of parts) {
      this.arena.set(part, this.used);
      this.transmit[this.words++] = this.used;
      this.transmit[this.words++] = part.length;
      this.used += part.length;
    }
  }

  /** Sends what was described. Returns the failures as [index of the descriptor, errno]. */
  send(): [number, number][] {
    const starts: number[] = [];
    for (let word = 0; word < this.words; word += 2 + 2 * this.transmit[word + 1]!) starts.push(word);
    const count = check(this.io.send(this.words), 'send', '');
    this.words = 0;
    this.used = this.options.receiveBytes;
    return pairs(this.io.failures, count).map(([word, errno]) => [starts.indexOf(word), errno]);
  }

  /** [port, errno] of the last receive. */
  errors(): [number, number][] {
    return pairs(this.io.errors, this.status[Status.errors]!);
  }
}

function pairs(buffer: ArrayBuffer, count: number): [number, number][] {
  const words = new Int32Array(buffer);
  return Array.from({ length: count }, (_, i) => [words[2 * i]!, words[2 * i + 1]!]);
}

/** Twelve zero bytes: no offload. */
export const PLAIN = new Uint8Array(VNET);

export function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A frame of `length` bytes with a number in its payload. */
export function frame(number: number, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff]);
  for (let at = 14; at < length; at++) bytes[at] = (at * 7) & 0xff;
  bytes[14] = number >> 8;
  bytes[15] = number & 0xff;
  return bytes;
}

export function numberOf(received: Frame): number {
  return (received.bytes[14]! << 8) | received.bytes[15]!;
}

export { Kind };
