/**
 * Mappings: (protocol, inner address, inner port, outer address) → outer port, the same for every remote endpoint (N4, RFC 4787 REQ-1).
 *
 *     acquire ──▶ index (hash of the inner endpoint) ──▶ row  [ inner address | inner port, outer port | owner, slot, class | references ]
 *     findOuter ─▶ outer ports of (slot, class) ───────▶
 *                  slot 0 … 15: an outer address     class: TCP, UDP, ICMP query id, each with a pool of its own (RFC 7857, 5)
 *                  (outer-addresses.ts)
 *
 * A mapping lives as long as a flow refers to it: `acquire` and `retain` count one reference, `release` takes one back, and the last one
 * gives the port back to its pool and takes its mark off the guard. Its number stays the same meanwhile; a flow stores it.
 *
 * Invariants: two mappings never share (class, outer address, outer port), so there is no overloading (REQ-3); an inner endpoint has at most
 * one mapping for each outer address. UDP port 0 means that no answer is expected (N13): it keeps 0, takes no port, and is found by its inner
 * endpoint only.
 *
 * Not the form of core/table.ts, whose rows move: flows hold the number of a mapping. The index holds numbers and is what moves.
 *
 * Limits: `limit` mappings of 16 bytes, and two to four index slots of 4 bytes for each: at most 32 bytes in all; 16 outer addresses.
 * `ownerLimit` mappings for one owner (a bridge port), so that one container cannot use up a pool.
 */
import { NO_OWNER } from '../conntrack/flow-layout.js';
import { hashOf } from '../core/table.js';
import { Protocol } from '../wire/ipv4.js';
import { OuterAddresses, type OuterAddressesOptions, type PoolUse } from './outer-addresses.js';
import { PortClass, type PortGuard, portClass } from './port-guard.js';
import type { PortRange } from './port-plan.js';

export interface MappingTableOptions {
  /** Mappings at most. */
  limit: number;
  guard: PortGuard;
  /** A number in [0, 1). */
  random: () => number;
  /** Ports to give out. */
  ranges: OuterAddressesOptions['ranges'];
  /** N14, TCP only; 240 by default. */
  restSeconds?: number;
  /** N11: outer ports have the parity of inner ones; not by default (RFC 7857, 8). */
  parity?: boolean;
  /** Mappings an owner may have; no limit by default. */
  ownerLimit?: number;
}

/** Why `acquire` answered -1. */
export const MappingRefusal = {
  none: 0,
  /** The address has no port left for this class. */
  ports: 1,
  /** 16 outer addresses have mappings already. */
  addresses: 2,
  /** The table is full. */
  full: 3,
  /** The owner has its share. */
  owner: 4,
  /** Neither TCP, UDP nor ICMP. */
  protocol: 5,
} as const;

const ROW_SHIFT = 2;
/** Words of a row. In a free row the first holds the number of the next free one. */
const Row = { address: 0, ports: 1, place: 2, references: 3 } as const;
const CLASSES = 3;
const PROTOCOLS = [Protocol.tcp, Protocol.udp, Protocol.icmp];
const REST_SECONDS = 240;

export class MappingTable {
  readonly limit: number;
  /** Why the last `acquire` failed: a number of `MappingRefusal`. */
  refused = 0;
  private readonly guard: PortGuard;
  private readonly ownerLimit: number;
  private readonly outer: OuterAddresses;
  private readonly rows: Int32Array;
  private readonly index: Int32Array;
  private readonly mask: number;
  private readonly owned = new Int32Array(NO_OWNER + 1);
  private freeRow = -1;
  private high = 0;
  private count = 0;
  private seconds = 0;

  constructor(options: MappingTableOptions) {
    this.limit = options.limit;
    this.guard = options.guard;
    this.ownerLimit = options.ownerLimit ?? options.limit;
    this.outer = new OuterAddresses({
      random: options.random,
      ranges: options.ranges,
      restSeconds: options.restSeconds ?? REST_SECONDS,
      parity: options.parity ?? false,
    });
    let slots = 64;
    while (slots < options.limit * 2) {
      slots *= 2;
    }
    this.rows = new Int32Array(options.limit << ROW_SHIFT);
    this.index = new Int32Array(slots);
    this.mask = slots - 1;
  }

  /** Mappings there are. */
  get size(): number {
    return this.count;
  }

  /** Numbers of mappings lie below this one. */
  get highWater(): number {
    return this.high;
  }

  /** The time, once a pass. */
  tick(seconds: number): void {
    this.seconds = seconds;
  }

  /** The mapping of this inner endpoint on this outer address, or -1. */
  find(protocol: number, innerAddress: number, innerPort: number, outerAddress: number): number {
    const slot = this.outer.slotOf(outerAddress);
    const group = portClass(protocol);
    return slot < 0 || group >= CLASSES ? -1 : this.lookUp(innerAddress, innerPort, (slot << 8) | group);
  }

