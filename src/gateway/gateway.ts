/**
 * The gateway: the routed side of all bridges of an engine.
 *
 *     from a bridge  ─▶ check ─┬─▶ for the host ────────────────────────────────────────────────────────▶ host port
 *     from an uplink ─▶ check ─┤
 *                              └─▶ fragments ─▶ flow? ─┬─ known ─▶ track ─▶ TTL ─▶ MTU ─▶ rewrite ─▶ next hop ─▶ egress list
 *                                                      ├─ none ──▶ opening (opening.ts) ─▶ the same
 *                                                      └─ ICMP error ─▶ the flow it is about ─▶ rewrite both ─▶ the same
 *
 * It is part of pass one: what it decides is a place on an egress list, as for a bridged frame. A frame is rewritten where it lies; it is on one list at
 * most. Frames the gateway makes (ARP requests, ICMP errors, fragments, frames that waited) are appended to the batch.
 *
 * A zone is where a frame comes from or goes to: a bridge (0 … 255) or an uplink (256 …). Each flow knows the zones and next hops of both its
 * directions, so a known flow asks neither routes nor rules. When the routes change, `generation` says so, and each flow looks once more.
 *
 * Invariants: a frame that ends here has one named counter (GATEWAY_DROPS) of the zone it came from. A reply from outside matches only flows that
 * were opened to that side. Nothing is kept of a frame but copies in bounded stores (resolver, fragments).
 * Where a comment here or below names a rule (R.., C.., N..), the tests of that rule bear its name.
 */
import type { Bridge } from '../bridge/bridge.js';
import type { Egress } from '../bridge/egress.js';
import type { PortTable } from '../bridge/port-table.js';
import { Conntrack, type ConntrackOptions } from '../conntrack/conntrack.js';
import { FLOW, FLOW_SHIFT } from '../conntrack/flow-layout.js';
import { IcmpRole, icmpKind, icmpRole, kindOf } from '../conntrack/kind.js';
import { type Batch, MAX_FRAME_BYTES } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, PORT, type PortCounters } from '../core/counters.js';
import { MappingTable, type MappingTableOptions } from '../nat/mapping-table.js';
import type { PortRange } from '../nat/port-plan.js';
import { PublishTable } from '../nat/publish-table.js';
import { checksumAgrees } from '../nat/rewrite.js';
import { ErrorTranslator } from '../nat/rewrite-error.js';
import { validate } from '../offload/validate.js';
import { wirePackets } from '../offload/wire-packets.js';
import * as ethernet from '../wire/ethernet.js';
import * as header from '../wire/ethernet-view.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import { AddressSet } from './address-set.js';
import { Adoption } from './adoption.js';
import { Delivery } from './delivery.js';
import { FastPath } from './fast-path.js';
import { FilterTable } from './filter-table.js';
import { FlowClaims } from './flow-claims.js';
import { Forwarding, FRESH } from './forwarding.js';
import { Fragment, FragmentTable } from './fragments.js';
import { checkHeader, isGroup } from './header-check.js';
import { IcmpErrors } from './icmp-errors.js';
import { IpIds } from './ip-ids.js';
import { Opening } from './opening.js';
import { Policy } from './policy.js';
import { Resolver } from './resolver.js';
import { RouteTable } from './route-table.js';
import { Settings } from './settings.js';
import { type AddressGuard, Uplinks } from './uplinks.js';
import { FIRST_UPLINK, Zones } from './zones.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS, rSource: R_SOURCE } = FLOW;

const PORTS_BYTES = 4;
/** For looking ahead: where a packet's addresses and protocol are. */
const IP_SOURCE = 12;
const IP_DESTINATION = 16;
const IP_PROTOCOL = 9;
/** Frames looked ahead at. */
const PREFETCHED = 512;
/** Flows from which on their rows are more than the L2 cache holds: with fewer it only costs. */
const PREFETCH_FROM = 8192;
/** Mappings at most: three classes of ports on a few addresses. */
const MAPPING_LIMIT = 65_536;
/** Part of the ports of one protocol and address that one container may have. */
const PORT_SHARE = 0.75;
/** Flows and datagrams that are looked at for expiry once a second. */
const EXPIRED_PER_TICK = 65_536;

