/**
 * Delivery: the last steps of a routed packet, from "it goes to this next hop in this zone" to a place on an egress list.
 *
 *     translated packet ─▶ next hop known? ─┬─ yes ─▶ ethernet header ─▶ fits? ─┬─ yes ──────────────▶ list of a port
 *                                           │                                   └─ no ─▶ fragments ─▶ the same, each
 *                                           └─ no ──▶ parked (resolver.ts) ─▶ answered: the same · failed: ICMP 3/1 to the sender
 */
import type { Bridge } from '../bridge/bridge.js';
import { type Egress, FloodClass } from '../bridge/egress.js';
import { fdbKey } from '../bridge/fdb.js';
import type { PortTable } from '../bridge/port-table.js';
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, PORT, type PortCounters } from '../core/counters.js';
import * as ethernet from '../wire/ethernet.js';
import * as header from '../wire/ethernet-view.js';
import { Fragmenter, tooBig } from './fragmenter.js';
import { IcmpError, type IcmpErrors } from './icmp-errors.js';
import { Parked, type Resolver } from './resolver.js';
import { isUplink, type Zones } from './zones.js';

export class Delivery {
  private readonly zones: Zones;
  private readonly resolver: Resolver;
  private readonly errors: IcmpErrors;
  private readonly ports: PortTable;
  private readonly bridges: readonly (Bridge | null)[];
  private readonly counters: GatewayCounters;
  private readonly portCounters: PortCounters;
  private readonly fragmenter = new Fragmenter();

  constructor(
    zones: Zones,
    resolver: Resolver,
    errors: IcmpErrors,
    ports: PortTable,
    bridges: readonly (Bridge | null)[],
    counters: GatewayCounters,
    portCounters: PortCounters,
  ) {
    this.zones = zones;
    this.resolver = resolver;
    this.errors = errors;
    this.ports = ports;
    this.bridges = bridges;
    this.counters = counters;
    this.portCounters = portCounters;
  }

  /**
   * Sends a packet, or parks it. What does not fit the zone's MTU is fragmented: whether it may be is decided before.
   * @param source, destination, ports as its sender sent it, for an ICMP error
   */
  send(
    batch: Batch,
    egress: Egress,
    frame: number,
    zone: number,
    nextHop: number,
    source: number,
    destination: number,
    ports: number,
  ): void {
    const { resolver } = this;
    if (resolver.resolve(zone, nextHop, batch.seconds)) {
      this.address(batch, egress, frame, zone);
    } else if (resolver.park(batch, egress, frame, zone, nextHop, source, destination, ports) === Parked.failed) {
      this.tellUnreachable(batch, egress, frame, batch.ingress[frame], source, destination, ports);
    }
  }

  /** To the host's own stack: the frame as it is, through the host port of its bridge. */
  toHost(batch: Batch, egress: Egress, frame: number, zone: number): void {
    const port = this.zones.port[zone];
    this.counters.add(zone, GATEWAY.to_host, 1);
    this.portCounters.add(port, PORT.made, 1);
    egress.toPort(batch, frame, port);
  }

  /** What has waited and can go on, and what has waited in vain. Call once a pass, behind the last frame. */
  settle(batch: Batch, egress: Egress): void {
    const { resolver } = this;
    resolver.tick(batch, egress);
    for (let frame = resolver.nextReady(batch); frame >= 0; frame = resolver.nextReady(batch)) {
      this.address(batch, egress, frame, resolver.zone);
    }
    for (let frame = resolver.nextFailed(batch); frame >= 0; frame = resolver.nextFailed(batch)) {
      const { ingress, source, destination, ports } = resolver;
      this.tellUnreachable(batch, egress, frame, ingress, source, destination, ports);
    }
  }

  /** Ethernet header to the MAC the resolver has just found, and fragments where needed. */
  private address(batch: Batch, egress: Egress, frame: number, zone: number): void {
    const { bytes } = batch;
    const at = batch.at[frame];
    const mtu = this.zones.mtu[zone];
    ethernet.setDestination(bytes, at, this.resolver.macHigh, this.resolver.macLow);
    ethernet.setSource(bytes, at, this.zones.macHigh[zone], this.zones.macLow[zone]);
    if (batch.length[frame] - ethernet.HEADER_BYTES <= mtu || !tooBig(bytes, at, mtu)) {
      this.enlist(batch, egress, frame, zone);
      return;
    }
    const { fragmenter } = this;
    if (!fragmenter.split(batch, frame, mtu)) {
      this.counters.add(zone, GATEWAY.made_full, 1);
      return;
    }
    this.counters.add(zone, GATEWAY.fragmented, 1);
    this.enlist(batch, egress, frame, zone);
    for (let piece = fragmenter.first; piece < fragmenter.first + fragmenter.count; piece++) {
      this.enlist(batch, egress, piece, zone);
    }
  }

  /** Onto the list of the uplink, or of the port behind which its destination MAC is. */
  private enlist(batch: Batch, egress: Egress, frame: number, zone: number): void {
    // The frame is the gateway's own now: neither hairpin nor isolation of ports are its concern (N24).
    batch.ingress[frame] = INGRESS_SELF;
    let port = this.zones.port[zone];
    if (!isUplink(zone)) {
      const { view } = batch;
      const at = batch.at[frame];
      const key = fdbKey(0, header.destinationHigh(view, at));
      port = this.bridges[zone]?.fdb.lookup(header.destinationLow(view, at), key, batch.seconds) ?? -1;
      if (port < 0) {
        egress.toAll(batch, frame, zone, FloodClass.unicast);
        return;
      }
    }
    this.portCounters.add(port, PORT.made, 1);
    egress.toPort(batch, frame, port);
  }

  /** R11: told to a sender inside; who is outside hears nothing (N23). */
  private tellUnreachable(
    batch: Batch,
    egress: Egress,
    frame: number,
    port: number,
    source: number,
    destination: number,
    ports: number,
  ): void {
    const zone = port < 0 ? -1 : this.ports.bridge[port];
    if (zone >= 0) {
      const error = IcmpError.hostUnreachable;
      this.errors.reportTranslated(batch, egress, frame, port, zone, error, 0, source, destination, ports);
    }
  }
}
