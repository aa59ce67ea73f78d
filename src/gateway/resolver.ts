/**
 * The resolver: next hop → MAC, for bridges and uplinks (A15 to A17), with frames that wait for an answer.
 *
 *     resolve ─┬─ known ──────────────▶ MAC; one last confirmed 30 s ago is asked again while it is in use, so that it never runs out
 *              └─ unknown ─▶ park ─▶ ARP request, again after 1 s and 2 s ─┬─ answered ─▶ nextReady: frames back into a batch
 *                                                                          └─ 3 s ──────▶ nextFailed: one frame for each source, for an
 *                                                                                         ICMP error; then failed for 3 s without ARP
 *
 * Where neighbors are known is the NeighborTable of the zone: a bridge's own, which its ARP proxy fills, or one for each uplink, filled by
 * `heard`. A next hop that is asked for has a row here besides, found by (address, zone):
 *
 *     waiting  ──▶ ready ──▶ free        waiting: frames or none, requests under way      ready: known, frames still to be handed back
 *        └──────▶ failed ──▶ free        failed: nothing is asked or parked               probing: known and usable, being confirmed
 *     probing  ──▶ free
 *
 * A next hop with frames in its row counts as unknown until the last of them is handed back: nothing overtakes them.
 *
 * Limits: 1,024 rows, 512 of them for one zone; frames as parking.ts says; ARP requests 100 a second for each zone after a burst of 200. A scan of a large network therefore costs its zone new next hops for seconds, not those in use.
 */
import type { Egress } from '../bridge/egress.js';
import { type Fdb, fdbKey } from '../bridge/fdb.js';
import type { NeighborTable } from '../bridge/neighbor-table.js';
import type { Batch } from '../core/batch.js';
import { GATEWAY, type GatewayCounters, type PortCounters } from '../core/counters.js';
import { Table } from '../core/table.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import { isUnicastIpv4 } from '../wire/ipv4-address.js';
import { isGroup, isZero } from '../wire/mac-address.js';
import { AnswerCache } from './answer-cache.js';
import { ArpRequests } from './arp-requests.js';
import { Parking } from './parking.js';
import { isUplink, ZONES, type Zones } from './zones.js';

const SECOND = 1_000_000;
const ROWS = 1024;
/** Rows of one zone at most: a scan there leaves the others theirs. */
const ZONE_ROWS = 512;
const TRIES = 3;
const RETRY_MICROS = SECOND;
/** When no request may be made because there were too many. */
const LIMITED_RETRY_MICROS = SECOND / 10;
const FAILED_MICROS = 3 * SECOND;
/** A15: from then on a neighbor is stale. */
const REACHABLE_SECONDS = 30;
/** Probes of a stale neighbor: unicast, then broadcast. */
const UNICAST_PROBES = 3;
const PROBES = 6;
/** Rows looked up in a bridge's table in one pass: its ARP proxy learns without telling. */
const LOOKED_UP = 64;
/** Rows that are due are looked for at most that often. */
const DUE_MICROS = 10_000;

const State = { free: 0, waiting: 1, ready: 2, failed: 3, probing: 4 } as const;

/** What became of a frame given to `park`; only one that waits is no longer the caller's. */
export const Parked = {
  waiting: 0,
  /** The next hop did not answer a moment ago; counted as `unreachable`. */
  failed: 1,
  /** No room; counted as `parking_full`. */
  refused: 2,
} as const;

const NONE = -1;

export class Resolver {
  /** MAC of what `resolve` or `nextReady` found last: borrowed until the next call. */
  macHigh = 0;
  macLow = 0;
  /** Of the frame `nextReady` or `nextFailed` handed back last: where it was to go. */
  zone = 0;
  nextHop = 0;
  /** Port it came in by, and the tuple its sender gave it, as `park` was told. */
  ingress = 0;
  source = 0;
  destination = 0;
  ports = 0;
  /** When there is something to do next if no frame comes before, in microseconds; infinite for never. */
  nextDue = Number.POSITIVE_INFINITY;
  private readonly zones: Zones;
  private readonly counters: GatewayCounters;
  private readonly neighbors = new Array<NeighborTable | null>(ZONES).fill(null);
  private readonly fdbs = new Array<Fdb | null>(ZONES).fill(null);
  private readonly answers = new AnswerCache();
  private readonly requests: ArpRequests;