export interface GatewayOptions {
  ports: PortTable;
  /** Bridges of the engine by number. */
  bridges: readonly (Bridge | null)[];
  counters: GatewayCounters;
  portCounters: PortCounters;
  conntrack: Omit<ConntrackOptions, 'random' | 'onRemove' | 'ownerCapacity'>;
  /** What keeps translated traffic from the host; marks of ports go there. */
  guard: AddressGuard;
  /** Mappings at most; 65,536 by default. */
  mappingLimit?: number;
  /** Ports SNAT gives out. */
  ranges: MappingTableOptions['ranges'];
  random: () => number;
}

export class Gateway {
  readonly zones = new Zones();
  readonly routes = new RouteTable();
  /** Addresses of the host, and its broadcast addresses. */
  readonly locals = new AddressSet();
  readonly broadcasts = new AddressSet();
  readonly policy: Policy;
  readonly publishes = new PublishTable();
  readonly mappings: MappingTable;
  readonly conntrack: Conntrack;
  readonly opening: Opening;
  readonly uplinks: Uplinks;
  readonly resolver: Resolver;
  readonly fragments: FragmentTable;
  readonly errors: IcmpErrors;
  /** What commands change. */
  readonly settings: Settings;
  private readonly contacts: FilterTable;
  private readonly ids: IpIds;
  private readonly delivery: Delivery;
  private readonly claims: FlowClaims;
  private readonly adoption: Adoption;
  private readonly forwarding: Forwarding;
  private readonly fastPath: FastPath;
  private readonly ahead = new Int32Array(PREFETCHED);
  private readonly translator = new ErrorTranslator();
  private readonly ports: PortTable;
  private readonly counters: GatewayCounters;
  private readonly portCounters: PortCounters;
  /** Zone of an uplink's port, by port number. */
  private readonly zoneOfPort: Int32Array;

  constructor(options: GatewayOptions) {
    const { ports, bridges, counters, portCounters, guard, random, ranges } = options;
    const { zones, routes, locals, publishes } = this;
    this.ports = ports;
    this.counters = counters;
    this.portCounters = portCounters;
    this.zoneOfPort = new Int32Array(ports.capacity).fill(-1);
    this.policy = new Policy(FIRST_UPLINK, ports.capacity);
    this.ids = new IpIds(random);
    this.contacts = new FilterTable(options.conntrack.limit);
    const ownerLimit = Math.ceil(PORT_SHARE * portsIn(ranges.tcp));
    this.mappings = new MappingTable({ limit: options.mappingLimit ?? MAPPING_LIMIT, guard, random, ranges, ownerLimit });
    this.conntrack = new Conntrack({
      ...options.conntrack,
      random,
      ownerCapacity: ports.capacity,
      onRemove: (flow, reason) => this.claims.end(flow, reason),
    });
    this.claims = new FlowClaims(this.conntrack.flows, this.mappings, this.contacts, guard, counters);
    this.resolver = new Resolver(zones, counters, portCounters);
    this.uplinks = new Uplinks(zones, guard, publishes, this.claims, this.resolver);
    this.errors = new IcmpErrors(zones, this.ids, counters, portCounters, random);
    this.fragments = new FragmentTable(ports.capacity, counters, random);
    this.delivery = new Delivery(zones, this.resolver, this.errors, ports, bridges, counters, portCounters);
    const { policy, mappings, conntrack, uplinks, contacts } = this;
    this.opening = new Opening({ conntrack, zones, routes, locals, policy, publishes, mappings, contacts, ports, uplinks });
    const { opening, claims, errors, ids, delivery, translator, resolver, zoneOfPort } = this;
    this.fastPath = new FastPath(zones, routes, conntrack, resolver, bridges, counters, portCounters);
    this.forwarding = new Forwarding({
      zones,
      routes,
      conntrack,
      opening,
      claims,
      errors,
      ids,
      delivery,
      translator,
      counters,
    });
    const tables = {
      bridges,
      zones,
      locals,
      policy,
      publishes,
      mappings,
      conntrack,
      opening,
      uplinks,
      resolver,
      contacts,
      zoneOfPort,
    };
    this.settings = new Settings(tables);
    this.adoption = new Adoption({ ...tables, claims, ports });
  }

  /**
   * Takes over the flows another process left in the memory of the rows. From now until `restored` nothing is routed. Before anything else is done with
   * the gateway. Returns how many flows there are.
   */
  adopt(seconds: number): number {
    this.settings.adopting = true;
    this.mappings.tick(seconds);
    return this.adoption.adopt(seconds);
  }

