import { describe, expect, test } from 'vitest';
import { PORT } from '../../src/core/counters.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS, type PortSettings } from '../../src/engine/protocol.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { parseMac } from '../../src/wire/mac-address.js';
import { THREADS } from '../helpers/threads.js';
import { announcement, BROADCAST, frame, ipOf, macOf, whoHas } from '../sim/frames.js';
import { network, Simulation } from '../sim/simulation.js';

const mac = (n: number) => parseMac(macOf(n));
const ip = (n: number) => parseIpv4(ipOf(n));

const TAP: PortSettings = {
  bridge: 0,
  spec: { kind: 'tap', descriptor: 9, queues: new Array(THREADS - 1).fill(9), vnetHeader: true, udpSegmentation: true },
  flags: DEFAULT_PORT_FLAGS,
  mtu: 1400,
  macLimit: 3,
  address: { mac: mac(9), ip: ip(9) },
  local: false,
  faults: null,
};

describe('fdb and neighbors', () => {
  test('listed with kind, port, VLAN and age', () => {
    const { simulation, ports } = network(1);
    simulation.execute('add-fdb', { bridge: 0, vlan: 7, mac: mac(5), port: 0 });
    ports[0].send(announcement(1));
    simulation.clock.advanceSeconds(9);
    simulation.run();
    expect(simulation.execute('list-fdb', { bridge: 0 }).sort((a, b) => a.age - b.age)).toEqual([
      { mac: mac(5), vlan: 7, port: 0, kind: 'static', age: 0 },
      { mac: mac(1), vlan: 0, port: 0, kind: 'learned', age: 9 },
    ]);
    expect(simulation.execute('list-neighbors', { bridge: 0 })).toEqual([{ ip: ip(1), mac: mac(1), kind: 'learned', age: 9 }]);
  });

  test('added, removed, flushed', () => {
    const { simulation } = network(2);
    simulation.execute('add-fdb', { bridge: 0, vlan: 0, mac: mac(8), port: 1 });
    expect(simulation.execute('remove-fdb', { bridge: 0, vlan: 0, mac: mac(1) })).toBe(true);
    expect(simulation.execute('remove-fdb', { bridge: 0, vlan: 0, mac: mac(1) })).toBe(false);
    expect(simulation.execute('flush-fdb', { bridge: 0 })).toBe(1);
    expect(simulation.fdb()).toEqual({ [macOf(8)]: 1 });
    simulation.execute('add-neighbor', { bridge: 0, ip: ip(8), mac: mac(8) });
    expect(simulation.execute('list-neighbors', { bridge: 0 })).toEqual([{ ip: ip(8), mac: mac(8), kind: 'static', age: 0 }]);
    expect(simulation.execute('remove-neighbor', { bridge: 0, ip: ip(8) })).toBe(true);
    expect(simulation.execute('remove-neighbor', { bridge: 0, ip: ip(8) })).toBe(false);
  });

  test('an address for a port that is not on the bridge is refused', () => {
    const { simulation } = network(2);
    for (const port of [5, -1, 999]) {
      expect(() => simulation.execute('add-fdb', { bridge: 0, vlan: 0, mac: mac(8), port })).toThrow('is not on bridge 0');
    }
  });

  test('no room for another neighbor: an error', () => {
    const { simulation } = network(1);
    for (let host = 0; host < 8192; host++) {
      simulation.execute('add-neighbor', { bridge: 0, ip: host, mac: mac(1) });
    }
    const more = { bridge: 0, ip: 9000, mac: mac(1) };
    expect(() => simulation.execute('add-neighbor', more)).toThrow('no room for another neighbor');
  });
});

