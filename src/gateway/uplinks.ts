/**
 * The uplinks: their zones, their addresses, and what the guard must keep from the host for them.
 *
 *     guarded = every port SNAT gave out (the mappings mark them) + every published port, on each address of each uplink
 *
 * Commands only. An address that goes takes its marks along; one that comes gets those of the publishes, and of flows that were there before it
 * (adoption.ts).
 *
 * Limit: the guard has room for 16 addresses. Each uplink's primary one is among them; what finds no room is the host's alone: nothing is translated
 * to it, and who asks it for a published port gets the listener there.
 */
import { NeighborTable } from '../bridge/neighbor-table.js';
import { ADDRESSES_MAX, type PortGuard } from '../nat/port-guard.js';
import type { Publish, PublishTable } from '../nat/publish-table.js';
import type { FlowClaims } from './flow-claims.js';
import type { Resolver } from './resolver.js';
import { FIRST_UPLINK, UPLINK_COUNT, ZoneFlag, type Zones } from './zones.js';

/** Neighbors of one uplink. */
const NEIGHBORS = 1024;

/** A guard whose addresses can be told. */
export interface AddressGuard extends PortGuard {
  setAddresses(addresses: readonly number[]): number;
}

export interface Uplink {
  port: number;
  macHigh: number;
  macLow: number;
  mtu: number;
  /** Primary address; 0: none at present. */
  address: number;
  /** All of them, the primary one too. */
  addresses: readonly number[];
  up: boolean;
}

export class Uplinks {
  /** By number; null: not in use. */
  readonly list: (Uplink | null)[] = new Array<Uplink | null>(UPLINK_COUNT).fill(null);
  private readonly zones: Zones;
  private readonly guard: AddressGuard;
  private readonly publishes: PublishTable;
  private readonly claims: FlowClaims;
  private readonly resolver: Resolver;
  private guarded = new Set<number>();

  constructor(zones: Zones, guard: AddressGuard, publishes: PublishTable, claims: FlowClaims, resolver: Resolver) {
    this.zones = zones;
    this.guard = guard;
    this.publishes = publishes;
    this.claims = claims;
    this.resolver = resolver;
  }

  /** Makes or changes an uplink; null ends it. Returns the addresses no uplink holds any more. @throws RangeError */
  set(number: number, uplink: Uplink | null): number[] {
    if (!(number >= 0 && number < UPLINK_COUNT)) {
      throw new RangeError(`gateway: there is no uplink ${number}`);
    }
    const zone = FIRST_UPLINK + number;
    const before = this.list[number];
    this.list[number] = uplink;
    if (uplink === null) {
      this.zones.clear(zone);
      this.resolver.setZone(zone, null, null);
    } else {
      const { macHigh, macLow, address, port, mtu } = uplink;
      const flags = uplink.up ? ZoneFlag.up : 0;
      this.zones.set(zone, { macHigh, macLow, address, prefix: 32, port, mtu, flags });
      if (before === null) {
        this.resolver.setZone(zone, new NeighborTable(NEIGHBORS), null);
      }
    }
    return this.guardAddresses();
  }

  /** Addresses a flow may be translated to on this uplink. */
  holds(zone: number, address: number): boolean {
    return this.guarded.has(address) && (this.list[zone - FIRST_UPLINK]?.addresses.includes(address) ?? false);
  }

  /** A publish begins (+1) or ends (-1): its ports, on the addresses it is for. */
  guardPublish(publish: Publish, change: 1 | -1): void {
    for (const address of this.guarded) this.guardOn(publish, address, change);
  }

  private guardAddresses(): number[] {
    const now = new Set<number>();
    for (const uplink of this.list) if (uplink !== null && uplink.address !== 0) now.add(uplink.address);
    for (const uplink of this.list) {
      for (const address of uplink?.addresses ?? []) if (address !== 0 && now.size < ADDRESSES_MAX) now.add(address);
    }
    const gone = [...this.guarded].filter((address) => !now.has(address));
    const come = [...now].filter((address) => !this.guarded.has(address));
    this.guard.setAddresses([...now]);
    this.guarded = now;
    for (const address of come) this.claims.guardAddress(address);
    for (let number = 0; number < this.publishes.highWater; number++) {
      if (!this.publishes.used(number)) continue;
      for (const address of come) this.guardOn(this.publishes.publishAt(number), address, 1);
    }
    return gone;
  }

  private guardOn({ protocol, hostAddress, hostPort, count }: Publish, address: number, change: 1 | -1): void {
    if (hostAddress !== 0 && hostAddress !== address) return;
    for (let port = hostPort; port < hostPort + count; port++) {
      if (change > 0) this.guard.mark(address, protocol, port);
      else this.guard.unmark(address, protocol, port);
    }
  }
}
