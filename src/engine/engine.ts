/**
 * The engine: one loop that moves frames between ports.
 *
 *     ┌─▶ receive ─▶ pull ─▶ faults, rates, captures ─▶ classify, route (pass one) ─▶ push (pass two) ─▶ tick ─┐
 *     └─────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * `receive` is one native call: all ports with a descriptor, a burst each. With traffic it polls a while before it sleeps, because a
 * wake-up costs more than forwarding a frame; with none it sleeps in the kernel until a frame, a command or the next tick.
 *
 * The keeper of several engines takes, behind `pull`, what the others hand over for the gateway, and routes it behind its own (handover.ts).
 *
 * A pass runs to completion: when it ends, every frame is sent, dropped with a counted reason, or copied to a bounded place (a fault's
 * delay). Nothing refers to the arena any more, and the next receive starts over.
 *
 * Limits: 256 bridges, `maxPorts` ports; 512 frames of a port, 1,024 frames and 256 KiB in all received per pass (and what is read with the last
 * of them); 64 frames of a port in TypeScript and 256 in all made per pass; an arena of 4 MiB.
 */
import { Bridge, type BridgeOptions } from '../bridge/bridge.js';
import { Egress } from '../bridge/egress.js';
import { EntryKind, fdbKey } from '../bridge/fdb.js';
import { NO_BRIDGE, PortTable, UPLINK } from '../bridge/port-table.js';
import type { BridgeMemory } from '../bridge/sharing.js';
import { Batch } from '../core/batch.js';
import {
  BRIDGE_COUNTERS,
  type BridgeCounters,
  Counters,
  GATEWAY_COUNTERS,
  type GatewayCounters,
  LOOP_COUNTERS,
  type LoopCounters,
  PORT,
  PORT_COUNTERS,
  type PortCounters,
} from '../core/counters.js';
import { Transmit } from '../core/transmit.js';
import { AddressSet } from '../gateway/address-set.js';
import { Gateway, type GatewayOptions } from '../gateway/gateway.js';
import { FIRST_UPLINK, UPLINK_COUNT } from '../gateway/zones.js';
import { type BurstIo, type BurstIoOptions, Status } from '../native/binding.js';
import { errnoName } from '../native/system-error.js';
import type { Fault } from '../port/fault.js';
import type { Port } from '../port/port.js';
import { Awake } from './awake.js';
import { Captures } from './captures.js';
import { Handover } from './handover.js';
import { LoopTime } from './loop-time.js';
import { Ports } from './ports.js';
import { MAX_BRIDGES, type RateSettings, type ThreadPlace } from './protocol.js';
import { Push } from './push.js';
import { Rates } from './rates.js';

const SECOND = 1_000_000;

/** What a port in TypeScript may give to one pass. */
const PULL_FRAMES = 64;

/** How long the keeper waits at most while frames wait for a next hop: another thread may learn it without telling. */
const LOOK_MICROS = 10_000;

export interface EngineOptions {
  io: BurstIo;
  /** What `io` was made with. */
  ioOptions: BurstIoOptions;
  /** Which of several engines over the same bridges this is (engine-group.ts); default: the only one. */
  place?: ThreadPlace;
  /** Microseconds of polling after traffic before the engine sleeps. */
  spinMicros?: number;
  /** Keeps idle cores awake while there is traffic; default: they sleep. */
  awake?: Awake;
  portCounters?: PortCounters;
  bridgeCounters?: BridgeCounters;
  gatewayCounters?: GatewayCounters;
  /** A row for each engine; this one writes that of its place. */
  loopCounters?: LoopCounters;
  /** Ends the sleep of the engine thread with this waker; for engines with a place. Default: nothing sleeps. */
  wake?: (waker: number) => void;
  /** A capture's ring has frames for its reader. */
  onCaptured?: (capture: number) => void;
  /** About once a second, between two passes. */
  onTick?: () => void;
}

