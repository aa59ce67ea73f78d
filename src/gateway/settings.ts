/**
 * Settings of the gateway: what commands change, between two passes, and which flows end with it.
 *
 *     bridge, uplink, publish, egress address, port gone ─▶ tables ─▶ flows that do not fit any more end at once (D.5, N21)
 *
 * Finding these walks the flow table; commands may, frames never do.
 */
import type { Bridge } from '../bridge/bridge.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { FLOW, FLOW_SHIFT, Removal, type RemovalReason } from '../conntrack/flow-layout.js';
import type { MappingTable } from '../nat/mapping-table.js';
import type { Publish, PublishTable } from '../nat/publish-table.js';
import type { AddressSet } from './address-set.js';
import type { FilterTable } from './filter-table.js';
import { Filter, type Opening } from './opening.js';
import type { Policy, Rule } from './policy.js';
import type { Resolver } from './resolver.js';
import type { Uplink, Uplinks } from './uplinks.js';
import { FIRST_UPLINK, type Zone, ZoneFlag, type Zones } from './zones.js';

const {
  oSource: O_SOURCE,
  oDestination: O_DESTINATION,
  oPorts: O_PORTS,
  rSource: R_SOURCE,
  rDestination: R_DESTINATION,
  kind: KIND,
} = FLOW;
const { zones: ZONES, owner: OWNER, mapping: MAPPING } = FLOW;

/** The routed side of a bridge: its zone, where `port` is the host port. */
export interface BridgeSide extends Zone {
  /** Zone of the uplink it is bound to, -1: the best route. */
  uplink: number;
  /** SNAT to this address, 0: MASQUERADE. */
  egressAddress: number;
  /** When the MSS option is lowered (R24); 'auto': while an uplink's MTU is below the bridge's. */
  mssClamp: 'auto' | 'on' | 'off';
  rules: readonly Rule[];
}

/** What settings change. */
export interface SettingsTables {
  bridges: readonly (Bridge | null)[];
  zones: Zones;
  locals: AddressSet;
  policy: Policy;
  publishes: PublishTable;
  mappings: MappingTable;
  conntrack: Conntrack;
  opening: Opening;
  uplinks: Uplinks;
  resolver: Resolver;
  contacts: FilterTable;
  /** Zone of an uplink's port, by port number. */
  zoneOfPort: Int32Array;
}

export class Settings {
  /** While what an earlier process had is made again, nothing that is made ends a flow of it (adoption.ts). */
  adopting = false;
  private readonly tables: SettingsTables;
  /** When to clamp, by bridge. */
  private readonly clamps: BridgeSide['mssClamp'][] = new Array(FIRST_UPLINK).fill('off');

  /** Runs of ports the host has itself, by protocol. */
  private readonly reserved = new Map<number, [number, number][]>();

  constructor(tables: SettingsTables) {
    this.tables = tables;
  }

  /** Makes, changes or ends the routed side of a bridge. */
  setBridge(bridge: number, settings: BridgeSide | null, seconds: number): void {
    const target = this.tables.bridges[bridge] ?? null;
    const { bridgeEgress, uplink } = this.tables.opening;
    if (target === null || settings === null) {
      this.tables.conntrack.removeWhere((flow) => this.touches(flow, bridge), Removal.owner_closed, seconds);
      this.tables.resolver.setZone(bridge, null, null);
      this.tables.zones.clear(bridge);
      this.tables.policy.setBridge(bridge, []);
      uplink[bridge] = -1;
      bridgeEgress[bridge] = 0;
      if (target !== null) {
        target.gatewayPort = -1;
        target.hostAddresses = null;
      }
      return;
    }
    const closes = (settings.flags & ~this.tables.zones.flags[bridge] & ZoneFlag.internal) !== 0;
    if (closes || settings.egressAddress !== bridgeEgress[bridge] || settings.uplink !== uplink[bridge]) {
      // Flows keep the address they were opened with, but not one nobody chose any more; nor does any leave a bridge that became internal.
      this.endWhere((flow) => this.touches(flow, bridge), Removal.address_changed, seconds);
    }
    this.tables.zones.set(bridge, settings);
    this.clamps[bridge] = settings.mssClamp;
    this.setClamps();
    this.tables.policy.setBridge(bridge, settings.rules);
    uplink[bridge] = settings.uplink;
    bridgeEgress[bridge] = settings.egressAddress;
    this.tables.resolver.setZone(bridge, target.neighbors, target.fdb);
    target.gatewayPort = settings.port;
    target.hostAddresses = this.tables.locals;
  }

