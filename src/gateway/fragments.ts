/**
 * Fragments (N40 to N42): which flow a fragment without ports belongs to, by virtual reassembly.
 *
 *     first    ─▶ Fragment.first ─▶ the gateway translates it by its ports and binds what it found ─┬─▶ later ones: Fragment.bound
 *     others   ─▶ known datagram? ─┬─ bound ─▶ Fragment.bound                                       └─▶ nextReleased: those that came before
 *                                  └─ not yet ─▶ parked
 *
 * Nothing is put together: each fragment goes on as soon as the flow is known, in the order of arrival. A datagram is a row, found by
 * (zone, source, destination, identification, protocol), with the ranges of bytes seen: an exact repetition is ignored, any other overlap
 * discards the datagram, whose key then stays discarded until its time is up, as late fragments would otherwise start it anew. It is
 * forgotten when all of its bytes have passed.
 *
 * A datagram that runs out of time has either no first fragment, and then there is no error about it (RFC 1812, 4.3.3.4), or its first
 * fragment has gone to a receiver that reports itself; so the gateway never makes an 11/1.
 *
 * Limits (N41): 30 s; 1,024 datagrams and 4 MiB in all; 64 fragments of a datagram; 16 datagrams of a source and 256 of an owner, the port
 * they come from, and 1 MiB parked for that port: beyond that the oldest of the same source or owner gives way, so that neither takes anything
 * from others, and what was lost on the way does not block what comes.
 */
import { type Batch, INGRESS_SELF } from '../core/batch.js';
import { GATEWAY, type GatewayCounters } from '../core/counters.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as vnet from '../wire/vnet-header.js';
import { FrameStore } from './frame-store.js';

const SECONDS = 30;
const DATAGRAMS = 1024;
const DATAGRAM_FRAGMENTS = 64;
const SOURCE_DATAGRAMS = 16;
const OWNER_DATAGRAMS = 256;
const OWNER_BYTES = 1 << 20;
const STORE_BYTES = 4 << 20;
const STORE_FRAMES = 8192;
const DATAGRAM_BYTES_MAX = 65_535;
/** Fragments are measured in these. */
const UNIT = 8;
const BUCKETS = 2048;
const NONE = -1;

/** What `accept` says of a fragment. */
export const Fragment = {
  /** The first one, with ports: to be handled like a whole packet, then `bind` or `discard`. */
  first: 0,
  /** Of a datagram that is bound: `ref`, `ports` and `identification` say to what. */
  bound: 1,
  /** Copied; the caller is done with it. */
  parked: 2,
  /** To be dropped for `reason`, already counted. */
  dropped: 3,
} as const;

const Phase = { free: 0, open: 1, bound: 2, discarded: 3 } as const;