/** How a port is attached; see `PortSettings` for the meaning of each. */
export interface Attachment {
  bridge: number;
  flags: number;
  mtu: number;
  macLimit: number;
  /** The number had this port before, and goes on counting. */
  keepCounters?: boolean;
}

export class Engine {
  readonly batch: Batch;
  readonly table: PortTable;
  readonly captures: Captures;
  readonly bridges: (Bridge | null)[];
  readonly portCounters: PortCounters;
  readonly bridgeCounters: BridgeCounters;
  readonly gatewayCounters: GatewayCounters;
  readonly loopCounters: LoopCounters;
  /** The routed side of all bridges; null until one has an uplink. */
  gateway: Gateway | null = null;
  /** Addresses of the host, in a thread that does not route; the gateway has its own. */
  readonly hostAddresses = new AddressSet();
  /** Ports that are not to send or get as much as they like. */
  readonly rates: Rates;
  readonly place: ThreadPlace;
  /** Pairs (port, errno) of ports that failed in the last pass. */
  readonly errors: Int32Array;
  private readonly io: BurstIo;
  private readonly status: Float64Array;
  private readonly loop: LoopTime;
  private readonly spinMicros: number;
  private readonly awake: Awake;
  private readonly ports: Ports;
  private readonly egress: Egress;
  private readonly ring: Transmit;
  private readonly push: Push;
  /** Null where there is one thread. */
  private readonly handover: Handover | null;
  private readonly onTick: () => void;
  private nextTick = 0;
  /** Place in the list of polled ports where the next pass begins. */
  private firstPolled = 0;
  private active = false;
  /** Ports added since `hold`; null: ports are read from the start. */
  private held: number[] | null = null;
  /** When the keeper looks for what another thread has learned, if no frame comes before. */
  private nextLook = Number.POSITIVE_INFINITY;

  constructor(options: EngineOptions) {
    const { io, ioOptions } = options;
    const { maxPorts, batchFrames, receiveBytes, arenaBytes } = ioOptions;
    const madeTo = receiveBytes + ((arenaBytes - receiveBytes) >> 1);
    this.io = io;
    this.place = options.place ?? { index: 0, count: 1 };
    this.status = new Float64Array(io.status);
    this.errors = new Int32Array(io.errors);
    this.onTick = options.onTick ?? (() => {});
    this.spinMicros = options.spinMicros ?? 50;
    this.awake = options.awake ?? new Awake(null);
    this.portCounters = options.portCounters ?? new Counters(PORT_COUNTERS, maxPorts);
    this.bridgeCounters = options.bridgeCounters ?? new Counters(BRIDGE_COUNTERS, MAX_BRIDGES);
    this.gatewayCounters = options.gatewayCounters ?? new Counters(GATEWAY_COUNTERS, FIRST_UPLINK + UPLINK_COUNT);
    this.loopCounters = options.loopCounters ?? new Counters(LOOP_COUNTERS, this.place.count);
    this.loop = new LoopTime(this.loopCounters, this.place.index, this.status, this.awake);
    this.batch = new Batch(io.arena, io.received, batchFrames, receiveBytes, madeTo);
    this.table = new PortTable(maxPorts);
    this.ports = new Ports(maxPorts, MAX_BRIDGES);
    this.rates = new Rates(maxPorts, this.portCounters, this.place.buckets ?? null);
    this.bridges = new Array<Bridge | null>(MAX_BRIDGES).fill(null);
    this.egress = new Egress(maxPorts, MAX_BRIDGES);
    this.handover = this.openHandover(options.wake ?? (() => {}));
    this.captures = new Captures(this.table.bridge, this.place, options.onCaptured ?? (() => {}));
    this.push = new Push(io, batchFrames, this.table, this.ports, this.rates, this.portCounters, this.captures);
    this.ring = new Transmit(io.arena, io.transmit, madeTo, arenaBytes, this.push);
  }

  /** Monotonic seconds of the last pass. */
  get seconds(): number {
    return this.batch.seconds;
  }

  /** Whether this is the engine that removes what the tables hold. */
  get isKeeper(): boolean {
    return this.place.index === 0;
  }