  /** The mapping that has this outer port, or -1. */
  findOuter(protocol: number, outerAddress: number, outerPort: number): number {
    const slot = this.outer.slotOf(outerAddress);
    const group = portClass(protocol);
    return slot < 0 || group >= CLASSES ? -1 : this.outer.mappingOn(slot, group, outerPort);
  }

  /**
   * Finds or makes the mapping of an inner endpoint (TCP, UDP; for ICMP queries port = id) and counts a reference to it.
   * @param owner bridge port, or NO_OWNER
   * @returns its number, or -1: `refused` says why
   */
  acquire(protocol: number, innerAddress: number, innerPort: number, outerAddress: number, owner: number): number {
    this.refused = MappingRefusal.none;
    const group = portClass(protocol);
    if (group >= CLASSES) {
      return this.refuse(MappingRefusal.protocol);
    }
    const slot = this.outer.open(outerAddress);
    if (slot < 0) {
      return this.refuse(MappingRefusal.addresses);
    }
    const key = (slot << 8) | group;
    const known = this.lookUp(innerAddress, innerPort, key);
    if (known >= 0) {
      this.rows[(known << ROW_SHIFT) + Row.references]++;
      return known;
    }
    if (this.count >= this.limit) {
      return this.refuse(MappingRefusal.full);
    }
    if (owner !== NO_OWNER && this.owned[owner] >= this.ownerLimit) {
      return this.refuse(MappingRefusal.owner);
    }
    let outerPort = 0;
    if (hasPort(group, innerPort)) {
      outerPort = this.outer.takePort(slot, group, innerAddress, innerPort, this.seconds);
      if (outerPort < 0) {
        return this.refuse(MappingRefusal.ports);
      }
      this.guard.mark(outerAddress, protocol, outerPort);
    }
    return this.insert(innerAddress, innerPort, outerPort, key, owner);
  }

  /**
   * The mapping of a flow that another process left: found, or made with the very outer port it had, though the plan may no longer give it out. Counts
   * a reference to it. The owner's share is not asked.
   * @returns its number, or -1: it contradicts one there is, or there is no room for it
   */
  adopt(
    protocol: number,
    innerAddress: number,
    innerPort: number,
    outerAddress: number,
    outerPort: number,
    owner: number,
  ): number {
    const group = portClass(protocol);
    const slot = group >= CLASSES ? -1 : this.outer.open(outerAddress);
    if (slot < 0) {
      return -1;
    }
    const key = (slot << 8) | group;
    const known = this.lookUp(innerAddress, innerPort, key);
    if (known >= 0) {
      if (this.outerPort(known) !== outerPort) {
        return -1;
      }
      this.rows[(known << ROW_SHIFT) + Row.references]++;
      this.setOwner(known, owner);
      return known;
    }
    const ported = hasPort(group, innerPort);
    if (this.count >= this.limit || (!ported && outerPort !== 0)) {
      return -1;
    }
    if (ported) {
      if (!this.outer.adoptPort(slot, group, innerAddress, innerPort, outerPort)) {
        return -1;
      }
      this.guard.mark(outerAddress, protocol, outerPort);
    }
    return this.insert(innerAddress, innerPort, outerPort, key, owner);
  }

  /** Says whose a mapping is that was adopted without an owner. */
  setOwner(mapping: number, owner: number): void {
    const place = (mapping << ROW_SHIFT) + Row.place;
    if (owner === NO_OWNER || this.owner(mapping) !== NO_OWNER) {
      return;
    }
    this.rows[place] = (owner << 16) | (this.rows[place] & 0xffff);
    this.owned[owner]++;
  }

  /** Marks the ports of all mappings on an address the guard has just learned of. */
  guardAddress(address: number): void {
    for (let mapping = 0; mapping < this.high; mapping++) {
      if (
        this.used(mapping) &&
        this.outerAddress(mapping) === address &&
        hasPort(this.groupOf(mapping), this.innerPort(mapping))
      ) {
        this.guard.mark(address, this.protocol(mapping), this.outerPort(mapping));
      }
    }
  }

  /** One reference more. */
  retain(mapping: number): void {
    this.rows[(mapping << ROW_SHIFT) + Row.references]++;
  }

  /** One reference less; the last one ends the mapping. */
  release(mapping: number): void {
    const row = mapping << ROW_SHIFT;
    if (this.rows[row + Row.references] > 0 && --this.rows[row + Row.references] === 0) {
      this.remove(mapping);
    }
  }

  /**
   * An outer address that is no longer ours (N21): its flows are to be deleted first. Mappings that are still referred to stay until they are
   * released; then its place is free for another address.
   */
  forgetAddress(outerAddress: number): void {
    this.outer.retire(outerAddress);
  }

  /** Other ranges for a protocol's ports. Ports in use stay in use. */
  setRanges(protocol: number, ranges: readonly PortRange[]): void {
    this.outer.setRanges(portClass(protocol), ranges);
  }

