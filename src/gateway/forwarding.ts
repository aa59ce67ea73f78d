/**
 * Forwarding: a packet and its flow. Which flow, whether it may go on, and what it looks like on the other side.
 *
 *     track ─┬─ known ─▶ still routed? ─▶ conntrack's verdict ─┬─▶ translate ─▶ TTL, MTU, MSS ─▶ other tuple ─▶ delivery
 *            └─ none ──▶ opening ─▶ flow ──────────────────────┘
 *
 * What does not go on is counted here, and told to a sender inside where it can act on it.
 */
import type { Egress } from '../bridge/egress.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { FLOW, FLOW_SHIFT, Removal, Status } from '../conntrack/flow-layout.js';
import { invertPorts } from '../conntrack/kind.js';
import type { Batch } from '../core/batch.js';
import { GATEWAY, type GatewayCounters } from '../core/counters.js';
import { decrementTtl, rewrite, rewriteAddresses } from '../nat/rewrite.js';
import type { ErrorTranslator } from '../nat/rewrite-error.js';
import { wirePackets } from '../offload/wire-packets.js';
import * as checksum from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import type { Delivery } from './delivery.js';
import type { FlowClaims } from './flow-claims.js';
import { tooBig } from './fragmenter.js';
import { IcmpError, type IcmpErrors } from './icmp-errors.js';
import type { IpIds } from './ip-ids.js';
import { clampMss, IPV4_TCP_BYTES } from './mss-clamp.js';
import type { Opening } from './opening.js';
import type { RouteTable } from './route-table.js';
import { isUplink, ZoneFlag, type Zones } from './zones.js';

const { oSource: O_SOURCE, oDestination: O_DESTINATION, oPorts: O_PORTS } = FLOW;
const { rSource: R_SOURCE, zones: ZONES, oNextHop: O_NEXT_HOP, rNextHop: R_NEXT_HOP, owner: OWNER, status: STATUS } = FLOW;

/** A fresh identification where one is needed (N43). */
export const FRESH = -1;

/** What a sender inside is told about a drop: 0, nothing. */
const ERROR_OF = new Int32Array(Math.max(...Object.values(GATEWAY)) + 1);
ERROR_OF[GATEWAY.no_route] = IcmpError.noRoute;
for (const drop of [
  'policy_denied',
  'bridge_isolated',
  'internal',
  'nat_exhausted',
  'flow_table_full',
  'flow_quota',
  'no_address',
] as const) {
  ERROR_OF[GATEWAY[drop]] = IcmpError.prohibited;
}

/** What forwarding asks and changes. */
export interface ForwardingTables {
  zones: Zones;
  routes: RouteTable;
  conntrack: Conntrack;
  opening: Opening;
  claims: FlowClaims;
  errors: IcmpErrors;
  ids: IpIds;
  delivery: Delivery;
  translator: ErrorTranslator;
  counters: GatewayCounters;
}

export class Forwarding {
  /** Counter of the last drop of `track`. */
  refused = 0;
  private readonly zones: Zones;
  private readonly routes: RouteTable;
  private readonly conntrack: Conntrack;
  private readonly opening: Opening;
  private readonly claims: FlowClaims;
  private readonly errors: IcmpErrors;
  private readonly ids: IpIds;
  private readonly delivery: Delivery;
  private readonly translator: ErrorTranslator;
  private readonly counters: GatewayCounters;

  constructor(tables: ForwardingTables) {
    this.zones = tables.zones;
    this.routes = tables.routes;
    this.conntrack = tables.conntrack;
    this.opening = tables.opening;
    this.claims = tables.claims;
    this.errors = tables.errors;
    this.ids = tables.ids;
    this.delivery = tables.delivery;
    this.translator = tables.translator;
    this.counters = tables.counters;
  }

  /** The flow's verdict about a packet, opening one if there is none. Returns its ref, or -1: dropped and counted. */
  track(batch: Batch, frame: number, ip: number, l4: number, known: number, zone: number, egress: Egress): number {
    const { bytes } = batch;
    const { conntrack } = this;
    const length = ip + ipv4.totalLength(bytes, ip) - l4;
    const packets = wirePackets(bytes, batch.at[frame], batch.length[frame]);
    let ref = known;
    if (ref >= 0) {
      const refusal = this.recheck(ref, zone, batch.seconds);
      if (refusal !== 0) {
        this.refuse(batch, frame, zone, refusal, egress);
        return -1;
      }
      const verdict = conntrack.track(ref, bytes, ip, l4, length, packets, batch.seconds);
      if (verdict > 0) {
        this.refused = verdict;
        this.counters.add(zone, verdict, 1);
        return -1;
      }
      if (verdict === 0) {
        return ref;
      }
      // The old connection is over, and this segment begins a new one (C11).
    }
    ref = this.open(batch, frame, l4, zone, egress);
    if (ref >= 0) {
      conntrack.track(ref, bytes, ip, l4, length, packets, batch.seconds);
      if ((conntrack.flows.words[((ref >> 1) << FLOW_SHIFT) + STATUS] & Status.pickedUp) !== 0) {
        this.counters.add(zone, GATEWAY.picked_up, 1);
      }
    }
    return ref;
  }

