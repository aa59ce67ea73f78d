/**
 * Connection tracking: which flow a datagram belongs to, and what it does to that flow.
 *
 *     datagram ─▶ lookup ─┬─ ref ─▶ track ─┬─ 0: passes, translated as the row says
 *                         │                ├─ REPLACED: as if lookup had missed (C11)
 *                         │                └─ > 0: a drop
 *                         └─ -1 ─▶ fault? isIcmpError? mayOpen? ─▶ (policy, route, NAT) ─▶ open ─▶ track
 *
 * Invariants
 * - A frame that is refused changes nothing: no timer, no state, no counter of its flow (RFC 7857, 7).
 * - ICMP errors are not handled here at all, so they cannot change a flow either (C23).
 * - Known flows never need a free row (C30). New ones are bounded: by the owner's share first, then by the table, which gives up flows that
 *   were never answered before it refuses (D.4).
 *
 * Limits: the `limit` of flows; one list step per expired flow, `budget` of them per call; nothing here walks the table.
 */
import { GATEWAY } from '../core/counters.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as vnet from '../wire/vnet-header.js';
import { FlowEvent, type FlowEvents } from './flow-events.js';
import { COLD, COLD_WORDS, FLOW, FLOW_SHIFT, NO_OWNER, Removal, type RemovalReason, Status, UPLINK_ZONE } from './flow-layout.js';
import { FlowTable, Refused, type RowMemory } from './flow-table.js';
import { IcmpRole, icmpRole } from './kind.js';
import { TcpTracker, Verdict } from './tcp-tracker.js';
import {
  CLASS_COUNT,
  ENDED_CLASS,
  TIMEOUT_CLASSES,
  TIMEOUTS_RFC,
  TimeoutClass,
  type Timeouts,
  timeoutColumn,
} from './timeouts.js';
import { TupleReader } from './tuple-reader.js';

/** `track` ended the old flow: the frame is the first of a new one, its tuple still in the fields. */
export const REPLACED = -1;

const { tcp: TCP, udp: UDP, icmp: ICMP, gre: GRE } = ipv4.Protocol;
const { kind: KIND, status: STATUS, seen: SEEN, zones: ZONES, oNextHop: O_NEXT_HOP, rNextHop: R_NEXT_HOP } = FLOW;
const { oSource: O_SOURCE, oDestination: O_DESTINATION, rSource: R_SOURCE, rDestination: R_DESTINATION } = FLOW;
const { mapping: MAPPING } = FLOW;
const { created: CREATED } = COLD;
const { stateMask: STATE_MASK, seenReply: SEEN_REPLY, assured: ASSURED, fresh: FRESH } = Status;
const { classMask: CLASS_MASK, classShift: CLASS_SHIFT } = Status;
const SHIFT = FLOW_SHIFT;
const CHANGES = STATE_MASK | SEEN_REPLY | ASSURED;
const VERIFIED = vnet.Flag.needsChecksum | vnet.Flag.dataValid;
const { tcp_invalid: TCP_INVALID, icmp_unrelated: ICMP_UNRELATED } = GATEWAY;
const { udpUnreplied: UDP_UNREPLIED, udpStream: UDP_STREAM, icmpQuery: ICMP_QUERY, generic: GENERIC } = TimeoutClass;
const { greUnreplied: GRE_UNREPLIED, greStream: GRE_STREAM, tcpSynSent: TCP_SYN_SENT } = TimeoutClass;
/** C21: a stream has a packet later than this many seconds after the first. */
const STREAM_SECONDS = 2;
/** Expired flows a full table looks for, before it drops live ones. */
const ROOM_BUDGET = 32;
/** D.4: above this part of the limit, flows are given up in the background. */
const PRESSURE = 0.95;
/** Whom first: those that end anyway, those never answered, those half closed. */
const GIVEN_UP: readonly number[] = [
  TimeoutClass.tcpClose,
  TimeoutClass.tcpTimeWait,
  TimeoutClass.tcpLastAck,
  TimeoutClass.tcpSynSent,
  TimeoutClass.tcpSynSent2,
  TimeoutClass.tcpSynRecv,
  TimeoutClass.udpUnreplied,
  TimeoutClass.icmpQuery,
  TimeoutClass.greUnreplied,
  TimeoutClass.generic,
  TimeoutClass.tcpPickedUp,
  TimeoutClass.tcpFinWait,
  TimeoutClass.tcpCloseWait,
];

