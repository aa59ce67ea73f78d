/**
 * A million hostile frames through the whole core. The same frames go through two targets whose arenas are filled with different bytes
 * around every frame: a read outside a frame that decides anything makes the two differ. One is an engine by itself, the other two engines over
 * shared tables that take turns: what they share makes no difference either.
 */
import { expect, test } from 'vitest';
import { EntryKind } from '../../src/bridge/fdb.js';
import { allocateBridge } from '../../src/bridge/sharing.js';
import type { Batch } from '../../src/core/batch.js';
import { ManualClock } from '../../src/core/clock.js';
import { BRIDGE_COUNTERS, CounterSum, PORT_COUNTERS } from '../../src/core/counters.js';
import { Random } from '../../src/core/random.js';
import type { Transmit } from '../../src/core/transmit.js';
import { burstIoOptions } from '../../src/engine/burst-io-options.js';
import { flagBits } from '../../src/engine/commands.js';
import { Engine } from '../../src/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from '../../src/engine/protocol.js';
import { SimulatedIo } from '../../src/engine/simulated-io.js';
import type { Port } from '../../src/port/port.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { fixtureFrames } from '../helpers/fixture.js';
import { makePacket, payload } from '../helpers/packet.js';
import { announcement, BROADCAST, frame, ipOf, macOf, probe, tagged, whoHas } from './frames.js';

const FRAMES = 1_000_000;
const BURST = 64;
const SEED = 20_260_101;
const VNET_BYTES = 12;

interface Fodder {
  vnet: Uint8Array;
  bytes: Uint8Array;
}

const NO_VNET = new Uint8Array(VNET_BYTES);

/** Valid frames of all kinds, to be spoiled. */
function seeds(): Fodder[] {
  const captured = ['arp-icmp', 'udp', 'tcp', 'vlan', 'ipv6-neighbor', 'ipv6-transport'].flatMap(fixtureFrames);
  const made = [
    whoHas(ipOf(2), 1),
    whoHas(ipOf(254), 3),
    probe(ipOf(2), 4),
    announcement(3),
    announcement(3, ipOf(254)),
    frame(BROADCAST, macOf(2)),
    frame('01:80:c2:00:00:0e', macOf(2)),
    tagged(frame(macOf(1), macOf(2)), 7),
    tagged(tagged(frame(macOf(1), macOf(2)), 7), 8),
  ];
  const packets: Fodder[] = [];
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const version of [4, 6] as const) {
      for (const vid of [-1, 3]) {
        for (const [gsoSize, bytes] of [
          [0, 40],
          [300, 1000],
          [100, 5000],
        ]) {
          const whole = { protocol, version, vid, gsoSize, partial: true, payload: payload(bytes), destination: macOf(1) };
          const packet = makePacket(whole);
          packets.push({ vnet: packet.vnet, bytes: packet.frame });
        }
      }
    }
  }
  return [...[...captured, ...made].map((bytes) => ({ vnet: NO_VNET, bytes })), ...packets];
}

/** A seeded source of hostile frames, written into memory of its own: nothing is allotted a frame. */
class Attacker {
  readonly bytes = new Uint8Array(8192);
  readonly vnet = new Uint8Array(VNET_BYTES);
  length = 0;
  private readonly random = new Random(SEED);
  private readonly seeds = seeds();

  next(): void {
    const { random, bytes, vnet } = this;
    const kind = random.below(10);
    if (kind === 0) {
      this.length = 1 + random.below(random.below(4) === 0 ? 2000 : 80);
      for (let index = 0; index < this.length; index++) {
        bytes[index] = random.next();
      }
      vnet.fill(0);
    } else {
      const seed = this.seeds[random.below(this.seeds.length)];
      this.length = seed.bytes.length;
      bytes.set(seed.bytes);
      vnet.set(seed.vnet);
      for (let flips = random.below(5); flips > 0; flips--) {
        // Mostly in the headers, where it hurts.
        const at = random.below(random.below(8) === 0 ? this.length : Math.min(this.length, 60));
        bytes[at] = random.below(3) === 0 ? 0xff : random.next();
      }
      if (random.below(4) === 0) {
        this.length = 1 + random.below(this.length);
      }
      if (random.below(4) === 0) {
        // Known hosts, so that frames reach every kind of port.
        bytes.set([2, 0, 0, 0, 0, random.below(8)]);
        bytes.set([2, 0, 0, 0, 0, random.below(8)], 6);
      }
    }
    if (random.below(3) === 0) {
      for (let fields = 1 + random.below(3); fields > 0; fields--) {
        vnet[random.below(10)] = random.below(2) === 0 ? random.below(64) : random.next();
      }
      if (random.below(2) === 0) {
        vnet[0] = 1;
        vnet[1] = [0, 1, 3, 4, 5, 0x81, 0x85][random.below(7)];
      }
    }
  }
}

