/**
 * The guard's bitmaps: which (address, protocol, port) of an uplink belong to the gateway and not to the host (rule N29).
 *
 * The gateway shares its outer addresses with the host. Two eBPF programs at the uplink ask these bitmaps for each packet from outside: at
 * TC ingress a set bit drops the packet before the host's stack sees it; in the packet socket's filter a clear bit keeps it from the gateway.
 * The map is mapped into this process, so a flow that begins or ends costs no system call.
 *
 *     element (8,192 bytes each, one BPF_MAP_TYPE_ARRAY with BPF_F_MMAPABLE)
 *     0                     u32 count | u32 address 0 | ... | u32 address 15      count in native (little-endian) order; an address as it
 *                                                                                 stands in a packet (network byte order); 0 = no address
 *     1 + slot * 4 + class  65,536 bits: bit p is bit (p & 7) of byte (p >> 3)
 *
 *     class  0 TCP and 1 UDP: p = the destination port of the packet from outside
 *            2 ICMP query: p = its identifier
 *            3 every other protocol: p = otherIndex(protocol, remote), remote = the source address of the packet from outside
 *
 *     otherIndex: all 32-bit, remote in HOST byte order (what BPF_LD | BPF_ABS | BPF_W loads; 10.0.0.1 is 0x0a000001)
 *         w2 = protocol; w2 *= 0x9e3779b1; w1 = remote; w1 ^= w2; w1 *= 0x9e3779b1; w1 >>= 16
 *
 * Slots: `count` is one more than the highest slot in use; a slot below it may be empty (address 0, which no packet is sent to). An address
 * keeps its slot while it stays. A new address appears only after its bitmaps were cleared.
 *
 * Limits: 16 addresses; 16 * 4 bitmaps of 8 KiB = 512 KiB and the header. Marks are counted, because several flows may share a bit of class
 * 3, and a mapping may still live on a port that is being published: 128 KiB for each bitmap, allotted at its first mark. One thread writes;
 * the programs read whole bytes at any time, so no order between the bits matters.
 */
import { Protocol } from '../wire/ipv4.js';

/** What the modules that give out ports tell the guard. */
export interface PortGuard {
  /**
   * Packets from outside to this port belong to the gateway from now on. Each mark is taken back by one unmark.
   * @param port TCP and UDP port, ICMP query identifier, or `otherIndex` for other protocols
   */
  mark(address: number, protocol: number, port: number): void;
  unmark(address: number, protocol: number, port: number): void;
}

export const PortClass = { tcp: 0, udp: 1, icmp: 2, other: 3 } as const;
/** Classes there are; class 3 has no ports of its own. */
export const PORT_CLASSES = 4;
/** Addresses the guard, and so the gateway, can hold at once. */
export const ADDRESSES_MAX = 16;
export const PORTS = 65_536;

const BITMAP_BYTES = PORTS >>> 3;
const ADDRESS_BYTES = 4;
/** A count that got this far stays: its bit is set until the address goes. */
const COUNT_MAX = 0xffff;

/** Bytes of the map's memory. */
export const GUARD_BYTES = BITMAP_BYTES * (1 + ADDRESSES_MAX * PORT_CLASSES);

/** A number of `PortClass`. */
export function portClass(protocol: number): number {
  switch (protocol) {
    case Protocol.tcp:
      return PortClass.tcp;
    case Protocol.udp:
      return PortClass.udp;
    case Protocol.icmp:
      return PortClass.icmp;
    default:
      return PortClass.other;
  }
}

/** Bit of class 3 for packets of `protocol` from `remote`; the same four operations the eBPF programs do. */
export function otherIndex(protocol: number, remote: number): number {
  return Math.imul(remote ^ Math.imul(protocol, 0x9e3779b1), 0x9e3779b1) >>> 16;
}

/** The guard over the mapped memory of the eBPF map, or over any memory of that size. */
export class GuardBitmap implements PortGuard {
  private readonly bytes: Uint8Array;
  /** Columns by slot. */
  private readonly addresses = new Int32Array(ADDRESSES_MAX);
  private readonly used = new Uint8Array(ADDRESSES_MAX);
  /** Marks of each bit, by slot * 4 + class; allotted at the first mark. */
  private readonly counts: (Uint16Array | undefined)[] = new Array(ADDRESSES_MAX * PORT_CLASSES).fill(undefined);