/** Flows of a class looked at for one of an owner. */
const OWN_LOOKS = 16;

/** Classes of connections that are over. */
const OVER: readonly number[] = [TimeoutClass.tcpClose, TimeoutClass.tcpTimeWait, TimeoutClass.tcpLastAck];

export interface ConntrackOptions {
  /** Flows at most. */
  limit: number;
  /** Owners are numbers below this. */
  ownerCapacity: number;
  /** Flows of one owner at most; default a quarter of the limit. */
  ownerLimit?: number;
  /** Seconds by class; default `TIMEOUTS_RFC`. */
  timeouts?: Timeouts;
  /** Pick connections up in their middle (C10); default true. */
  loose?: boolean;
  /** Refuse no TCP segment for its numbers (C17); default false. */
  liberal?: boolean;
  /** Whether UDP from outside renews a flow begun inside (RFC 4787, REQ-6a; C22); default false. */
  inboundRefresh?: boolean;
  /** In [0, 1). */
  random: () => number;
  events?: FlowEvents;
  /** Told of each flow that ends, its row still whole; it may not open or end others. */
  onRemove?: (flow: number, reason: RemovalReason) => void;
  /** `FlowTable.bytesFor(limit)` zero bytes; with `rows` those for the index are enough. */
  memory?: ArrayBufferLike;
  /** Memory of the rows, when it is to outlive the process. */
  rows?: RowMemory;
}

export class Conntrack extends TupleReader {
  readonly flows: FlowTable;
  readonly tcp: TcpTracker;
  /** Seconds by class; see `setTimeouts`. */
  readonly timeouts: Int32Array;
  inboundRefresh: boolean;
  /** Counter of `GATEWAY`: why the last `open` returned -1. */
  refused = 0;
  private seconds = 0;
  private turn = 0;
  /** Where events go while somebody watches. */
  events: FlowEvents | null;
  private readonly onRemove: (flow: number, reason: RemovalReason) => void;

  constructor(options: ConntrackOptions) {
    super();
    const { limit, ownerCapacity, ownerLimit = Math.max(1, limit >>> 2), random } = options;
    const seed = Math.floor(random() * 0x1_0000_0000) | 0;
    const onRemove = (flow: number, reason: RemovalReason) => this.ended(flow, reason);
    this.flows = new FlowTable({ limit, ownerCapacity, ownerLimit, seed, onRemove }, options.memory, options.rows);
    this.timeouts = timeoutColumn(options.timeouts ?? TIMEOUTS_RFC);
    this.tcp = new TcpTracker(this.flows, this.timeouts, options.loose ?? true, options.liberal ?? false);
    this.inboundRefresh = options.inboundRefresh ?? false;
    this.events = options.events ?? null;
    this.onRemove = options.onRemove ?? (() => {});
  }

  /**
   * Ref of the flow of a whole datagram, or -1; leaves its tuple in the fields.
   *
   * @param at of the ethernet header, its vnet header in front of it
   * @param ip a checked IPv4 header; `l4Length` bytes from `l4` on are its payload
   */
  lookup(bytes: Uint8Array, at: number, ip: number, l4: number, l4Length: number, seconds: number): number {
    const unverified = (vnet.flags(bytes, at - vnet.HEADER_BYTES) & VERIFIED) === 0;
    const read = this.read(bytes, ip, l4, l4Length) && this.check(bytes, ip, l4, l4Length, unverified);
    return read ? this.absentIfExpired(seconds) : -1;
  }

  /** `lookup` for a first fragment: its transport header is whole, but nothing behind it can be checked. */
  lookupFirstFragment(bytes: Uint8Array, ip: number, l4: number, l4Length: number, seconds: number): number {
    return this.read(bytes, ip, l4, l4Length) ? this.absentIfExpired(seconds) : -1;
  }

  /** `lookup` of a tuple known by other means: a later fragment, or one an ICMP error quotes. */
  lookupPorts(source: number, destination: number, ports: number, kind: number, seconds: number): number {
    this.source = source;
    this.destination = destination;
    this.ports = ports;
    this.kind = kind;
    this.fault = 0;
    this.isIcmpError = false;
    return this.absentIfExpired(seconds);
  }

  /** `lookupPorts` with a hint of `FlowTable.hint`. */
  lookupHinted(hint: number, source: number, destination: number, ports: number, kind: number, seconds: number): number {
    const ref = this.flows.confirm(hint, source, destination, ports, kind);
    return ref >= 0 && !this.expired(ref >> 1, seconds) ? ref : this.lookupPorts(source, destination, ports, kind, seconds);
  }

