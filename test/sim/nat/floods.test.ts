/**
 * Floods and hostile packets through the whole gateway: memory stays bounded, each frame ends in exactly one counter, flows that were
 * there before go on, and nothing throws.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { GATEWAY_COUNTERS, GATEWAY_DROPS } from '../../../src/core/counters.js';
import { Random } from '../../../src/core/random.js';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag } from '../../../src/wire/tcp.js';
import { makePacket, payload } from '../../helpers/packet.js';
import { arpFrame, arpReply, GATEWAY_MAC, ipOf, macOf, whoHas } from '../frames.js';
import { ROUTER_IP, ROUTER_MAC, route, UPLINK_IP, UPLINK_MAC } from '../gateway-simulation.js';
import { datagram, echo, icmpError, read, segment } from '../packets.js';
import { at, Connection, FAR, fragments, IP_AT, inside, L4_AT, NatRig, OTHER, outside, sourceOf } from './rig.js';

const BURST = 500;
const LIMITS = { flowLimit: 2048, flowShare: 1024 };

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of the heap and of buffers in use. */
function memory(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The equation of core/counters.ts: each frame that was routed has one outcome, or waits for its first fragment. */
function expectConserved(rig: NatRig): void {
  const behind = ['unreachable', 'parking_full', 'made_full'];
  const drops = GATEWAY_COUNTERS.filter((name) => name in GATEWAY_DROPS && !behind.includes(name));
  const outcomes = ['to_host', 'arp_seen', 'forwarded_out', 'forwarded_in', 'hairpinned', ...drops] as const;
  const waiting = rig.gateway.gateway.fragments.parkedFrames;
  expect(outcomes.reduce((sum, name) => sum + rig.count(name), waiting)).toBe(rig.count('routed'));
}

/** A gateway with a UDP stream, a TCP connection and a published port of container 3 that must survive. */
class Besieged {
  readonly rig: NatRig;
  private readonly connection: Connection;
  private readonly outer: string;
  private readonly before: number;

  constructor(rig = new NatRig(LIMITS)) {
    this.rig = rig;
    this.connection = new Connection(rig, 3, 40_000);
    this.outer = rig.udp(3, 20_777, `${FAR}:53`);
    rig.admits(`${FAR}:53`, this.outer, 3);
    rig.idle(5);
    rig.udp(3, 20_777, `${FAR}:53`);
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(3)), owner: rig.container(3).number });
    this.expectAlive();
    // Queues of the containers that will join in are not what a flood takes.
    for (let n = 1; n <= 7; n++) rig.container(n);
    this.before = memory();
  }

  expectAlive(): void {
    const { rig } = this;
    expect(rig.udp(3, 20_777, `${FAR}:53`)).toBe(this.outer);
    expect(rig.admits(`${FAR}:53`, this.outer, 3)).toBe(true);
    expect(this.connection.works()).toBe(true);
  }

  /** Everything that must be true behind a flood. */
  expectUnharmed(): void {
    const { rig } = this;
    rig.clear();
    this.expectAlive();
    expectConserved(rig);
    const { flows, fragments: datagrams, mappings } = rig.use();
    expect(flows).toBeLessThanOrEqual(LIMITS.flowLimit);
    expect(mappings).toBeLessThanOrEqual(flows);
    expect(datagrams).toBeLessThanOrEqual(1024);
    expect(memory() - this.before).toBeLessThan(16 << 20);
  }

  /** Frames from container 2, 20 ms apart by the burst. */
  fromInside(bursts: number, make: (index: number) => Uint8Array): void {
    for (let burst = 0; burst < bursts; burst++) {
      this.rig.simulation.clock.now += 20_000;
      this.rig.container(2).send(...Array.from({ length: BURST }, (_, index) => make(burst * BURST + index)));
      this.rig.clear();
    }
  }

  fromOutside(bursts: number, make: (index: number) => Uint8Array): void {
    for (let burst = 0; burst < bursts; burst++) {
      this.rig.simulation.clock.now += 20_000;
      this.rig.arrive(...Array.from({ length: BURST }, (_, index) => make(burst * BURST + index)));
      this.rig.clear();
    }
  }
}

