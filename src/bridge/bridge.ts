/**
 * The bridge: decides about every frame of a burst, in the fixed order of rule A.1.
 *
 *     frame ─▶ well formed? ─▶ source valid? ─▶ guard ─▶ learn ─▶ reserved? ─▶ ARP proxy ─▶ FDB ─┬─▶ one port
 *                                                                                                ├─▶ flood list
 *                                                                                                └─▶ gateway (gateway/gateway.ts)
 *
 * Pass one only: the outcome is a place on an egress list. Whether a flooded frame may leave a certain port is decided in pass two,
 * where that port's flags are at hand (engine/push.ts). Bytes of a bridged frame are never altered (L3).
 *
 * Frames come in bursts of one port, and bursts are mostly one conversation: the last source and the last destination are remembered
 * for the burst, so a stream costs two comparisons instead of two lookups.
 */
import { type Batch, MAX_FRAME_BYTES, VNET_BYTES } from '../core/batch.js';
import { BRIDGE, type BridgeCounters, PORT, type PortCounters } from '../core/counters.js';
import { validate } from '../offload/validate.js';
import { wirePackets } from '../offload/wire-packets.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import * as header from '../wire/ethernet-view.js';
import * as ipv4 from '../wire/ipv4.js';
import { isBroadcast, isGroup, isZero } from '../wire/mac-address.js';
import * as vlan from '../wire/vlan.js';
import * as vnet from '../wire/vnet-header.js';
import { ArpProxy } from './arp-proxy.js';
import { type Egress, FloodClass } from './egress.js';
import { EntryKind, Fdb, fdbKey, Learned } from './fdb.js';
import { NeighborTable } from './neighbor-table.js';
import { Notices } from './notices.js';
import { Flag, type PortTable } from './port-table.js';
import { SharedFdb } from './shared-fdb.js';
import { NEIGHBOR_LIMIT, type Sharing, sharedNeighbors } from './sharing.js';

/** No port: flood. */
const UNKNOWN = -1;

/** 01-80-C2-00-00-00 … 0F: for the bridges of one link, not relayed (IEEE 802.1Q table 8-1). */
function isReservedGroup(high: number, low: number): boolean {
  return high === 0x0180 && (low & ~0xf) === (0xc2000000 | 0);
}

export interface BridgeOptions {
  /** Seconds without traffic after which a learned MAC is forgotten; 0: never learn, always flood. */
  ageingSeconds: number;
  /** Learned MACs the table holds at most. */
  fdbLimit: number;
  /** Whether the bridge answers ARP requests for neighbors it knows. */
  arpProxy: boolean;
  /** Subnet whose addresses are learned and answered, or null for any. */
  subnet: { network: number; prefix: number } | null;
  /** Bit n lets 01-80-C2-00-00-0n pass. 0 passes whatever the mask says, 1 and 2 never do. */
  groupForwardMask: number;
}

/** A set of IPv4 addresses (gateway/address-set.ts). */
export interface AddressLookup {
  has(address: number): boolean;
}

export class Bridge {
  readonly index: number;
  readonly fdb: Fdb;
  readonly neighbors: NeighborTable;
  readonly arp: ArpProxy;
  readonly notices = new Notices();
  /** The host port when IPv4 frames to its MAC are the gateway's business, -1 when the host's own stack gets them all. */
  gatewayPort = -1;
  /** With a gateway: addresses of the host. Its stack forwards for others where it is told to; nobody gets in that way. */
  hostAddresses: AddressLookup | null = null;
  private readonly ports: PortTable;
  private readonly counters: BridgeCounters;
  private readonly portCounters: PortCounters;
  private groupForwardMask = 0;
  /** Whether this thread alone removes rows of the tables; so it is with one thread. */
  private readonly keeper: boolean;

  /** @param sharing what several threads have of this bridge in common; null: it is one thread's alone */
  constructor(
    index: number,
    options: BridgeOptions,
    ports: PortTable,
    counters: BridgeCounters,
    portCounters: PortCounters,
    sharing: Sharing | null = null,
  ) {
    const { fdbLimit, ageingSeconds, arpProxy } = options;
    this.index = index;
    this.keeper = sharing === null || sharing.keeper;
    this.ports = ports;
    this.counters = counters;
    this.portCounters = portCounters;
    if (sharing === null) {
      this.fdb = new Fdb(fdbLimit, ageingSeconds, ports.capacity);
      this.neighbors = new NeighborTable(NEIGHBOR_LIMIT);
    } else {
      this.fdb = new SharedFdb(sharing.memory.fdb, fdbLimit, ageingSeconds, ports.capacity);
      this.neighbors = new NeighborTable(NEIGHBOR_LIMIT, sharedNeighbors(sharing.memory));
    }
    const answers = sharing?.memory.answers;
    this.arp = new ArpProxy(index, arpProxy, ports, this.fdb, this.neighbors, this.notices, counters, portCounters, answers);
    this.configure(options);
  }