  /** @param memory what several engines share of the bridge; absent: it is this engine's alone */
  addBridge(index: number, options: BridgeOptions, memory?: BridgeMemory): void {
    if (this.bridges[index] !== null) {
      throw new RangeError(`engine: bridge number ${index} is taken or out of range`);
    }
    this.bridgeCounters.clear(index);
    this.gatewayCounters.clear(index);
    const sharing = memory === undefined ? null : { memory, keeper: this.isKeeper };
    this.bridges[index] = new Bridge(index, options, this.table, this.bridgeCounters, this.portCounters, sharing);
  }

  /** @throws Error when there is one */
  openGateway(options: Omit<GatewayOptions, 'ports' | 'bridges' | 'counters' | 'portCounters'>): Gateway {
    if (this.gateway !== null) {
      throw new Error('engine: the gateway is open');
    }
    const { table: ports, bridges, gatewayCounters: counters, portCounters } = this;
    this.gateway = new Gateway({ ...options, ports, bridges, counters, portCounters });
    return this.gateway;
  }

  /** Removes a bridge with all its ports. */
  removeBridge(index: number): void {
    this.gateway?.settings.setBridge(index, null, this.seconds);
    for (const port of this.ports.ofBridge(index)) {
      this.removePort(port);
    }
    this.bridges[index] = null;
  }

  /** @throws RangeError for a number out of range or taken; Error when the addon refuses the descriptor */
  addPort(number: number, port: Port, attachment: Attachment): void {
    const known = attachment.bridge === UPLINK ? this.gateway !== null : (this.bridges[attachment.bridge] ?? null) !== null;
    if (this.table.bridge[number] !== NO_BRIDGE || !known) {
      throw new RangeError(
        `engine: port number ${number} is taken or out of range, or bridge ${attachment.bridge} does not exist`,
      );
    }
    if (port.descriptor >= 0) {
      if (this.held !== null) this.held.push(number);
      else {
        const result = this.listen(number, port);
        if (result < 0) {
          throw new Error(`engine: the addon refused descriptor ${port.descriptor} for port ${number} (${errnoName(-result)})`);
        }
      }
    }
    if (attachment.keepCounters !== true) this.portCounters.clear(number);
    this.table.bridge[number] = attachment.bridge;
    this.table.flags[number] = attachment.flags;
    this.table.mtu[number] = attachment.mtu;
    this.table.macLimit[number] = attachment.macLimit;
    this.ports.add(number, attachment.bridge, port);
  }

  /**
   * From now on, ports that are added are not read: their frames wait in the kernel. So none is lost because the port it is for comes later; an ARP
   * request would not come again for a second.
   */
  hold(): void {
    this.held ??= [];
  }

  /** Reads the ports that were added since `hold`. @returns those whose descriptor the addon refused, with the errno */
  release(): { port: number; errno: number }[] {
    const failed: { port: number; errno: number }[] = [];
    for (const number of this.held ?? []) {
      const port = this.ports.port[number];
      const result = port === null ? 0 : this.listen(number, port);
      if (result < 0) failed.push({ port: number, errno: -result });
    }
    this.held = null;
    return failed;
  }

  private listen(number: number, port: Port): number {
    return this.io.add(number, port.descriptor, port.descriptorKind, port.headerBytes);
  }

  /** Removes a port and forgets what it was known for. Unknown numbers are ignored. */
  removePort(number: number): void {
    const bridge = this.table.bridge[number];
    if (bridge === NO_BRIDGE || bridge === undefined) {
      return;
    }
    if ((this.ports.port[number]?.descriptor ?? -1) >= 0) {
      if (this.held?.includes(number) === true) this.held.splice(this.held.indexOf(number), 1);
      else this.io.remove(number);
    }
    this.bridges[bridge]?.forgetPort(number, true);
    this.gateway?.settings.forgetPort(number, this.seconds);
    this.ports.remove(number, bridge);
    this.rates.remove(number);
    this.table.remove(number);
  }