/** Address number `index` outside. */
const stranger = (index: number) => `198.18.${(index >> 8) & 0xff}.${index & 0xff}`;

describe('floods', () => {
  test('SYNs from a container: its share is all it gets', () => {
    const besieged = new Besieged();
    besieged.fromInside(20, (index) => {
      return segment(at(2, 1024 + (index % 50_000)), `${stranger(index)}:80`, { flags: Flag.syn, sequence: index }, inside(2));
    });
    besieged.expectUnharmed();
    expect(besieged.rig.flows(6).filter(({ owner }) => owner === besieged.rig.container(2).number).length).toBeLessThanOrEqual(
      1024,
    );
    expect(besieged.rig.count('early_dropped')).toBeGreaterThan(5000);
    expect(besieged.rig.udp(1, 5000, `${FAR}:1`)).toMatch(UPLINK_IP);
  });

  test('SYNs from outside to a published port, from ten thousand hosts', () => {
    const besieged = new Besieged();
    const owner = besieged.rig.container(2).number;
    besieged.rig.gateway.publish({ protocol: 'tcp', hostPort: 8081, port: 80, address: parseIpv4(ipOf(2)), owner });
    besieged.fromOutside(20, (index) =>
      segment(`${stranger(index)}:${1024 + (index & 1023)}`, `${UPLINK_IP}:8081`, { flags: Flag.syn, sequence: index }, outside),
    );
    besieged.expectUnharmed();
    expect(besieged.rig.count('early_dropped')).toBeGreaterThan(5000);
    // Nor is its container shut off.
    expect(besieged.rig.udp(2, 5000, `${FAR}:1`)).toMatch(UPLINK_IP);
  });

  test('distinct UDP flows, more than there are ports', () => {
    const besieged = new Besieged(new NatRig({ ...LIMITS, nat: { ranges: [[20_000, 20_799]] } }));
    besieged.fromInside(20, (index) => datagram(at(2, 1024 + index), `${stranger(index)}:53`, inside(2)));
    besieged.expectUnharmed();
    expect(besieged.rig.count('early_dropped')).toBeGreaterThan(5000);
  });

  test('distinct UDP flows of many containers, more than the table holds', () => {
    const besieged = new Besieged();
    for (let round = 0; round < 8; round++) {
      for (const n of [4, 5, 6, 7]) {
        const frames = Array.from({ length: BURST }, (_, index) =>
          datagram(at(n, 1024 + round * BURST + index), `${stranger(index)}:53`, inside(n)),
        );
        besieged.rig.send(n, ...frames);
      }
      besieged.rig.idle(1);
    }
    besieged.expectUnharmed();
    expect(besieged.rig.count('early_dropped')).toBeGreaterThan(1000);
  });

  test('strangers at ports nobody has published', () => {
    const besieged = new Besieged();
    const { flows } = besieged.rig.use();
    besieged.fromOutside(20, (index) => datagram(`${stranger(index)}:9`, `${UPLINK_IP}:${9000 + index}`, outside));
    expect(besieged.rig.use().flows).toBe(flows);
    besieged.expectUnharmed();
    expect(besieged.rig.count('not_published')).toBeGreaterThan(9900);
  });

  test('fragments without a first one, from inside and outside', () => {
    const besieged = new Besieged();
    const packet = datagram(at(2, 5000), `${FAR}:53`, { ...inside(2), dontFragment: false }, payload(1200));
    const [, later] = fragments(packet, [400, 400]);
    const numbered = (frame: Uint8Array, index: number, source: string) => {
      const copy = frame.slice();
      ipv4.setIdentification(copy, IP_AT, index);
      ipv4.setSource(copy, IP_AT, parseIpv4(source));
      ipv4.fillHeaderChecksum(copy, IP_AT);
      return copy;
    };
    besieged.fromInside(20, (index) => numbered(later, index, ipOf(2)));
    const arriving = later.slice();
    ipv4.setDestination(arriving, IP_AT, parseIpv4(UPLINK_IP));
    arriving.set([2, 0, 0, 0, 0xbb, 1, 2, 0, 0, 0, 0xcc, 1]);
    besieged.fromOutside(20, (index) => numbered(arriving, index, stranger(index)));
    besieged.expectUnharmed();
    besieged.rig.idle(31);
    expect(besieged.rig.use().fragments).toBe(0);
    expectConserved(besieged.rig);
    expect(besieged.rig.count('fragment_limit') + besieged.rig.count('fragment_timeout')).toBe(20_000);
  });

  test('ICMP errors with forged quotes', () => {
    const besieged = new Besieged();
    const before = besieged.rig.flows();
    besieged.fromOutside(20, (index) => {
      const quote = datagram(`${UPLINK_IP}:${20_000 + (index % 777)}`, `${stranger(index)}:53`, outside);
      return icmpError(OTHER, UPLINK_IP, [3, 11, 12][index % 3], index % 14, quote, outside, 68);
    });
    expect(besieged.rig.flows().map(({ state, packets }) => ({ state, packets }))).toEqual(
      before.map(({ state, packets }) => ({ state, packets })),
    );
    expect(besieged.rig.count('icmp_unrelated')).toBe(20 * BURST);
    besieged.expectUnharmed();
  });

  test('ARP on the uplink: claims of strangers, of the router, of our own address', () => {
    const besieged = new Besieged();
    besieged.fromOutside(20, (index) => {
      const senderIp = [`192.0.2.${index % 250}`, stranger(index), UPLINK_IP][index % 3];
      const claim = { senderMac: macOf(index), senderIp, targetMac: UPLINK_MAC, targetIp: UPLINK_IP };
      return senderIp === ROUTER_IP ? whoHas(UPLINK_IP, 9) : index % 2 === 0 ? arpReply(claim) : arpFrame(claim);
    });
    besieged.expectUnharmed();
    expect(besieged.rig.count('arp_seen')).toBeGreaterThanOrEqual(20 * BURST);
  });
});

