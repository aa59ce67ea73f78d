/** Rules A.5 and A.6: order, fairness, sizes. */
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { makePacket, payload } from '../helpers/packet.js';
import { BROADCAST, frame, ipOf, labelOf, MULTICAST, macOf, NOBODY, tagged, whoHas } from './frames.js';
import { network, Simulation } from './simulation.js';

describe('A.5: order', () => {
  test('L30: first in, first out for each pair of ports, over unicast, unknown and flooded, whatever arrives beside', () => {
    const count = 5;
    const { simulation, ports } = network(count);
    const random = new Random(17);
    let label = 0;
    const sent: number[][] = ports.map(() => []);
    for (let pass = 0; pass < 200; pass++) {
      ports.forEach((port, index) => {
        for (let burst = random.below(6); burst > 0; burst--) {
          const to = [BROADCAST, MULTICAST, NOBODY, ...ports.map((_, other) => macOf(other + 1))][random.below(3 + count)];
          port.queue(frame(to, macOf(index + 1), label));
          sent[index].push(label++);
        }
      });
      simulation.run();
    }
    ports.forEach((egress) => {
      const out = egress.take().map(labelOf);
      expect(out.length).toBeGreaterThan(200);
      for (const labels of sent) {
        const mine = new Set(labels);
        const arrived = out.filter((each) => mine.has(each));
        expect(arrived).toEqual([...arrived].sort((a, b) => a - b));
        expect(new Set(arrived).size).toBe(arrived.length);
      }
    });
  });

  test('L31: the segments of a super-frame leave together, in order, between what came before and after', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const plain = simulation.port({ headerBytes: 0, mac: macOf(2) });
    const small = (label: number) => frame(macOf(2), macOf(1), label);
    const large = makePacket({ protocol: 'tcp', gsoSize: 400, payload: payload(1000), source: macOf(1), destination: macOf(2) });
    sender.send(small(1), large, small(2));
    const out = plain.take();
    expect(out.map((bytes) => bytes.length)).toEqual([60, 454, 454, 254, 60]);
    expect([labelOf(out[0]), labelOf(out[4])]).toEqual([1, 2]);
  });

  test('L33: in the burst in which a host moves every frame to it leaves once', () => {
    const { simulation, ports } = network(4);
    for (let turn = 0; turn < 50; turn++) {
      ports[turn % 2].queue(frame(BROADCAST, macOf(9), 1000 + turn));
      ports[3].queue(frame(macOf(9), macOf(4), turn));
    }
    simulation.run();
    const unicast = [...ports[0].take(), ...ports[1].take()].map(labelOf).filter((label) => label < 1000);
    expect(unicast.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  });

  test('frames of many busy ports: no port waits for the others to fall silent', () => {
    const simulation = new Simulation();
    const senders = Array.from({ length: 40 }, () => simulation.port());
    const sink = simulation.port({ mac: macOf(99), queueFrames: 20_000 });
    senders.forEach((port, index) => {
      port.queue(...Array.from({ length: 300 }, () => frame(macOf(99), macOf(index + 1), index)));
    });
    for (let pass = 0; pass < 4; pass++) {
      simulation.step();
    }
    const served = new Set(sink.take().map(labelOf));
    expect(served.size).toBe(40);
  });
});

describe('A.6: sizes', () => {
  const ofLength = (bytes: number) => {
    const long = new Uint8Array(bytes);
    long.set(frame(macOf(2), macOf(1)));
    return long;
  };

  for (const mtu of [1500, 9000, 576]) {
    test(`L40: MTU ${mtu}: ${mtu + 18} bytes pass, ${mtu + 19} are dropped for that port and counted`, () => {
      const simulation = new Simulation();
      const sender = simulation.port();
      const port = simulation.port({ mtu, mac: macOf(2) });
      sender.send(ofLength(mtu + 14), ofLength(mtu + 18), ofLength(mtu + 19), ofLength(mtu + 400));
      expect(port.take().map((bytes) => bytes.length)).toEqual([mtu + 14, mtu + 18]);
      expect(port.count('tx_too_big')).toBe(2);
      simulation.expectConserved();
    });
  }

  test('L40: of a super-frame the segments count, not its length', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const port = simulation.port({ mtu: 1500, mac: macOf(2) });
    const large = (gsoSize: number) =>
      makePacket({ protocol: 'tcp', gsoSize, payload: payload(40_000), source: macOf(1), destination: macOf(2) });
    sender.send(large(1460), large(1464), large(1465), large(8000));
    expect(port.take().map((bytes) => bytes.length)).toEqual([40_054, 40_054]);
    expect(port.count('tx_too_big')).toBe(2);
  });

  test('L40: a flood leaves by the ports it fits', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const ports = [simulation.port({ mtu: 1000 }), simulation.port({ mtu: 1500 }), simulation.port({ mtu: 9000 })];
    sender.send(ofLength(1514));
    expect(ports.map((port) => port.take().length)).toEqual([0, 1, 1]);
  });

  test('L41: nothing is padded, trailing bytes stay', () => {
    const { ports } = network(2);
    const request = whoHas(ipOf(77), 1);
    const trailing = new Uint8Array(60);
    trailing.set(request);
    ports[0].send(request, trailing);
    expect(ports[1].take()).toEqual([request, trailing]);
  });

  test('the longest frame an IP packet can need, with two tags, passes a port whose MTU allows it', () => {
    const simulation = new Simulation();
    const sender = simulation.port();
    const port = simulation.port({ mtu: 65_535 + 4, mac: macOf(2) });
    const longest = tagged(tagged(ofLength(65_535 + 14), 0), 0);
    sender.send(longest);
    expect(port.take()).toEqual([longest]);
  });
});