  /** All there was is made again: flows of what is missing end, and frames are routed. Returns how many flows ended. */
  restored(seconds: number): number {
    if (!this.settings.adopting) return 0;
    this.settings.adopting = false;
    return this.adoption.settle(seconds);
  }

  /** IPv4 frames of one run that a bridge has handed over. */
  forward(batch: Batch, egress: Egress): void {
    const { next } = batch;
    if (this.settings.adopting) {
      this.refuseAll(batch, egress);
      return;
    }
    const { fastPath, ahead } = this;
    let frame = egress.gateway.head[0];
    const zone = this.ports.bridge[batch.ingress[frame]];
    let frames = 0;
    const hints = this.conntrack.flows.size < PREFETCH_FROM ? 0 : this.prefetch(batch, frame);
    fastPath.begin(zone);
    while (frame >= 0) {
      // Putting the frame on another list changes where `next` leads.
      const following = next[frame];
      const hint = frames < hints ? ahead[frames] : 0;
      frames++;
      if (!fastPath.take(batch, frame, hint, egress)) {
        this.fromBridge(batch, frame, zone, egress);
      }
      frame = following;
    }
    fastPath.end();
    this.counters.add(zone, GATEWAY.routed, frames);
  }

  /** Frames [from, to) of the batch, all received on the port of an uplink. */
  receive(batch: Batch, from: number, to: number, port: number, egress: Egress): void {
    const { bytes, view } = batch;
    const { fastPath } = this;
    const { adopting } = this.settings;
    const zone = this.zoneOfPort[port];
    const macHigh = this.zones.macHigh[zone];
    const macLow = this.zones.macLow[zone];
    fastPath.begin(zone);
    let octets = 0;
    let packets = 0;
    let ours = 0;
    for (let frame = from; frame < to; frame++) {
      const length = batch.length[frame];
      octets += length;
      packets++;
      if (length < ethernet.HEADER_BYTES || length > MAX_FRAME_BYTES) {
        this.portCounters.add(port, PORT.rx_malformed, 1);
      } else if (validate(bytes, batch.at[frame], length) !== 0) {
        this.portCounters.add(port, PORT.rx_bad_vnet, 1);
      } else {
        const at = batch.at[frame];
        ours++;
        packets += wirePackets(bytes, at, length) - 1;
        if (header.etherType(view, at) === ethernet.EtherType.arp) {
          this.counters.add(zone, GATEWAY.arp_seen, 1);
          this.resolver.heard(batch, frame, zone);
        } else if (
          header.etherType(view, at) !== ethernet.EtherType.ipv4 ||
          header.destinationLow(view, at) !== macLow ||
          header.destinationHigh(view, at) !== macHigh
        ) {
          this.counters.add(zone, GATEWAY.ip_broadcast, 1);
        } else if (adopting) {
          this.counters.add(zone, GATEWAY.restoring, 1);
        } else if (!fastPath.take(batch, frame, 0, egress)) {
          this.fromUplink(batch, frame, zone, egress);
        }
      }
    }
    fastPath.end();
    this.counters.add(zone, GATEWAY.routed, ours);
    this.portCounters.add(port, PORT.rx_frames, to - from);
    this.portCounters.add(port, PORT.rx_bytes, octets);
    this.portCounters.add(port, PORT.rx_packets, packets);
    this.portCounters.add(port, PORT.routed, ours);
  }

  /** Drops the frames of one run: what they need may not have been made yet. */
  private refuseAll(batch: Batch, egress: Egress): void {
    const zone = this.ports.bridge[batch.ingress[egress.gateway.head[0]]];
    let frames = 0;
    for (let frame = egress.gateway.head[0]; frame >= 0; frame = batch.next[frame]) frames++;
    this.counters.add(zone, GATEWAY.routed, frames);
    this.counters.add(zone, GATEWAY.restoring, frames);
  }

  /** Looks ahead at the flows of a list of frames. Returns how many hints it left in `ahead`. */
  private prefetch(batch: Batch, first: number): number {
    const { view, next } = batch;
    const { ahead } = this;
    const { flows } = this.conntrack;
    let count = 0;
    for (let frame = first; frame >= 0 && count < PREFETCHED; frame = next[frame]) {
      const ip = batch.at[frame] + ethernet.HEADER_BYTES;
      // Where the ports are when there are no options; whatever it is, nothing but time depends on it. A frame's slot is longer than this.
      const ports = view.getInt32(ip + ipv4.HEADER_BYTES);
      const kind = kindOf(view.getUint8(ip + IP_PROTOCOL));
      ahead[count++] = flows.hint(view.getInt32(ip + IP_SOURCE), view.getInt32(ip + IP_DESTINATION), ports, kind);
    }
    flows.prefetch(ahead, count);
    return count;
  }