describe('faults', () => {
  test('a next hop that never answers: few frames wait, senders are told, others go on', () => {
    const besieged = new Besieged();
    const { rig } = besieged;
    rig.gateway.setRoutes([
      route('0.0.0.0', 0, ROUTER_IP),
      route('192.0.2.0', 24, '0.0.0.0'),
      route('198.18.0.0', 15, '192.0.2.99'),
    ]);
    for (let second = 0; second < 12; second++) {
      rig
        .container(2)
        .send(...Array.from({ length: 200 }, (_, index) => datagram(at(2, 5000 + index), '198.18.0.1:53', inside(2))));
      // Nobody answers: what was asked is thrown away.
      while (rig.gateway.uplink.receive() !== undefined);
      rig.idle(1);
    }
    expect(rig.received(2).map(read)).toContain(`icmp 3/1 id 0 10.0.0.254 > ${ipOf(2)} ttl 64`);
    expect(rig.count('unreachable')).toBeGreaterThan(1000);
    expect(rig.count('unreachable') + rig.count('parking_full') + rig.use().neighbors).toBe(12 * 200);
    besieged.expectUnharmed();
  });

  test('an uplink that vanishes and returns under load: its flows end, and new ones open', () => {
    const { rig } = new Besieged();
    for (let round = 0; round < 5; round++) {
      rig.gateway.setUplink({ up: false });
      expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
      expect(rig.send(3, datagram(at(3, 5000), `${FAR}:53`, inside(3)))).toEqual([]);
      rig.gateway.setUplink({});
      rig.clear();
      const frame = datagram(at(3, 5000 + round), `${FAR}:53`, inside(3));
      rig.container(3).send(frame);
      expect(rig.left()).toHaveLength(1);
    }
    expect(rig.count('no_route')).toBe(5);
    expectConserved(rig);
  });

  test('land and martian packets, source routes and wrong checksums are named', () => {
    const rig = new NatRig();
    const land = datagram(`${UPLINK_IP}:8080`, `${UPLINK_IP}:8080`, outside);
    const bad = datagram(`${FAR}:1`, `${UPLINK_IP}:8080`, outside);
    bad[IP_AT + 10] ^= 1;
    const owner = rig.container(1).number;
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner });
    const wrong = datagram(`${FAR}:1`, `${UPLINK_IP}:8080`, outside);
    wrong[wrong.length - 1] ^= 1;
    rig.arrive(
      land,
      datagram(`127.0.0.1:1`, `${UPLINK_IP}:8080`, outside),
      datagram(`${ipOf(1)}:1`, `${UPLINK_IP}:8080`, outside),
    );
    rig.arrive(bad, wrong);
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ ip_spoofed: 2, ip_martian: 1, ip_malformed: 1, l4_checksum: 1 });
    expectConserved(rig);
  });
});

