/**
 * Opening a flow: what the first packet of one is allowed and where it goes. The only place that asks routes, publishes, rules and the NAT;
 * later packets follow what is stored with the flow (N1).
 *
 *     from a bridge    own address of the host? ─▶ published or mapped: DNAT + SNAT (hairpin, N24)
 *                      another container of it  ─▶ no translation
 *                      else                     ─▶ route ─▶ rules ─▶ SNAT to the egress address (N20)
 *     from an uplink   published?               ─▶ rules ─▶ DNAT: the container sees the real client
 *                      mapped, and the filter admits the sender (RFC 4787, REQ-8) ─▶ DNAT
 *                      else                     ─▶ not_published
 *
 * The outcome lies in the fields until the next call. A mapping that was taken is released again when the flow is not opened.
 */
import { Flag, type PortTable } from '../bridge/port-table.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { NO_OWNER } from '../conntrack/flow-layout.js';
import { invertPorts } from '../conntrack/kind.js';
import { GATEWAY } from '../core/counters.js';
import { MappingRefusal, type MappingTable } from '../nat/mapping-table.js';
import type { PublishTable } from '../nat/publish-table.js';
import { Protocol } from '../wire/ipv4.js';
import type { AddressSet } from './address-set.js';
import type { FilterTable } from './filter-table.js';
import { Direction, type Policy } from './policy.js';
import { RouteKind, type RouteTable } from './route-table.js';
import type { Uplinks } from './uplinks.js';
import { FIRST_UPLINK, ZoneFlag, type Zones } from './zones.js';

/** Flows ended for the ports of one new one, at most. */
const RECLAIMED = 16;

/** Who may answer a mapping (RFC 4787, REQ-8): whom a packet went to, any port of that host, anybody. */
export const Filter = { addressAndPort: 0, address: 1, none: 2 } as const;

/** What an opening asks. */
export interface OpeningTables {
  conntrack: Conntrack;
  zones: Zones;
  routes: RouteTable;
  locals: AddressSet;
  policy: Policy;
  publishes: PublishTable;
  mappings: MappingTable;
  contacts: FilterTable;
  ports: PortTable;
  uplinks: Uplinks;
}

export class Opening {
  /** As the answer comes: the translated packet, turned round. */
  source = 0;
  destination = 0;
  ports = 0;
  /** Zone the packet goes to, and next hop there. */
  zone = 0;
  nextHop = 0;
  /** The same for answers. */
  backZone = 0;
  backNextHop = 0;
  mapping = -1;
  publish = -1;
  /** Port number of the container whose share of the flow table it counts for. */
  owner = NO_OWNER;
  /** One of `Filter`. */
  filter: number = Filter.addressAndPort;
  /** Uplink zone a bridge is bound to, -1: the best route; by bridge. */
  readonly uplink: Int32Array;
  /** Egress address by bridge and by port, 0: MASQUERADE. */
  readonly bridgeEgress: Int32Array;
  readonly portEgress: Int32Array;
  private readonly tables: OpeningTables;
  private inner = 0;
  /** Mapping that the packet was admitted by, -1: a publish. */
  private admitted = -1;
  private innerPort = 0;

  constructor(tables: OpeningTables) {
    this.tables = tables;
    this.uplink = new Int32Array(FIRST_UPLINK).fill(-1);
    this.bridgeEgress = new Int32Array(FIRST_UPLINK);
    this.portEgress = new Int32Array(tables.ports.capacity);
  }

  /**
   * Whether a packet to an address of the host is not for the host: published, or somebody's mapping.
   * @param protocol, port of the destination; the id for an ICMP answer
   */
  translates(protocol: number, address: number, port: number): boolean {
    return (
      this.tables.publishes.find(protocol, address, port) >= 0 || this.tables.mappings.findOuter(protocol, address, port) >= 0
    );
  }

  /**
   * A packet from a container, as it stands in the fields of conntrack.
   * @returns 0, or the counter of the drop
   */
  fromBridge(bridge: number, port: number, seconds: number): number {
    const { conntrack, zones, locals, routes } = this.tables;
    const { source, destination } = conntrack;
    this.owner = port;
    this.mapping = -1;
    this.publish = -1;
    this.backZone = bridge;
    this.backNextHop = source;
    if (locals.has(destination)) {
      return this.hairpin(bridge, port, seconds);
    }
    const target = this.bridgeOf(destination);
    if (target >= 0) {
      if (target !== bridge || (this.tables.ports.flags[port] & Flag.isolated) !== 0) {
        return GATEWAY.bridge_isolated;
      }
      this.zone = bridge;
      this.nextHop = destination;
      this.keep();
      return this.allowed(bridge, port, Direction.out, destination) ? 0 : GATEWAY.policy_denied;
    }
    if ((zones.flags[bridge] & ZoneFlag.internal) !== 0) {
      return GATEWAY.internal;
    }
    const row = routes.find(destination, this.uplink[bridge]);
    const refusal = this.take(row, destination);
    if (refusal !== 0) {
      return refusal;
    }
    if (!this.allowed(bridge, port, Direction.out, destination)) {
      return GATEWAY.policy_denied;
    }
    return this.translateSource(port, this.egressAddress(bridge, port, this.zone), seconds);
  }

