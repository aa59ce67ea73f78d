/** Section B of the forwarding semantics: what the ARP proxy answers, floods and learns. */
import { describe, expect, test } from 'vitest';
import { NoticeKind } from '../../src/bridge/notices.js';
import { EtherType, setEtherType } from '../../src/wire/ethernet.js';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4-address.js';
import { formatMac } from '../../src/wire/mac-address.js';
import {
  announcement,
  arpFrame,
  arpReply,
  BROADCAST,
  frame,
  GATEWAY_MAC,
  ipOf,
  macOf,
  probe,
  readArp,
  tagged,
  whoHas,
} from './frames.js';
import { Simulation } from './simulation.js';

const GATEWAY_IP = ipOf(254);
const SUBNET = { network: parseIpv4('10.0.0.0'), prefix: 24 };
const answerOf = (owner: number, asker: number) =>
  `reply ${ipOf(owner)} (${macOf(owner)}) to ${ipOf(asker)} (${macOf(asker)}), frame ${macOf(owner)} > ${macOf(asker)}`;

/** Hosts 1 to `count` on ports 0 to `count - 1`; all of them have told their address. */
function network(count: number, options: ConstructorParameters<typeof Simulation>[0] = {}) {
  const simulation = new Simulation({ subnet: SUBNET, ...options });
  const ports = Array.from({ length: count }, () => simulation.port());
  for (const port of ports) {
    port.send(announcement(port.number + 1));
  }
  simulation.takeAll();
  return { simulation, ports };
}

/** The neighbors as `address → MAC`. */
function neighbors(simulation: Simulation): Record<string, string> {
  const entries = [...simulation.bridge.neighbors.entries(simulation.engine.seconds)];
  return Object.fromEntries(entries.map(({ ip, macHigh, macLow }) => [formatIpv4(ip), formatMac(macHigh, macLow)]));
}

const learned = (...hosts: number[]) => Object.fromEntries(hosts.map((host) => [ipOf(host), macOf(host)]));

