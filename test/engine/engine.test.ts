import { describe, expect, test } from 'vitest';
import { EntryKind } from '../../src/bridge/fdb.js';
import { Flag } from '../../src/bridge/port-table.js';
import { ManualClock } from '../../src/core/clock.js';
import { Awake } from '../../src/engine/awake.js';
import { burstIoOptions } from '../../src/engine/burst-io-options.js';
import { Engine } from '../../src/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS } from '../../src/engine/protocol.js';
import { SimulatedIo } from '../../src/engine/simulated-io.js';
import { type BurstIo, Status } from '../../src/native/binding.js';
import { DescriptorPort } from '../../src/port/descriptor-port.js';
import { memoryPair } from '../../src/port/memory-port.js';
import { makePacket, payload } from '../helpers/packet.js';
import { BROADCAST, frame, labelOf, macOf } from '../sim/frames.js';
import { network } from '../sim/simulation.js';

const EAGAIN = 11;
const EMSGSIZE = 90;
const EBADFD = 77;
const EPERM = 1;

const attachment = {
  bridge: 0,
  flags: Flag.up | Flag.learning | Flag.floodBroadcast | Flag.floodUnicast,
  mtu: 1500,
  macLimit: 0,
};

/** Burst I/O whose descriptors are scripted: what it is told to receive, and which sends fail. */
class ScriptedIo extends SimulatedIo {
  readonly added: [number, number][] = [];
  readonly removed: number[] = [];
  readonly sleeps: [number, number][] = [];
  /** Whether each of them gave the core away meanwhile. */
  readonly yields: boolean[] = [];
  readonly sent: number[][] = [];
  /** errno of the n-th descriptor of each send, 0 = sent. */
  failing: number[] = [];
  refuseAdd = 0;
  closed = 0;
  private waiting: [number, Uint8Array][] = [];

  override add(...[port, descriptor]: Parameters<BurstIo['add']> | []): number {
    this.added.push([port as number, descriptor as number]);
    return this.refuseAdd;
  }

  override remove(...[port]: [number?]): number {
    this.removed.push(port as number);
    return 0;
  }

  arrive(port: number, bytes: Uint8Array): void {
    this.waiting.push([port, bytes]);
  }

  override receive(...[spin, sleep, yields]: [number?, number?, boolean?]): number {
    super.receive();
    this.sleeps.push([spin as number, sleep as number]);
    this.yields.push(yields as boolean);
    const arena = new Uint8Array(this.arena);
    const capacity = this.received.byteLength / 12;
    const columns = new Int32Array(this.received);
    const count = this.waiting.length;
    for (const [index, [port, bytes]] of this.waiting.entries()) {
      const at = index * 2048 + 14;
      arena.fill(0, at - 12, at).set(bytes, at);
      columns[index] = port;
      columns[capacity + index] = at;
      columns[2 * capacity + index] = bytes.length;
    }
    this.waiting = [];
    return count;
  }

  override send(...[used]: [number?]): number {
    const words = new Int32Array(this.transmit);
    const failures = new Int32Array(this.failures);
    let failed = 0;
    const ports: number[] = [];
    for (let word = 0, index = 0; word < (used as number); word += 2 + words[word + 1] * 2, index++) {
      ports.push(words[word]);
      if ((this.failing[index] ?? 0) !== 0) {
        failures[2 * failed] = word;
        failures[2 * failed + 1] = this.failing[index];
        failed++;
      }
    }
    this.sent.push(ports);
    return failed;
  }

  override close(): void {
    this.closed++;
  }
}

function scripted(awake?: Awake) {
  const clock = new ManualClock();
  clock.advanceSeconds(50);
  const ioOptions = burstIoOptions(16);
  const io = new ScriptedIo(ioOptions, clock);
  let ticks = 0;
  const engine = new Engine({ io, ioOptions, spinMicros: 50, onTick: () => ticks++, ...(awake === undefined ? {} : { awake }) });
  engine.addBridge(0, DEFAULT_BRIDGE_SETTINGS);
  const tap = (number: number, vnetHeader = true) => {
    const descriptor = 100 + number;
    engine.addPort(number, new DescriptorPort({ kind: 'tap', descriptor, vnetHeader, udpSegmentation: true }), attachment);
  };
  return { clock, io, engine, tap, ticks: () => ticks };
}

