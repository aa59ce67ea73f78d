/** Rules A.3 and A.4: reserved group addresses and what each flag of a port does. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_PORT_FLAGS } from '../../src/engine/protocol.js';
import {
  announcement,
  BROADCAST,
  frame,
  GATEWAY_MAC,
  ipOf,
  labelOf,
  MULTICAST,
  macOf,
  NOBODY,
  tagged,
  whoHas,
} from './frames.js';
import { datagram } from './packets.js';
import { network, Simulation } from './simulation.js';

describe('A.3: reserved group addresses', () => {
  const reserved = (last: number) => `01:80:c2:00:00:${last.toString(16).padStart(2, '0')}`;
  const passes = (groupForwardMask: number, last: number) => {
    const { simulation, ports } = network(2, false, { groupForwardMask });
    ports[0].send(frame(reserved(last), macOf(1)));
    const out = ports[1].take().length;
    expect(ports[0].count('rx_reserved')).toBe(1 - out);
    simulation.expectConserved();
    return out === 1;
  };

  for (let last = 0; last < 16; last++) {
    const plain = last === 0;
    const opened = last !== 1 && last !== 2;
    test(`${reserved(last)}: ${plain ? 'relayed (no STP here)' : 'dropped'}, with its mask bit ${opened ? 'relayed' : 'dropped'}`, () => {
      expect([passes(0, last), passes(1 << last, last), passes(0xffff & ~(1 << last), last)]).toEqual([plain, opened, plain]);
    });
  }

  test('20 to 2F (MRP) and all others are ordinary groups', () => {
    for (let last = 0x10; last < 0x40; last++) {
      expect(passes(0, last)).toBe(true);
    }
  });

  test('in a VLAN they are reserved all the same; neighbours of the block are not', () => {
    const { ports } = network(2, false);
    ports[0].send(tagged(frame(reserved(0x0e), macOf(1)), 5));
    expect(ports[1].take()).toEqual([]);
    ports[0].send(
      frame('01:80:c2:00:01:0e', macOf(1)),
      frame('01:80:c3:00:00:0e', macOf(1)),
      frame('03:80:c2:00:00:0e', macOf(1)),
    );
    expect(ports[1].take()).toHaveLength(3);
  });
});

describe('A.4: port flags', () => {
  test('defaults: all that teaches and floods on, all that restricts or reflects off', () => {
    expect(DEFAULT_PORT_FLAGS).toEqual({
      up: true,
      learning: true,
      floodUnicast: true,
      floodMulticast: true,
      floodBroadcast: true,
      hairpin: false,
      isolated: false,
      locked: false,
      sourceGuard: true,
    });
  });

  test('a port with a known address sends IPv4 and ARP from no other one; from none at all it may ask', () => {
    const simulation = new Simulation();
    const a = simulation.port({ mac: macOf(1), ip: ipOf(1) });
    const b = simulation.port({ mac: macOf(2), ip: ipOf(2) });
    const toB = { sourceMac: macOf(1), destinationMac: macOf(2) };
    const send = (source: string) => datagram(`${source}:1`, `${ipOf(2)}:2`, toB);
    a.send(send(ipOf(3)), announcement(1, ipOf(3)));
    expect(b.take()).toEqual([]);
    expect(a.count('rx_spoofed')).toBe(2);
    a.send(send(ipOf(1)), send('0.0.0.0'), announcement(1));
    expect(b.take()).toHaveLength(3);
    a.set({ sourceGuard: false });
    a.send(send(ipOf(3)));
    expect(b.take()).toHaveLength(1);
    simulation.expectConserved();
  });

  const everyClass = (source: string, known: string) =>
    [known, NOBODY, MULTICAST, BROADCAST].map((to, label) => frame(to, source, label));

  test('isolated ports do not reach each other, by no class of frame; they reach the others and the gateway, and are reached', () => {
    const simulation = new Simulation();
    const a = simulation.port({ flags: { isolated: true }, mac: macOf(1) });
    const b = simulation.port({ flags: { isolated: true }, mac: macOf(2) });
    const open = simulation.port({ mac: macOf(3) });
    const gateway = simulation.port({ local: true, mac: GATEWAY_MAC });
    a.send(...everyClass(macOf(1), macOf(2)));
    expect(b.take()).toEqual([]);
    expect([open.take().map(labelOf), gateway.take().map(labelOf)]).toEqual([
      [1, 2, 3],
      [2, 3],
    ]);
    a.send(frame(macOf(3), macOf(1)), frame(GATEWAY_MAC, macOf(1)));
    open.send(...everyClass(macOf(3), macOf(1)));
    gateway.send(...everyClass(GATEWAY_MAC, macOf(1)));
    expect(a.take().map(labelOf)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    simulation.expectConserved();
  });

  test('hairpin: frames may leave by the port they came from, known, unknown and flooded', () => {
    const { simulation, ports } = network(2);
    ports[0].send(frame(BROADCAST, macOf(9)));
    simulation.takeAll();
    ports[0].send(...everyClass(macOf(1), macOf(9)));
    expect(ports[0].take()).toEqual([]);
    ports[0].set({ hairpin: true });
    ports[0].send(...everyClass(macOf(1), macOf(9)));
    expect(ports[0].take().map(labelOf)).toEqual([0, 1, 2, 3]);
    simulation.expectConserved();
  });

  test('hairpin on an isolated port: isolated from itself too, as in the kernel', () => {
    const { ports } = network(2);
    ports[0].set({ hairpin: true, isolated: true });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(ports[0].take()).toEqual([]);
  });

  test('locked: only sources the FDB has on this very port, whether set or learned before; nothing new is learned', () => {
    const simulation = new Simulation();
    const port = simulation.port({ mac: macOf(1) });
    const other = simulation.port({ mac: macOf(2) });
    port.send(frame(BROADCAST, macOf(5)));
    port.set({ locked: true });
    simulation.takeAll();
    port.send(...[1, 5, 2, 6].map((n) => frame(BROADCAST, macOf(n), n)));
    expect(other.take().map(labelOf)).toEqual([1, 5]);
    expect(port.count('rx_guard')).toBe(2);
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(2)]: 1, [macOf(5)]: 0 });
    // In a VLAN the address is another one.
    port.send(tagged(frame(BROADCAST, macOf(1)), 4));
    expect(other.take()).toEqual([]);
  });

  test('locked: an entry that has expired admits nobody', () => {
    const { simulation, ports } = network(2);
    ports[0].set({ locked: true });
    simulation.clock.advanceSeconds(301);
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(ports[1].take()).toEqual([]);
  });

  for (const [flag, label] of [
    ['floodUnicast', 1],
    ['floodMulticast', 2],
    ['floodBroadcast', 3],
  ] as const) {
    test(`${flag} off: this class does not leave by flooding, the others and known unicast do`, () => {
      const { simulation, ports } = network(2);
      ports[1].set({ [flag]: false });
      ports[0].send(...everyClass(macOf(1), macOf(2)));
      expect(ports[1].take().map(labelOf)).toEqual([0, 1, 2, 3].filter((each) => each !== label));
      expect(ports[1].count('tx_filtered')).toBe(1);
      simulation.expectConserved();
    });
  }

  test('a disabled port neither takes nor gives', () => {
    const { simulation, ports } = network(3);
    ports[1].set({ up: false });
    ports[1].send(frame(BROADCAST, macOf(2)));
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 0, 1]);
    expect([ports[1].count('rx_port_down'), ports[1].count('tx_port_down')]).toEqual([1, 1]);
    simulation.expectConserved();
  });

  test('two bridges of one engine share nothing', () => {
    const { simulation, ports } = network(2);
    simulation.addBridge(1);
    const stranger = simulation.port({ bridge: 1 });
    stranger.send(frame(BROADCAST, macOf(50)), frame(macOf(1), macOf(50)), whoHas(ipOf(1), 50));
    ports[0].send(frame(BROADCAST, macOf(1)), frame(macOf(50), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 2, 0]);
    expect(simulation.fdb(1)).toEqual({ [macOf(50)]: 2 });
    // Nor can an address of one be pinned to a port of the other.
    expect(() => simulation.engine.pin(0, 0, 0x0200, 77, stranger.number)).toThrow('port number 2 is not on bridge 0');
    expect(() => simulation.engine.pin(0, 0, 0x0200, 77, 63)).toThrow(RangeError);
  });
});