interface Fodder {
  vnet: Uint8Array;
  bytes: Uint8Array;
}

const NO_VNET = new Uint8Array(12);
const FRAMES = 1_000_000;
const SEED = 20_260_301;

/** Packets of live flows, from inside and from outside. */
function fodder(rig: NatRig): { inside: Fodder[]; outside: Fodder[] } {
  const plain = (bytes: Uint8Array): Fodder => ({ vnet: NO_VNET, bytes });
  const connection = new Connection(rig, 1, 40_001);
  const outer = rig.udp(1, 5000, `${FAR}:53`);
  const id = rig.echo(1, 77, FAR);
  const [sent] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)));
  const owner = rig.container(1).number;
  rig.gateway.publish({ hostPort: 8090, port: 80, address: parseIpv4(ipOf(1)), owner });
  const long = datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), dontFragment: false }, payload(1000));
  const longIn = datagram(`${FAR}:53`, outer, { ...outside, dontFragment: false }, payload(1000));
  const data = { flags: Flag.ack, payload: payload(100) };
  const whole = { destination: GATEWAY_MAC, source: macOf(1), ipSource: ipOf(1), ipDestination: FAR };
  const superFrames = (['tcp', 'udp'] as const).map((protocol) =>
    makePacket({
      ...whole,
      protocol,
      sourcePort: 5000,
      destinationPort: 53,
      gsoSize: 200,
      payload: payload(1100),
      flags: Flag.ack,
    }),
  );
  return {
    inside: [
      ...superFrames.map(({ frame, vnet }) => ({ vnet, bytes: frame })),
      ...fragments(long, [400, 400]).map(plain),
      plain(datagram(at(1, 5000), `${FAR}:53`, inside(1), payload(100))),
      plain(datagram(at(1, 5000), `${UPLINK_IP}:8090`, inside(1))),
      plain(segment(at(1, 40_001), `${FAR}:80`, { ...data, sequence: 1001, acknowledgment: 5001 }, inside(1))),
      plain(segment(at(1, 40_002), `${FAR}:80`, { flags: Flag.syn, sequence: 1 }, inside(1))),
      plain(echo(ipOf(1), FAR, 77, inside(1))),
      plain(icmpError(ipOf(1), FAR, icmp.Type.unreachable, 3, datagram(`${FAR}:53`, at(1, 5000), inside(1)), inside(1))),
    ],
    outside: [
      ...fragments(longIn, [400, 400]).map(plain),
      plain(datagram(`${FAR}:53`, outer, outside, payload(100))),
      plain(datagram(`${OTHER}:53`, `${UPLINK_IP}:8090`, outside)),
      plain(segment(`${FAR}:80`, connection.outer, { ...data, sequence: 5001, acknowledgment: 1001 }, outside)),
      plain(echo(FAR, UPLINK_IP, id, { ...outside, type: icmp.Type.echoReply })),
      plain(icmpError(OTHER, UPLINK_IP, icmp.Type.timeExceeded, 0, sent, outside)),
      plain(arpReply({ senderMac: ROUTER_MAC, senderIp: ROUTER_IP, targetMac: UPLINK_MAC, targetIp: UPLINK_IP })),
    ],
  };
}