describe('ports', () => {
  test('a number that is taken or out of range, a bridge that does not exist: refused, nothing has changed', () => {
    const { engine, io, tap } = scripted();
    tap(3);
    const port = () => memoryPair().port;
    expect(() => engine.addPort(3, port(), attachment)).toThrow(RangeError);
    expect(() => engine.addPort(16, port(), attachment)).toThrow(RangeError);
    expect(() => engine.addPort(-1, port(), attachment)).toThrow(RangeError);
    for (const bridge of [1, -1, 256]) {
      expect(() => engine.addPort(4, port(), { ...attachment, bridge })).toThrow(RangeError);
    }
    expect(io.added).toEqual([[3, 103]]);
    expect(engine.table.bridge[4]).toBe(-1);
  });

  test('a descriptor the addon refuses is an error with its errno, and the number stays free', () => {
    const { engine, io, tap } = scripted();
    io.refuseAdd = -9;
    expect(() => tap(3)).toThrow('the addon refused descriptor 103 for port 3 (EBADF)');
    io.refuseAdd = 0;
    tap(3);
    expect(engine.table.bridge[3]).toBe(0);
  });

  test('a bridge number that is taken or out of range is refused', () => {
    const { engine } = scripted();
    for (const index of [0, -1, 256]) {
      expect(() => engine.addBridge(index, DEFAULT_BRIDGE_SETTINGS)).toThrow(RangeError);
    }
  });

  test('removing gives the descriptor back once; unknown numbers are ignored; a bridge takes its ports along', () => {
    const { engine, io, tap } = scripted();
    tap(3);
    tap(5);
    engine.addPort(6, memoryPair().port, attachment);
    engine.removePort(3);
    engine.removePort(3);
    engine.removePort(99);
    expect(io.removed).toEqual([3]);
    engine.removeBridge(0);
    expect(io.removed).toEqual([3, 5]);
    expect([...engine.table.bridge].every((bridge) => bridge === -1)).toBe(true);
    engine.close();
    expect(io.closed).toBe(1);
  });
});