describe('ports', () => {
  test('made with flags, MTU, limit, address and neighbor; removed with all of it', () => {
    const simulation = new Simulation();
    const { engine } = simulation;
    simulation.execute('add-port', { port: 3, settings: TAP });
    expect([engine.table.mtu[3], engine.table.macLimit[3]]).toEqual([1400, 3]);
    expect(simulation.execute('list-fdb', { bridge: 0 })).toEqual([{ mac: mac(9), vlan: 0, port: 3, kind: 'static', age: 0 }]);
    expect(simulation.execute('list-neighbors', { bridge: 0 })).toMatchObject([{ ip: ip(9), kind: 'static' }]);
    simulation.execute('remove-port', { port: 3 });
    expect(simulation.execute('list-fdb', { bridge: 0 })).toEqual([]);
    expect(simulation.execute('list-neighbors', { bridge: 0 })).toEqual([]);
  });

  test('counters begin at 0, unless the port had the number before: then it goes on', () => {
    const simulation = new Simulation();
    const { engine } = simulation;
    const { portCounters } = engine;
    simulation.execute('add-port', { port: 3, settings: TAP });
    portCounters.add(3, PORT.rx_frames, 5);
    simulation.execute('remove-port', { port: 3 });
    simulation.execute('add-port', { port: 3, settings: TAP, keepCounters: true });
    expect(portCounters.get(3, PORT.rx_frames)).toBe(5);
    simulation.execute('remove-port', { port: 3 });
    simulation.execute('add-port', { port: 3, settings: TAP });
    expect(portCounters.get(3, PORT.rx_frames)).toBe(0);
  });

  test('the gateway’s address is local', () => {
    const simulation = new Simulation();
    simulation.execute('add-port', { port: 0, settings: { ...TAP, local: true } });
    expect(simulation.execute('list-fdb', { bridge: 0 })).toMatchObject([{ kind: 'local' }]);
  });

  test('a refused port leaves nothing behind', () => {
    const simulation = new Simulation();
    const { engine } = simulation;
    const faults = { seed: 1, loss: 2, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };
    expect(() => simulation.execute('add-port', { port: 3, settings: { ...TAP, faults } })).toThrow('loss is a fraction');
    expect(() => simulation.execute('add-port', { port: 3, settings: { ...TAP, bridge: 9 } })).toThrow('there is no bridge 9');
    for (let host = 0; host < 8192; host++) {
      simulation.execute('add-neighbor', { bridge: 0, ip: 0x0b000000 + host, mac: mac(1) });
    }
    expect(() => simulation.execute('add-port', { port: 3, settings: TAP })).toThrow('no room for another static address');
    expect(engine.table.bridge[3]).toBe(-1);
    expect(simulation.execute('list-fdb', { bridge: 0 })).toEqual([]);
  });

  test('flags, MTU, limit and faults change one by one, traffic follows at once', () => {
    const { simulation, ports } = network(2);
    const { engine } = simulation;
    const flags = engine.table.flags[1];
    simulation.execute('set-port', { port: 1, flags: { isolated: true } });
    simulation.execute('set-port', { port: 1, flags: { isolated: false } });
    expect(engine.table.flags[1]).toBe(flags);
    simulation.execute('set-port', { port: 1, mtu: 40 });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(ports[1].take()).toHaveLength(0);
    simulation.execute('set-port', { port: 1, mtu: 1500 });
    const lossy = { seed: 1, loss: 1, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };
    simulation.execute('set-port', { port: 1, faults: lossy });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect([ports[1].take().length, ports[1].count('tx_fault')]).toEqual([0, 1]);
    simulation.execute('set-port', { port: 1, faults: null, macLimit: 1 });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(ports[1].take()).toHaveLength(1);
    ports[1].send(frame(BROADCAST, macOf(70)));
    expect(Object.keys(simulation.fdb())).not.toContain(macOf(70));
  });

  test('a port that does not exist cannot be set', () => {
    const simulation = new Simulation();
    for (const port of [0, -1, 5000]) {
      expect(() => simulation.execute('set-port', { port, flags: { up: false } })).toThrow(`there is no port ${port}`);
    }
  });
});

describe('bridges', () => {
  test('made, set, removed; one that does not exist is an error that says so', () => {
    const { simulation, ports } = network(2);
    simulation.execute('add-bridge', { bridge: 4, settings: DEFAULT_BRIDGE_SETTINGS });
    expect(() => simulation.execute('add-bridge', { bridge: 4, settings: DEFAULT_BRIDGE_SETTINGS })).toThrow(
      'bridge number 4 is taken',
    );
    simulation.execute('remove-bridge', { bridge: 4 });
    for (const bridge of [4, -1, 256]) {
      expect(() => simulation.execute('remove-bridge', { bridge })).toThrow(`there is no bridge ${bridge}`);
      expect(() => simulation.execute('list-fdb', { bridge })).toThrow(`there is no bridge ${bridge}`);
      expect(() => simulation.execute('set-bridge', { bridge, settings: {} })).toThrow(`there is no bridge ${bridge}`);
    }
    ports[1].send(announcement(2));
    simulation.execute('set-bridge', { bridge: 0, settings: { arpProxy: false } });
    ports[0].take();
    ports[0].send(whoHas(ipOf(2), 1));
    expect(ports[0].take()).toEqual([]);
  });
});