  /** @param memory of a larger FDB, when threads share it and the one there is does not hold the new limit */
  configure(options: Partial<BridgeOptions>, memory?: SharedArrayBuffer): void {
    if (options.ageingSeconds !== undefined) {
      this.fdb.ageing = options.ageingSeconds;
      if (options.ageingSeconds === 0 && this.keeper) {
        // L11: always flood, what was learned before included.
        this.fdb.flush();
      }
    }
    if (options.fdbLimit !== undefined) {
      this.fdb.setLimit(options.fdbLimit, memory, this.keeper);
    }
    if (options.arpProxy !== undefined) {
      this.arp.enabled = options.arpProxy;
    }
    if (options.subnet !== undefined) {
      this.arp.setSubnet(options.subnet);
    }
    if (options.groupForwardMask !== undefined) {
      // Bits 1 and 2 (PAUSE, slow protocols) are closed whatever the mask says, bit 0 (STP) is open as in a kernel bridge without STP.
      this.groupForwardMask = (options.groupForwardMask & ~0b110) | 0b001;
    }
  }

  /** Classifies frames [from, to) of the batch, all received on `port`, onto egress lists. */
  classify(batch: Batch, from: number, to: number, port: number, egress: Egress): void {
    const { bytes, view, at: ats, length: lengths } = batch;
    const { fdb, portCounters } = this;
    const seconds = batch.seconds;
    const flags = this.ports.flags[port];
    const trusting = (flags & (Flag.learning | Flag.locked)) === Flag.learning;
    let octets = 0;
    let frames = 0;
    let packets = 0;
    let unicast = 0;
    let flooded = 0;
    let routed = 0;
    const guarded = (flags & Flag.sourceGuard) !== 0;
    const owner = guarded ? this.ports.address[port] : 0;
    const sources = guarded && (flags & Flag.local) !== 0 ? this.hostAddresses : null;
    let sourceLow = 0;
    let sourceKey = -1;
    let sourceDenied = false;
    let targetLow = 0;
    let targetKey = -1;
    let target = UNKNOWN;

    for (let frame = from; frame < to; frame++) {
      const length = lengths[frame];
      if (length === 0) {
        continue;
      }
      frames++;
      octets += length;
      packets++;
      // Longer than any frame: the addon's slot has cut it.
      if (length < ethernet.HEADER_BYTES || length > MAX_FRAME_BYTES) {
        portCounters.add(port, PORT.rx_malformed, 1);
        continue;
      }
      const at = ats[frame];
      if ((vnet.flags(bytes, at - VNET_BYTES) | vnet.gsoType(bytes, at - VNET_BYTES)) !== 0) {
        if (validate(bytes, at, length) !== 0) {
          portCounters.add(port, PORT.rx_bad_vnet, 1);
          continue;
        }
        packets += wirePackets(bytes, at, length) - 1;
      }
      if ((flags & Flag.up) === 0) {
        portCounters.add(port, PORT.rx_port_down, 1);
        continue;
      }

      const low = header.sourceLow(view, at);
      const high = header.sourceHigh(view, at);
      if (isGroup(high) || isZero(high, low)) {
        portCounters.add(port, PORT.rx_src_invalid, 1);
        continue;
      }
      const type = header.etherType(view, at);
      let vid = 0;
      if (vlan.isTag(type)) {
        if (length < ethernet.HEADER_BYTES + vlan.TAG_BYTES) {
          portCounters.add(port, PORT.rx_malformed, 1);
          continue;
        }
        vid = vlan.vid(bytes, at, length);
      }

      if (
        (owner !== 0 && spoofed(batch, at, length, type, owner)) ||
        (sources !== null && isForwarded(batch, at, length, type, sources))
      ) {
        portCounters.add(port, PORT.rx_spoofed, 1);
        continue;
      }
      const key = fdbKey(vid, high);
      if (low !== sourceLow || key !== sourceKey) {
        sourceLow = low;
        sourceKey = key;
        // What is learned may be what the last destination missed.
        targetKey = -1;
        sourceDenied = !(trusting && fdb.refresh(low, key, port, seconds)) && !this.admit(low, key, port, flags, seconds);
      }
      if (sourceDenied) {
        portCounters.add(port, PORT.rx_guard, 1);
        continue;
      }

      const destinationHigh = header.destinationHigh(view, at);
      const destinationLow = header.destinationLow(view, at);
      if (isGroup(destinationHigh)) {
        if (isReservedGroup(destinationHigh, destinationLow) && ((this.groupForwardMask >> (destinationLow & 0xf)) & 1) === 0) {
          // A consumed frame has taught its source all the same (L18).
          portCounters.add(port, PORT.rx_reserved, 1);
          continue;
        }
        const broadcast = isBroadcast(destinationHigh, destinationLow);
        if (type === ethernet.EtherType.arp && this.arp.handle(batch, frame, port, egress)) {
          portCounters.add(port, PORT.arp_answered, 1);
          continue;
        }
        egress.toAll(batch, frame, this.index, broadcast ? FloodClass.broadcast : FloodClass.multicast);
        flooded++;
        continue;
      }
      if (type === ethernet.EtherType.arp) {
        // Unicast ARP is bridged; the proxy only takes note of it.
        this.arp.handle(batch, frame, port, egress);
      }
      const wanted = fdbKey(vid, destinationHigh);
      if (destinationLow !== targetLow || wanted !== targetKey) {
        targetLow = destinationLow;
        targetKey = wanted;
        target = fdb.lookup(destinationLow, wanted, seconds);
        if (target === UNKNOWN && vid !== 0 && fdb.isLocal(destinationLow, destinationHigh)) {
          // The gateway's address is its own in every VLAN (rule A.1, step 10).
          target = fdb.lookup(destinationLow, destinationHigh, seconds);
        }
      }
      if (target === UNKNOWN) {
        egress.toAll(batch, frame, this.index, FloodClass.unicast);
        flooded++;
      } else if (target === this.gatewayPort && type === ethernet.EtherType.ipv4) {
        egress.toGateway(batch, frame);
        routed++;
      } else {
        egress.toPort(batch, frame, target);
        unicast++;
      }
    }
    portCounters.add(port, PORT.rx_frames, frames);
    portCounters.add(port, PORT.rx_bytes, octets);
    portCounters.add(port, PORT.rx_packets, packets);
    portCounters.add(port, PORT.unicast, unicast);
    portCounters.add(port, PORT.flooded, flooded);
    portCounters.add(port, PORT.routed, routed);
  }