describe('B.2: a request for a known neighbor', () => {
  test('A4: answered to the asker alone, from the owner and about the owner; nobody else hears of it', () => {
    const { simulation, ports } = network(3);
    ports[0].send(whoHas(ipOf(2), 1));
    const [answer, ...rest] = ports[0].takeWhole();
    expect(rest).toEqual([]);
    expect(readArp(answer.frame)).toBe(answerOf(2, 1));
    expect(answer.frame.length).toBe(42);
    expect([...answer.vnet]).toEqual(new Array(12).fill(0));
    expect(simulation.takeCounts()).toEqual([0, 0, 0]);
    expect(simulation.counters()).toMatchObject({ arp_requests: 4, arp_answered: 1, arp_flooded: 3 });
    simulation.expectConserved();
  });

  test('A4: a self-made answer teaches nothing: the owner stays on its port', () => {
    const { simulation, ports } = network(2);
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.fdb()).toEqual({ [macOf(1)]: 0, [macOf(2)]: 1 });
  });

  test('several requests in one burst, for several owners: an answer each, in order', () => {
    const { ports } = network(4);
    ports[0].send(whoHas(ipOf(2), 1), whoHas(ipOf(3), 1), whoHas(ipOf(4), 1));
    expect(ports[0].take().map(readArp)).toEqual([answerOf(2, 1), answerOf(3, 1), answerOf(4, 1)]);
  });

  test('a neighbor that was attached with its address is known before it has said a word', () => {
    const { simulation, ports } = network(1);
    simulation.port({ mac: macOf(30), ip: ipOf(30) });
    ports[0].send(whoHas(ipOf(30), 1));
    expect(ports[0].take().map(readArp)).toEqual([answerOf(30, 1)]);
  });

  test('the gateway is answered for as any neighbor', () => {
    const { simulation, ports } = network(1);
    simulation.port({ local: true, mac: GATEWAY_MAC, ip: GATEWAY_IP });
    ports[0].send(whoHas(GATEWAY_IP, 1));
    expect(simulation.takeAll().map((frames) => frames.map(readArp))).toEqual([
      [`reply ${GATEWAY_IP} (${GATEWAY_MAC}) to ${ipOf(1)} (${macOf(1)}), frame ${GATEWAY_MAC} > ${macOf(1)}`],
      [],
    ]);
  });

  test('A3: not when it is unknown: the request floods', () => {
    const { simulation, ports } = network(3);
    ports[0].send(whoHas(ipOf(77), 1));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('A3: not when the owner is behind the asking port', () => {
    const { simulation, ports } = network(3);
    ports[0].send(announcement(8));
    simulation.takeAll();
    ports[0].send(whoHas(ipOf(8), 1));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('A3: not when the owner is the asker', () => {
    const { simulation, ports } = network(3);
    ports[0].send(announcement(1, ipOf(9)));
    simulation.takeAll();
    ports[1].send(arpFrame({ senderMac: macOf(1), senderIp: ipOf(1), targetIp: ipOf(9) }));
    expect(ports[1].take()).toEqual([]);
    expect(simulation.takeCounts()).toEqual([1, 0, 1]);
  });

  test('A3: not when its MAC is no longer in the FDB', () => {
    const { simulation, ports } = network(3);
    simulation.bridge.fdb.flush();
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('A3: not when the port of the owner is down', () => {
    const { simulation, ports } = network(2);
    const owner = simulation.port({ mac: macOf(30), ip: ipOf(30) });
    owner.set({ up: false });
    ports[0].send(whoHas(ipOf(30), 1));
    expect(simulation.takeCounts()).toEqual([0, 1, 0]);
  });

  test('A3: isolated from each other: silence; from an isolated port to an open one and back: answered', () => {
    const { simulation, ports } = network(3);
    ports[0].set({ isolated: true });
    ports[1].set({ isolated: true });
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 0, 1]);
    ports[0].send(whoHas(ipOf(3), 1));
    ports[2].send(whoHas(ipOf(1), 3));
    expect(simulation.takeAll().map((frames) => frames.map(readArp))).toEqual([[answerOf(3, 1)], [], [answerOf(1, 3)]]);
  });

  test('A3: only addresses inside the subnet, and none that a host cannot have', () => {
    const inside = ['10.0.0.1', '10.0.0.254'];
    const never = ['10.0.0.0', '10.0.0.255', '10.0.1.1', '9.255.255.255', '127.0.0.1', '224.0.0.1', '255.255.255.255', '0.0.0.0'];
    for (const address of [...inside, ...never]) {
      const { simulation, ports } = network(1);
      simulation.port({ mac: macOf(30), ip: address });
      ports[0].send(arpFrame({ senderMac: macOf(1), senderIp: ipOf(77), targetIp: address }));
      expect(ports[0].take().length, address).toBe(inside.includes(address) ? 1 : 0);
    }
  });

  test('A3: in a subnet of two addresses (RFC 3021) both are hosts; without a subnet any unicast address is', () => {
    for (const subnet of [{ network: parseIpv4('10.0.0.30'), prefix: 31 }, null]) {
      const { simulation, ports } = network(1, { subnet });
      simulation.port({ mac: macOf(30), ip: '10.0.0.30' });
      simulation.port({ mac: macOf(31), ip: '10.0.0.31' });
      simulation.port({ mac: macOf(32), ip: '127.0.0.1' });
      const ask = (targetIp: string) => {
        ports[0].send(arpFrame({ senderMac: macOf(1), senderIp: ipOf(77), targetIp }));
        return ports[0].take().length;
      };
      expect([ask('10.0.0.30'), ask('10.0.0.31'), ask('127.0.0.1')]).toEqual([1, 1, 0]);
    }
  });

  test('asked of one host (unicast), it is bridged to that host, which may have changed', () => {
    const { simulation, ports } = network(3);
    const asked = arpFrame({ senderMac: macOf(1), senderIp: ipOf(1), targetIp: ipOf(2), destination: macOf(2) });
    ports[0].send(asked);
    expect(simulation.takeAll()).toEqual([[], [asked], []]);
    expect(simulation.counters()).toMatchObject({ arp_answered: 0, arp_flooded: 3 });
  });

  test('in a VLAN it is bridged: what is known says nothing about that VLAN', () => {
    const { simulation, ports } = network(3);
    ports[0].send(tagged(whoHas(ipOf(2), 1), 5));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
  });

  test('switched off: everything floods, but what is said is noted, for the gateway', () => {
    const { simulation, ports } = network(3, { arpProxy: false });
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
    expect(neighbors(simulation)).toEqual(learned(1, 2, 3));
    expect(simulation.counters()).toMatchObject({ arp_requests: 0, arp_answered: 0 });
    simulation.execute('set-bridge', { bridge: 0, settings: { arpProxy: true } });
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([1, 0, 0]);
  });
});

describe('B.2: probes, announcements, replies, other operations', () => {
  test('A5: a probe is never answered from the table, for a host nor for the gateway: its owner may object', () => {
    const { simulation, ports } = network(3);
    const gateway = simulation.port({ local: true, mac: GATEWAY_MAC, ip: GATEWAY_IP });
    ports[0].send(probe(ipOf(2), 9), probe(GATEWAY_IP, 9));
    expect(simulation.takeCounts()).toEqual([0, 2, 2, 2]);
    expect(simulation.counters()).toMatchObject({ arp_probes: 2, arp_answered: 0 });
    gateway.send(probe(ipOf(2), 254));
    expect(simulation.takeCounts()).toEqual([1, 1, 1, 0]);
  });

  test('A6: a probe creates no binding, and confirms none', () => {
    const { simulation, ports } = network(1);
    ports[0].send(probe(ipOf(9), 9));
    expect(neighbors(simulation)).toEqual(learned(1));
  });

  test('A7: two hosts that probe for one address hear each other', () => {
    const { simulation, ports } = network(2);
    ports[0].queue(probe(ipOf(50), 1));
    ports[1].queue(probe(ipOf(50), 2));
    simulation.run();
    expect(simulation.takeAll()).toEqual([[probe(ipOf(50), 2)], [probe(ipOf(50), 1)]]);
  });

  test('an announcement floods, also of an address that is known, and teaches', () => {
    const { simulation, ports } = network(3);
    ports[0].send(announcement(1), announcement(10));
    expect(simulation.takeCounts()).toEqual([0, 2, 2]);
    expect(neighbors(simulation)).toEqual(learned(1, 2, 3, 10));
  });

  test('an announcement as reply, broadcast: the same', () => {
    const { simulation, ports } = network(3);
    ports[0].send(arpReply({ senderMac: macOf(10), senderIp: ipOf(10), targetIp: ipOf(10), targetMac: BROADCAST }));
    expect(simulation.takeCounts()).toEqual([0, 1, 1]);
    expect(neighbors(simulation)).toEqual(learned(1, 2, 3, 10));
  });

  test('a reply, unicast: to its addressee only, and it teaches', () => {
    const { simulation, ports } = network(3);
    const reply = arpReply({
      senderMac: macOf(10),
      senderIp: ipOf(10),
      targetIp: ipOf(2),
      targetMac: macOf(2),
      destination: macOf(2),
    });
    ports[0].send(reply);
    expect(simulation.takeAll()).toEqual([[], [reply], []]);
    expect(neighbors(simulation)).toEqual(learned(1, 2, 3, 10));
  });

  test('a request teaches who asks', () => {
    const { simulation, ports } = network(2);
    ports[0].send(whoHas(ipOf(77), 20));
    expect(neighbors(simulation)).toEqual(learned(1, 2, 20));
  });

  test('RARP, InARP and unknown operations: bridged, not answered, not learned from', () => {
    const { simulation, ports } = network(2);
    for (const operation of [0, 3, 4, 8, 9, 0xffff]) {
      ports[0].send(arpFrame({ operation, senderMac: macOf(20), senderIp: ipOf(20), targetIp: ipOf(2) }));
      expect(simulation.takeCounts(), `operation ${operation}`).toEqual([0, 1]);
    }
    expect(neighbors(simulation)).toEqual(learned(1, 2));
  });

  test('to a multicast group it is bridged', () => {
    const { simulation, ports } = network(2);
    ports[0].send(arpFrame({ senderMac: macOf(1), senderIp: ipOf(1), targetIp: ipOf(2), destination: '01:00:5e:00:00:01' }));
    expect(simulation.takeCounts()).toEqual([0, 1]);
  });
});

describe('B.1: what is believed', () => {
  test('A1: wrong hardware or protocol type, wrong lengths, cut off: an ordinary frame', () => {
    const { simulation, ports } = network(2);
    const request = () => arpFrame({ senderMac: macOf(20), senderIp: ipOf(20), targetIp: ipOf(2) });
    const wrong = [14, 16, 18, 19].map((at) => {
      const bytes = request();
      bytes[at] ^= 0x40;
      return bytes;
    });
    const cut = [14, 20, 41].map((length) => request().subarray(0, length));
    for (const bytes of [...wrong, ...cut]) {
      ports[0].send(bytes);
      expect(simulation.takeAll()).toEqual([[], [bytes]]);
    }
    expect(neighbors(simulation)).toEqual(learned(1, 2));
    ports[0].send(request());
    expect(neighbors(simulation)).toEqual(learned(1, 2, 20));
  });

  test('A1: the same bytes under another EtherType are no ARP', () => {
    const { simulation, ports } = network(2);
    const bytes = whoHas(ipOf(2), 20);
    setEtherType(bytes, 0, EtherType.rarp);
    ports[0].send(bytes);
    expect(simulation.takeCounts()).toEqual([0, 1]);
    expect(neighbors(simulation)).toEqual(learned(1, 2));
  });

  test('A2: a sender MAC that is not the source of the frame: bridged, not learned, not answered', () => {
    const { simulation, ports } = network(3);
    ports[0].send(
      arpFrame({ source: macOf(1), senderMac: macOf(66), senderIp: ipOf(3), targetIp: ipOf(2) }),
      arpFrame({ source: macOf(1), senderMac: BROADCAST, senderIp: ipOf(30), targetIp: ipOf(2) }),
    );
    expect(simulation.takeCounts()).toEqual([0, 2, 2]);
    expect(neighbors(simulation)).toEqual(learned(1, 2, 3));
  });

  test('A10: an address outside the subnet is not learned', () => {
    const { simulation, ports } = network(1);
    for (const ip of ['192.168.1.1', '10.0.0.0', '10.0.0.255', '127.0.0.1', '224.0.0.5']) {
      ports[0].send(announcement(20, ip));
    }
    expect(neighbors(simulation)).toEqual(learned(1));
  });
});

describe('B.3: bindings', () => {
  test('A10, A12: what was set is not overwritten; the claim is counted, told once, and bridged', () => {
    const { simulation, ports } = network(2);
    simulation.port({ local: true, mac: GATEWAY_MAC, ip: GATEWAY_IP });
    for (let turn = 0; turn < 5; turn++) {
      ports[0].send(announcement(66, GATEWAY_IP));
    }
    expect(simulation.takeCounts()).toEqual([0, 5, 5]);
    expect(neighbors(simulation)).toMatchObject({ [GATEWAY_IP]: GATEWAY_MAC });
    expect(simulation.counters().arp_conflicts).toBe(5);
    expect(simulation.notices().map(({ kind, subject, times }) => [kind, formatIpv4(subject), times])).toEqual([
      [NoticeKind.arpConflict, GATEWAY_IP, 5],
    ]);
    ports[1].send(whoHas(GATEWAY_IP, 2));
    expect(readArp(ports[1].take()[0])).toContain(`reply ${GATEWAY_IP} (${GATEWAY_MAC})`);
  });

  test('A11, A13: an address that moves to another MAC is followed, at most once a second', () => {
    const { simulation, ports } = network(3);
    ports[2].send(announcement(9, ipOf(2)));
    expect(neighbors(simulation)[ipOf(2)]).toBe(macOf(2));
    simulation.clock.advanceSeconds(1);
    ports[2].send(announcement(9, ipOf(2)));
    expect(neighbors(simulation)[ipOf(2)]).toBe(macOf(9));
    simulation.takeAll();
    ports[0].send(whoHas(ipOf(2), 1));
    expect(readArp(ports[0].take()[0])).toContain(`reply ${ipOf(2)} (${macOf(9)})`);
  });

  test('a host that moved to another port announces itself: answers go on, frames take the new way', () => {
    const { simulation, ports } = network(4);
    ports[3].send(announcement(2));
    simulation.takeAll();
    ports[0].send(whoHas(ipOf(2), 1), frame(macOf(2), macOf(1)));
    expect(simulation.takeCounts()).toEqual([1, 0, 0, 1]);
  });

  test('A14: without confirmation a binding counts for 60 s, then requests flood again', () => {
    const { simulation, ports } = network(2);
    simulation.clock.advanceSeconds(60);
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([1, 0]);
    simulation.clock.advanceSeconds(1);
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 1]);
  });

  test('A14: it dies with its FDB entry', () => {
    const { simulation, ports } = network(2, { ageingSeconds: 10 });
    simulation.clock.advanceSeconds(11);
    ports[0].send(whoHas(ipOf(2), 1));
    expect(simulation.takeCounts()).toEqual([0, 1]);
  });

  test('A17: 200 answers at once for each port, then 100 a second; beyond that requests flood', () => {
    const { simulation, ports } = network(2);
    const quick = simulation.port();
    const ask = (count: number) => {
      for (let turn = 0; turn < count; turn++) {
        ports[0].queue(whoHas(ipOf(2), 1));
      }
      simulation.run();
      return [ports[0].take().length, ports[1].take().length];
    };
    expect(ask(300)).toEqual([200, 100]);
    expect(simulation.counters().arp_rate_limited).toBe(100);
    simulation.clock.now += 100_000;
    expect(ask(20)).toEqual([10, 10]);
    simulation.clock.advanceSeconds(1);
    expect(ask(150)).toEqual([100, 50]);
    // Another port has a bucket of its own.
    quick.send(whoHas(ipOf(2), 1));
    expect(quick.take().filter((bytes) => readArp(bytes).startsWith('reply'))).toHaveLength(1);
    simulation.expectConserved();
  });

  test('the table is bounded: beyond it nothing is learned, all is counted and bridged', () => {
    const { simulation, ports } = network(2, { subnet: null });
    for (let from = 0; from < 8192; from += 512) {
      const hosts = Array.from({ length: 512 }, (_, index) => from + index);
      ports[0].send(...hosts.map((n) => announcement(1, formatIpv4(0x0b000000 + n))));
      ports[1].take();
    }
    expect(simulation.counters().neighbors_full).toBe(2);
    expect(Object.keys(neighbors(simulation))).toHaveLength(8192);
    ports[0].send(announcement(1, '12.0.0.1'));
    expect(ports[1].take()).toHaveLength(1);
  });
});
