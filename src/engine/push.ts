/**
 * Push: pass two. Visits every port that a list of pass one touches, merges its unicast list with the flood list of its bridge by frame
 * number, asks the port's flags (rule A.1, step 12), and describes what passes in the transmit ring in a form the port takes.
 *
 *     unicast[port] ─┐
 *                    ├─ merge ─▶ filter ─▶ rate, faults ─▶ captures ─┬─ merge datagrams (port with vnet header)  ─┐
 *     flood[bridge] ─┘                                               └─ segment, checksum (port without)         ─┴─▶ ring ─▶ kernel or port
 *
 * A port that cannot take more loses its own frames, counted; nobody waits for it (rule A.1, step 13).
 */
import { type Egress, FloodClass } from '../bridge/egress.js';
import { Flag, type PortTable } from '../bridge/port-table.js';
import { type Batch, VNET_BYTES } from '../core/batch.js';
import { PORT, type PortCounters } from '../core/counters.js';
import type { Transmit } from '../core/transmit.js';
import type { BurstIo } from '../native/binding.js';
import { emitCoalesced } from '../offload/coalesce.js';
import { emitPlain } from '../offload/emit-plain.js';
import { LINK_BYTES, largestPacketBytes, wirePackets } from '../offload/wire-packets.js';
import * as vnet from '../wire/vnet-header.js';
import type { Captures } from './captures.js';
import { txCounterOf } from './errno-policy.js';
import type { Ports } from './ports.js';
import type { Rates } from './rates.js';

/** Egress flag of each flood class, by class number. */
const FLAG_OF_CLASS = new Int32Array(3);
FLAG_OF_CLASS[FloodClass.unicast] = Flag.floodUnicast;
FLAG_OF_CLASS[FloodClass.multicast] = Flag.floodMulticast;
FLAG_OF_CLASS[FloodClass.broadcast] = Flag.floodBroadcast;

const NOT_FLOODED = -1;

export class Push {
  private readonly io: BurstIo;
  private readonly failures: Int32Array;
  private readonly table: PortTable;
  private readonly ports: Ports;
  private readonly rates: Rates;
  private readonly counters: PortCounters;
  private readonly captures: Captures;
  private readonly order: Int32Array;
  /** Pass in which a port was visited last. */
  private readonly visited: Int32Array;
  private pass = 0;
  /** Port in TypeScript whose descriptors start at `sinkFrom`, or -1: then all of the ring is the addon's. */
  private sink = -1;
  private sinkFrom = 0;

  constructor(
    io: BurstIo,
    batchCapacity: number,
    table: PortTable,
    ports: Ports,
    rates: Rates,
    counters: PortCounters,
    captures: Captures,
  ) {
    this.io = io;
    this.failures = new Int32Array(io.failures);
    this.table = table;
    this.ports = ports;
    this.rates = rates;
    this.counters = counters;
    this.captures = captures;
    this.order = new Int32Array(batchCapacity);
    this.visited = new Int32Array(table.capacity);
  }

  /** Sends everything on the lists. */
  run(batch: Batch, egress: Egress, ring: Transmit): void {
    const { unicast, flood } = egress;
    this.pass = (this.pass + 1) | 0;
    if (this.pass === 0) {
      // After 2^32 passes: a port visited in none since would look visited.
      this.visited.fill(0);
      this.pass = 1;
    }
    for (let index = 0; index < flood.touchedCount; index++) {
      const bridge = flood.touched[index];
      const members = this.ports.ofBridge(bridge);
      for (let member = 0; member < members.length; member++) {
        const port = members[member];
        this.visited[port] = this.pass;
        this.send(batch, port, unicast.head[port], flood.head[bridge], ring);
      }
    }
    for (let index = 0; index < unicast.touchedCount; index++) {
      const port = unicast.touched[index];
      if (this.visited[port] !== this.pass) {
        this.visited[port] = this.pass;
        this.send(batch, port, unicast.head[port], -1, ring);
      }
    }
    // A fault or a shaper may owe frames to a port that nothing else touches.
    this.sendOwed(batch, this.ports.faulty, ring);
    this.sendOwed(batch, this.rates.shaped, ring);
    if (ring.used > 0) {
      this.flush(ring);
    }
  }

  /** Sends what the ring holds; also called by the ring when it is full. */
  flush(ring: Transmit): void {
    const native = this.sink < 0 ? ring.used : this.sinkFrom;
    if (native > 0) {
      const failed = this.io.send(native);
      for (let index = 0; index < failed; index++) {
        this.countFailure(ring, this.failures[2 * index], this.failures[2 * index + 1]);
      }
    }
    if (this.sink >= 0) {
      this.deliver(ring, this.sinkFrom);
      this.sinkFrom = 0;
    }
    ring.clear();
  }

  private sendOwed(batch: Batch, ports: readonly number[], ring: Transmit): void {
    for (let index = 0; index < ports.length; index++) {
      const port = ports[index];
      if (this.visited[port] !== this.pass) {
        this.visited[port] = this.pass;
        this.send(batch, port, -1, -1, ring);
      }
    }
  }

