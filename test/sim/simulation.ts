/**
 * An engine without a kernel: bridges, memory ports with a program at each far end, a clock turned by hand. With TAPBRIDGE_TEST_THREADS it is several
 * engines over shared tables, which take turns pass by pass: what one learns the next one needs.
 */
import { expect } from 'vitest';
import type { Bridge, BridgeOptions } from '../../src/bridge/bridge.js';
import { EntryKind, type FdbEntry } from '../../src/bridge/fdb.js';
import { ManualClock } from '../../src/core/clock.js';
import {
  BRIDGE_COUNTERS,
  CounterSum,
  DROP_REASONS,
  type DropReason,
  PORT_COUNTERS,
  type PortCounter,
} from '../../src/core/counters.js';
import { HandoverRing } from '../../src/core/handover-ring.js';
import { burstIoOptions } from '../../src/engine/burst-io-options.js';
import { execute, flagBits } from '../../src/engine/commands.js';
import { Engine } from '../../src/engine/engine.js';
import {
  type CommandAnswer,
  type CommandArguments,
  type CommandName,
  DEFAULT_BRIDGE_SETTINGS,
  DEFAULT_PORT_FLAGS,
  type PortFlags,
} from '../../src/engine/protocol.js';
import { Rates } from '../../src/engine/rates.js';
import { Distribution } from '../../src/engine/scope.js';
import { SimulatedIo } from '../../src/engine/simulated-io.js';
import { Fault } from '../../src/port/fault.js';
import type { FaultSettings } from '../../src/port/fault-settings.js';
import { type MemoryFrame, type MemoryOptions, type MemoryPeer, memoryPair } from '../../src/port/memory-port.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { formatMac, parseMac } from '../../src/wire/mac-address.js';
import { THREADS } from '../helpers/threads.js';
import { BROADCAST, frame, macOf } from './frames.js';

export interface PortOptions extends MemoryOptions {
  bridge?: number;
  flags?: Partial<PortFlags>;
  mtu?: number;
  macLimit?: number;
  /** Pinned to the port, with the neighbor when `ip` is given. */
  mac?: string;
  ip?: string;
  /** The gateway's own port. */
  local?: boolean;
}

/** A port and the program at its far end. */
export class SimulatedPort {
  readonly number: number;
  private readonly simulation: Simulation;
  private readonly peer: MemoryPeer;

  constructor(simulation: Simulation, number: number, peer: MemoryPeer) {
    this.simulation = simulation;
    this.number = number;
    this.peer = peer;
  }

  /** Puts frames on the cable; `run` lets the engine see them. */
  queue(...frames: (Uint8Array | MemoryFrame)[]): void {
    for (const each of frames) {
      const taken = each instanceof Uint8Array ? this.peer.send(each) : this.peer.send(each.frame, each.vnet);
      expect(taken, 'room in the queue towards the bridge').toBe(true);
    }
  }

  /** Puts frames on the cable and lets the engine handle them. */
  send(...frames: (Uint8Array | MemoryFrame)[]): void {
    this.queue(...frames);
    this.simulation.run();
  }

  /** What has come out since the last call, with vnet headers. */
  takeWhole(): MemoryFrame[] {
    const taken: MemoryFrame[] = [];
    for (let next = this.peer.receive(); next !== undefined; next = this.peer.receive()) {
      taken.push(next);
    }
    return taken;
  }

  /** What has come out since the last call. */
  take(): Uint8Array[] {
    return this.takeWhole().map(({ frame }) => frame);
  }

  count(counter: PortCounter): number {
    return this.simulation.portCounters.snapshot(this.number)[counter];
  }

  set(flags: Partial<PortFlags>): void {
    this.simulation.execute('set-port', { port: this.number, flags });
  }

  remove(): void {
    this.simulation.execute('remove-port', { port: this.number });
  }
}

export class Simulation {
  readonly clock = new ManualClock();
  readonly engines: readonly Engine[];
  readonly ports: SimulatedPort[] = [];
  readonly portCounters: CounterSum<PortCounter>;
  private readonly distribution: Distribution;
  private turn = 0;

  constructor(settings: Partial<BridgeOptions> = {}, maxPorts = 64) {
    const ioOptions = burstIoOptions(maxPorts);
    this.clock.advanceSeconds(1000);
    this.distribution = new Distribution(THREADS, maxPorts);
    const handover = Array.from({ length: THREADS - 1 }, () => HandoverRing.allocate());
    const buckets = Rates.allocate(maxPorts);
    this.engines = Array.from({ length: THREADS }, (_, index) => {
      const place = { index, count: THREADS, ...(THREADS > 1 && { handover, buckets }) };
      return new Engine({ io: new SimulatedIo(ioOptions, this.clock), ioOptions, place });
    });
    this.portCounters = new CounterSum(
      PORT_COUNTERS,
      this.engines.map(({ portCounters }) => portCounters),
    );
    this.addBridge(0, settings);
  }

  /** The only engine, or the keeper of the tables. */
  get engine(): Engine {
    return this.engines[0];
  }

  /** What the main thread would have all engines do. */
  execute<Name extends CommandName>(name: Name, args: CommandArguments<Name>): CommandAnswer<Name> {
    let answer: unknown = null;
    for (const order of this.distribution.orders(name, args)) {
      const own = execute(this.engines[order.thread], order.name, order.args);
      if (order.thread === 0) answer = own;
    }
    return answer as CommandAnswer<Name>;
  }

  addBridge(index: number, settings: Partial<BridgeOptions> = {}): void {
    this.execute('add-bridge', { bridge: index, settings: { ...DEFAULT_BRIDGE_SETTINGS, ...settings } });
  }

  get bridge(): Bridge {
    return this.engine.bridges[0] as Bridge;
  }