  /** A packet from outside, to an address of an uplink. @returns 0, or the counter of the drop */
  fromUplink(zone: number): number {
    const { conntrack, routes, zones, locals } = this.tables;
    const { source, destination, ports, kind } = conntrack;
    this.owner = NO_OWNER;
    this.mapping = -1;
    this.backZone = zone;
    if (this.bridgeOf(source) >= 0 || locals.has(source)) {
      // Nobody out there has an inner address, or one of the host's.
      return GATEWAY.ip_spoofed;
    }
    if (!locals.has(destination) || !this.findInner(kind & 0xff, destination, ports & 0xffff, source)) {
      return GATEWAY.not_published;
    }
    const bridge = this.zone;
    if ((zones.flags[bridge] & ZoneFlag.internal) !== 0) {
      return GATEWAY.internal;
    }
    // Answers leave by the uplink the question came from, as far as a route leads there (several uplinks), else by the best route.
    const row = routes.find(source, zone);
    if (row < 0 || routes.kind(row) !== RouteKind.unicast) {
      return GATEWAY.no_route;
    }
    this.backNextHop = routes.nextHop(row, source);
    this.translateDestination(source, ports >>> 16);
    if (this.admitted >= 0) {
      // It lives as long as this flow, whatever becomes of the one that made it.
      this.tables.mappings.retain(this.admitted);
      this.mapping = this.admitted;
    }
    return this.allowedIn(bridge, source) ? 0 : GATEWAY.policy_denied;
  }

  /** Takes the zone and next hop of a route. @returns 0, or the counter of the drop */
  take(row: number, destination: number): number {
    const { routes, zones } = this.tables;
    if (row < 0 || routes.kind(row) !== RouteKind.unicast) {
      return GATEWAY.no_route;
    }
    const zone = routes.zone(row);
    if (zone < 0 || (zones.flags[zone] & ZoneFlag.up) === 0) {
      return GATEWAY.no_route;
    }
    this.zone = zone;
    this.nextHop = routes.nextHop(row, destination);
    return 0;
  }

  /** Bridge whose subnet an address lies in, -1 for none. */
  bridgeOf(address: number): number {
    const { zones } = this.tables;
    for (let bridge = 0; bridge < FIRST_UPLINK; bridge++) {
      if (zones.bridge[bridge] >= 0 && zones.address[bridge] !== 0 && (address & zones.mask[bridge]) === zones.network[bridge]) {
        return bridge;
      }
    }
    return -1;
  }

  /** Gives back what the last opening took, when no flow came of it. */
  undo(): void {
    if (this.mapping >= 0) {
      this.tables.mappings.release(this.mapping);
      this.mapping = -1;
    }
  }

  private hairpin(bridge: number, port: number, seconds: number): number {
    const { conntrack, routes } = this.tables;
    const { source, destination, ports, kind } = conntrack;
    if (!this.findInner(kind & 0xff, destination, ports & 0xffff, source)) {
      return GATEWAY.not_published;
    }
    const target = this.zone;
    if (target !== bridge && ((this.tables.zones.flags[bridge] | this.tables.zones.flags[target]) & ZoneFlag.internal) !== 0) {
      return GATEWAY.internal;
    }
    // The sender's outer mapping (REQ-9a); without a way out there is none, and the gateway's own address does.
    const row = routes.find(0, this.uplink[bridge]);
    const uplink = row < 0 ? -1 : routes.zone(row);
    const outer = uplink < 0 ? 0 : this.egressAddress(bridge, port, uplink);
    const { inner, innerPort } = this;
    const sourcePort = ports >>> 16;
    if (!this.allowed(bridge, port, Direction.out, destination) || !this.allowedIn(target, source)) {
      return GATEWAY.policy_denied;
    }
    this.owner = port;
    const refusal = this.translateSource(port, outer === 0 ? this.tables.zones.address[bridge] : outer, seconds);
    if (refusal !== 0) {
      return refusal;
    }
    const outerPort = isPorted(kind) ? this.ports & 0xffff : sourcePort;
    this.source = inner;
    this.ports = isQuery(kind) ? this.ports : (innerPort << 16) | outerPort;
    this.nextHop = inner;
    this.zone = target;
    return 0;
  }