export class FragmentTable {
  /** Row of the datagram `accept` looked at last, for `bind` and `discard`. */
  datagram = NONE;
  /** What the datagram of the last `accept` or `nextReleased` is bound to: borrowed until the next call. */
  ref = 0;
  ports = 0;
  identification = 0;
  /** Zone it came from. */
  zone = 0;
  /** Position in GATEWAY why the last `accept` dropped. */
  reason = 0;
  private readonly counters: GatewayCounters;
  private readonly seed: number;
  private readonly buckets = new Int32Array(BUCKETS).fill(NONE);
  private readonly chain = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly free = Int32Array.from({ length: DATAGRAMS }, (_, row) => DATAGRAMS - 1 - row);
  private freeCount = DATAGRAMS;
  private readonly phase = new Uint8Array(DATAGRAMS);
  private readonly rowZone = new Int32Array(DATAGRAMS);
  private readonly rowOwner = new Int32Array(DATAGRAMS);
  private readonly rowSource = new Int32Array(DATAGRAMS);
  private readonly rowDestination = new Int32Array(DATAGRAMS);
  /** Identification | protocol << 16. */
  private readonly rowId = new Int32Array(DATAGRAMS);
  private readonly rowRef = new Int32Array(DATAGRAMS);
  private readonly rowPorts = new Int32Array(DATAGRAMS);
  private readonly rowNewId = new Int32Array(DATAGRAMS);
  private readonly rowReason = new Int32Array(DATAGRAMS);
  private readonly began = new Int32Array(DATAGRAMS);
  /** Bytes of all fragments seen, and of the datagram: 0 until its last fragment came. */
  private readonly seen = new Int32Array(DATAGRAMS);
  private readonly total = new Int32Array(DATAGRAMS);
  /** Ranges seen: offset | end << 16, both in bytes. */
  private readonly ranges = new Int32Array(DATAGRAMS * DATAGRAM_FRAGMENTS);
  private readonly rangeCount = new Int32Array(DATAGRAMS);
  /** Parked fragments, and those that are to be released. */
  private readonly head = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly tail = new Int32Array(DATAGRAMS).fill(NONE);
  /** Rows by age: all of them, and those of an owner. */
  private oldest = NONE;
  private youngest = NONE;
  private readonly younger = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly older = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly ownerOldest: Int32Array;
  private readonly ownerYoungest: Int32Array;
  private readonly ownerYounger = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly ownerOlder = new Int32Array(DATAGRAMS).fill(NONE);
  private readonly ownerCount: Int32Array;
  private readonly ownerBytes: Int32Array;
  private readonly store = new FrameStore(STORE_BYTES, STORE_FRAMES);
  /** Rows whose parked fragments are to be released, in order. */
  private readonly releasing = new Int32Array(DATAGRAMS);
  private readonly isReleasing = new Uint8Array(DATAGRAMS);
  private releasingCount = 0;

  /** @param owners ports fragments may come from */
  constructor(owners: number, counters: GatewayCounters, random: () => number) {
    this.counters = counters;
    this.seed = Math.floor(random() * 0x1_0000_0000) | 0;
    this.ownerOldest = new Int32Array(owners).fill(NONE);
    this.ownerYoungest = new Int32Array(owners).fill(NONE);
    this.ownerCount = new Int32Array(owners);
    this.ownerBytes = new Int32Array(owners);
  }

  /** Datagrams under way. */
  get size(): number {
    return DATAGRAMS - this.freeCount;
  }

  /** Whether `nextReleased` has more for the next pass. */
  get isReleasingMore(): boolean {
    return this.releasingCount > 0;
  }

  /** Fragments parked. */
  get parkedFrames(): number {
    return this.store.count;
  }

  /**
   * Looks at a fragment whose IP header is checked.
   * @param ip its IP header
   * @param owner port it came from
   * @returns one of `Fragment`
   */
  accept(batch: Batch, frame: number, ip: number, zone: number, owner: number): number {
    const { bytes } = batch;
    const offset = ipv4.fragmentOffset(bytes, ip);
    const length = ipv4.totalLength(bytes, ip) - ipv4.headerBytes(bytes, ip);
    this.datagram = NONE;
    if (!isSound(bytes, batch.at[frame], ip, offset, length)) {
      return this.refuse(zone, GATEWAY.fragment_invalid);
    }
    const id = ipv4.identification(bytes, ip) | (ipv4.protocol(bytes, ip) << 16);
    const source = ipv4.source(bytes, ip);
    const destination = ipv4.destination(bytes, ip);
    let row = this.find(zone, source, destination, id);
    if (row >= 0 && batch.seconds - this.began[row] > SECONDS) {
      this.end(row, GATEWAY.fragment_timeout);
      row = NONE;
    }
    if (row < 0) {
      row = this.open(zone, owner, source, destination, id, batch.seconds);
      if (row < 0) {
        return this.refuse(zone, GATEWAY.fragment_limit);
      }
    } else if (this.phase[row] === Phase.discarded) {
      return this.refuse(zone, this.rowReason[row]);
    }
    if (!this.enter(row, offset, offset + length, ipv4.moreFragments(bytes, ip))) {
      return this.refuse(zone, this.reason);
    }
    return this.pass(batch, frame, row, offset);
  }

