/**
 * The ARP proxy: answers requests for known neighbors in the owner's name, so that they need not flood (RFC 826; suppression as in the
 * kernel's br_arp_nd_proxy.c).
 *
 *     request ─▶ note sender ─┬─ sender's MAC is not the frame's source ──▶ flood     nothing in it is believed (A2)
 *                             ├─ probe (sender 0.0.0.0) or announcement ──▶ flood     the owner alone may object (RFC 5227, A5)
 *                             ├─ unicast ────────────────────────────────▶ bridge    an owner is asked whether it is still there
 *                             ├─ all of A3 hold ─────────────────────────▶ answer    to the asking port only, no flood
 *                             └─ else ───────────────────────────────────▶ flood
 *
 * Only untagged ARP is handled; inside a VLAN it is bridged like any frame, since a neighbor's address says nothing about the VLAN.
 * Operations other than request and reply (RARP, InARP) are bridged and teach nothing.
 * Switched off, it answers nothing but goes on taking note: the gateway resolves its next hops in the same table.
 * Answers are limited per port to 100 a second after a burst of 200 (A17); beyond that requests flood, as without a proxy.
 */
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { BRIDGE, type BridgeCounters, PORT, type PortCounters } from '../core/counters.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import { isBroadcast, isGroup } from '../wire/mac-address.js';
import type { Egress } from './egress.js';
import { type Fdb, fdbKey } from './fdb.js';
import { type NeighborTable, Noted } from './neighbor-table.js';
import type { Notices } from './notices.js';
import { Flag, type PortTable } from './port-table.js';

const ANSWERS_PER_SECOND = 100;
const ANSWER_BURST = 200;

const ARP_FRAME_BYTES = ethernet.HEADER_BYTES + arp.PACKET_BYTES;

export class ArpProxy {
  enabled: boolean;
  private network = 0;
  private mask = 0;
  private readonly bridge: number;
  private readonly ports: PortTable;
  private readonly fdb: Fdb;
  private readonly neighbors: NeighborTable;
  private readonly notices: Notices;
  private readonly counters: BridgeCounters;
  private readonly portCounters: PortCounters;
  /** By port: answers given that count against the limit still, and when that was last reckoned (microseconds). */
  private readonly spent: Float64Array;
  private readonly reckoned: Float64Array;

  constructor(
    bridge: number,
    enabled: boolean,
    ports: PortTable,
    fdb: Fdb,
    neighbors: NeighborTable,
    notices: Notices,
    counters: BridgeCounters,
    portCounters: PortCounters,
    answers: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(2 * 8 * ports.capacity),
  ) {
    this.bridge = bridge;
    this.enabled = enabled;
    this.ports = ports;
    this.fdb = fdb;
    this.neighbors = neighbors;
    this.notices = notices;
    this.counters = counters;
    this.portCounters = portCounters;
    this.spent = new Float64Array(answers, 0, ports.capacity);
    this.reckoned = new Float64Array(answers, 8 * ports.capacity, ports.capacity);
  }

  /** Restricts learning and answering to a subnet; null lifts it. */
  setSubnet(subnet: { network: number; prefix: number } | null): void {
    this.mask = subnet === null || subnet.prefix === 0 ? 0 : (-1 << (32 - subnet.prefix)) | 0;
    this.network = subnet === null ? 0 : subnet.network & this.mask;
  }

  /** Looks at an untagged ARP frame. Returns true when it was answered and must go no further. */
  handle(batch: Batch, frame: number, port: number, egress: Egress): boolean {
    const bytes = batch.bytes;
    const at = batch.at[frame];
    const packet = at + ethernet.HEADER_BYTES;
    if (!arp.check(bytes, packet, batch.length[frame] - ethernet.HEADER_BYTES)) {
      return false;
    }
    const senderHigh = arp.senderMacHigh(bytes, packet);
    const senderLow = arp.senderMacLow(bytes, packet);
    const sender = arp.senderIp(bytes, packet);
    const operation = arp.operation(bytes, packet);
    if (operation !== arp.Operation.request && operation !== arp.Operation.reply) {
      return false;
    }
    // A2: the pair is believed only from who sends it. A6: a probe claims nothing.
    const believed = senderLow === ethernet.sourceLow(bytes, at) && senderHigh === ethernet.sourceHigh(bytes, at);
    if (believed && this.answerable(sender)) {
      this.note(sender, senderLow, senderHigh, batch.seconds);
    }
    if (operation === arp.Operation.reply || !this.enabled) {
      return false;
    }
    const target = arp.targetIp(bytes, packet);
    this.counters.add(this.bridge, BRIDGE.arp_requests, 1);
    if (sender === 0) {
      this.counters.add(this.bridge, BRIDGE.arp_probes, 1);
    }
    if (!isGroup(ethernet.destinationHigh(bytes, at))) {
      // Whoever asks one host wants to hear from that host (RFC 1122, 2.3.2.1 (2)).
      return false;
    }
    if (
      !believed ||
      sender === 0 ||
      sender === target ||
      !isBroadcast(ethernet.destinationHigh(bytes, at), ethernet.destinationLow(bytes, at)) ||
      !this.mayAnswer(target, senderLow, senderHigh, port, batch.seconds)
    ) {
      return this.flooded();
    }
    if (!this.takeToken(port, batch.now)) {
      this.counters.add(this.bridge, BRIDGE.arp_rate_limited, 1);
      return this.flooded();
    }
    return this.answer(batch, port, target, sender, senderLow, senderHigh, egress) || this.flooded();
  }

