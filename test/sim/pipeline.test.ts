/** Rules A.1 and L1 to L5: the order of the pipeline, what may be flooded, copies, conservation. */
import { describe, expect, test } from 'vitest';
import type { DropReason } from '../../src/core/counters.js';
import { Random } from '../../src/core/random.js';
import { DEFAULT_PORT_FLAGS, type PortFlags } from '../../src/engine/protocol.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { makePacket, payload } from '../helpers/packet.js';
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
  ZERO_MAC,
} from './frames.js';
import { drops, network, Simulation } from './simulation.js';

describe('A.1: the order of the pipeline', () => {
  const runt = frame(BROADCAST, macOf(1)).subarray(0, 13);
  const badVnet = makePacket({ gsoSize: 100, payload: payload(300), source: macOf(1), destination: BROADCAST });
  vnet.setFlags(badVnet.vnet, 0, 0);
  // Each frame has every fault from its own step on; the counter names the first.
  const groupSource = '03:00:00:00:00:01';
  const steps: [string, Uint8Array | typeof badVnet, Partial<PortFlags>, DropReason][] = [
    ['1: 13 bytes, on a port that is down', runt, { up: false }, 'rx_malformed'],
    ['1: a tag cut off', tagged(frame(BROADCAST, macOf(1)), 5).subarray(0, 17), {}, 'rx_malformed'],
    ['1: vnet header that contradicts its frame, on a port that is down', badVnet, { up: false }, 'rx_bad_vnet'],
    ['2: port down, source a group', frame(BROADCAST, groupSource), { up: false }, 'rx_port_down'],
    ['3: source a group, on a locked port', frame(BROADCAST, groupSource), { locked: true }, 'rx_src_invalid'],
    ['3: source broadcast', frame(macOf(2), BROADCAST), {}, 'rx_src_invalid'],
    ['3: source all zero', frame(macOf(2), ZERO_MAC), {}, 'rx_src_invalid'],
    ['6: guard before reserved addresses are consumed', frame('01:80:c2:00:00:0e', macOf(1)), { locked: true }, 'rx_guard'],
    ['5: reserved destination', frame('01:80:c2:00:00:0e', macOf(1)), {}, 'rx_reserved'],
  ];
  for (const [name, bytes, flags, counter] of steps) {
    test(`step ${name}: ${counter}, nothing leaves`, () => {
      const simulation = new Simulation();
      const port = simulation.port({ flags });
      simulation.port();
      port.send(bytes as Uint8Array);
      expect(simulation.takeCounts()).toEqual([0, 0]);
      expect(drops(simulation)).toEqual({ [counter]: 1 });
      expect(port.count('rx_frames')).toBe(1);
      simulation.expectConserved();
    });
  }

  test('steps 1 to 3: what is dropped there teaches nothing', () => {
    const { simulation, ports } = network(2, false);
    ports[0].send(badVnet, frame(BROADCAST, groupSource), frame(BROADCAST, ZERO_MAC));
    ports[0].set({ up: false });
    ports[0].send(frame(BROADCAST, macOf(1)));
    expect(simulation.fdb()).toEqual({});
  });

  test('step 1: 14 bytes are a frame, 1 byte is a runt, and the port goes on', () => {
    const { simulation, ports } = network(2, false);
    ports[0].send(frame(BROADCAST, macOf(1)).subarray(0, 14), Uint8Array.of(1), frame(BROADCAST, macOf(1), 7));
    expect(ports[1].take().map((bytes) => bytes.length)).toEqual([14, 60]);
    expect(drops(simulation)).toEqual({ rx_malformed: 1 });
  });

  test('step 8: all ones is broadcast, any other group multicast, the rest unicast', () => {
    const { simulation, ports } = network(1, false);
    const only = (flag: keyof PortFlags) => {
      const none = { floodUnicast: false, floodMulticast: false, floodBroadcast: false };
      return simulation.port({ flags: { ...none, [flag]: true } });
    };
    const takers = [only('floodUnicast'), only('floodMulticast'), only('floodBroadcast')];
    const destinations = [NOBODY, MULTICAST, '33:33:00:00:00:01', 'ff:ff:ff:ff:ff:fe', '01:80:c2:00:00:21', BROADCAST];
    ports[0].send(...destinations.map((destination, label) => frame(destination, macOf(1), label)));
    expect(takers.map((port) => port.take().map(labelOf))).toEqual([[0], [1, 2, 3, 4], [5]]);
  });

  test('step 10: unicast to the gateway goes to it only, also before it has spoken, in every VLAN', () => {
    const { simulation, ports } = network(2);
    const gateway = simulation.port({ local: true, mac: GATEWAY_MAC });
    ports[0].send(frame(GATEWAY_MAC, macOf(1), 1), tagged(frame(GATEWAY_MAC, macOf(1), 2), 7));
    expect(simulation.takeCounts()).toEqual([0, 0, 2]);
    gateway.send(frame(macOf(1), GATEWAY_MAC));
    expect(simulation.takeCounts()).toEqual([1, 0, 0]);
  });

  test('step 10: the gateway gets broadcast and multicast, but no unknown unicast', () => {
    const { simulation, ports } = network(2);
    const gateway = simulation.port({ local: true, mac: GATEWAY_MAC });
    ports[0].send(frame(BROADCAST, macOf(1), 1), frame(MULTICAST, macOf(1), 2), frame(NOBODY, macOf(1), 3));
    expect(gateway.take().map(labelOf)).toEqual([1, 2]);
    expect(ports[1].take().map(labelOf)).toEqual([1, 2, 3]);
    expect(gateway.count('tx_filtered')).toBe(1);
    simulation.expectConserved();
  });

  test('step 6: a source that is the gateway is spoofed: dropped, nothing learned, tagged or not, learning or not', () => {
    const { simulation, ports } = network(2);
    simulation.port({ local: true, mac: GATEWAY_MAC });
    ports[0].send(frame(BROADCAST, GATEWAY_MAC), tagged(frame(BROADCAST, GATEWAY_MAC), 9));
    ports[0].set({ learning: false });
    ports[0].send(frame(BROADCAST, GATEWAY_MAC), tagged(frame(BROADCAST, GATEWAY_MAC), 9));
    expect(simulation.takeCounts()).toEqual([0, 0, 0]);
    expect(ports[0].count('rx_guard')).toBe(4);
    expect(simulation.fdb()).toMatchObject({ [GATEWAY_MAC]: 2 });
    expect(Object.keys(simulation.fdb())).not.toContain(`${GATEWAY_MAC}/9`);
  });

  test('step 13: a full queue drops for that port only; the others and later frames go on', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const stuck = simulation.port({ queueFrames: 4 });
    const healthy = simulation.port();
    sender.send(...Array.from({ length: 10 }, (_, label) => frame(BROADCAST, macOf(1), label)));
    expect(healthy.take().map(labelOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(stuck.count('tx_full')).toBe(6);
    // The tail is what is lost.
    expect(stuck.take().map(labelOf)).toEqual([0, 1, 2, 3]);
    sender.send(frame(BROADCAST, macOf(1), 10));
    expect([stuck.take().map(labelOf), healthy.take().map(labelOf)]).toEqual([[10], [10]]);
    simulation.expectConserved();
  });
});

describe('L1: known unicast is dropped rather than flooded', () => {
  test('to a host behind the port it came from', () => {
    const { simulation, ports } = network(3);
    ports[0].send(frame(BROADCAST, macOf(9)));
    simulation.takeAll();
    ports[0].send(frame(macOf(9), macOf(1)));
    expect(simulation.takeCounts()).toEqual([0, 0, 0]);
    expect(ports[0].count('tx_filtered')).toBe(1);
  });

  test('to a port that is isolated from the sender, down, or too small for it', () => {
    const { simulation, ports } = network(4);
    ports[0].set({ isolated: true });
    ports[1].set({ isolated: true });
    ports[0].send(frame(macOf(2), macOf(1)));
    expect(ports[1].count('tx_filtered')).toBe(1);
    const small = simulation.port({ mtu: 100, mac: macOf(20) });
    ports[0].send(makePacket({ source: macOf(1), destination: macOf(20), payload: payload(300) }).frame);
    expect(small.count('tx_too_big')).toBe(1);
    const down = simulation.port({ flags: { up: false }, mac: macOf(21) });
    ports[0].send(frame(macOf(21), macOf(1)));
    expect(down.count('tx_port_down')).toBe(1);
    expect(simulation.takeCounts()).toEqual([0, 0, 0, 0, 0, 0]);
    simulation.expectConserved();
  });
});

describe('L2: what the gateway floods', () => {
  test('mcastFlood and bcastFlood of the egress port do not bind it, flood (unknown unicast) does', () => {
    const simulation = new Simulation();
    const gateway = simulation.port({ local: true, mac: GATEWAY_MAC });
    const host = simulation.port();
    const quiet = simulation.port({ flags: { floodUnicast: false, floodMulticast: false, floodBroadcast: false } });
    const classes = (source: string) => [NOBODY, MULTICAST, BROADCAST].map((to, label) => frame(to, source, label));
    gateway.send(...classes(GATEWAY_MAC));
    expect(quiet.take().map(labelOf)).toEqual([1, 2]);
    host.send(...classes(macOf(1)));
    expect(quiet.take()).toEqual([]);
    expect(quiet.count('tx_filtered')).toBe(1 + 3);
  });
});

describe('L3, L4: copies', () => {
  test('one copy per egress port, none back, every byte as it came', () => {
    const { simulation, ports } = network(5, false);
    const sent = frame(BROADCAST, macOf(1), 0xdecade);
    ports[2].send(sent);
    expect(simulation.takeAll()).toEqual([[sent], [sent], [], [sent], [sent]]);
  });

  test('one port finishes the checksum, the others still get the partial one, whatever their order', () => {
    for (const plainFirst of [true, false]) {
      const simulation = new Simulation();
      const sender = simulation.port();
      const plain = [
        simulation.port({ headerBytes: plainFirst ? 0 : 12 }),
        simulation.port({ headerBytes: plainFirst ? 12 : 0 }),
      ];
      const whole = plain[plainFirst ? 1 : 0];
      const partial = makePacket({ partial: true, source: macOf(1), destination: BROADCAST });
      const complete = makePacket({ source: macOf(1), destination: BROADCAST });
      sender.send(partial);
      expect(plain[plainFirst ? 0 : 1].take()).toEqual([complete.frame]);
      expect(whole.takeWhole()).toEqual([partial]);
    }
  });
});

describe('L5: conservation', () => {
  test('after random traffic over ports with random flags nothing is unaccounted for, and nothing counted twice', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const simulation = new Simulation({ fdbLimit: 12, subnet: { network: 0x0a000000, prefix: 24 } });
      simulation.port({ local: true, mac: GATEWAY_MAC, ip: ipOf(254) });
      for (let index = 0; index < 8; index++) {
        const flags: Partial<PortFlags> = {};
        for (const name of Object.keys(DEFAULT_PORT_FLAGS) as (keyof PortFlags)[]) {
          if (random.below(4) === 0) {
            flags[name] = !DEFAULT_PORT_FLAGS[name];
          }
        }
        const headerBytes = random.below(3) === 0 ? 0 : 12;
        simulation.port({
          flags,
          headerBytes,
          mtu: random.below(4) === 0 ? 200 : 1500,
          macLimit: random.below(4),
          queueFrames: 40,
        });
      }
      const destinations = [
        BROADCAST,
        MULTICAST,
        NOBODY,
        GATEWAY_MAC,
        '01:80:c2:00:00:02',
        ...[1, 2, 3, 4, 5, 6, 7, 8].map(macOf),
      ];
      const pick = <Value>(values: readonly Value[]) => values[random.below(values.length)];
      for (let turn = 0; turn < 300; turn++) {
        for (const port of simulation.ports) {
          for (let burst = random.below(4); burst > 0; burst--) {
            const n = 1 + random.below(10);
            const source = random.below(20) === 0 ? pick([GATEWAY_MAC, BROADCAST, ZERO_MAC]) : macOf(n);
            const to = { source, destination: pick(destinations) };
            const each = pick([
              () => frame(to.destination, source, turn),
              () => tagged(frame(to.destination, source, turn), 1 + random.below(3)),
              () => frame(to.destination, source).subarray(0, 1 + random.below(20)),
              () => whoHas(ipOf(random.below(12)), n),
              () => announcement(n),
              () => makePacket(to).frame,
              () => makePacket({ ...to, payload: payload(400) }).frame,
            ])();
            port.queue(each);
          }
        }
        simulation.run();
        // Readers that are slow, so that queues fill.
        if (turn % 3 === 0) {
          simulation.takeAll();
        }
        if (turn % 50 === 0) {
          simulation.clock.advanceSeconds(random.below(90));
        }
      }
      simulation.expectConserved();
      expect(simulation.total('rx_frames')).toBeGreaterThan(2000);
      expect(simulation.total('arp_answered')).toBe(simulation.total('made'));
    }
  });

  test('super-frames and faults are part of the sum', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    simulation.port({ headerBytes: 0, queueFrames: 100 });
    const lossy = simulation.port();
    const faults = { seed: 5, loss: 0.3, duplicate: 0, reorder: 0, corrupt: 0, delayMicros: 0, jitterMicros: 0 };
    simulation.fault(sender, faults);
    simulation.fault(lossy, faults);
    for (let turn = 0; turn < 100; turn++) {
      sender.send(makePacket({ gsoSize: 500, payload: payload(1800), source: macOf(1), destination: BROADCAST }));
    }
    simulation.expectConserved();
    expect(sender.count('rx_fault')).toBeGreaterThan(10);
    expect(lossy.count('tx_fault')).toBeGreaterThan(10);
    expect(sender.count('rx_frames')).toBe(100);
  });
});