  setFault(port: number, fault: Fault | null): void {
    this.ports.setFault(port, fault);
  }

  setRates(port: number, rates: RateSettings): void {
    this.rates.set(port, rates, this.batch.now);
  }

  /**
   * Pins an address to a port: a static entry, or the gateway's own. Returns false when the table has no room for it.
   * @throws RangeError when the port is not one of the bridge: bridges share nothing
   */
  pin(bridge: number, vlan: number, macHigh: number, macLow: number, port: number, kind: EntryKind = EntryKind.static): boolean {
    if (bridge < 0 || this.table.bridge[port] !== bridge) {
      throw new RangeError(`engine: port number ${port} is not on bridge ${bridge}`);
    }
    return this.bridges[bridge]?.fdb.pin(macLow, fdbKey(vlan, macHigh), port, kind) ?? false;
  }

  /**
   * One pass. Blocks for at most `sleepMicros` (-1: until the next tick) when there is nothing to do. Returns the frames handled.
   */
  step(sleepMicros: number): number {
    const { batch, status, handover } = this;
    const keeps = handover !== null && this.isKeeper;
    const handed = keeps && handover.doze();
    const received = handed
      ? this.io.receive(0, 0, false)
      : this.io.receive(this.active ? this.spinMicros : 0, this.sleepLimit(sleepMicros), this.awake.on);
    if (keeps) handover.rise();
    batch.begin(Math.max(0, received), status[Status.now]);
    this.pull();
    const own = batch.count;
    if (keeps) handover.pull(batch);
    const count = batch.count;
    this.active = count > 0;
    this.loop.handled(count);
    this.awake.pass(count, batch.now);
    const ticks = batch.now >= this.nextTick;
    const waits = this.ports.faulty.length > 0 || this.rates.shaped.length > 0;
    if (count > 0 || waits || (this.gateway !== null && batch.now >= this.gatewayDue())) {
      this.classify(own, count);
      this.gateway?.settle(batch, this.egress);
      if (keeps)
        this.nextLook = (this.gateway?.resolver.parkedFrames ?? 0) > 0 ? batch.now + LOOK_MICROS : Number.POSITIVE_INFINITY;
      this.push.run(batch, this.egress, this.ring);
      this.egress.clear();
      this.captures.endBatch(batch);
    }
    if (ticks) {
      this.tick();
    }
    return count;
  }

  /** The port of this number, or null. */
  port(number: number): Port | null {
    return this.ports.port[number] ?? null;
  }

  /** Whether somebody woke the engine since the last pass: there are commands. */
  get woken(): boolean {
    return this.status[Status.woken] !== 0;
  }

  /** Ports that failed in the last pass; see `errors`. */
  get failedPorts(): number {
    return this.status[Status.errors];
  }

  close(): void {
    for (let index = 0; index < this.bridges.length; index++) {
      if (this.bridges[index] !== null) {
        this.removeBridge(index);
      }
    }
    this.awake.close();
    this.io.close();
  }

  private sleepLimit(asked: number): number {
    if (asked === 0) {
      return 0;
    }
    const now = this.batch.now;
    let due = this.gateway === null ? this.nextTick : Math.min(this.nextTick, this.gatewayDue());
    for (const port of this.ports.polled) {
      due = Math.min(due, this.ports.port[port]?.nextDue(now) ?? due);
    }
    for (const port of this.ports.faulty) {
      due = Math.min(due, this.ports.fault[port]?.nextDue(now) ?? due);
    }
    if (this.rates.shaped.length > 0) due = Math.min(due, this.rates.nextDue());
    due = Math.min(due, this.awake.due);
    const wait = Math.max(0, due - now);
    return asked < 0 ? wait : Math.min(wait, asked);
  }