  private flooded(): false {
    this.counters.add(this.bridge, BRIDGE.arp_flooded, 1);
    return false;
  }

  private note(ip: number, low: number, high: number, seconds: number): void {
    switch (this.neighbors.note(ip, low, high, seconds)) {
      case Noted.conflict:
        this.counters.add(this.bridge, BRIDGE.arp_conflicts, 1);
        this.notices.conflict(ip, high, low);
        break;
      case Noted.full:
        this.counters.add(this.bridge, BRIDGE.neighbors_full, 1);
        break;
    }
  }

  /** A unicast host address inside the subnet: not 0/8, loopback, multicast or above, not the subnet's own two addresses. */
  private answerable(ip: number): boolean {
    const first = ip >>> 24;
    if (first === 0 || first === 127 || first >= 224) {
      return false;
    }
    if (this.mask === 0) {
      return true;
    }
    const host = ip & ~this.mask;
    return (ip & this.mask) === this.network && (~this.mask >>> 0 <= 1 || (host !== 0 && host !== ~this.mask));
  }

  /** Rule A3; leaves the owner's MAC in the neighbor table's fields. */
  private mayAnswer(target: number, askerLow: number, askerHigh: number, port: number, seconds: number): boolean {
    const neighbors = this.neighbors;
    if (!this.answerable(target) || !neighbors.find(target, seconds)) {
      return false;
    }
    if (neighbors.macLow === askerLow && neighbors.macHigh === askerHigh) {
      return false;
    }
    const owner = this.fdb.lookup(neighbors.macLow, fdbKey(0, neighbors.macHigh), seconds);
    if (owner < 0 || owner === port) {
      return false;
    }
    const flags = this.ports.flags;
    return (flags[owner] & Flag.up) !== 0 && (flags[owner] & flags[port] & Flag.isolated) === 0;
  }

  private takeToken(port: number, now: number): boolean {
    // Two threads may read the same state: one of their answers is then not counted. That is no reason for a lock.
    const earned = (Math.max(0, now - this.reckoned[port]) * ANSWERS_PER_SECOND) / 1_000_000;
    const spent = Math.max(0, this.spent[port] - earned);
    const granted = spent <= ANSWER_BURST - 1;
    this.reckoned[port] = now;
    this.spent[port] = granted ? spent + 1 : spent;
    return granted;
  }

  /** A4: unicast to the asker, from and about the owner. */
  private answer(
    batch: Batch,
    port: number,
    owner: number,
    asker: number,
    askerLow: number,
    askerHigh: number,
    egress: Egress,
  ): boolean {
    const made = batch.append(INGRESS_SELF, ARP_FRAME_BYTES);
    if (made < 0) {
      return false;
    }
    const { macHigh: ownerHigh, macLow: ownerLow } = this.neighbors;
    const bytes = batch.bytes;
    const at = batch.at[made];
    ethernet.setDestination(bytes, at, askerHigh, askerLow);
    ethernet.setSource(bytes, at, ownerHigh, ownerLow);
    ethernet.setEtherType(bytes, at, ethernet.EtherType.arp);
    arp.write(bytes, at + ethernet.HEADER_BYTES, arp.Operation.reply, ownerHigh, ownerLow, owner, askerHigh, askerLow, asker);
    egress.toPort(batch, made, port);
    this.portCounters.add(port, PORT.made, 1);
    this.counters.add(this.bridge, BRIDGE.arp_answered, 1);
    return true;
  }
}
