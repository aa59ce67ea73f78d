/**
 * The outer addresses that have mappings, each with a pool of ports for each class, and the way from an outer port to its mapping.
 *
 *     slot 0 … 15:  address | mappings | retired        slot * 3 + class:  pool | mapping + 1 by outer port
 *
 * A slot is given to an address at its first mapping. An address that is no longer ours is retired: it keeps its slot until its last mapping
 * is gone, because flows may still refer to them. When all slots are given, one without a mapping is given anew.
 *
 * Limits: 16 addresses; 256 KiB and a pool for each (address, class) in use.
 */
import { hashOf } from '../core/table.js';
import { Protocol } from '../wire/ipv4.js';
import { ADDRESSES_MAX, PORTS, PortClass } from './port-guard.js';
import { PortPlan, type PortRange } from './port-plan.js';
import { PortPool } from './port-pool.js';

/** Classes with ports, and their protocols. */
const CLASSES = 3;
const PROTOCOLS = [Protocol.tcp, Protocol.udp, Protocol.icmp];

export interface OuterAddressesOptions {
  /** A number in [0, 1). */
  random: () => number;
  /** Ports to give out. */
  ranges: { readonly tcp: readonly PortRange[]; readonly udp: readonly PortRange[]; readonly icmp: readonly PortRange[] };
  /** N14, TCP only. */
  restSeconds: number;
  /** N11. */
  parity: boolean;
}

/** How much of a pool is in use. */
export interface PoolUse {
  address: number;
  protocol: number;
  taken: number;
  size: number;
}

export class OuterAddresses {
  private readonly options: OuterAddressesOptions;
  /** Of the spread of inner addresses over the ports (port-pool.ts). */
  private readonly seed: number;
  private readonly plans: readonly PortPlan[];
  /** Columns by slot. */
  private readonly used = new Uint8Array(ADDRESSES_MAX);
  private readonly addresses = new Int32Array(ADDRESSES_MAX);
  private readonly mappings = new Int32Array(ADDRESSES_MAX);
  private readonly retired = new Uint8Array(ADDRESSES_MAX);
  /** Columns by slot * 3 + class; allotted at the first mapping. */
  private readonly pools: (PortPool | undefined)[] = new Array(ADDRESSES_MAX * CLASSES).fill(undefined);
  private readonly outer: (Int32Array | undefined)[] = new Array(ADDRESSES_MAX * CLASSES).fill(undefined);

  constructor(options: OuterAddressesOptions) {
    const { tcp, udp, icmp } = options.ranges;
    this.options = options;
    this.seed = Math.floor(options.random() * 0x1_0000_0000) | 0;
    this.plans = [new PortPlan(tcp), new PortPlan(udp), new PortPlan(icmp)];
  }

  /** -1: it has no slot. */
  slotOf(address: number): number {
    for (let slot = 0; slot < ADDRESSES_MAX; slot++) {
      if (this.addresses[slot] === address && this.used[slot] !== 0) {
        return slot;
      }
    }
    return -1;
  }

  /** The slot of an address that is ours (again); -1 when all have mappings of others. */
  open(address: number): number {
    let slot = this.slotOf(address);
    if (slot >= 0) {
      this.retired[slot] = 0;
      return slot;
    }
    slot = this.used.indexOf(0);
    if (slot < 0) {
      slot = this.mappings.indexOf(0);
      if (slot < 0) {
        return -1;
      }
      this.close(slot);
    }
    this.used[slot] = 1;
    this.addresses[slot] = address;
    return slot;
  }

  address(slot: number): number {
    return this.addresses[slot];
  }

  /** A port for a new mapping, or -1; `given` or `giveBack` follows. */
  takePort(slot: number, group: number, innerAddress: number, wanted: number, seconds: number): number {
    return this.poolAt(slot, group).take(wanted, seconds, this.spreadOf(innerAddress));
  }

  /** The very port a mapping had before; false: another has it. */
  adoptPort(slot: number, group: number, innerAddress: number, wanted: number, port: number): boolean {
    return this.poolAt(slot, group).adopt(port, wanted, this.spreadOf(innerAddress));
  }

  /** A mapping has begun. @param port its outer port, or -1 when it has none */
  given(slot: number, group: number, port: number, mapping: number): void {
    this.mappings[slot]++;
    const numbers = this.outer[slot * CLASSES + group];
    if (port >= 0 && numbers !== undefined) {
      numbers[port] = mapping + 1;
    }
  }

  /** A mapping has ended. */
  giveBack(slot: number, group: number, port: number, seconds: number): void {
    const at = slot * CLASSES + group;
    const numbers = this.outer[at];
    if (port >= 0 && numbers !== undefined) {
      numbers[port] = 0;
      this.pools[at]?.release(port, seconds);
    }
    this.mappings[slot]--;
    this.closeWhenEmpty(slot);
  }

  /** The mapping on an outer port, or -1. */
  mappingOn(slot: number, group: number, port: number): number {
    const numbers = this.outer[slot * CLASSES + group];
    return numbers === undefined ? -1 : numbers[port] - 1;
  }

  retire(address: number): void {
    const slot = this.slotOf(address);
    if (slot >= 0) {
      this.retired[slot] = 1;
      this.closeWhenEmpty(slot);
    }
  }

  setRanges(group: number, ranges: readonly PortRange[]): void {
    this.plans[group].setRanges(ranges);
    this.refresh(group, 0, PORTS - 1);
  }

  exclude(group: number, first: number, last: number): void {
    this.plans[group].exclude(first, last);
    this.refresh(group, first, last);
  }

  include(group: number, first: number, last: number): void {
    this.plans[group].include(first, last);
    this.refresh(group, first, last);
  }

  /** Every pool there is, for listings. */
  poolUse(): PoolUse[] {
    return this.pools.flatMap((pool, at) => {
      const address = this.addresses[Math.floor(at / CLASSES)];
      return pool === undefined ? [] : [{ address, protocol: PROTOCOLS[at % CLASSES], taken: pool.taken, size: pool.size }];
    });
  }

  private spreadOf(innerAddress: number): number {
    return hashOf(innerAddress, this.seed) >>> 1;
  }

  private poolAt(slot: number, group: number): PortPool {
    const at = slot * CLASSES + group;
    const pool = this.pools[at];
    if (pool !== undefined) {
      return pool;
    }
    const { random, restSeconds, parity } = this.options;
    const made = new PortPool({
      random,
      plan: this.plans[group],
      restSeconds: group === PortClass.tcp ? restSeconds : 0,
      classes: group !== PortClass.icmp,
      parity: parity && group !== PortClass.icmp,
    });
    this.pools[at] = made;
    this.outer[at] = new Int32Array(PORTS);
    return made;
  }

  private refresh(group: number, first: number, last: number): void {
    for (let slot = 0; slot < ADDRESSES_MAX; slot++) this.pools[slot * CLASSES + group]?.refresh(first, last);
  }

  private closeWhenEmpty(slot: number): void {
    if (this.retired[slot] !== 0 && this.mappings[slot] === 0) {
      this.close(slot);
    }
  }

  private close(slot: number): void {
    this.used[slot] = 0;
    this.retired[slot] = 0;
    this.pools.fill(undefined, slot * CLASSES, (slot + 1) * CLASSES);
    this.outer.fill(undefined, slot * CLASSES, (slot + 1) * CLASSES);
  }
}