  /** Whether it is known what the datagram of this fragment belongs to. */
  knows(bytes: Uint8Array, ip: number, zone: number): boolean {
    const id = ipv4.identification(bytes, ip) | (ipv4.protocol(bytes, ip) << 16);
    const row = this.find(zone, ipv4.source(bytes, ip), ipv4.destination(bytes, ip), id);
    return row >= 0 && this.phase[row] === Phase.bound;
  }

  /**
   * Says what the datagram of a first fragment belongs to; those that came before it are then handed out by `nextReleased`.
   * @param identification what all of its fragments get (N43)
   */
  bind(datagram: number, ref: number, ports: number, identification: number): void {
    this.phase[datagram] = Phase.bound;
    this.rowRef[datagram] = ref;
    this.rowPorts[datagram] = ports;
    this.rowNewId[datagram] = identification;
    if (this.head[datagram] !== NONE) {
      if (this.isReleasing[datagram] === 0) {
        this.isReleasing[datagram] = 1;
        this.releasing[this.releasingCount++] = datagram;
      }
    } else {
      this.endIfComplete(datagram);
    }
  }

  /** Says that the datagram goes nowhere: what waits of it and what comes is dropped for `reason`, a position in GATEWAY. */
  discard(datagram: number, reason: number): void {
    this.dropParked(datagram, reason);
    this.phase[datagram] = Phase.discarded;
    this.rowReason[datagram] = reason;
  }

  /** Adds the next fragment that waited for its first one to the batch. Returns -1 when there is none, or the batch is full. */
  nextReleased(batch: Batch): number {
    while (this.releasingCount > 0) {
      const row = this.releasing[this.releasingCount - 1];
      const stored = this.head[row];
      if (stored === NONE) {
        this.releasingCount--;
        this.isReleasing[row] = 0;
        this.endIfComplete(row);
        continue;
      }
      const after = this.store.next[stored];
      const bytes = FrameStore.cost(this.store.length[stored]);
      const frame = this.store.take(stored, batch, INGRESS_SELF);
      if (frame < 0) {
        return NONE;
      }
      this.head[row] = after;
      if (after === NONE) {
        this.tail[row] = NONE;
      }
      this.ownerBytes[this.rowOwner[row]] -= bytes;
      this.fill(row);
      return frame;
    }
    return NONE;
  }

  /** Forgets datagrams whose time is up, at most `budget` of them. */
  expire(seconds: number, budget: number): void {
    for (let count = 0; count < budget && this.oldest !== NONE; count++) {
      if (seconds - this.began[this.oldest] <= SECONDS) {
        return;
      }
      this.end(this.oldest, GATEWAY.fragment_timeout);
    }
  }

  /** What to do with a fragment that is entered. */
  private pass(batch: Batch, frame: number, row: number, offset: number): number {
    this.datagram = row;
    if (this.phase[row] === Phase.bound && this.isReleasing[row] === 0) {
      this.fill(row);
      this.endIfComplete(row);
      return Fragment.bound;
    }
    if (offset === 0 && this.phase[row] === Phase.open) {
      this.zone = this.rowZone[row];
      return Fragment.first;
    }
    const owner = this.rowOwner[row];
    const bytes = FrameStore.cost(batch.length[frame]);
    while (this.ownerBytes[owner] + bytes > OWNER_BYTES && this.ownerOldest[owner] !== row) {
      this.end(this.ownerOldest[owner], GATEWAY.fragment_limit);
    }
    const stored = this.ownerBytes[owner] + bytes > OWNER_BYTES ? NONE : this.store.put(batch, frame);
    if (stored < 0) {
      // With a hole in it the datagram is worth nothing any more.
      this.discard(row, GATEWAY.fragment_limit);
      return this.refuse(this.rowZone[row], GATEWAY.fragment_limit);
    }
    this.ownerBytes[owner] += bytes;
    if (this.tail[row] === NONE) {
      this.head[row] = stored;
    } else {
      this.store.next[this.tail[row]] = stored;
    }
    this.tail[row] = stored;
    this.counters.add(this.rowZone[row], GATEWAY.fragments_parked, 1);
    return Fragment.parked;
  }