  /** Whether a known flow may still pass between the zones it was opened between. Returns 0, or the counter of the drop. */
  private recheck(ref: number, zone: number, seconds: number): number {
    const { words } = this.conntrack.flows;
    const row = (ref >> 1) << FLOW_SHIFT;
    const zones = words[row + ZONES];
    const expected = (ref & 1) === 0 ? zones >>> 16 : zones & 0xffff;
    // Another uplink than answers were expected on is fine; another side of the gateway is not.
    if (expected !== zone && !(isUplink(expected) && isUplink(zone))) {
      return GATEWAY.ip_spoofed;
    }
    if (words[row + OWNER] >>> 16 === (this.routes.generation & 0xffff) || this.stillRouted(row)) {
      return 0;
    }
    this.conntrack.remove(ref >> 1, Removal.route_changed, seconds);
    return GATEWAY.no_route;
  }

  /** Looks both directions of a flow up in routes that changed: another next hop is taken over, another way out ends it (N21). */
  private stillRouted(row: number): boolean {
    const { words } = this.conntrack.flows;
    const { opening, routes } = this;
    const out = words[row + ZONES] & 0xffff;
    const back = words[row + ZONES] >>> 16;
    if (isUplink(out)) {
      if (
        opening.take(routes.find(words[row + O_DESTINATION], opening.uplink[back]), words[row + O_DESTINATION]) !== 0 ||
        opening.zone !== out
      ) {
        return false;
      }
      words[row + O_NEXT_HOP] = opening.nextHop;
    }
    if (isUplink(back)) {
      if (opening.take(routes.find(words[row + O_SOURCE], back), words[row + O_SOURCE]) !== 0) {
        return false;
      }
      words[row + R_NEXT_HOP] = opening.nextHop;
    }
    words[row + OWNER] = (words[row + OWNER] & 0xffff) | (routes.generation << 16);
    return true;
  }

  /** Opens a flow for the packet conntrack has just looked up in vain. Returns its ref, or -1: dropped and counted. */
  private open(batch: Batch, frame: number, l4: number, zone: number, egress: Egress): number {
    const { conntrack, opening } = this;
    let refusal = conntrack.mayOpen(batch.bytes, l4);
    if (refusal === 0) {
      refusal = isUplink(zone) ? opening.fromUplink(zone) : opening.fromBridge(zone, batch.ingress[frame], batch.seconds);
    }
    let flow = -1;
    if (refusal === 0) {
      flow = conntrack.open(
        opening.source,
        opening.destination,
        opening.ports,
        opening.zone | (opening.backZone << 16),
        opening.nextHop,
        opening.backNextHop,
        opening.mapping,
        opening.owner | (this.routes.generation << 16),
        batch.seconds,
      );
      refusal = flow < 0 ? conntrack.refused : 0;
    }
    if (flow < 0) {
      opening.undo();
      this.refuse(batch, frame, zone, refusal, egress);
      return -1;
    }
    this.claims.begin(flow);
    this.counters.add(zone, GATEWAY.flows_opened, 1);
    return flow << 1;
  }

  /** Counts a drop, and tells a sender inside what it can act on; outside nobody is told anything (N23). */
  private refuse(batch: Batch, frame: number, zone: number, refusal: number, egress: Egress): void {
    this.refused = refusal;
    this.counters.add(zone, refusal, 1);
    if (!isUplink(zone) && ERROR_OF[refusal] !== 0) {
      this.errors.report(batch, egress, frame, batch.ingress[frame], zone, ERROR_OF[refusal], 0);
    }
  }

  /**
   * TTL and MTU, then the packet as the other side of the flow is to see it.
   * @param identification what a packet that is a fragment, or may become some, gets; FRESH: the next one
   */
  translate(
    batch: Batch,
    frame: number,
    ip: number,
    l4: number,
    ref: number,
    zone: number,
    identification: number,
    egress: Egress,
  ): void {
    const { bytes } = batch;
    const { words } = this.conntrack.flows;
    const at = batch.at[frame];
    const row = (ref >> 1) << FLOW_SHIFT;
    const reply = (ref & 1) !== 0;
    const zones = words[row + ZONES];
    const out = reply ? zones >>> 16 : zones & 0xffff;
    if (!this.mayLeave(batch, frame, ip, out, zone, egress)) {
      return;
    }
    const { flags, mtu } = this.zones;
    if (((flags[out] | flags[zone]) & ZoneFlag.mssClamp) !== 0 && ipv4.protocol(bytes, ip) === ipv4.Protocol.tcp && l4 >= 0) {
      clampMss(bytes, at, l4, Math.min(mtu[out], mtu[zone]) - IPV4_TCP_BYTES);
    }
    const source = ipv4.source(bytes, ip);
    const destination = ipv4.destination(bytes, ip);
    const { ports } = this.conntrack;
    // The other tuple, turned round.
    const tuple = row + (reply ? O_SOURCE : R_SOURCE);
    if (l4 < 0) {
      rewriteAddresses(bytes, at, ip, words[tuple + O_DESTINATION], words[tuple]);
    } else {
      rewrite(bytes, at, ip, l4, words[tuple + O_DESTINATION], words[tuple], invertPorts(words[tuple + O_PORTS]));
    }
    decrementTtl(bytes, ip);
    // What comes in keeps the identification its sender chose for the one outer address.
    if (identification !== FRESH || !(ipv4.dontFragment(bytes, ip) || isUplink(zone))) {
      this.identify(bytes, at, ip, batch.length[frame], identification);
    }
    this.countForwarded(zone, out);
    this.delivery.send(batch, egress, frame, out, words[row + (reply ? R_NEXT_HOP : O_NEXT_HOP)], source, destination, ports);
  }