  /** (address, zone) → row + 1. */
  private readonly index = new Table(ROWS, 2);
  private readonly freeRows = Int32Array.from({ length: ROWS }, (_, row) => ROWS - 1 - row);
  private freeCount = ROWS;
  private readonly state = new Uint8Array(ROWS);
  private readonly rowZone = new Int32Array(ROWS);
  private readonly rowIp = new Int32Array(ROWS);
  private readonly zoneRows = new Int32Array(ZONES);
  private readonly tries = new Int32Array(ROWS);
  private readonly due = new Float64Array(ROWS);
  private readonly parking = new Parking(ROWS);
  /** Rows waiting, rows ready, failed rows with frames. */
  private waitingRows = 0;
  private readyRows = 0;
  private failedRows = 0;
  private waitingAt = 0;
  private readyAt = 0;
  private failedAt = 0;
  private recycleAt = 0;
  private sweptAt = 0;

  constructor(zones: Zones, counters: GatewayCounters, portCounters: PortCounters) {
    this.zones = zones;
    this.counters = counters;
    this.requests = new ArpRequests(zones, counters, portCounters);
  }

  /** Frames that wait. */
  get parkedFrames(): number {
    return this.parking.count;
  }

  /**
   * Says where the neighbors of a zone are known; null for a zone that is gone, whose frames are dropped. Everything remembered of it is
   * forgotten.
   * @param fdb of a bridge, to ask a known neighbor on its own port; null for an uplink
   */
  setZone(zone: number, neighbors: NeighborTable | null, fdb: Fdb | null): void {
    this.neighbors[zone] = neighbors;
    this.fdbs[zone] = fdb;
    this.answers.clear();
    for (let row = 0; row < ROWS; row++) {
      if (this.state[row] !== State.free && this.rowZone[row] === zone) {
        this.setState(row, State.waiting);
        this.counters.add(zone, GATEWAY.unreachable, this.parking.drop(row));
        this.release(row);
      }
    }
  }

  /** Whether the MAC of a next hop is known, and nothing waits for it; it is then in `macHigh`, `macLow`. */
  resolve(zone: number, ip: number, seconds: number): boolean {
    const { answers } = this;
    if (answers.find(zone, ip, seconds)) {
      this.macHigh = answers.macHigh;
      this.macLow = answers.macLow;
      return true;
    }
    return this.look(zone, ip, seconds);
  }

  /**
   * Copies a frame that waits for its next hop, and asks for that unless it has been asked just now. The frame is translated already; its
   * ethernet header is the one it came with.
   * @param source, destination, ports what its sender sent it with, for an ICMP error
   * @returns one of `Parked`
   */
  park(
    batch: Batch,
    egress: Egress,
    frame: number,
    zone: number,
    ip: number,
    source: number,
    destination: number,
    ports: number,
  ): number {
    let row = this.rowOf(zone, ip);
    if (row >= 0 && this.state[row] === State.failed) {
      this.counters.add(zone, GATEWAY.unreachable, 1);
      return Parked.failed;
    }
    if (row < 0) {
      row = this.open(zone, ip);
      if (row < 0) {
        this.counters.add(zone, GATEWAY.parking_full, 1);
        return Parked.refused;
      }
      this.wait(row, batch, egress);
    } else if (this.state[row] === State.probing) {
      this.wait(row, batch, egress);
    }
    const kept = this.parking.keep(batch, frame, row, source, destination, ports);
    this.counters.add(zone, GATEWAY.parking_full, this.parking.dropped + (kept ? 0 : 1));
    if (!kept) {
      return Parked.refused;
    }
    this.counters.add(zone, GATEWAY.parked, 1);
    return Parked.waiting;
  }