  private send(batch: Batch, port: number, unicastHead: number, floodHead: number, ring: Transmit): void {
    let count = this.merge(batch, port, unicastHead, floodHead);
    const shaper = this.rates.in[port];
    if (shaper !== null) {
      count = shaper.send(batch, this.order, count);
    }
    const fault = this.ports.fault[port];
    if (fault !== null) {
      const before = fault.lostFrames;
      count = fault.egress(batch, this.order, count);
      this.counters.add(port, PORT.tx_fault, fault.lostFrames - before);
    }
    if (count === 0) {
      return;
    }
    this.captures.onSend(batch, port, this.order, count);
    this.countSent(batch, port, count);
    const target = this.ports.port[port];
    if (target === null) {
      return;
    }
    if (target.descriptor < 0) {
      this.sink = port;
      this.sinkFrom = ring.used;
    }
    const { bytes, ingress, at, length } = batch;
    const lost =
      target.headerBytes === VNET_BYTES
        ? emitCoalesced(bytes, ingress, at, length, this.order, count, port, ring, target.udpSegmentation)
        : emitPlain(bytes, at, length, this.order, count, port, ring);
    if (lost > 0) {
      this.counters.add(port, PORT.tx_unsegmentable, lost);
      this.counters.add(port, PORT.tx_frames, -lost);
    }
    if (this.sink >= 0) {
      this.deliver(ring, this.sinkFrom);
      ring.used = this.sinkFrom;
      this.sink = -1;
    }
  }

  /** Fills `order` with the frames that may leave through a port. */
  private merge(batch: Batch, port: number, unicastHead: number, floodHead: number): number {
    const { next, floodClass, ingress } = batch;
    const order = this.order;
    const flags = this.table.flags[port];
    let unicast = unicastHead;
    let flood = floodHead;
    let count = 0;
    let copies = 0;
    while (unicast >= 0 || flood >= 0) {
      let frame = unicast;
      let kind = NOT_FLOODED;
      if (unicast < 0 || (flood >= 0 && flood < unicast)) {
        frame = flood;
        kind = floodClass[frame];
        flood = next[frame];
        if (ingress[frame] === port && (flags & Flag.hairpin) === 0) {
          continue;
        }
        copies++;
      } else {
        unicast = next[frame];
      }
      const drop = this.objection(batch, frame, kind, port, flags);
      if (drop === 0) {
        order[count++] = frame;
      } else {
        this.counters.add(port, drop, 1);
      }
    }
    this.counters.add(port, PORT.flood_copies, copies);
    return count;
  }

  /** The drop counter that keeps a frame from leaving through a port, or 0 (which counts frames received: never a drop). */
  private objection(batch: Batch, frame: number, kind: number, port: number, flags: number): number {
    if ((flags & Flag.up) === 0) {
      return PORT.tx_port_down;
    }
    const ingress = batch.ingress[frame];
    // The gateway's addresses are known: what is unknown is not for it (rule A.1, step 10).
    if (kind === FloodClass.unicast && (flags & Flag.local) !== 0) {
      return PORT.tx_filtered;
    }
    if (ingress >= 0) {
      const from = this.table.flags[ingress];
      if ((ingress === port && (flags & Flag.hairpin) === 0) || (from & flags & Flag.isolated) !== 0) {
        return PORT.tx_filtered;
      }
      // What the gateway floods is bound by the flag for unknown unicast only (L2).
      if (
        kind !== NOT_FLOODED &&
        (flags & FLAG_OF_CLASS[kind]) === 0 &&
        ((from & Flag.local) === 0 || kind === FloodClass.unicast)
      ) {
        return PORT.tx_filtered;
      }
    }
    // No packet in a frame is longer than the frame without its link header: only longer ones are worth a closer look (L40).
    const mtu = this.table.mtu[port];
    if (batch.length[frame] - LINK_BYTES > mtu && largestPacketBytes(batch.bytes, batch.at[frame], batch.length[frame]) > mtu) {
      return PORT.tx_too_big;
    }
    return 0;
  }

  private countSent(batch: Batch, port: number, count: number): void {
    const { bytes, at, length } = batch;
    let octets = 0;
    let packets = count;
    for (let index = 0; index < count; index++) {
      const frame = this.order[index];
      octets += length[frame];
      if (vnet.gsoType(bytes, at[frame] - VNET_BYTES) !== 0) {
        packets += wirePackets(bytes, at[frame], length[frame]) - 1;
      }
    }
    this.counters.add(port, PORT.tx_frames, count);
    this.counters.add(port, PORT.tx_bytes, octets);
    this.counters.add(port, PORT.tx_packets, packets);
  }

  /** Hands descriptors from `from` on to a port that lives in TypeScript. */
  private deliver(ring: Transmit, from: number): void {
    const port = this.sink;
    const target = this.ports.port[port];
    const lost = target === null ? 0 : target.deliver(ring, from, ring.used);
    if (lost > 0) {
      this.counters.add(port, PORT.tx_full, lost);
      this.counters.add(port, PORT.tx_frames, -lost);
    }
  }

  private countFailure(ring: Transmit, word: number, errno: number): void {
    const port = ring.words[word];
    const frames = ring.framesAt[word];
    const counter = txCounterOf(errno);
    if (frames === 0) {
      this.counters.add(port, PORT.tx_partial, 1);
    } else {
      this.counters.add(port, counter, frames);
      this.counters.add(port, PORT.tx_frames, -frames);
    }
    this.counters.add(port, PORT.tx_packets, -ring.packetsAt[word]);
  }
}