  /** Makes, changes or ends an uplink. Flows of an address that is gone end, and all of one that went down (N21). */
  setUplink(number: number, uplink: Uplink | null, seconds: number): void {
    const zone = FIRST_UPLINK + number;
    const before = this.tables.uplinks.list[number];
    if (before !== null) this.tables.zoneOfPort[before.port] = -1;
    const gone = this.tables.uplinks.set(number, uplink);
    if (uplink !== null) this.tables.zoneOfPort[uplink.port] = zone;
    this.setClamps();
    if (uplink?.up !== true) {
      this.endWhere((flow) => this.touches(flow, zone), Removal.route_changed, seconds);
    }
    if (gone.length > 0) {
      // Those between containers, too (N24): a mapping that outlived its address would come back without its mark.
      this.endWhere((flow) => this.isTranslatedTo(flow, gone), Removal.address_changed, seconds);
    }
    for (const address of gone) this.tables.mappings.forgetAddress(address);
    if (uplink === null) this.tables.resolver.setZone(zone, null, null);
  }

  /** Begins a publish. Its ports are given to nobody else, and flows that stood in its way end. @throws RangeError when it cannot be */
  publish(publish: Publish, seconds: number): void {
    if (this.tables.publishes.add(publish) < 0) {
      throw new RangeError(`gateway: port ${publish.hostPort} is published already, or the table is full`);
    }
    const { protocol, hostPort, count } = publish;
    this.tables.mappings.exclude(protocol, hostPort, hostPort + count - 1);
    this.tables.uplinks.guardPublish(publish, 1);
    this.endWhere((flow) => this.comesThrough(flow, publish), Removal.unpublished, seconds);
  }

  /** Ends a publish and its flows. An unknown id is ignored. */
  unpublish(id: number, seconds: number): void {
    const number = this.tables.publishes.numberOf(id);
    if (number < 0) return;
    const publish = this.tables.publishes.publishAt(number);
    this.tables.publishes.remove(id);
    this.tables.mappings.include(publish.protocol, publish.hostPort, publish.hostPort + publish.count - 1);
    this.tables.uplinks.guardPublish(publish, -1);
    this.tables.conntrack.removeWhere((flow) => this.comesThrough(flow, publish), Removal.unpublished, seconds);
  }

  /** Ports the host has itself, all of a protocol's: they are given to nobody. */
  setReserved(protocol: number, ports: Uint16Array): void {
    const { mappings } = this.tables;
    const before = this.reserved.get(protocol) ?? [];
    const now = runs(ports);
    this.reserved.set(protocol, now);
    for (const [first, last] of now) mappings.exclude(protocol, first, last);
    for (const [first, last] of before) mappings.include(protocol, first, last);
  }

  /** SNAT address of the container behind a port, 0: its bridge's. Flows to another address end. */
  setEgress(port: number, address: number, seconds: number): void {
    if (this.tables.opening.portEgress[port] === address) return;
    this.tables.opening.portEgress[port] = address;
    const { words } = this.tables.conntrack.flows;
    const isOwner = (flow: number) => {
      const row = flow << FLOW_SHIFT;
      // Not all that is translated has a mapping: protocols without ports have none.
      const translated = words[row + O_SOURCE] !== words[row + R_DESTINATION];
      return ((words[row + OWNER] & 0xffff) === port && translated) || this.isMappedFor(row, port);
    };
    this.endWhere(isOwner, Removal.address_changed, seconds);
  }