  private fromBridge(batch: Batch, frame: number, zone: number, egress: Egress): void {
    const { bytes } = batch;
    const ip = batch.at[frame] + ethernet.HEADER_BYTES;
    const fault = checkHeader(batch, frame, ip);
    if (fault !== 0) {
      this.counters.add(zone, fault, 1);
      return;
    }
    if ((ipv4.source(bytes, ip) & this.zones.mask[zone]) !== this.zones.network[zone]) {
      this.counters.add(zone, GATEWAY.ip_spoofed, 1);
      return;
    }
    const destination = ipv4.destination(bytes, ip);
    if (this.locals.has(destination) && !this.isTranslated(bytes, ip, destination, zone, batch.seconds)) {
      this.delivery.toHost(batch, egress, frame, zone);
    } else if (isGroup(destination) || this.broadcasts.has(destination)) {
      // For the host, if for anybody (R10); never further (R1).
      this.delivery.toHost(batch, egress, frame, zone);
    } else {
      this.route(batch, frame, ip, zone, egress);
    }
  }

  private fromUplink(batch: Batch, frame: number, zone: number, egress: Egress): void {
    const { bytes } = batch;
    const ip = batch.at[frame] + ethernet.HEADER_BYTES;
    let fault = checkHeader(batch, frame, ip);
    if (fault === 0) {
      const destination = ipv4.destination(bytes, ip);
      fault = isGroup(destination) || this.broadcasts.has(destination) ? GATEWAY.ip_broadcast : 0;
    }
    if (fault !== 0) {
      this.counters.add(zone, fault, 1);
      return;
    }
    this.route(batch, frame, ip, zone, egress);
  }

  /** Whether a packet from a container to one of the host's addresses is for a publish, a mapping or about a flow, not for the host. */
  private isTranslated(bytes: Uint8Array, ip: number, destination: number, zone: number, seconds: number): boolean {
    const protocol = ipv4.protocol(bytes, ip);
    const l4 = ip + ipv4.headerBytes(bytes, ip);
    const length = ip + ipv4.totalLength(bytes, ip) - l4;
    if (ipv4.fragmentOffset(bytes, ip) !== 0) {
      return this.fragments.knows(bytes, ip, zone);
    }
    if (protocol === ipv4.Protocol.tcp || protocol === ipv4.Protocol.udp) {
      return length >= PORTS_BYTES && this.opening.translates(protocol, destination, (bytes[l4 + 2] << 8) | bytes[l4 + 3]);
    }
    if (protocol !== ipv4.Protocol.icmp || length < icmp.HEADER_BYTES) {
      return false;
    }
    const type = icmp.type(bytes, l4);
    if (icmpRole(type) !== IcmpRole.error) {
      // Of a known flow, or the host's: what asks the host may have the id of anybody's mapping.
      const id = icmp.identifier(bytes, l4);
      const source = ipv4.source(bytes, ip);
      return this.conntrack.lookupPorts(source, destination, (id << 16) | id, icmpKind(type), seconds) >= 0;
    }
    const { translator } = this;
    return (
      translator.parse(bytes, ip - ethernet.HEADER_BYTES, ip) === 0 &&
      this.conntrack.lookupPorts(translator.source, translator.destination, translator.ports, translator.kind, seconds) >= 0
    );
  }

  /** A packet that is not for the host. */
  private route(batch: Batch, frame: number, ip: number, zone: number, egress: Egress): void {
    const { bytes } = batch;
    const { conntrack } = this;
    if (ipv4.isFragment(bytes, ip)) {
      this.routeFragment(batch, frame, ip, zone, egress);
      return;
    }
    const l4 = ip + ipv4.headerBytes(bytes, ip);
    if (!checksumAgrees(bytes, batch.at[frame], l4, ipv4.protocol(bytes, ip))) {
      // Finished where it says, it would write over what was translated.
      this.counters.add(zone, GATEWAY.l4_malformed, 1);
      return;
    }
    const known = conntrack.lookup(bytes, batch.at[frame], ip, l4, ip + ipv4.totalLength(bytes, ip) - l4, batch.seconds);
    if (conntrack.fault !== 0) {
      this.counters.add(zone, conntrack.fault, 1);
    } else if (conntrack.isIcmpError) {
      this.forwarding.translateError(batch, frame, ip, zone, egress);
    } else {
      const ref = this.forwarding.track(batch, frame, ip, l4, known, zone, egress);
      if (ref >= 0) {
        this.forwarding.translate(batch, frame, ip, l4, ref, zone, FRESH, egress);
      }
    }
  }