/** Spoils packets; half of them so that only a look behind the checksums can tell. */
class Mutator {
  readonly vnet = new Uint8Array(12);
  private readonly bytes = new Uint8Array(4096);
  private readonly random = new Random(SEED);

  next(seeds: readonly Fodder[]): Uint8Array {
    const { random, bytes, vnet } = this;
    const seed = seeds[random.below(seeds.length)];
    let length = seed.bytes.length;
    bytes.set(seed.bytes);
    vnet.set(seed.vnet);
    for (let flips = random.below(4); flips > 0; flips--) {
      const where = IP_AT + random.below(random.below(8) === 0 ? length - IP_AT : Math.min(length - IP_AT, 64));
      bytes[where] = random.below(3) === 0 ? 0xff : random.next();
    }
    if (random.below(8) === 0) length = 1 + random.below(length);
    if (random.below(2) === 0 && length >= 34) {
      bytes[IP_AT] = random.below(4) === 0 ? bytes[IP_AT] : 0x45;
      if (random.below(32) === 0) ipv4.setTtl(bytes, IP_AT, random.below(3));
      if (random.below(32) === 0) {
        bytes[IP_AT] = 0x46;
        bytes[L4_AT] = [131, 137, 1, 7][random.below(4)];
      }
      if (random.below(4) > 0) ipv4.setTotalLength(bytes, IP_AT, length - IP_AT);
      if (ipv4.headerBytes(bytes, IP_AT) <= length - IP_AT) ipv4.fillHeaderChecksum(bytes, IP_AT);
      // Verified by somebody else, it says.
      if (seed.vnet === NO_VNET && random.below(2) === 0) vnet[0] = 2;
    }
    if (random.below(8) === 0) vnet[random.below(10)] = random.below(2) === 0 ? random.below(64) : random.next();
    return bytes.subarray(0, length);
  }
}

test('a million mutations of valid flows: bounded memory, one counter for each, live flows go on', () => {
  const besieged = new Besieged();
  const { rig } = besieged;
  const seeds = fodder(rig);
  const mutator = new Mutator();
  const container = rig.container(1);
  for (let sent = 0, pass = 1; sent < FRAMES; pass++) {
    for (let index = 0; index < BURST; index++) {
      container.queue({ frame: mutator.next(seeds.inside), vnet: mutator.vnet });
      rig.gateway.uplink.send(mutator.next(seeds.outside), mutator.vnet);
    }
    sent += 2 * BURST;
    rig.simulation.clock.now += 37_000;
    rig.simulation.run();
    rig.clear();
    if (pass % 200 === 0) besieged.expectUnharmed();
  }
  besieged.expectUnharmed();
  // The attack reached what it was meant to reach.
  const reached = rig.counters();
  const names = [
    'forwarded_out',
    'forwarded_in',
    'to_host',
    'flows_opened',
    'icmp_errors_translated',
    'fragments_parked',
  ] as const;
  const dropped = [
    'ip_malformed',
    'ip_martian',
    'ip_spoofed',
    'not_published',
    'l4_malformed',
    'l4_checksum',
    'tcp_invalid',
  ] as const;
  const others = ['icmp_unrelated', 'icmp_ignored', 'fragment_invalid', 'ttl_exceeded', 'ip_broadcast', 'ip_option'] as const;
  expect([...names, ...dropped, ...others].filter((name) => !(reached[name] > 100))).toEqual([]);
  rig.idle(31);
  expect(rig.use().fragments).toBe(0);
  expect(sourceOf(rig.send(3, datagram(at(3, 1), `${FAR}:1`, inside(3)))[0])).toMatch(UPLINK_IP);
}, 60_000);