  /** @param memory `GUARD_BYTES`, zeros, or what an earlier process left: it is cleared */
  constructor(memory: ArrayBufferLike) {
    this.bytes = new Uint8Array(memory, 0, GUARD_BYTES);
    this.bytes.fill(0);
  }

  /**
   * The addresses guarded from now on. Those that stay keep their marks, those that go lose them.
   * @returns how many of them found no room
   */
  setAddresses(addresses: readonly number[]): number {
    for (let slot = 0; slot < ADDRESSES_MAX; slot++) {
      if (this.used[slot] !== 0 && !addresses.some((each) => (each | 0) === this.addresses[slot])) {
        this.used[slot] = 0;
        this.writeAddress(slot, 0);
        this.clearSlot(slot);
      }
    }
    let refused = 0;
    for (const address of new Set(addresses.map((each) => each | 0))) {
      if (address === 0 || this.slotOf(address) >= 0) continue;
      const slot = this.used.indexOf(0);
      if (slot < 0) {
        refused++;
        continue;
      }
      this.used[slot] = 1;
      this.addresses[slot] = address;
      this.writeAddress(slot, address);
    }
    this.writeCount(this.used.lastIndexOf(1) + 1);
    return refused;
  }

  /** Marks of an address that is not guarded are lost: `setAddresses` comes before the first flow of an address. */
  mark(address: number, protocol: number, port: number): void {
    const slot = this.slotOf(address);
    if (slot < 0) {
      return;
    }
    const bitmap = slot * PORT_CLASSES + portClass(protocol);
    const counts = this.counts[bitmap] ?? this.allot(bitmap);
    const count = counts[port];
    if (count < COUNT_MAX) {
      counts[port] = count + 1;
    }
    if (count === 0) {
      this.bytes[(1 + bitmap) * BITMAP_BYTES + (port >>> 3)] |= 1 << (port & 7);
    }
  }

  unmark(address: number, protocol: number, port: number): void {
    const slot = this.slotOf(address);
    if (slot < 0) {
      return;
    }
    const bitmap = slot * PORT_CLASSES + portClass(protocol);
    const counts = this.counts[bitmap];
    // Nothing to take back: the address went and came again in between.
    if (counts === undefined || counts[port] === 0 || counts[port] === COUNT_MAX) {
      return;
    }
    if (--counts[port] === 0) {
      this.bytes[(1 + bitmap) * BITMAP_BYTES + (port >>> 3)] &= ~(1 << (port & 7));
    }
  }

  marked(address: number, protocol: number, port: number): boolean {
    const slot = this.slotOf(address);
    const bitmap = slot * PORT_CLASSES + portClass(protocol);
    return slot >= 0 && (this.bytes[(1 + bitmap) * BITMAP_BYTES + (port >>> 3)] & (1 << (port & 7))) !== 0;
  }

  /** -1: not guarded. */
  slotOf(address: number): number {
    for (let slot = 0; slot < ADDRESSES_MAX; slot++) {
      if (this.used[slot] !== 0 && this.addresses[slot] === address) {
        return slot;
      }
    }
    return -1;
  }

  private allot(bitmap: number): Uint16Array {
    const counts = new Uint16Array(PORTS);
    this.counts[bitmap] = counts;
    return counts;
  }

  private clearSlot(slot: number): void {
    const first = slot * PORT_CLASSES;
    this.bytes.fill(0, (1 + first) * BITMAP_BYTES, (1 + first + PORT_CLASSES) * BITMAP_BYTES);
    for (let bitmap = first; bitmap < first + PORT_CLASSES; bitmap++) this.counts[bitmap]?.fill(0);
  }

  private writeCount(count: number): void {
    this.bytes[0] = count;
  }

  private writeAddress(slot: number, address: number): void {
    const at = ADDRESS_BYTES * (1 + slot);
    this.bytes[at] = address >>> 24;
    this.bytes[at + 1] = address >>> 16;
    this.bytes[at + 2] = address >>> 8;
    this.bytes[at + 3] = address;
  }
}