  /** What has waited. Call once a pass, behind the last frame. */
  settle(batch: Batch, egress: Egress): void {
    this.delivery.settle(batch, egress);
    this.releaseFragments(batch, egress);
  }

  /** Once a second: what has expired, a slice at a time. */
  tick(seconds: number): void {
    this.mappings.tick(seconds);
    this.conntrack.expire(seconds, EXPIRED_PER_TICK);
    this.fragments.expire(seconds, EXPIRED_PER_TICK);
  }

  /** When `settle` has something to do, in microseconds. */
  get nextDue(): number {
    return this.fragments.isReleasingMore ? 0 : this.resolver.nextDue;
  }

  private routeFragment(batch: Batch, frame: number, ip: number, zone: number, egress: Egress): void {
    const { fragments } = this;
    switch (fragments.accept(batch, frame, ip, zone, batch.ingress[frame])) {
      case Fragment.first:
        this.routeFirst(batch, frame, ip, zone, fragments.datagram, egress);
        this.releaseFragments(batch, egress);
        break;
      case Fragment.bound:
        this.translateFragment(batch, frame, zone, egress);
        break;
    }
  }

  /** The fragment with the ports finds, or opens, the flow of all of them. */
  private routeFirst(batch: Batch, frame: number, ip: number, zone: number, datagram: number, egress: Egress): void {
    const { bytes } = batch;
    const { conntrack, fragments } = this;
    const l4 = ip + ipv4.headerBytes(bytes, ip);
    const length = ip + ipv4.totalLength(bytes, ip) - l4;
    const known = conntrack.lookupFirstFragment(bytes, ip, l4, length, batch.seconds);
    const ref = conntrack.fault === 0 ? this.forwarding.track(batch, frame, ip, l4, known, zone, egress) : -1;
    if (ref < 0) {
      if (conntrack.fault !== 0) {
        this.counters.add(zone, conntrack.fault, 1);
      }
      fragments.discard(datagram, conntrack.fault !== 0 ? conntrack.fault : this.forwarding.refused);
      return;
    }
    const id = this.ids.next(conntrack.source, conntrack.destination, ipv4.protocol(bytes, ip), 1);
    fragments.bind(datagram, ref, conntrack.ports, id);
    this.forwarding.translate(batch, frame, ip, l4, ref, zone, id, egress);
  }

  private releaseFragments(batch: Batch, egress: Egress): void {
    const { fragments } = this;
    for (let frame = fragments.nextReleased(batch); frame >= 0; frame = fragments.nextReleased(batch)) {
      this.translateFragment(batch, frame, fragments.zone, egress);
    }
  }

  /** A fragment without ports: it goes where its first one went, as long as that flow is there. */
  private translateFragment(batch: Batch, frame: number, zone: number, egress: Egress): void {
    const { bytes } = batch;
    const { conntrack, fragments } = this;
    const { flows } = conntrack;
    const { ref, identification } = fragments;
    const ip = batch.at[frame] + ethernet.HEADER_BYTES;
    const row = (ref >> 1) << FLOW_SHIFT;
    const tuple = row + ((ref & 1) === 0 ? O_SOURCE : R_SOURCE);
    const same =
      flows.used(ref >> 1) &&
      flows.words[tuple] === ipv4.source(bytes, ip) &&
      flows.words[tuple + O_DESTINATION] === ipv4.destination(bytes, ip) &&
      flows.words[tuple + O_PORTS] === fragments.ports;
    if (!same) {
      this.counters.add(zone, GATEWAY.fragment_timeout, 1);
      return;
    }
    conntrack.trackFragment(ref, ipv4.totalLength(bytes, ip), batch.seconds);
    conntrack.ports = fragments.ports;
    this.forwarding.translate(batch, frame, ip, -1, ref, zone, identification, egress);
  }
}

function portsIn(ranges: readonly PortRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}