  /** N42: enters the bytes [offset, end) of a datagram. Returns false with `reason` when the fragment is to be dropped. */
  private enter(row: number, offset: number, end: number, more: boolean): boolean {
    const { ranges } = this;
    const from = row * DATAGRAM_FRAGMENTS;
    const count = this.rangeCount[row];
    const total = this.total[row];
    const range = offset | (end << 16);
    this.reason = GATEWAY.fragment_invalid;
    // Behind the end that is known, or another end: as bad as an overlap.
    let overlaps = total !== 0 && (end > total || (!more && end !== total));
    for (let index = from; index < from + count; index++) {
      if (ranges[index] === range && more === (end !== total)) {
        return false;
      }
      const seenFrom = ranges[index] & 0xffff;
      const seenEnd = ranges[index] >>> 16;
      overlaps = overlaps || (offset < seenEnd && end > seenFrom) || (!more && seenEnd > end);
    }
    if (overlaps) {
      this.discard(row, GATEWAY.fragment_invalid);
      return false;
    }
    if (count === DATAGRAM_FRAGMENTS) {
      this.discard(row, GATEWAY.fragment_limit);
      this.reason = GATEWAY.fragment_limit;
      return false;
    }
    ranges[from + count] = range;
    this.rangeCount[row] = count + 1;
    this.seen[row] += end - offset;
    if (!more) {
      this.total[row] = end;
    }
    return true;
  }

  private refuse(zone: number, reason: number): number {
    this.reason = reason;
    this.counters.add(zone, reason, 1);
    return Fragment.dropped;
  }

  private fill(row: number): void {
    this.ref = this.rowRef[row];
    this.ports = this.rowPorts[row];
    this.identification = this.rowNewId[row];
    this.zone = this.rowZone[row];
  }

  private endIfComplete(row: number): void {
    if (this.total[row] !== 0 && this.seen[row] === this.total[row] && this.head[row] === NONE) {
      this.end(row, GATEWAY.fragment_timeout);
    }
  }

  private find(zone: number, source: number, destination: number, id: number): number {
    let row = this.buckets[this.bucket(zone, source, destination, id)];
    while (
      row !== NONE &&
      (this.rowId[row] !== id ||
        this.rowSource[row] !== source ||
        this.rowDestination[row] !== destination ||
        this.rowZone[row] !== zone)
    ) {
      row = this.chain[row];
    }
    return row;
  }

  /** A row for a new datagram; the oldest of its source or owner gives way when they have their share. -1 when all rows are in use. */
  private open(zone: number, owner: number, source: number, destination: number, id: number, seconds: number): number {
    this.makeRoom(owner, source);
    if (this.freeCount === 0) {
      return NONE;
    }
    const row = this.free[--this.freeCount];
    const bucket = this.bucket(zone, source, destination, id);
    this.chain[row] = this.buckets[bucket];
    this.buckets[bucket] = row;
    this.phase[row] = Phase.open;
    this.rowZone[row] = zone;
    this.rowOwner[row] = owner;
    this.rowSource[row] = source;
    this.rowDestination[row] = destination;
    this.rowId[row] = id;
    this.began[row] = seconds;
    this.seen[row] = 0;
    this.total[row] = 0;
    this.rangeCount[row] = 0;
    this.older[row] = this.youngest;
    this.younger[row] = NONE;
    if (this.youngest === NONE) {
      this.oldest = row;
    } else {
      this.younger[this.youngest] = row;
    }
    this.youngest = row;
    const before = this.ownerYoungest[owner];
    this.ownerOlder[row] = before;
    this.ownerYounger[row] = NONE;
    if (before === NONE) {
      this.ownerOldest[owner] = row;
    } else {
      this.ownerYounger[before] = row;
    }
    this.ownerYoungest[owner] = row;
    this.ownerCount[owner]++;
    return row;
  }

