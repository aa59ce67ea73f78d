/** Rates of ports, both ways, from cable to cable. */
import { describe, expect, test } from 'vitest';
import type { RateSettings } from '../../src/engine/protocol.js';
import { makePacket } from '../helpers/packet.js';
import { THREADS } from '../helpers/threads.js';
import { arpReply, BROADCAST, frame, ipOf, labelOf, macOf, NOBODY, whoHas } from './frames.js';
import { GatewaySimulation, ROUTER_IP, ROUTER_MAC, UPLINK_IP, UPLINK_MAC } from './gateway-simulation.js';
import { datagram, read } from './packets.js';
import { network, type SimulatedPort, type Simulation } from './simulation.js';

/** Of `frame`. */
const FRAME_BYTES = 60;
/** Frames that pass at once: more than flow in within the millisecond between two looks. */
const BURST = 20;
/** A byte a microsecond. */
const RATE = { bitsPerSecond: 8_000_000, burstBytes: BURST * FRAME_BYTES };
/** Frames that wait at most: those that find no more than 25 ms waiting join them. */
const WAITING = Math.floor(25_000 / FRAME_BYTES) + 1;

function limit(simulation: Simulation, port: SimulatedPort, rates: Partial<RateSettings>): void {
  simulation.execute('set-port', { port: port.number, rates: { in: null, out: null, ...rates } });
}

/** Lets milliseconds go by, a pass of each engine in every one of them. */
function wait(simulation: Simulation, millis: number): void {
  for (let past = 0; past < millis; past++) {
    simulation.clock.advanceSeconds(0.001);
    simulation.run();
  }
}

function numbered(from: number, count: number, to = macOf(2)): Uint8Array[] {
  return Array.from({ length: count }, (_, label) => frame(to, macOf(1), from + label));
}

const labels = (port: SimulatedPort) => port.take().map(labelOf);
const ascending = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);

describe('out: what a port sends', () => {
  test('a burst passes, the rest waits and goes on at the rate, in order', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    limit(simulation, a, { out: RATE });
    a.send(...numbered(0, 100));
    expect(sorted(labels(b))).toEqual(ascending(0, BURST));
    const later: number[] = [];
    for (let milli = 1; milli <= 6; milli++) {
      wait(simulation, 1);
      later.push(...labels(b));
      expect(later.length).toBe(Math.min(100 - BURST, Math.floor((milli * 1000) / FRAME_BYTES)));
    }
    expect(THREADS === 1 ? later : sorted(later)).toEqual(ascending(BURST, 100));
    expect(a.count('rx_rate_limited')).toBe(0);
    simulation.expectConserved();
  });

  test('more than 25 ms of the rate do not wait: dropped, counted, and never seen by the bridge', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    limit(simulation, a, { out: RATE });
    const before = a.count('rx_frames');
    a.send(...numbered(0, 1000));
    wait(simulation, 40 * THREADS);
    const through = b.take().length;
    // Each engine has a queue of its own.
    expect(through).toBeGreaterThanOrEqual(BURST + WAITING);
    expect(through).toBeLessThanOrEqual(BURST + WAITING * THREADS);
    expect(a.count('rx_rate_limited')).toBe(1000 - through);
    expect(a.count('rx_frames') - before).toBe(1000);
    expect(a.count('rx_bytes') - before * FRAME_BYTES).toBe(1000 * FRAME_BYTES);
    simulation.expectConserved();
  });

  test('over its rate it teaches nothing and floods nobody', () => {
    const { simulation, ports } = network(3);
    const [a, b, c] = ports;
    limit(simulation, a, { out: { bitsPerSecond: 8000, burstBytes: FRAME_BYTES } });
    a.send(frame(macOf(2), macOf(1)));
    a.send(...ascending(100, 200).map((n) => frame(NOBODY, macOf(n))));
    expect(Object.keys(simulation.fdb()).length).toBe(3);
    expect([b.take().length, c.take().length]).toEqual([1, 0]);
    expect(a.count('rx_rate_limited')).toBeGreaterThanOrEqual(100 - THREADS);
  });

  test('frames no bridge takes do not hold up the queue', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    limit(simulation, a, { out: { ...RATE, burstBytes: FRAME_BYTES } });
    a.send(frame(macOf(2), macOf(1), 1), new Uint8Array(13), frame(macOf(2), macOf(1), 2));
    wait(simulation, 2);
    expect(labels(b)).toEqual([1, 2]);
    expect(a.count('rx_malformed')).toBe(1);
    simulation.expectConserved();
  });

  test('another port of the bridge is none the slower', () => {
    const { simulation, ports } = network(3);
    const [a, b, c] = ports;
    limit(simulation, a, { out: RATE });
    a.queue(...numbered(0, 100, macOf(3)));
    b.queue(...ascending(500, 900).map((label) => frame(macOf(3), macOf(2), label)));
    simulation.run();
    expect(sorted(labels(c))).toEqual([...ascending(0, BURST), ...ascending(500, 900)]);
  });
});