describe('a pass', () => {
  test('all egress ports of a burst in one native call', () => {
    const { engine, io, tap } = scripted();
    for (const number of [0, 1, 2, 3]) {
      tap(number);
    }
    engine.pin(0, 0, 0x0200, 2, 2, EntryKind.static);
    io.arrive(0, frame(BROADCAST, macOf(1)));
    io.arrive(0, frame('02:00:00:00:00:02', macOf(1)));
    expect(engine.step(0)).toBe(2);
    // Flooded ports in the order of their numbers, unicast merged in.
    expect(io.sent).toEqual([[1, 2, 2, 3]]);
  });

  test('without frames nothing is sent', () => {
    const { engine, io, tap } = scripted();
    tap(0);
    expect(engine.step(0)).toBe(0);
    expect(io.sent).toEqual([]);
  });

  test('frames the kernel refuses are counted by their reason, the others as sent', () => {
    const { engine, io, tap } = scripted();
    for (const number of [0, 1, 2, 3, 4, 5]) {
      tap(number);
    }
    io.failing = [EAGAIN, EMSGSIZE, 0, EBADFD, EPERM];
    io.arrive(0, frame(BROADCAST, macOf(1)));
    engine.step(0);
    const counters = [1, 2, 3, 4, 5].map((port) => engine.portCounters.snapshot(port));
    expect(counters.map(({ tx_frames, tx_packets }) => [tx_frames, tx_packets])).toEqual([
      [0, 0],
      [0, 0],
      [1, 1],
      [0, 0],
      [0, 0],
    ]);
    const { tx_full, tx_too_big, tx_port_down, tx_refused } = {
      tx_full: counters.map((each) => each.tx_full),
      tx_too_big: counters.map((each) => each.tx_too_big),
      tx_port_down: counters.map((each) => each.tx_port_down),
      tx_refused: counters.map((each) => each.tx_refused),
    };
    expect([tx_full, tx_too_big, tx_port_down, tx_refused]).toEqual([
      [1, 0, 0, 0, 0],
      [0, 1, 0, 0, 0],
      [0, 0, 0, 1, 0],
      [0, 0, 0, 0, 1],
    ]);
  });

  test('of a segmented frame: a failed first segment fails the frame, a failed later one is partial', () => {
    for (const [failing, expected] of [
      [[EAGAIN, 0, 0], { tx_frames: 0, tx_full: 1, tx_partial: 0, tx_packets: 2 }],
      [[0, EAGAIN, 0], { tx_frames: 1, tx_full: 0, tx_partial: 1, tx_packets: 2 }],
    ] as const) {
      const { engine, io } = scripted();
      const { port, peer } = memoryPair();
      engine.addPort(0, port, attachment);
      const plain = new DescriptorPort({ kind: 'tap', descriptor: 7, vnetHeader: false, udpSegmentation: false });
      engine.addPort(1, plain, attachment);
      io.failing = [...failing];
      const large = makePacket({ gsoSize: 500, payload: payload(1500), source: macOf(1), destination: macOf(2) });
      peer.send(large.frame, large.vnet);
      engine.step(0);
      expect(engine.portCounters.snapshot(1)).toMatchObject(expected);
    }
  });

  test('descriptors of the addon and ports in TypeScript in one flood: each gets its own, also when the ring is full', () => {
    const { engine, io, tap } = scripted();
    tap(0);
    const far = [1, 3].map((number) => {
      const { port, peer } = memoryPair({ queueFrames: 2048 });
      engine.addPort(number, port, attachment);
      return peer;
    });
    tap(2);
    tap(4);
    for (let label = 0; label < 64; label++) {
      io.arrive(0, frame(BROADCAST, macOf(1), label));
    }
    engine.step(0);
    expect(io.sent.flat().filter((port) => port === 2)).toHaveLength(64);
    expect(io.sent.flat().filter((port) => port === 4)).toHaveLength(64);
    expect(io.sent.flat()).toHaveLength(128);
    for (const peer of far) {
      const labels = Array.from({ length: peer.waiting }, () => labelOf(peer.receive()?.frame as Uint8Array));
      expect(labels).toEqual(Array.from({ length: 64 }, (_, label) => label));
    }
  });

  test('a ring that fills up in the middle of a port in TypeScript: nothing is lost or sent twice', () => {
    const { engine, io, tap } = scripted();
    tap(0);
    tap(1);
    const { port, peer } = memoryPair({ queueFrames: 8192, headerBytes: 0 });
    engine.addPort(2, port, attachment);
    tap(3);
    const { port: from, peer: source } = memoryPair({ queueFrames: 64, queueBytes: 1 << 22 });
    engine.addPort(4, from, attachment);
    // 14 frames of 2,600 segments: more descriptors than the ring holds, on the port without vnet header.
    for (let index = 0; index < 14; index++) {
      const large = makePacket({
        gsoSize: 24,
        protocol: 'tcp',
        payload: payload(60_000, index),
        source: macOf(1),
        destination: BROADCAST,
      });
      expect(source.send(large.frame, large.vnet)).toBe(true);
    }
    engine.step(0);
    expect(io.sent.flat().filter((number) => number === 0)).toHaveLength(14);
    expect(io.sent.flat().filter((number) => number === 3)).toHaveLength(14);
    expect(io.sent.flat().filter((number) => number === 2)).toEqual([]);
    expect(peer.waiting + engine.portCounters.snapshot(2).tx_full).toBeGreaterThanOrEqual(8192);
  });
});