  /** 0 when the datagram of the last lookup may open a flow, else a drop of `GATEWAY`. */
  mayOpen(bytes: Uint8Array, l4: number): number {
    const protocol = this.kind & 0xff;
    if (protocol === TCP) {
      return this.tcp.mayOpen(tcp.flags(bytes, l4)) ? 0 : TCP_INVALID;
    }
    return protocol !== ICMP || icmpRole(icmp.type(bytes, l4)) === IcmpRole.request ? 0 : ICMP_UNRELATED;
  }

  /**
   * Opens the flow of the tuple in the fields, behind a lookup that missed and `mayOpen`. Its first frame is then tracked as all others: ref is
   * flow × 2. Returns the flow, or -1 with the reason in `refused`.
   *
   * @param rSource tuple of the answers, which is the inverse of the translated one; so are `rDestination` and `rPorts`
   * @param zones zone the original direction is sent to | zone of the reply direction << 16
   * @param mapping of NAT, or -1
   * @param owner port whose share it takes, or NO_OWNER, | route generation << 16
   */
  open(
    rSource: number,
    rDestination: number,
    rPorts: number,
    zones: number,
    oNextHop: number,
    rNextHop: number,
    mapping: number,
    owner: number,
    seconds: number,
  ): number {
    const { flows } = this;
    let flow = this.add(rSource, rDestination, rPorts, owner, seconds);
    if (flow < 0) {
      if (flows.refused === Refused.quota) {
        this.giveUpOwn(owner & 0xffff, seconds);
      } else {
        this.makeRoom(rSource, rDestination, rPorts, seconds);
      }
      flow = this.add(rSource, rDestination, rPorts, owner, seconds);
    }
    if (flow < 0) {
      this.refused = refusal(flows.refused);
      return -1;
    }
    const { words } = flows;
    const row = flow << SHIFT;
    words[row + ZONES] = zones;
    words[row + O_NEXT_HOP] = oNextHop;
    words[row + R_NEXT_HOP] = rNextHop;
    words[row + MAPPING] = mapping;
    return flow;
  }

  /**
   * What a datagram does to its flow. Returns 0 when it passes, REPLACED, or a drop of `GATEWAY`.
   *
   * @param packets it stands for on a wire (G41)
   */
  track(ref: number, bytes: Uint8Array, ip: number, l4: number, l4Length: number, packets: number, seconds: number): number {
    const { flows } = this;
    const { words } = flows;
    const flow = ref >> 1;
    const direction = ref & 1;
    const row = flow << SHIFT;
    const before = words[row + STATUS];
    const protocol = words[row + KIND] & 0xff;
    let after = before | (direction === 1 ? SEEN_REPLY : 0);
    let timeoutClass = GENERIC;
    if (protocol === TCP) {
      const verdict = this.tcp.track(flow, direction, bytes, l4, l4Length);
      if (verdict === Verdict.invalid) {
        return TCP_INVALID;
      }
      if (verdict === Verdict.replaced) {
        this.seconds = seconds;
        flows.remove(flow, Removal.replaced);
        return REPLACED;
      }
      after = this.tcp.status;
      timeoutClass = verdict === Verdict.ended ? ENDED_CLASS : this.tcp.timeoutClass;
    } else if (protocol === UDP) {
      if (this.renewsUdp(row, direction)) {
        after |= isStream(after, (seconds - flows.cold[flow * COLD_WORDS + CREATED]) | 0) ? ASSURED : 0;
        timeoutClass = (after & ASSURED) !== 0 ? UDP_STREAM : UDP_UNREPLIED;
      } else {
        timeoutClass = -1;
      }
    } else if (protocol === ICMP) {
      if (!this.fitsQuery(row, direction, icmp.type(bytes, l4))) {
        return ICMP_UNRELATED;
      }
      timeoutClass = ICMP_QUERY;
    } else if (protocol === GRE) {
      after |= (after & SEEN_REPLY) !== 0 ? ASSURED : 0;
      timeoutClass = (after & ASSURED) !== 0 ? GRE_STREAM : GRE_UNREPLIED;
    }
    words[row + STATUS] = after & ~FRESH;
    if (timeoutClass >= 0) {
      flows.touch(flow, timeoutClass, seconds);
    }
    flows.account(flow, direction, l4 - ip + l4Length, packets);
    if (((before ^ after) & CHANGES) !== 0 || (before & FRESH) !== 0) {
      this.report((before & FRESH) !== 0 ? FlowEvent.new : FlowEvent.update, 0, flow, seconds);
    }
    return 0;
  }