  /** Ports not to be given out from now on, on any address: published, or the host's own (N11). One `include` takes one `exclude` back. */
  exclude(protocol: number, first: number, last: number): void {
    this.outer.exclude(portClass(protocol), first, last);
  }

  include(protocol: number, first: number, last: number): void {
    this.outer.include(portClass(protocol), first, last);
  }

  used(mapping: number): boolean {
    return this.references(mapping) > 0;
  }

  references(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.references];
  }

  innerAddress(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.address];
  }

  innerPort(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.ports] >>> 16;
  }

  outerPort(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.ports] & 0xffff;
  }

  outerAddress(mapping: number): number {
    return this.outer.address((this.rows[(mapping << ROW_SHIFT) + Row.place] >>> 8) & 0xff);
  }

  protocol(mapping: number): number {
    return PROTOCOLS[this.groupOf(mapping)];
  }

  /** The owner that made it, or NO_OWNER. */
  owner(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.place] >>> 16;
  }

  /** Mappings of an owner. */
  sizeOf(owner: number): number {
    return this.owned[owner];
  }

  /** Every pool that was used, for listings. */
  poolUse(): PoolUse[] {
    return this.outer.poolUse();
  }

  private groupOf(mapping: number): number {
    return this.rows[(mapping << ROW_SHIFT) + Row.place] & 0xff;
  }

  private refuse(reason: number): number {
    this.refused = reason;
    return -1;
  }

  private lookUp(address: number, port: number, key: number): number {
    const { rows, index, mask } = this;
    for (let slot = hashOf(address, (port << 16) | key) & mask; ; slot = (slot + 1) & mask) {
      const mapping = index[slot] - 1;
      if (mapping < 0) {
        return -1;
      }
      const row = mapping << ROW_SHIFT;
      if (rows[row] === address && rows[row + Row.ports] >>> 16 === port && (rows[row + Row.place] & 0xffff) === key) {
        return mapping;
      }
    }
  }

  private insert(address: number, innerPort: number, outerPort: number, key: number, owner: number): number {
    const { rows, index, mask } = this;
    let mapping = this.freeRow;
    if (mapping >= 0) {
      this.freeRow = rows[mapping << ROW_SHIFT];
    } else {
      mapping = this.high++;
    }
    const row = mapping << ROW_SHIFT;
    rows[row + Row.address] = address;
    rows[row + Row.ports] = (innerPort << 16) | outerPort;
    rows[row + Row.place] = (owner << 16) | key;
    rows[row + Row.references] = 1;
    let slot = hashOf(address, (innerPort << 16) | key) & mask;
    while (index[slot] !== 0) {
      slot = (slot + 1) & mask;
    }
    index[slot] = mapping + 1;
    this.count++;
    if (owner !== NO_OWNER) this.owned[owner]++;
    this.outer.given(key >>> 8, key & 0xff, hasPort(key & 0xff, innerPort) ? outerPort : -1, mapping);
    return mapping;
  }

  private remove(mapping: number): void {
    const rows = this.rows;
    const row = mapping << ROW_SHIFT;
    const key = rows[row + Row.place] & 0xffff;
    const owner = rows[row + Row.place] >>> 16;
    const outerPort = rows[row + Row.ports] & 0xffff;
    const slot = key >>> 8;
    const group = key & 0xff;
    this.unindex(mapping);
    const ported = hasPort(group, rows[row + Row.ports] >>> 16);
    if (ported) {
      this.guard.unmark(this.outer.address(slot), PROTOCOLS[group], outerPort);
    }
    this.outer.giveBack(slot, group, ported ? outerPort : -1, this.seconds);
    rows[row] = this.freeRow;
    this.freeRow = mapping;
    this.count--;
    if (owner !== NO_OWNER) this.owned[owner]--;
  }

  /** Takes a mapping out of the index and moves the rest of its cluster back, so that no search meets a hole. */
  private unindex(mapping: number): void {
    const { index, mask } = this;
    let hole = this.homeOf(mapping);
    while (index[hole] !== mapping + 1) {
      hole = (hole + 1) & mask;
    }
    for (let slot = (hole + 1) & mask; index[slot] !== 0; slot = (slot + 1) & mask) {
      if (((slot - this.homeOf(index[slot] - 1)) & mask) >= ((slot - hole) & mask)) {
        index[hole] = index[slot];
        hole = slot;
      }
    }
    index[hole] = 0;
  }

  private homeOf(mapping: number): number {
    const row = mapping << ROW_SHIFT;
    const port = this.rows[row + Row.ports] >>> 16;
    return hashOf(this.rows[row], (port << 16) | (this.rows[row + Row.place] & 0xffff)) & this.mask;
  }
}

/** N13: all but UDP's port 0. */
function hasPort(group: number, innerPort: number): boolean {
  return group !== PortClass.udp || innerPort !== 0;
}