  /** Who may answer a mapping (RFC 4787, REQ-8): a number of `Filter`. */
  setFilter(filter: number): void {
    const { opening, contacts } = this.tables;
    opening.filter = filter;
    contacts.keep(filter === Filter.address, this.liveContacts());
  }

  /** A port of a bridge is gone, with what was opened to or from what was behind it. */
  forgetPort(port: number, seconds: number): void {
    const { words } = this.tables.conntrack.flows;
    this.tables.opening.portEgress[port] = 0;
    this.tables.policy.setPort(port, []);
    const isOwner = (flow: number) => {
      const row = flow << FLOW_SHIFT;
      return (words[row + OWNER] & 0xffff) === port || this.isMappedFor(row, port);
    };
    this.tables.conntrack.removeWhere(isOwner, Removal.owner_closed, seconds);
  }

  private endWhere(matches: (flow: number) => boolean, reason: RemovalReason, seconds: number): void {
    if (!this.adopting) this.tables.conntrack.removeWhere(matches, reason, seconds);
  }

  /** Whether a flow holds a mapping of what is behind a port; one that came in by it (adf, eif) has no other owner. */
  private isMappedFor(row: number, port: number): boolean {
    const mapping = this.tables.conntrack.flows.words[row + MAPPING];
    return mapping >= 0 && this.tables.mappings.owner(mapping) === port;
  }

  private *liveContacts(): Generator<[number, number]> {
    const { flows } = this.tables.conntrack;
    for (let flow = 0; flow < flows.rows(); flow++) {
      const row = flow << FLOW_SHIFT;
      if (flows.used(flow) && flows.words[row + MAPPING] >= 0) yield [flows.words[row + MAPPING], flows.words[row + R_SOURCE]];
    }
  }

  private setClamps(): void {
    const { flags, mtu } = this.tables.zones;
    const smallest = Math.min(...this.tables.uplinks.list.map((uplink) => uplink?.mtu ?? Number.POSITIVE_INFINITY));
    this.clamps.forEach((clamp, bridge) => {
      const wanted = clamp === 'on' || (clamp === 'auto' && smallest < mtu[bridge]);
      flags[bridge] = wanted ? flags[bridge] | ZoneFlag.mssClamp : flags[bridge] & ~ZoneFlag.mssClamp;
    });
  }

  private comesThrough(flow: number, { protocol, hostAddress, hostPort, count }: Publish): boolean {
    const { words } = this.tables.conntrack.flows;
    const row = flow << FLOW_SHIFT;
    const port = words[row + O_PORTS] & 0xffff;
    const address = words[row + O_DESTINATION];
    return (
      (words[row + KIND] & 0xff) === protocol &&
      port >= hostPort &&
      port < hostPort + count &&
      (hostAddress === 0 ? this.tables.locals.has(address) : hostAddress === address)
    );
  }

  private touches(flow: number, zone: number): boolean {
    const zones = this.tables.conntrack.flows.words[(flow << FLOW_SHIFT) + ZONES];
    return (zones & 0xffff) === zone || zones >>> 16 === zone;
  }

  private isTranslatedTo(flow: number, addresses: readonly number[]): boolean {
    const { words } = this.tables.conntrack.flows;
    const row = flow << FLOW_SHIFT;
    return addresses.includes(words[row + R_DESTINATION]) || addresses.includes(words[row + O_DESTINATION]);
  }
}

/** Runs of ports in a row as [first, last]. */
function runs(ports: Uint16Array): [number, number][] {
  const found: [number, number][] = [];
  for (const port of Uint16Array.from(ports).sort()) {
    const last = found.at(-1);
    if (last !== undefined && port <= last[1] + 1) last[1] = port;
    else found.push([port, port]);
  }
  return found;
}