  port(options: PortOptions = {}): SimulatedPort {
    const { bridge = 0, flags = {}, mtu = 1500, macLimit = 0, local = false, mac, ip, ...memory } = options;
    const { port, peer } = memoryPair(memory);
    const number = this.ports.length;
    const bits = flagBits({ ...DEFAULT_PORT_FLAGS, ...flags }, local);
    // One queue for all engines: who has the next turn takes what is next.
    for (const engine of this.engines) engine.addPort(number, port, { bridge, flags: bits, mtu, macLimit });
    if (mac !== undefined) {
      const { high, low } = parseMac(mac);
      this.engine.pin(bridge, 0, high, low, number, local ? EntryKind.local : EntryKind.static);
      if (ip !== undefined) {
        this.engine.bridges[bridge]?.neighbors.pin(parseIpv4(ip), low, high);
        for (const engine of this.engines) engine.table.address[number] = local ? 0 : parseIpv4(ip);
      }
    }
    const made = new SimulatedPort(this, number, peer);
    this.ports.push(made);
    return made;
  }

  /** Puts a bad cable on a port. */
  fault(port: SimulatedPort, settings: FaultSettings): void {
    for (const engine of this.engines) engine.setFault(port.number, new Fault(settings));
  }

  /** Passes of the engine until it has nothing left to do. */
  run(): void {
    for (let pass = 0, idle = 0; idle < this.engines.length; pass++) {
      idle = this.step() > 0 ? 0 : idle + 1;
      expect(pass, 'passes of the engine').toBeLessThan(10_000);
    }
  }

  /** One pass of the engine whose turn it is. */
  step(): number {
    return this.engines[this.turn++ % this.engines.length].step(0);
  }

  /** Lets time go by, a pass of the engine each second. */
  wait(seconds: number): void {
    for (let second = 0; second < seconds; second++) {
      this.clock.advanceSeconds(1);
      this.run();
    }
  }

  /** Everything that has come out of every port since it was last taken, by port number. */
  takeAll(): Uint8Array[][] {
    return this.ports.map((port) => port.take());
  }

  /** How many frames have come out of each port since they were last taken. */
  takeCounts(): number[] {
    return this.takeAll().map((frames) => frames.length);
  }

  /** The FDB as `mac → port`, with `/vlan` behind the MAC where it has one. */
  fdb(bridge = 0): Record<string, number> {
    const entries = [...(this.engine.bridges[bridge]?.fdb.entries(this.engine.seconds) ?? [])];
    return Object.fromEntries(entries.map((entry: FdbEntry) => [fdbName(entry), entry.port]));
  }

  /** What is to be told of a bridge; what several engines noticed is one notice. */
  notices(bridge = 0) {
    const told = new Map<string, { kind: number; subject: number; from: number; to: number; times: number }>();
    for (const { bridges } of this.engines) {
      const { notices } = bridges[bridge] as Bridge;
      for (let row = 0; row < notices.count; row++) {
        const [kind, subject, from, to] = [notices.kind[row], notices.subject[row], notices.from[row], notices.to[row]];
        const key = `${kind} ${notices.macHigh[row]} ${notices.macLow[row]} ${subject}`;
        told.set(key, { kind, subject, from, to, times: notices.times[row] + (told.get(key)?.times ?? 0) });
      }
    }
    return [...told.values()];
  }

  /** Sum of a counter over all ports of a bridge. */
  total(counter: PortCounter, bridge = 0): number {
    return this.members(bridge).reduce((sum, port) => sum + port.count(counter), 0);
  }

  /** Counters of a bridge. */
  counters(bridge = 0) {
    const blocks = this.engines.map(({ bridgeCounters }) => bridgeCounters);
    return new CounterSum(BRIDGE_COUNTERS, blocks).snapshot(bridge);
  }

  /** L5: every frame received and every copy made is accounted for exactly once. */
  expectConserved(bridge = 0): void {
    const sum = (names: readonly PortCounter[]) => names.reduce((all, name) => all + this.total(name, bridge), 0);
    const drops = Object.keys(DROP_REASONS) as DropReason[];
    const into = drops.filter((name) => name.startsWith('rx_'));
    const out = drops.filter((name) => name.startsWith('tx_'));
    expect(sum(['arp_answered', 'unicast', 'flooded', 'routed', ...into]), 'frames received').toBe(sum(['rx_frames']));
    expect(sum(['tx_frames', ...out]), 'copies made').toBe(sum(['unicast', 'flood_copies', 'made']));
    for (const name of PORT_COUNTERS) {
      expect(this.total(name, bridge), name).toBeGreaterThanOrEqual(0);
    }
  }

  private members(bridge: number): SimulatedPort[] {
    return this.ports.filter((port) => this.engine.table.bridge[port.number] === bridge);
  }
}

function fdbName({ macHigh, macLow, vlan }: FdbEntry): string {
  return formatMac(macHigh, macLow) + (vlan === 0 ? '' : `/${vlan}`);
}

/** A bridge with `count` ports; host n + 1 is behind port n, and known when `taught`. */
export function network(count: number, taught = true, settings: Partial<BridgeOptions> = {}) {
  const simulation = new Simulation(settings);
  const ports = Array.from({ length: count }, () => simulation.port());
  if (taught) {
    for (const port of ports) {
      port.send(frame(BROADCAST, macOf(port.number + 1)));
    }
    simulation.takeAll();
  }
  return { simulation, ports };
}

/** The drops of all ports since the simulation began, those that are not 0. */
export function drops(simulation: Simulation): Partial<Record<DropReason, number>> {
  const names = Object.keys(DROP_REASONS) as DropReason[];
  return Object.fromEntries(names.map((name) => [name, simulation.total(name)]).filter(([, count]) => count !== 0));
}