/** A port that takes what `offer` put down, and folds all that is sent to it into a digest. */
class FuzzPort implements Port {
  readonly kind = 'memory';
  readonly descriptor = -1;
  readonly descriptorKind = 0;
  readonly headerBytes: 0 | 12;
  readonly udpSegmentation: boolean;
  digest = 0;
  delivered = 0;
  longest = 0;
  private readonly guard: number;
  private readonly pending: Fodder[] = Array.from({ length: BURST }, () => ({
    vnet: new Uint8Array(VNET_BYTES),
    bytes: new Uint8Array(8192),
  }));
  private readonly lengths = new Int32Array(BURST);
  private count = 0;

  constructor(guard: number, headerBytes: 0 | 12, udpSegmentation: boolean) {
    this.guard = guard;
    this.headerBytes = headerBytes;
    this.udpSegmentation = udpSegmentation;
  }

  offer(attacker: Attacker): void {
    const slot = this.pending[this.count];
    this.lengths[this.count++] = attacker.length;
    slot.bytes.set(attacker.bytes);
    slot.vnet.set(attacker.vnet);
  }

  pull(batch: Batch, port: number): void {
    for (let index = 0; index < this.count; index++) {
      const length = this.lengths[index];
      const made = batch.append(port, length);
      if (made < 0) {
        throw new Error('the batch is too small for this test');
      }
      const at = batch.at[made];
      // What the last pass left around the frame becomes guard bytes; the slot's own bytes behind it, to the next cache line and on.
      batch.bytes.fill(this.guard, at - VNET_BYTES - 2, at - VNET_BYTES);
      batch.bytes.fill(this.guard, at + length, at + length + 128);
      batch.bytes.set(this.pending[index].vnet, at - VNET_BYTES);
      batch.bytes.set(this.pending[index].bytes.subarray(0, length), at);
    }
    this.count = 0;
  }

  deliver(ring: Transmit, from: number, to: number): number {
    const { words, bytes } = ring;
    let digest = this.digest;
    for (let word = from; word < to; ) {
      const end = word + 2 + words[word + 1] * 2;
      let total = 0;
      for (let segment = word + 2; segment < end; segment += 2) {
        const at = words[segment];
        const length = words[segment + 1];
        total += length;
        for (let index = 0; index < length; index++) {
          digest = (Math.imul(digest, 31) + bytes[at + index]) | 0;
        }
      }
      digest = (Math.imul(digest, 31) + total) | 0;
      this.longest = Math.max(this.longest, total);
      this.delivered++;
      word = end;
    }
    this.digest = digest;
    return 0;
  }

  nextDue(): number {
    return Number.POSITIVE_INFINITY;
  }

  close(): void {}
}

/** Engines under attack; `guard` is what their arenas are filled with. */
class Target {
  readonly ports: FuzzPort[] = [];
  readonly engines: readonly Engine[];
  readonly clock = new ManualClock();
  private turn = 0;

  constructor(guard: number, threads: number) {
    const ioOptions = burstIoOptions(16);
    this.clock.advanceSeconds(100);
    const subnet = { network: parseIpv4('10.0.0.0'), prefix: 24 };
    const settings = { ...DEFAULT_BRIDGE_SETTINGS, fdbLimit: 2000, subnet };
    const memory = threads > 1 ? allocateBridge(settings.fdbLimit, ioOptions.maxPorts) : undefined;
    this.engines = Array.from({ length: threads }, (_, index) => {
      const io = new SimulatedIo(ioOptions, this.clock);
      new Uint8Array(io.arena).fill(guard);
      const engine = new Engine({ io, ioOptions, place: { index, count: threads } });
      engine.addBridge(0, settings, memory);
      return engine;
    });
    const kinds = [
      { headerBytes: 12, uso: true },
      { headerBytes: 12, uso: false },
      { headerBytes: 0, uso: false },
      { headerBytes: 0, uso: false, isolated: true },
      { headerBytes: 12, uso: true, local: true },
      { headerBytes: 12, uso: true, hairpin: true, isolated: true },
    ] as const;
    for (const [number, kind] of kinds.entries()) {
      const port = new FuzzPort(guard, kind.headerBytes, kind.uso);
      const flags = { ...DEFAULT_PORT_FLAGS, isolated: 'isolated' in kind, hairpin: 'hairpin' in kind };
      for (const engine of this.engines) {
        engine.addPort(number, port, { bridge: 0, flags: flagBits(flags, 'local' in kind), mtu: 1500, macLimit: 0 });
      }
      this.ports.push(port);
    }
    this.keeper.pin(0, 0, 0x0200, 4, 4, EntryKind.local);
    this.keeper.bridges[0]?.neighbors.pin(parseIpv4(ipOf(254)), 4, 0x0200);
  }