  /** Takes note of an untagged ARP frame from an uplink. Nothing is answered: that address is the host's, and its stack does. */
  heard(batch: Batch, frame: number, zone: number): void {
    const { bytes } = batch;
    const at = batch.at[frame];
    const packet = at + ethernet.HEADER_BYTES;
    const neighbors = this.neighbors[zone];
    if (neighbors === null || !arp.check(bytes, packet, batch.length[frame] - ethernet.HEADER_BYTES)) {
      return;
    }
    const operation = arp.operation(bytes, packet);
    const high = arp.senderMacHigh(bytes, packet);
    const low = arp.senderMacLow(bytes, packet);
    const sender = arp.senderIp(bytes, packet);
    if (
      (operation !== arp.Operation.request && operation !== arp.Operation.reply) ||
      high !== ethernet.sourceHigh(bytes, at) ||
      low !== ethernet.sourceLow(bytes, at) ||
      isGroup(high) ||
      isZero(high, low) ||
      !isUnicastIpv4(sender) ||
      sender === this.zones.address[zone]
    ) {
      return;
    }
    // A11: what is known is kept up to date by any packet. Only who was asked for becomes known, or a flood of requests to us would fill the table.
    const row = this.rowOf(zone, sender);
    if (row < 0 && !neighbors.find(sender, batch.seconds)) {
      return;
    }
    neighbors.note(sender, low, high, batch.seconds);
    this.answers.forget(zone, sender);
    if (row >= 0) {
      this.learned(row, batch.seconds);
    }
  }

  /**
   * Adds the next frame whose next hop has become known to the batch, in the order of parking. Its MAC and what `park` was told are in
   * the fields; what is missing is the ethernet header. Returns -1 when there is none, or the batch is full: the rest comes next time.
   */
  nextReady(batch: Batch): number {
    while (this.readyRows > 0) {
      const row = this.readyAt;
      if (this.state[row] !== State.ready) {
        this.readyAt = (row + 1) & (ROWS - 1);
        continue;
      }
      const neighbors = this.neighbors[this.rowZone[row]];
      if (neighbors === null || !neighbors.find(this.rowIp[row], batch.seconds)) {
        this.setState(row, State.waiting);
        this.tries[row] = 0;
        this.dueAt(row, batch.now);
        continue;
      }
      const frame = this.handBack(row, batch);
      if (frame < 0) {
        this.nextDue = batch.now;
        return NONE;
      }
      this.macHigh = neighbors.macHigh;
      this.macLow = neighbors.macLow;
      if (this.parking.frames[row] === 0) {
        this.release(row);
      }
      return frame;
    }
    return NONE;
  }

  /**
   * Adds the next frame whose next hop did not answer to the batch, counted as `unreachable`: to be told about, not to be sent. One for each
   * source that waited (A16); the others are dropped and counted here. Returns -1 when there is none, or the batch is full.
   */
  nextFailed(batch: Batch): number {
    while (this.failedRows > 0) {
      const row = this.failedAt;
      if (this.state[row] !== State.failed || this.parking.frames[row] === 0) {
        this.failedAt = (row + 1) & (ROWS - 1);
        continue;
      }
      this.counters.add(this.rowZone[row], GATEWAY.unreachable, this.parking.dropSameSource(row));
      const frame = this.handBack(row, batch);
      if (frame >= 0) {
        this.counters.add(this.zone, GATEWAY.unreachable, 1);
        if (this.parking.frames[row] === 0) {
          this.failedRows--;
        }
      } else {
        this.nextDue = batch.now;
      }
      return frame;
    }
    return NONE;
  }