  /** Frames of ports in TypeScript join the batch; then faults and rates act on everything that came in. */
  private pull(): void {
    const { batch, ports } = this;
    const polled = ports.polled;
    const first = this.firstPolled;
    this.firstPolled = 0;
    for (let turn = 0; turn < polled.length; turn++) {
      const index = (first + turn) % polled.length;
      const before = batch.count;
      ports.port[polled[index]]?.pull(batch, polled[index], PULL_FRAMES);
      if (batch.refused) {
        // The batch is full: the next pass begins behind the port that filled it, or that port would have every pass for itself.
        this.firstPolled = batch.count > before ? index + 1 : index;
        break;
      }
    }
    if (ports.faulty.length > 0) this.spoil();
    if (this.rates.shaped.length > 0) this.slowDown();
  }

  /** Faults act on what came in. */
  private spoil(): void {
    const { batch, ports } = this;
    const count = batch.count;
    for (let from = 0; from < count; ) {
      const port = batch.ingress[from];
      const to = runEnd(batch, from, count);
      const fault = ports.fault[port];
      if (fault !== null) {
        const before = fault.lostFrames;
        fault.ingress(batch, from, to);
        const lost = fault.lostFrames - before;
        this.portCounters.add(port, PORT.rx_frames, lost);
        this.portCounters.add(port, PORT.rx_fault, lost);
      }
      from = to;
    }
    for (let index = 0; index < ports.faulty.length; index++) {
      const port = ports.faulty[index];
      ports.fault[port]?.release(batch, port);
    }
  }

  /** What is faster than its port may send waits, or is dropped. */
  private slowDown(): void {
    const { batch, rates } = this;
    const count = batch.count;
    for (let from = 0; from < count; ) {
      const to = runEnd(batch, from, count);
      rates.out[batch.ingress[from]]?.receive(batch, from, to);
      from = to;
    }
    for (let index = 0; index < rates.shaped.length; index++) {
      rates.out[rates.shaped[index]]?.release(batch);
    }
  }

  /** Frames below `own` came in here, those below `count` by another thread. Made ones (ARP answers) follow behind: they are on their list already. */
  private classify(own: number, count: number): void {
    const { batch, table, bridges, gateway, handover } = this;
    for (let from = 0; from < own; ) {
      const port = batch.ingress[from];
      const to = runEnd(batch, from, own);
      const bridge = bridges[table.bridge[port]];
      if (bridge !== null && bridge !== undefined) {
        this.captures.onReceive(batch, port, from, to);
        bridge.classify(batch, from, to, port, this.egress);
        if (this.egress.gateway.touchedCount > 0) {
          if (gateway !== null) gateway.forward(batch, this.egress);
          else handover?.give(batch, this.egress, port);
          this.egress.gateway.clear();
        }
      } else if (table.bridge[port] === UPLINK) {
        gateway?.receive(batch, from, to, port, this.egress);
      }
      from = to;
    }
    if (handover === null) {
      return;
    }
    if (gateway !== null) handover.route(batch, own, count, gateway, this.egress);
    else handover.tell();
  }

  /** When the gateway has something to do without a frame. */
  private gatewayDue(): number {
    const { gateway } = this;
    if (gateway === null) {
      return Number.POSITIVE_INFINITY;
    }
    return Math.min(gateway.nextDue, this.nextLook);
  }

  private openHandover(wake: (waker: number) => void): Handover | null {
    const { place, table, bridges, gatewayCounters, io } = this;
    const { handover } = place;
    return handover === undefined ? null : new Handover(place, handover, table, bridges, gatewayCounters, io.waker, wake);
  }

  private tick(): void {
    this.nextTick = this.batch.now + SECOND;
    for (const bridge of this.bridges) {
      bridge?.sweep(this.batch.seconds);
    }
    this.gateway?.tick(this.batch.seconds);
    this.rates.tidy();
    this.loop.tick();
    this.onTick();
  }
}

/** First frame at or behind `from` that came from another port. */
function runEnd(batch: Batch, from: number, count: number): number {
  const port = batch.ingress[from];
  let to = from + 1;
  while (to < count && batch.ingress[to] === port) {
    to++;
  }
  return to;
}