describe('in: what a port gets', () => {
  test('bridged, flooded and answered frames share the rate', () => {
    const { simulation, ports } = network(3);
    const [a, b, c] = ports;
    c.send(whoHas(ipOf(9), 3));
    simulation.takeAll();
    simulation.execute('add-neighbor', { bridge: 0, ip: 0x0a000001, mac: { high: 0x0200, low: 1 } });
    const burstBytes = 400;
    limit(simulation, c, { in: { ...RATE, burstBytes } });
    a.queue(...numbered(0, 4, macOf(3)));
    b.queue(...ascending(4, 8).map((label) => frame(BROADCAST, macOf(2), label)));
    c.queue(...ascending(0, 4).map(() => whoHas(ipOf(1), 3)));
    simulation.run();
    const first = c.take();
    expect(first.reduce((sum, each) => sum + each.length, 0)).toBeGreaterThan(burstBytes - FRAME_BYTES);
    expect(first.reduce((sum, each) => sum + each.length, 0)).toBeLessThanOrEqual(burstBytes);
    wait(simulation, 2);
    expect(first.length + c.take().length).toBe(12);
    expect(a.take().length).toBe(4);
    simulation.expectConserved();
  });

  test('only the slow port of a flood loses frames', () => {
    const { simulation, ports } = network(3);
    const [a, b, c] = ports;
    limit(simulation, c, { in: RATE });
    a.send(...numbered(0, 1000, BROADCAST));
    wait(simulation, 40 * THREADS);
    const through = c.take().length;
    expect(through).toBeGreaterThanOrEqual(BURST + WAITING);
    expect(through).toBeLessThanOrEqual(BURST + WAITING * THREADS);
    expect(c.count('tx_rate_limited')).toBe(1000 - through);
    expect(b.take().length).toBe(1000);
    simulation.expectConserved();
  });

  test('a super-frame costs the headers of all its segments', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    const { frame: bytes, vnet } = makePacket({
      source: macOf(1),
      destination: macOf(2),
      protocol: 'tcp',
      payload: new Uint8Array(4000),
      gsoSize: 1000,
    });
    const wire = bytes.length + 3 * (bytes.length - 4000);
    limit(simulation, b, { in: { ...RATE, burstBytes: wire + FRAME_BYTES } });
    a.send({ frame: bytes, vnet }, ...numbered(0, 2));
    expect(b.take().length).toBe(2);
    simulation.clock.advanceSeconds(FRAME_BYTES / 1e6);
    simulation.run();
    expect(b.take().length).toBe(1);
  });

  test('from outside, through the gateway: what is routed counts like what is bridged', () => {
    const gateway = new GatewaySimulation();
    const { simulation, uplink } = gateway;
    const container = gateway.container(1);
    container.send(datagram(`${ipOf(1)}:5000`, '198.51.100.7:53', { sourceMac: macOf(1) }));
    uplink.send(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP }));
    simulation.run();
    let line = '';
    for (let next = uplink.receive(); next !== undefined; next = uplink.receive()) line = read(next.frame);
    const port = /:(\d+) >/.exec(line)?.[1];
    limit(simulation, container, { in: RATE });
    const answer = datagram('198.51.100.7:53', `${UPLINK_IP}:${port}`, { sourceMac: ROUTER_MAC, destinationMac: UPLINK_MAC });
    for (let count = 0; count < 40; count++) uplink.send(answer);
    // Frames, not what comes out: datagrams of a flow merge.
    const before = container.count('tx_frames');
    simulation.run();
    expect(container.count('tx_frames') - before).toBe(Math.floor(RATE.burstBytes / answer.length));
    wait(simulation, 2);
    expect(container.count('tx_frames') - before).toBe(40);
  });
});