  /** Counts a later fragment of a datagram whose first was tracked, and renews the flow as that did. `length`: bytes with the IP header. */
  trackFragment(ref: number, length: number, seconds: number): void {
    const { flows } = this;
    const flow = ref >> 1;
    const row = flow << SHIFT;
    const status = flows.words[row + STATUS];
    const timeoutClass = (status & CLASS_MASK) >> CLASS_SHIFT;
    if ((flows.words[row + KIND] & 0xff) !== TCP && this.renewsUdp(row, ref & 1)) {
      flows.touch(flow, timeoutClass, seconds);
    }
    flows.account(flow, ref & 1, length, 1);
  }

  /**
   * Ends expired flows, at most `budget` of them, and above 95 % of the limit some that will not be missed (D.4). To be called once a second
   * and whenever there is time. Returns how many.
   */
  expire(seconds: number, budget: number): number {
    this.seconds = seconds;
    let removed = this.collect(seconds, budget);
    const { flows } = this;
    const most = Math.floor(flows.limit * PRESSURE);
    for (let index = 0; index < GIVEN_UP.length && removed < budget && flows.size > most; ) {
      const flow = flows.oldest(GIVEN_UP[index]);
      if (flow < 0) {
        index++;
      } else {
        flows.remove(flow, Removal.early_dropped);
        removed++;
      }
    }
    return removed;
  }

  /** Ends the oldest flow whose connection is over, for what it still holds. Returns false when there is none. */
  reclaim(seconds: number): boolean {
    for (let index = 0; index < OVER.length; index++) {
      const flow = this.flows.oldest(OVER[index]);
      if (flow >= 0) {
        this.seconds = seconds;
        this.flows.remove(flow, Removal.early_dropped);
        return true;
      }
    }
    return false;
  }

  /**
   * When a share is used up: one of the owner's own flows that were never answered gives way, so that SYNs from outside to a published port, or
   * a scan of its own, do not shut a container off until they expire. Nobody else's flow does (D.4). Returns false when it has none nearby.
   */
  giveUpOwn(owner: number, seconds: number): boolean {
    const { flows, source, destination, ports, kind } = this;
    let flow = flows.victim(source, destination, ports, kind, owner);
    for (let index = 0; index < GIVEN_UP.length && flow < 0; index++) {
      flow = flows.oldestOpenOf(owner, GIVEN_UP[index], OWN_LOOKS);
    }
    if (flow < 0) {
      return false;
    }
    this.seconds = seconds;
    flows.remove(flow, Removal.early_dropped);
    return true;
  }

  /** Takes over the flows another process left in the rows: see `FlowTable.adopt`. Those that have expired meanwhile end as all others do. */
  adopt(seconds: number, accept: (flow: number) => boolean): number {
    this.seconds = seconds;
    return this.flows.adopt(seconds, accept);
  }

  /** Ends a live flow. */
  remove(flow: number, reason: RemovalReason, seconds: number): void {
    this.seconds = seconds;
    this.flows.remove(flow, reason);
  }

  /** Ends the live flows from `from` up to before `to` that match (D.5). Returns how many. For settings, not for frames. */
  removeWhere(
    matches: (flow: number) => boolean,
    reason: RemovalReason,
    seconds: number,
    from = 0,
    to = this.flows.rows(),
  ): number {
    this.seconds = seconds;
    return this.flows.removeWhere(matches, reason, from, to);
  }

  /** Changes timeouts by name; live flows follow at once. */
  setTimeouts(timeouts: Partial<Timeouts>): void {
    for (const name of TIMEOUT_CLASSES) {
      this.timeouts[TimeoutClass[name]] = timeouts[name] ?? this.timeouts[TimeoutClass[name]];
    }
  }

  /** Seconds until a live flow expires if nothing comes: 0 when it is over. */
  timeLeft(flow: number, seconds: number): number {
    const left = this.flows.words[(flow << SHIFT) + SEEN] + this.timeouts[this.flows.classOf(flow)] - seconds;
    return left < 0 ? 0 : left;
  }