  private makeRoom(owner: number, source: number): void {
    let count = 0;
    let first = NONE;
    for (let row = this.ownerOldest[owner]; row !== NONE; row = this.ownerYounger[row]) {
      if (this.rowSource[row] === source) {
        first = first === NONE ? row : first;
        count++;
      }
    }
    if (count >= SOURCE_DATAGRAMS) {
      this.end(first, GATEWAY.fragment_limit);
    } else if (this.ownerCount[owner] >= OWNER_DATAGRAMS) {
      this.end(this.ownerOldest[owner], GATEWAY.fragment_limit);
    }
  }

  /** Frees a row; fragments of it that still wait are dropped for `reason`. */
  private end(row: number, reason: number): void {
    this.dropParked(row, reason);
    const owner = this.rowOwner[row];
    const bucket = this.bucket(this.rowZone[row], this.rowSource[row], this.rowDestination[row], this.rowId[row]);
    let at = this.buckets[bucket];
    if (at === row) {
      this.buckets[bucket] = this.chain[row];
    } else {
      while (this.chain[at] !== row) {
        at = this.chain[at];
      }
      this.chain[at] = this.chain[row];
    }
    const { older, younger, ownerOlder, ownerYounger } = this;
    if (older[row] === NONE) this.oldest = younger[row];
    else younger[older[row]] = younger[row];
    if (younger[row] === NONE) this.youngest = older[row];
    else older[younger[row]] = older[row];
    if (ownerOlder[row] === NONE) this.ownerOldest[owner] = ownerYounger[row];
    else ownerYounger[ownerOlder[row]] = ownerYounger[row];
    if (ownerYounger[row] === NONE) this.ownerYoungest[owner] = ownerOlder[row];
    else ownerOlder[ownerYounger[row]] = ownerOlder[row];
    this.ownerCount[owner]--;
    this.phase[row] = Phase.free;
    this.free[this.freeCount++] = row;
  }

  private dropParked(row: number, reason: number): void {
    const zone = this.rowZone[row];
    for (let stored = this.head[row]; stored !== NONE; ) {
      const after = this.store.next[stored];
      this.ownerBytes[this.rowOwner[row]] -= FrameStore.cost(this.store.length[stored]);
      this.store.free(stored);
      this.counters.add(zone, reason, 1);
      stored = after;
    }
    this.head[row] = NONE;
    this.tail[row] = NONE;
    if (this.isReleasing[row] === 1) {
      this.isReleasing[row] = 0;
      const { releasing } = this;
      let at = 0;
      while (releasing[at] !== row) {
        at++;
      }
      this.releasingCount--;
      releasing.copyWithin(at, at + 1, this.releasingCount + 1);
    }
  }

  private bucket(zone: number, source: number, destination: number, id: number): number {
    let hash = Math.imul(source ^ this.seed, 0x9e3779b1) ^ destination;
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) ^ id;
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) ^ zone;
    return (hash ^ (hash >>> 16)) & (BUCKETS - 1);
  }
}

/** N42, as far as one fragment shows it. */
function isSound(bytes: Uint8Array, at: number, ip: number, offset: number, length: number): boolean {
  const header = at - vnet.HEADER_BYTES;
  // An offload works on whole packets.
  if (((vnet.flags(bytes, header) & vnet.Flag.needsChecksum) | vnet.gsoType(bytes, header)) !== 0) {
    return false;
  }
  const more = ipv4.moreFragments(bytes, ip);
  if (
    length <= 0 ||
    (more && length % UNIT !== 0) ||
    ipv4.headerBytes(bytes, ip) + offset + length > DATAGRAM_BYTES_MAX ||
    ip - at !== ethernet.HEADER_BYTES
  ) {
    return false;
  }
  const l4 = ip + ipv4.headerBytes(bytes, ip);
  const protocol = ipv4.protocol(bytes, ip);
  if (offset > 0) {
    // RFC 1858, 3.2; RFC 3128: TCP flags that would be written over those of the first fragment.
    return protocol !== ipv4.Protocol.tcp || offset !== UNIT;
  }
  switch (protocol) {
    case ipv4.Protocol.tcp:
      return tcp.check(bytes, l4, length);
    case ipv4.Protocol.udp:
      return length >= udp.HEADER_BYTES;
    case ipv4.Protocol.icmp:
      return icmp.check(length);
    default:
      return true;
  }
}