describe('rates that change', () => {
  test('lifted: what waits goes on with the next pass', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    limit(simulation, a, { out: RATE });
    limit(simulation, b, { in: RATE });
    a.send(...numbered(0, 100));
    b.take();
    limit(simulation, a, {});
    limit(simulation, b, {});
    simulation.run();
    expect(b.take().length).toBe(100 - BURST);
    simulation.wait(2);
    for (const { rates } of simulation.engines) expect(rates.shaped).toEqual([]);
    a.send(...numbered(0, 1000));
    expect(b.take().length).toBe(1000);
  });

  test('a shorter queue keeps who came first; a longer one keeps all', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    const fast = { bitsPerSecond: 400_000_000, burstBytes: BURST * FRAME_BYTES };
    limit(simulation, a, { out: fast });
    a.send(...numbered(0, 900));
    const first = labels(b);
    expect(first.length).toBeLessThanOrEqual(BURST);
    limit(simulation, a, { out: RATE });
    limit(simulation, a, { out: fast });
    limit(simulation, a, {});
    simulation.run();
    const later = labels(b);
    expect(sorted([...first, ...later])).toEqual(ascending(0, 900));
    if (THREADS === 1) expect(later).toEqual(sorted(later));
    simulation.expectConserved();
  });

  test('a queue that gets too short drops who came last', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    const long = (label: number) => {
      const bytes = new Uint8Array(1514);
      bytes.set(frame(macOf(2), macOf(1), label));
      return bytes;
    };
    limit(simulation, a, { out: { bitsPerSecond: 400_000_000, burstBytes: 1514 } });
    const count = 200 * THREADS;
    for (let label = 0; label < count; label++) a.send(long(label));
    const first = labels(b);
    limit(simulation, a, { out: RATE });
    const dropped = a.count('rx_rate_limited');
    expect(dropped).toBeGreaterThan(0);
    limit(simulation, a, {});
    simulation.run();
    const all = [...first, ...labels(b)];
    expect(all.length).toBe(count - dropped);
    if (THREADS === 1) expect(all).toEqual(ascending(0, count - dropped));
    simulation.expectConserved();
  });

  test('a port that goes takes with it what waits; its number begins anew', () => {
    const { simulation, ports } = network(3);
    const [a, b, c] = ports;
    limit(simulation, c, { in: RATE });
    a.send(...numbered(0, 100, macOf(3)));
    c.remove();
    wait(simulation, 2);
    for (const { rates } of simulation.engines) expect([rates.shaped, rates.nextDue()]).toEqual([[], Number.POSITIVE_INFINITY]);
    a.send(frame(macOf(2), macOf(1), 7));
    expect(labels(b).at(-1)).toBe(7);
  });

  test('one way is limited, the other is not', () => {
    const { simulation, ports } = network(2);
    const [a, b] = ports;
    limit(simulation, a, { out: RATE });
    b.send(...ascending(0, 500).map((label) => frame(macOf(1), macOf(2), label)));
    expect(a.take().length).toBe(500);
  });
});

test('several engines keep one rate', () => {
  const { simulation, ports } = network(2);
  const [a, b] = ports;
  limit(simulation, a, { out: RATE });
  let through = 0;
  for (let milli = 0; milli < 200; milli++) {
    a.queue(...numbered(0, 50));
    simulation.clock.advanceSeconds(0.001);
    simulation.run();
    through += b.take().length;
  }
  expect(through * FRAME_BYTES).toBeGreaterThan(200_000 * 0.98);
  expect(through * FRAME_BYTES).toBeLessThanOrEqual(200_000 + RATE.burstBytes);
});