  /** C24: over, though its row may still be there. */
  expired(flow: number, seconds: number): boolean {
    const { words } = this.flows;
    const row = flow << SHIFT;
    return ((seconds - words[row + SEEN]) | 0) > this.timeouts[(words[row + STATUS] & CLASS_MASK) >> CLASS_SHIFT];
  }

  private absentIfExpired(seconds: number): number {
    const ref = this.flows.find(this.source, this.destination, this.ports, this.kind);
    if (ref < 0 || !this.expired(ref >> 1, seconds)) {
      return ref;
    }
    this.seconds = seconds;
    this.flows.remove(ref >> 1, this.flows.classOf(ref >> 1) === ENDED_CLASS ? Removal.reset : Removal.expired);
    return -1;
  }

  private add(rSource: number, rDestination: number, rPorts: number, owner: number, seconds: number): number {
    const { source, destination, ports, kind } = this;
    return this.flows.add(source, destination, ports, kind, rSource, rDestination, rPorts, owner, firstClass(kind), seconds);
  }

  /** D.4: what is in the way goes if it is over; else one flow that was never answered. */
  private makeRoom(rSource: number, rDestination: number, rPorts: number, seconds: number): void {
    const { flows, source, destination, ports, kind } = this;
    this.seconds = seconds;
    if (flows.refused === Refused.taken) {
      // In this order: the fields end as they were.
      this.lookupPorts(rSource, rDestination, rPorts, kind, seconds);
      this.lookupPorts(source, destination, ports, kind, seconds);
    } else if (this.collect(seconds, ROOM_BUDGET) === 0) {
      const victim = flows.victim(source, destination, ports, kind, NO_OWNER);
      if (victim >= 0) {
        flows.remove(victim, Removal.early_dropped);
      }
    }
  }

  /** Heads of all lists, beginning where the last call stopped. */
  private collect(seconds: number, budget: number): number {
    const { flows } = this;
    let removed = 0;
    for (let step = 0; step < CLASS_COUNT; step++) {
      for (let flow = flows.oldest(this.turn); flow >= 0 && this.expired(flow, seconds); flow = flows.oldest(this.turn)) {
        if (removed >= budget) {
          return removed;
        }
        flows.remove(flow, this.turn === ENDED_CLASS ? Removal.reset : Removal.expired);
        removed++;
      }
      this.turn = this.turn + 1 === CLASS_COUNT ? 0 : this.turn + 1;
    }
    return removed;
  }

  /** C22: only what leaves renews who was sent to, or admitted by a mapping (eif, adf). Published flows and those inside: both ways renew. */
  private renewsUdp(row: number, direction: number): boolean {
    const { words } = this.flows;
    if ((words[row + ZONES] & 0xffff) >= UPLINK_ZONE) {
      return direction === 0 || this.inboundRefresh;
    }
    return direction === 1 || words[row + ZONES] >>> 16 < UPLINK_ZONE || words[row + MAPPING] < 0 || this.inboundRefresh;
  }

  /** C2: requests one way, answers the other. Untranslated, both ends may query with one id at a time: the tuples are the same. */
  private fitsQuery(row: number, direction: number, type: number): boolean {
    const { words } = this.flows;
    if ((icmpRole(type) === IcmpRole.request) === (direction === 0)) {
      return true;
    }
    return words[row + O_SOURCE] === words[row + R_DESTINATION] && words[row + O_DESTINATION] === words[row + R_SOURCE];
  }

  private ended(flow: number, reason: RemovalReason): void {
    this.report(FlowEvent.destroy, reason, flow, this.seconds);
    this.onRemove(flow, reason);
  }

  private report(event: number, reason: number, flow: number, seconds: number): void {
    const { events } = this;
    if (events?.watching === true) {
      events.emit(event, reason, this.flows, flow, seconds);
    }
  }
}

/** C21. */
function isStream(status: number, age: number): boolean {
  return (status & SEEN_REPLY) !== 0 && age > STREAM_SECONDS;
}

/** The class a flow is in until its first frame is tracked. */
function firstClass(kind: number): number {
  switch (kind & 0xff) {
    case TCP:
      return TCP_SYN_SENT;
    case UDP:
      return UDP_UNREPLIED;
    case ICMP:
      return ICMP_QUERY;
    case GRE:
      return GRE_UNREPLIED;
    default:
      return GENERIC;
  }
}

function refusal(refused: number): number {
  if (refused === Refused.quota) {
    return GATEWAY.flow_quota;
  }
  return refused === Refused.full ? GATEWAY.flow_table_full : GATEWAY.nat_exhausted;
}