  /** Notices what has become known, asks again, and gives up. Call once a pass, before `nextReady` and `nextFailed`. */
  tick(batch: Batch, egress: Egress): void {
    if (this.waitingRows > 0) {
      this.lookUpWaiting(batch.seconds);
    }
    if (batch.seconds !== this.sweptAt) {
      this.sweptAt = batch.seconds;
      for (let zone = 0; zone < ZONES; zone++) {
        const neighbors = isUplink(zone) ? this.neighbors[zone] : null;
        neighbors?.sweep(Math.ceil(neighbors.rows / 10), batch.seconds);
      }
    }
    if (batch.now < this.nextDue) {
      return;
    }
    let next = Number.POSITIVE_INFINITY;
    for (let row = 0; row < ROWS; row++) {
      if (this.state[row] !== State.free && this.due[row] <= batch.now) {
        this.act(row, batch, egress);
      }
      if (this.state[row] !== State.free) {
        next = Math.min(next, this.due[row]);
      }
    }
    this.nextDue = Math.max(next, batch.now + DUE_MICROS);
  }

  /** `resolve` beyond the remembered answers. */
  private look(zone: number, ip: number, seconds: number): boolean {
    const neighbors = this.neighbors[zone];
    if (neighbors === null || !neighbors.find(ip, seconds)) {
      return false;
    }
    const { macHigh, macLow, confirmed } = neighbors;
    let row = this.freeCount === ROWS ? NONE : this.rowOf(zone, ip);
    if (row >= 0 && this.state[row] !== State.probing) {
      if (this.learned(row, seconds)) {
        return false;
      }
      row = NONE;
    }
    if (row < 0 && confirmed >= 0 && seconds - confirmed >= REACHABLE_SECONDS) {
      row = this.open(zone, ip);
      if (row >= 0) {
        this.setState(row, State.probing);
        this.tries[row] = 0;
        this.dueAt(row, seconds * SECOND);
      }
    }
    this.answers.put(zone, ip, macHigh, macLow, seconds);
    this.macHigh = macHigh;
    this.macLow = macLow;
    return true;
  }

  /** The next hop of a row is known. Returns whether frames are still to be handed back; if not, the row is free. */
  private learned(row: number, seconds: number): boolean {
    const neighbors = this.neighbors[this.rowZone[row]];
    if (neighbors === null || !neighbors.find(this.rowIp[row], seconds)) {
      return false;
    }
    if (this.parking.frames[row] === 0) {
      this.release(row);
      return false;
    }
    this.setState(row, State.ready);
    return true;
  }

  private lookUpWaiting(seconds: number): void {
    let left = Math.min(LOOKED_UP, this.waitingRows);
    for (let step = 0; step < ROWS && left > 0; step++) {
      const row = this.waitingAt;
      this.waitingAt = (row + 1) & (ROWS - 1);
      if (this.state[row] === State.waiting) {
        left--;
        this.learned(row, seconds);
      }
    }
  }

  /** What a row that is due does next. */
  private act(row: number, batch: Batch, egress: Egress): void {
    switch (this.state[row]) {
      case State.waiting:
        if (this.tries[row] >= TRIES) {
          this.setState(row, State.failed);
          this.dueAt(row, batch.now + FAILED_MICROS);
        } else {
          this.ask(row, batch, egress);
        }
        return;
      case State.probing: {
        const neighbors = this.neighbors[this.rowZone[row]];
        const stale =
          neighbors?.find(this.rowIp[row], batch.seconds) === true && batch.seconds - neighbors.confirmed >= REACHABLE_SECONDS;
        if (!stale || this.tries[row] >= PROBES) {
          this.release(row);
        } else {
          this.ask(row, batch, egress);
        }
        return;
      }
      case State.failed:
        if (this.parking.frames[row] === 0) {
          this.release(row);
        } else {
          this.due[row] = batch.now + DUE_MICROS;
        }
        return;
      default:
        // Ready: its frames go as the batch has room.
        this.due[row] = batch.now + SECOND;
    }
  }