  /** R11, R20, R21: false when its TTL ran out, or it is too long and not to be fragmented: counted, and its sender told. */
  private mayLeave(batch: Batch, frame: number, ip: number, out: number, zone: number, egress: Egress): boolean {
    const { bytes } = batch;
    const mtu = this.zones.mtu[out];
    let drop: number = GATEWAY.ttl_exceeded;
    let error: number = IcmpError.ttlExceeded;
    if (ipv4.ttl(bytes, ip) > 1) {
      const fits = batch.length[frame] - ethernet.HEADER_BYTES <= mtu || !tooBig(bytes, batch.at[frame], mtu);
      if (fits || !ipv4.dontFragment(bytes, ip)) {
        return true;
      }
      drop = GATEWAY.too_big;
      error = IcmpError.fragmentationNeeded;
    }
    this.counters.add(zone, drop, 1);
    if (batch.ingress[frame] >= 0) {
      this.errors.report(batch, egress, frame, batch.ingress[frame], zone, error, drop === GATEWAY.too_big ? mtu : 0);
    }
    return false;
  }

  private countForwarded(zone: number, out: number): void {
    if (isUplink(out)) {
      this.counters.add(zone, GATEWAY.forwarded_out, 1);
    } else {
      this.counters.add(out, isUplink(zone) ? GATEWAY.forwarded_in : GATEWAY.hairpinned, 1);
    }
  }

  /** An ICMP error: to the flow it is about, and as that flow's other side sees it (E.6). No timer and no state is touched (C23). */
  translateError(batch: Batch, frame: number, ip: number, zone: number, egress: Egress): void {
    const { bytes } = batch;
    const { translator } = this;
    const at = batch.at[frame];
    const fault = translator.parse(bytes, at, ip);
    const ref =
      fault === 0
        ? this.conntrack.lookupPorts(translator.source, translator.destination, translator.ports, translator.kind, batch.seconds)
        : -1;
    if (ref < 0) {
      this.counters.add(zone, fault === 0 ? GATEWAY.icmp_unrelated : fault, 1);
      return;
    }
    const { words } = this.conntrack.flows;
    const row = (ref >> 1) << FLOW_SHIFT;
    const reply = (ref & 1) !== 0;
    const zones = words[row + ZONES];
    const expected = reply ? zones & 0xffff : zones >>> 16;
    const out = reply ? zones >>> 16 : zones & 0xffff;
    if (expected !== zone && !(isUplink(expected) && isUplink(zone))) {
      this.counters.add(zone, GATEWAY.icmp_unrelated, 1);
      return;
    }
    // Of an error about an error there will be none (R30).
    if (!this.mayLeave(batch, frame, ip, out, zone, egress)) {
      return;
    }
    // What the receiver of the error sent itself: the tuple of the other direction, as it stands.
    const tuple = row + (reply ? O_SOURCE : R_SOURCE);
    const receiver = words[tuple];
    const source = isUplink(zone) ? ipv4.source(bytes, ip) : words[tuple + O_DESTINATION];
    translator.translate(bytes, at, ip, source, receiver, receiver, words[tuple + O_DESTINATION], words[tuple + O_PORTS]);
    decrementTtl(bytes, ip);
    if (!ipv4.dontFragment(bytes, ip)) {
      this.identify(bytes, at, ip, batch.length[frame], FRESH);
    }
    this.counters.add(zone, GATEWAY.icmp_errors_translated, 1);
    this.countForwarded(zone, out);
    this.delivery.send(batch, egress, frame, out, words[row + (reply ? R_NEXT_HOP : O_NEXT_HOP)], source, receiver, 0);
  }

  /** N43: many hosts behind one address must not use one identification twice. */
  private identify(bytes: Uint8Array, at: number, ip: number, length: number, identification: number): void {
    const before = ipv4.identification(bytes, ip);
    const after =
      identification !== FRESH
        ? identification
        : this.ids.next(
            ipv4.source(bytes, ip),
            ipv4.destination(bytes, ip),
            ipv4.protocol(bytes, ip),
            wirePackets(bytes, at, length),
          );
    ipv4.setIdentification(bytes, ip, after);
    ipv4.setHeaderChecksum(bytes, ip, checksum.update(ipv4.headerChecksum(bytes, ip), before, after));
  }
}