describe('sleeping', () => {
  test('after traffic it polls first, without it sleeps at once, never past the next tick', () => {
    const { clock, engine, io, tap } = scripted();
    tap(0);
    tap(1);
    engine.step(-1);
    io.arrive(0, frame(BROADCAST, macOf(1)));
    clock.now += 100_000;
    engine.step(-1);
    engine.step(-1);
    engine.step(-1);
    // [poll, sleep]: the first pass ticks at once; the pass with the frame sleeps what is left of the second; the next one polls.
    expect(io.sleeps).toEqual([
      [0, 0],
      [0, 1_000_000],
      [50, 900_000],
      [0, 900_000],
    ]);
  });

  test('with much traffic it keeps cores awake, gives its own away while it polls, and looks in time whether they may sleep', () => {
    const asked: boolean[] = [];
    const closed: boolean[] = [];
    const { clock, engine, io, tap } = scripted(new Awake({ keepAwake: (on) => asked.push(on), close: () => closed.push(true) }));
    tap(0);
    tap(1);
    engine.step(-1);
    for (let pass = 0; pass < 200; pass++) {
      io.arrive(0, frame(BROADCAST, macOf(1)));
      clock.now += 100;
      engine.step(-1);
    }
    expect(asked).toEqual([true]);
    expect(io.yields.at(-1)).toBe(true);
    engine.step(-1);
    const [, sleep] = io.sleeps.at(-1) as [number, number];
    expect(sleep).toBeGreaterThan(0);
    expect(sleep).toBeLessThanOrEqual(10_000);
    for (let window = 0; window < 2; window++) {
      clock.now += 10_000;
      engine.step(-1);
    }
    expect(asked).toEqual([true, false]);
    engine.step(-1);
    expect(io.yields.at(-1)).toBe(false);
    expect((io.sleeps.at(-1) as [number, number])[1]).toBeGreaterThan(900_000);
    engine.close();
    expect(closed).toEqual([true]);
  });

  test('a port in TypeScript with frames keeps it awake', () => {
    const { engine, io } = scripted();
    const { port, peer } = memoryPair({ queueFrames: 256 });
    engine.addPort(0, port, attachment);
    engine.step(-1);
    for (let index = 0; index < 65; index++) {
      peer.send(frame(BROADCAST, macOf(1)));
    }
    expect([engine.step(-1), engine.step(-1)]).toEqual([64, 1]);
    expect(io.sleeps.slice(1).map(([, sleep]) => sleep)).toEqual([0, 0]);
  });

  test('ticks come once a second, however many passes there are', () => {
    const { clock, engine, ticks } = scripted();
    for (let pass = 0; pass < 100; pass++) {
      engine.step(0);
      clock.now += 100_000;
    }
    expect(ticks()).toBe(10);
  });

  test('what the addon tells is passed on: a wake, failed ports', () => {
    const { engine, io } = scripted();
    const status = new Float64Array(io.status);
    expect([engine.woken, engine.failedPorts]).toEqual([false, 0]);
    status[Status.woken] = 1;
    status[Status.errors] = 2;
    expect([engine.woken, engine.failedPorts]).toEqual([true, 2]);
  });
});

test('what arrives for a port that was removed in between is nobody’s frame', () => {
  const { engine, io, tap } = scripted();
  tap(0);
  tap(1);
  engine.removePort(0);
  io.arrive(0, frame(BROADCAST, macOf(1)));
  io.arrive(1, frame(BROADCAST, macOf(2)));
  engine.step(0);
  expect(io.sent.flat()).toEqual([]);
  expect(engine.portCounters.snapshot(1).rx_frames).toBe(1);
});

test('a burst of 64 of each port at most: the rest waits its turn', () => {
  const { simulation, ports } = network(2);
  ports[0].queue(...Array.from({ length: 100 }, () => frame(macOf(2), macOf(1))));
  expect([simulation.step(), simulation.step(), simulation.step()]).toEqual([64, 36, 0]);
});