  get keeper(): Engine {
    return this.engines[0];
  }

  step(): void {
    this.engines[this.turn++ % this.engines.length].step(0);
  }

  counters(): Record<string, number[]> {
    const portCounters = new CounterSum(
      PORT_COUNTERS,
      this.engines.map((engine) => engine.portCounters),
    );
    const bridgeCounters = new CounterSum(
      BRIDGE_COUNTERS,
      this.engines.map((engine) => engine.bridgeCounters),
    );
    const ports = Object.fromEntries(
      PORT_COUNTERS.map((name, index) => [name, this.ports.map((_, port) => portCounters.get(port, index))]),
    );
    const bridge = Object.fromEntries(BRIDGE_COUNTERS.map((name, index) => [`bridge_${name}`, [bridgeCounters.get(0, index)]]));
    return { ...ports, ...bridge };
  }
}

test('a million hostile frames: no exception, no read outside a frame, no frame unaccounted for, and the engine goes on', () => {
  const attacker = new Attacker();
  const targets = [new Target(0x00, 1), new Target(0xff, 2)];
  const count = targets[0].ports.length;
  for (let sent = 0; sent < FRAMES; ) {
    for (let port = 0; port < count; port++) {
      for (let index = 0; index < BURST; index++) {
        attacker.next();
        for (const target of targets) {
          target.ports[port].offer(attacker);
        }
      }
    }
    sent += count * BURST;
    for (const target of targets) {
      target.clock.now += 37_000;
      target.step();
    }
  }

  const [zeros, ones] = targets;
  expect(zeros.counters()).toEqual(ones.counters());
  expect(zeros.ports.map((port) => [port.digest, port.delivered])).toEqual(
    ones.ports.map((port) => [port.digest, port.delivered]),
  );
  expect([...(zeros.keeper.bridges[0]?.fdb.entries(0) ?? [])]).toEqual([...(ones.keeper.bridges[0]?.fdb.entries(0) ?? [])]);

  const totals = Object.fromEntries(
    Object.entries(zeros.counters()).map(([name, values]) => [name, values.reduce((a, b) => a + b, 0)]),
  );
  expect(totals['rx_frames']).toBeGreaterThanOrEqual(FRAMES);
  const sum = (pattern: RegExp) => Object.keys(totals).reduce((all, name) => all + (pattern.test(name) ? totals[name] : 0), 0);
  expect(sum(/^(arp_answered|unicast|flooded)$/) + sum(/^rx_(?!frames|bytes|packets)/)).toBe(totals['rx_frames']);
  expect(sum(/^tx_(?!bytes|packets|partial)/)).toBe(totals['unicast'] + totals['flood_copies'] + totals['made']);
  // The attack reached what it was meant to reach.
  for (const name of [
    'rx_malformed',
    'rx_bad_vnet',
    'rx_src_invalid',
    'rx_reserved',
    'rx_guard',
    'unicast',
    'flooded',
    'arp_answered',
  ]) {
    expect(totals[name], name).toBeGreaterThan(FRAMES / 10_000);
  }
  for (const name of ['tx_filtered', 'tx_too_big', 'bridge_fdb_moved', 'bridge_arp_conflicts']) {
    expect(totals[name], name).toBeGreaterThan(0);
  }
  // What passed validation can be segmented.
  expect(totals['tx_unsegmentable']).toBe(0);
  // Nothing longer than an ethernet frame leaves by a port that cannot take more.
  expect(zeros.ports.filter((port) => port.headerBytes === 0).every((port) => port.longest <= 1518)).toBe(true);

  for (const target of targets) {
    const { keeper, ports } = target;
    keeper.bridges[0]?.fdb.flush();
    const good = new Attacker();
    good.bytes.set(frame(BROADCAST, macOf(200), 42));
    good.length = 60;
    const before = ports.map((port) => port.delivered);
    ports[0].offer(good);
    target.step();
    expect(ports.map((port, index) => port.delivered - before[index])).toEqual([0, 1, 1, 1, 1, 1]);
  }
}, 60_000);