  /** Guard and learning (steps 6 and 7). Returns false when frames of this source must not enter. */
  private admit(low: number, key: number, port: number, flags: number, seconds: number): boolean {
    if ((flags & Flag.locked) !== 0 && this.fdb.kindOn(low, key, port, seconds) === 0) {
      return false;
    }
    const learning = (flags & Flag.learning) !== 0;
    if (!learning || key > 0xffff) {
      // In a VLAN the gateway's address has no entry of its own until the gateway speaks there.
      const untagged = key & 0xffff;
      if (this.fdb.isLocal(low, untagged) && this.fdb.kindOn(low, untagged, port, seconds) === 0) {
        return false;
      }
    }
    if (!learning) {
      return true;
    }
    switch (this.fdb.learn(low, key, port, this.ports.macLimit[port], seconds)) {
      case Learned.added:
        this.counters.add(this.index, BRIDGE.fdb_learned, 1);
        return true;
      case Learned.moved:
        this.counters.add(this.index, BRIDGE.fdb_moved, 1);
        this.notices.moved(key & 0xffff, low, key >>> 16, this.fdb.movedFrom, port);
        return true;
      case Learned.full:
        this.counters.add(this.index, BRIDGE.fdb_full, 1);
        this.notices.full();
        return true;
      case Learned.local:
        return false;
      default:
        return true;
    }
  }

  /** Frees expired entries, a slice at a time. Call about once a second; every row is seen within about ten calls. */
  sweep(seconds: number): void {
    if (!this.keeper) {
      return;
    }
    const aged = this.fdb.sweep(Math.ceil(this.fdb.rows / 10), seconds);
    this.counters.add(this.index, BRIDGE.fdb_aged, aged);
    this.neighbors.sweep(Math.ceil(this.neighbors.rows / 10), seconds);
  }

  /** Forgets what a port taught and, with `all`, everything it was known for; the neighbors behind these addresses too (L17, A14). */
  forgetPort(port: number, all: boolean): void {
    if (!this.keeper) {
      return;
    }
    // One FDB lookup a neighbor, not one walk over the neighbors for each of up to 65,536 MACs. As of second 0 nothing has expired:
    // neighbors of expired entries are forgotten too.
    this.neighbors.removeWhere((macLow, macHigh) => {
      const kind = this.fdb.kindOn(macLow, fdbKey(0, macHigh), port, 0);
      return kind === EntryKind.learned || (all && kind !== 0);
    }, all);
    this.fdb.removePort(port, all);
  }
}

/** Whether an IPv4 or ARP frame names another source than its port's own address. 0.0.0.0 is nobody's: who asks for an address has none yet. */
function spoofed(batch: Batch, at: number, length: number, type: number, owner: number): boolean {
  const packet = at + ethernet.HEADER_BYTES;
  let source = 0;
  if (type === ethernet.EtherType.ipv4) {
    source = length < ethernet.HEADER_BYTES + ipv4.HEADER_BYTES ? 0 : ipv4.source(batch.bytes, packet);
  } else if (type === ethernet.EtherType.arp) {
    source = length < ethernet.HEADER_BYTES + arp.PACKET_BYTES ? 0 : arp.senderIp(batch.bytes, packet);
  }
  return source !== owner && source !== 0;
}

/** Whether an IPv4 frame of the host port is none of the host's own: its stack routes it in. 0.0.0.0 is nobody's. */
function isForwarded(batch: Batch, at: number, length: number, type: number, sources: AddressLookup): boolean {
  if (type !== ethernet.EtherType.ipv4 || length < ethernet.HEADER_BYTES + ipv4.HEADER_BYTES) {
    return false;
  }
  const source = ipv4.source(batch.bytes, at + ethernet.HEADER_BYTES);
  return source !== 0 && !sources.has(source);
}