  /** Who is behind an outer address and port. Leaves the bridge in `zone`, and the container's address and port. */
  private findInner(protocol: number, address: number, port: number, remote: number): boolean {
    const { publishes, mappings, contacts } = this.tables;
    const publish = publishes.find(protocol, address, port);
    this.publish = publish;
    this.admitted = -1;
    if (publish >= 0) {
      this.inner = publishes.address(publish);
      this.innerPort = publishes.port(publish, port);
      this.owner = publishes.owner(publish);
    } else {
      const mapping = this.filter === Filter.addressAndPort ? -1 : mappings.findOuter(protocol, address, port);
      if (mapping < 0 || (this.filter === Filter.address && !contacts.has(mapping, remote))) {
        return false;
      }
      this.admitted = mapping;
      this.inner = mappings.innerAddress(mapping);
      this.innerPort = mappings.innerPort(mapping);
      this.owner = NO_OWNER;
    }
    this.zone = this.bridgeOf(this.inner);
    this.nextHop = this.inner;
    return this.zone >= 0;
  }

  private translateDestination(remote: number, remotePort: number): void {
    this.source = this.inner;
    this.destination = remote;
    this.ports = (this.innerPort << 16) | (isQuery(this.tables.conntrack.kind) ? this.innerPort : remotePort);
  }

  /** No translation: the answer is the packet turned round (N1). */
  private keep(): void {
    const { source, destination, ports } = this.tables.conntrack;
    this.source = destination;
    this.destination = source;
    this.ports = invertPorts(ports);
  }

  private translateSource(port: number, outer: number, seconds: number): number {
    const { conntrack, mappings } = this.tables;
    const { source, ports, kind } = conntrack;
    this.keep();
    // Not for nobody's source address (N20).
    if (outer === 0 || source === 0) {
      return GATEWAY.no_address;
    }
    this.destination = outer;
    if (!isPorted(kind) && !isQuery(kind)) {
      return 0;
    }
    const sourcePort = ports >>> 16;
    // A datagram from port 0 expects no answer: the port stays (N13).
    if (sourcePort === 0 && !isQuery(kind)) {
      return 0;
    }
    let mapping = mappings.acquire(kind & 0xff, source, sourcePort, outer, port);
    // Connections that are over keep their ports for a while (TIME_WAIT); when there are no others left, the oldest give theirs up.
    // Of its own share the container first gives up what was never answered.
    for (let tries = 0; mapping < 0 && tries < RECLAIMED; tries++) {
      const own = mappings.refused === MappingRefusal.owner && conntrack.giveUpOwn(port, seconds);
      if (!own && !conntrack.reclaim(seconds)) {
        break;
      }
      mapping = mappings.acquire(kind & 0xff, source, sourcePort, outer, port);
    }
    if (mapping < 0) {
      return GATEWAY.nat_exhausted;
    }
    this.mapping = mapping;
    const outerPort = mappings.outerPort(mapping);
    this.ports = isQuery(kind) ? (outerPort << 16) | outerPort : ((ports & 0xffff) << 16) | outerPort;
    return 0;
  }

  /** Address flows of a container are translated to, 0: none. */
  private egressAddress(bridge: number, port: number, uplink: number): number {
    const { zones } = this.tables;
    const chosen = this.portEgress[port] !== 0 ? this.portEgress[port] : this.bridgeEgress[bridge];
    if (chosen === 0) {
      return zones.address[uplink];
    }
    // Answers to an address the uplink does not hold would never come.
    return this.tables.uplinks.holds(uplink, chosen) ? chosen : 0;
  }

  private allowed(bridge: number, port: number, direction: number, remote: number): boolean {
    const { kind, ports } = this.tables.conntrack;
    return this.tables.policy.permits(bridge, port, direction, kind & 0xff, remote, isPorted(kind) ? ports & 0xffff : 0);
  }

  private allowedIn(bridge: number, remote: number): boolean {
    const { kind } = this.tables.conntrack;
    const owner = this.owner === NO_OWNER ? -1 : this.owner;
    return this.tables.policy.permits(bridge, owner, Direction.in, kind & 0xff, remote, isPorted(kind) ? this.innerPort : 0);
  }
}

function isPorted(kind: number): boolean {
  const protocol = kind & 0xff;
  return protocol === Protocol.tcp || protocol === Protocol.udp;
}

function isQuery(kind: number): boolean {
  return (kind & 0xff) === Protocol.icmp;
}