  /** Starts asking for the next hop of a row. */
  private wait(row: number, batch: Batch, egress: Egress): void {
    this.setState(row, State.waiting);
    this.tries[row] = 0;
    this.ask(row, batch, egress);
  }

  /** Sends the next request about a row: to the neighbor itself where it is known, else to everybody. */
  private ask(row: number, batch: Batch, egress: Egress): void {
    const zone = this.rowZone[row];
    const ip = this.rowIp[row];
    let high = 0xffff;
    let low = -1;
    let port = isUplink(zone) ? this.zones.port[zone] : NONE;
    const neighbors = this.neighbors[zone];
    if (this.state[row] === State.probing && this.tries[row] < UNICAST_PROBES && neighbors?.find(ip, batch.seconds) === true) {
      const known = this.fdbs[zone]?.lookup(neighbors.macLow, fdbKey(0, neighbors.macHigh), batch.seconds) ?? port;
      if (known >= 0) {
        port = known;
        high = neighbors.macHigh;
        low = neighbors.macLow;
      }
    }
    if (!this.requests.send(batch, egress, zone, ip, high, low, port)) {
      this.dueAt(row, batch.now + LIMITED_RETRY_MICROS);
      return;
    }
    this.tries[row]++;
    this.dueAt(row, batch.now + RETRY_MICROS);
  }

  /** Moves the oldest frame of a row to the batch and fills the fields; -1 when there is no room. */
  private handBack(row: number, batch: Batch): number {
    const { parking } = this;
    const frame = parking.take(row, batch);
    if (frame >= 0) {
      this.zone = this.rowZone[row];
      this.nextHop = this.rowIp[row];
      this.ingress = parking.ingress;
      this.source = parking.source;
      this.destination = parking.destination;
      this.ports = parking.ports;
    }
    return frame;
  }

  private rowOf(zone: number, ip: number): number {
    const at = this.index.find(ip, zone);
    return at < 0 ? NONE : this.index.words[at + 2] - 1;
  }

  /** A row for a next hop that has none: a free one, or one that failed; -1 when all are in use, or the zone has its share. */
  private open(zone: number, ip: number): number {
    for (let step = 0; this.freeCount === 0 || this.zoneRows[zone] >= ZONE_ROWS; step++) {
      if (step === ROWS) return NONE;
      const row = this.recycleAt;
      this.recycleAt = (row + 1) & (ROWS - 1);
      if (this.state[row] === State.failed && this.parking.frames[row] === 0) {
        this.release(row);
      }
    }
    const row = this.freeRows[--this.freeCount];
    this.zoneRows[zone]++;
    this.rowZone[row] = zone;
    this.rowIp[row] = ip;
    this.index.words[this.index.insert(ip, zone) + 2] = row + 1;
    return row;
  }

  private release(row: number): void {
    this.setState(row, State.free);
    this.zoneRows[this.rowZone[row]]--;
    this.index.remove(this.index.find(this.rowIp[row], this.rowZone[row]));
    this.freeRows[this.freeCount++] = row;
  }

  /** Changes the state of a row and keeps count of rows by state. */
  private setState(row: number, state: number): void {
    const before = this.state[row];
    if (before === State.waiting) {
      this.waitingRows--;
    } else if (before === State.ready) {
      this.readyRows--;
    } else if (before === State.failed && this.parking.frames[row] > 0) {
      this.failedRows--;
    }
    this.state[row] = state;
    if (state === State.waiting) {
      this.waitingRows++;
    } else if (state === State.ready) {
      this.readyRows++;
    } else if (state === State.failed && this.parking.frames[row] > 0) {
      this.failedRows++;
    }
  }

  private dueAt(row: number, micros: number): void {
    this.due[row] = micros;
    this.nextDue = Math.min(this.nextDue, micros);
  }
}
