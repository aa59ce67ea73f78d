/** B.3, A11 and A15 to A17, on a clock turned by hand. */
import { describe, expect, test } from 'vitest';
import { Fdb } from '../../src/bridge/fdb.js';
import { NeighborTable } from '../../src/bridge/neighbor-table.js';
import { Parked, Resolver } from '../../src/gateway/resolver.js';
import * as arp from '../../src/wire/arp.js';
import * as ethernet from '../../src/wire/ethernet.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import { makePacket, payload } from '../helpers/packet.js';
import { arpFrame, BROADCAST } from '../sim/frames.js';
import { ip, MadeBatch, twoZones, UPLINK, UPLINK_MAC, UPLINK_PORT } from './made-batch.js';

const ROUTER = '192.168.7.1';
const ROUTER_MAC = '02:00:00:00:cc:01';
const CONTAINER = '10.9.0.5';
const CONTAINER_MAC = '02:00:00:00:00:05';

class Network {
  readonly made: MadeBatch;
  readonly bridgeNeighbors = new NeighborTable(64);
  readonly uplinkNeighbors = new NeighborTable(1024);
  readonly resolver: Resolver;

  constructor(made = new MadeBatch()) {
    this.made = made;
    this.resolver = new Resolver(twoZones(), made.counters, made.portCounters);
    this.resolver.setZone(0, this.bridgeNeighbors, null);
    this.resolver.setZone(UPLINK, this.uplinkNeighbors, null);
  }

  /** Parks a frame for the router: from a container's address, with a payload that begins with its number. */
  park(number: number, options: { to?: string; zone?: number; source?: string; bytes?: number } = {}): number {
    const { to = ROUTER, zone = UPLINK, source = '10.9.0.1', bytes = 30 } = options;
    const data = payload(bytes);
    data[0] = number;
    const frame = this.made.add(makePacket({ payload: data }));
    return this.resolver.park(
      this.made.batch,
      this.made.egress,
      frame,
      zone,
      ip(to),
      ip(source),
      ip('8.8.8.8'),
      0x10000 + number,
    );
  }

  /** A pass so many seconds later, with what the clock brings about. */
  pass(seconds: number): void {
    this.made.later(seconds);
    this.resolver.tick(this.made.batch, this.made.egress);
  }

  hear(frame: Uint8Array, zone = UPLINK): void {
    this.resolver.heard(this.made.batch, this.made.addBare(frame, UPLINK_PORT), zone);
  }

  routerAnswers(): void {
    this.hear(
      arpFrame({
        operation: arp.Operation.reply,
        senderMac: ROUTER_MAC,
        senderIp: ROUTER,
        targetMac: UPLINK_MAC,
        targetIp: '192.168.7.2',
        destination: UPLINK_MAC,
      }),
    );
  }

  resolve(to = ROUTER, zone = UPLINK): string | null {
    const { resolver, made } = this;
    const known = resolver.resolve(zone, ip(to), made.batch.seconds);
    return known ? `${resolver.macHigh.toString(16)} ${resolver.macLow.toString(16)}` : null;
  }

  /** Numbers of the frames that are ready. */
  ready(): number[] {
    return this.drain(() => this.resolver.nextReady(this.made.batch));
  }

  failed(): number[] {
    return this.drain(() => this.resolver.nextFailed(this.made.batch));
  }

  /** Requests that left by the uplink in this pass, as `who > whom, frame to`. */
  requests(frames = this.made.onPort(UPLINK_PORT)): string[] {
    return frames.map((frame) => {
      const { senderIp, targetIp, operation } = arp.parse(frame, ethernet.HEADER_BYTES);
      expect(operation).toBe(arp.Operation.request);
      return `${senderIp} > ${targetIp}, ${ethernet.parse(frame, 0).destination}`;
    });
  }

  private drain(next: () => number): number[] {
    const numbers: number[] = [];
    for (let frame = next(); frame >= 0; frame = next()) {
      numbers.push(this.made.bytesOf(frame)[42]);
    }
    return numbers;
  }
}

describe('an unknown next hop', () => {
  test('A15: it is asked for at once, in our name and to everybody', () => {
    const network = new Network();
    expect(network.resolve()).toBeNull();
    expect(network.park(1)).toBe(Parked.waiting);
    expect(network.requests()).toEqual([`192.168.7.2 > ${ROUTER}, ${BROADCAST}`]);
    const [request] = network.made.onPort(UPLINK_PORT);
    expect(ethernet.parse(request, 0)).toMatchObject({ source: UPLINK_MAC, etherType: ethernet.EtherType.arp });
    expect(arp.parse(request, 14)).toMatchObject({ senderMac: UPLINK_MAC, targetMac: '00:00:00:00:00:00' });
    expect([network.made.count('arp_sent'), network.made.count('parked')]).toEqual([1, 1]);
  });

  test('frames behind the first wait without another request', () => {
    const network = new Network();
    for (const number of [1, 2, 3]) network.park(number);
    expect(network.requests()).toHaveLength(1);
  });

  test('the answer hands them back, whole and in their order, with what was told of them', () => {
    const network = new Network();
    const sent = makePacket({ payload: payload(3000), partial: true });
    const { made, resolver } = network;
    const frame = made.add(sent, 3);
    resolver.park(made.batch, made.egress, frame, UPLINK, ip(ROUTER), ip('10.9.0.1'), ip('8.8.8.8'), 0x123456);
    network.park(7);
    network.pass(1);
    network.routerAnswers();
    const back = resolver.nextReady(made.batch);
    expect(made.bytesOf(back)).toEqual(sent.frame);
    expect(made.vnetOf(back)).toEqual(sent.vnet);
    expect(resolver).toMatchObject({ zone: UPLINK, nextHop: ip(ROUTER), ingress: 3, macHigh: 0x0200, macLow: 0xcc01 });
    expect(resolver).toMatchObject({ source: ip('10.9.0.1'), destination: ip('8.8.8.8'), ports: 0x123456 });
    expect(network.ready()).toEqual([7]);
    expect([network.resolve(), resolver.parkedFrames]).toEqual(['200 cc01', 0]);
  });

  test('nothing overtakes what waits', () => {
    const network = new Network();
    network.park(1);
    network.routerAnswers();
    expect(network.resolve()).toBeNull();
    expect(network.park(2)).toBe(Parked.waiting);
    expect(network.requests()).toHaveLength(1);
    expect(network.ready()).toEqual([1, 2]);
    expect(network.resolve()).toBe('200 cc01');
  });

  test('a batch without room leaves the rest for the next pass', () => {
    const network = new Network(new MadeBatch(3 * 1536, 64));
    for (const number of [1, 2, 3, 4]) network.park(number, { bytes: 1400 });
    network.pass(0);
    network.routerAnswers();
    expect(network.ready()).toEqual([1, 2, 3]);
    expect(network.resolve()).toBeNull();
    expect(network.resolver.nextDue).toBe(network.made.batch.now);
    network.pass(0);
    expect(network.ready()).toEqual([4]);
    expect(network.resolve()).not.toBeNull();
  });

  test('A15, A16: three requests a second apart, then one frame for each source comes back to be told about', () => {
    const network = new Network();
    network.park(1, { source: '10.9.0.1' });
    network.park(2, { source: '10.9.0.2' });
    network.park(3, { source: '10.9.0.1' });
    const requests = [network.requests().length];
    for (let second = 1; second <= 3; second++) {
      network.pass(1);
      requests.push(network.requests().length);
    }
    expect(requests).toEqual([1, 1, 1, 0]);
    expect(network.failed()).toEqual([1, 2]);
    expect(network.made.count('unreachable')).toBe(3);
    expect(network.resolver.parkedFrames).toBe(0);
  });

  test('A16: it stays failed for 3 s without a request, then is asked for again', () => {
    const network = new Network();
    network.park(1);
    for (let second = 1; second <= 3; second++) network.pass(1);
    network.failed();
    const sent = network.made.count('arp_sent');
    for (let second = 0; second < 2; second++) {
      expect(network.park(2)).toBe(Parked.failed);
      network.pass(1);
    }
    expect(network.made.count('arp_sent')).toBe(sent);
    expect(network.made.count('unreachable')).toBe(3);
    network.pass(1.1);
    expect(network.park(3)).toBe(Parked.waiting);
    expect(network.requests()).toHaveLength(1);
  });

  test('one that failed and speaks up is known at once', () => {
    const network = new Network();
    network.park(1);
    for (let second = 1; second <= 3; second++) network.pass(1);
    network.routerAnswers();
    expect(network.failed()).toEqual([]);
    expect(network.ready()).toEqual([1]);
    expect(network.resolve()).toBe('200 cc01');
  });
});

describe('limits', () => {
  test('A16: 64 frames wait for a next hop, the oldest make room', () => {
    const network = new Network();
    for (let number = 0; number < 70; number++) {
      expect(network.park(number)).toBe(Parked.waiting);
    }
    expect(network.made.count('parking_full')).toBe(6);
    network.routerAnswers();
    expect(network.ready()).toEqual(Array.from({ length: 64 }, (_, index) => index + 6));
  });

  test('A16: 100 KB wait for a next hop: a super-frame counts its bytes', () => {
    const network = new Network();
    for (const number of [1, 2, 3]) network.park(number, { bytes: 40_000 });
    expect(network.made.count('parking_full')).toBe(1);
    network.routerAnswers();
    expect(network.ready()).toEqual([2, 3]);
  });

  test('1 MiB waits in all; then a next hop without frames finds no room', () => {
    const network = new Network();
    const taken: number[] = [];
    for (let host = 1; host <= 20; host++) {
      network.made.later(0);
      taken.push(network.park(host, { to: `192.168.7.${host + 10}`, bytes: 60_000 }));
    }
    const waiting = taken.filter((each) => each === Parked.waiting).length;
    expect(waiting).toBe(Math.floor((1 << 20) / (118 * 512)));
    expect(taken.slice(waiting).every((each) => each === Parked.refused)).toBe(true);
    expect(network.made.count('parking_full')).toBe(20 - waiting);
  });

  test('A17: a scan makes 200 requests at once, then 100 a second, and takes 512 next hops at most', () => {
    const network = new Network(new MadeBatch(1 << 19, 4096));
    const refused: number[] = [];
    for (let host = 0; host < 2000; host++) {
      if (host % 500 === 0) network.made.later(0);
      refused.push(network.park(1, { to: formatIpv4(ip('192.168.0.0') + host) }));
    }
    expect(refused.filter((each) => each === Parked.refused)).toHaveLength(2000 - 512);
    expect(network.made.count('arp_sent')).toBe(200);
    // The zone next door is not concerned: its rows and requests are its own.
    expect(network.park(1, { to: CONTAINER, zone: 0 })).toBe(Parked.waiting);
    expect(network.requests(network.made.onBridge(0))).toEqual([`10.9.0.254 > ${CONTAINER}, ${BROADCAST}`]);
    network.pass(1);
    expect(network.requests()).toHaveLength(100);
    // There is a row again as soon as something has failed.
    for (let second = 0; second < 40; second++) network.pass(1);
    while (network.failed().length > 0) network.pass(0);
    expect(network.park(1, { to: '192.168.99.1' })).toBe(Parked.waiting);
  });

  test('a zone that goes takes its frames along, counted', () => {
    const network = new Network();
    network.park(1);
    network.park(2, { to: '192.168.7.3' });
    network.park(3, { to: CONTAINER, zone: 0 });
    network.resolver.setZone(UPLINK, null, null);
    expect([network.resolver.parkedFrames, network.made.count('unreachable')]).toEqual([1, 2]);
    expect(network.resolve()).toBeNull();
    for (let second = 1; second <= 5; second++) network.pass(1);
    expect(network.failed()).toEqual([3]);
  });
});

describe('what is heard on an uplink', () => {
  const announcement = (mac: string, from: string, source = mac) =>
    arpFrame({ senderMac: mac, senderIp: from, targetIp: from, source });

  test('A11: who was not asked for does not become known; who is known is followed', () => {
    const network = new Network();
    network.hear(announcement(ROUTER_MAC, ROUTER));
    expect(network.resolve()).toBeNull();
    network.park(1);
    network.routerAnswers();
    network.ready();
    network.pass(2);
    network.hear(announcement('02:00:00:00:cc:09', ROUTER));
    expect(network.resolve()).toBe('200 cc09');
  });

  test('A2: a sender that is not the source of its frame is not believed, nor a group address, nor ours', () => {
    const network = new Network();
    network.park(1);
    network.hear(announcement(ROUTER_MAC, ROUTER, '02:00:00:00:cc:02'));
    network.hear(announcement('03:00:00:00:cc:01', ROUTER));
    network.hear(announcement('00:00:00:00:00:00', ROUTER));
    network.hear(announcement(ROUTER_MAC, ROUTER).subarray(0, 40));
    expect(network.ready()).toEqual([]);
    network.park(2, { to: '192.168.7.2' });
    network.hear(announcement(ROUTER_MAC, '192.168.7.2'));
    expect(network.ready()).toEqual([]);
    network.hear(announcement(ROUTER_MAC, ROUTER));
    expect(network.ready()).toEqual([1]);
  });

  test('a flood of announcements and requests leaves no trace', () => {
    const network = new Network(new MadeBatch(1 << 19, 4096));
    for (let host = 0; host < 2000; host++) {
      if (host % 500 === 0) network.made.later(0);
      network.hear(arpFrame({ senderMac: ROUTER_MAC, senderIp: formatIpv4(ip('192.168.0.0') + host), targetIp: '192.168.7.2' }));
    }
    expect([...network.uplinkNeighbors.entries(network.made.batch.seconds)]).toEqual([]);
  });
});

describe('a next hop that is known', () => {
  function known() {
    const network = new Network();
    network.park(1);
    network.routerAnswers();
    network.ready();
    network.pass(0);
    return network;
  }

  test('A15: in use for 30 s it is asked again itself, and stays known without a gap', () => {
    const network = known();
    const asked: number[] = [];
    for (let second = 1; second <= 200; second++) {
      network.pass(1);
      const requests = network.requests();
      if (requests.length > 0) {
        asked.push(second);
        expect(requests).toEqual([`192.168.7.2 > ${ROUTER}, ${ROUTER_MAC}`]);
        network.routerAnswers();
      }
      expect(network.resolve(), `second ${second}`).toBe('200 cc01');
    }
    expect(asked.length).toBeGreaterThanOrEqual(5);
    expect(asked.length).toBeLessThanOrEqual(7);
  });

  test('A15: silent, it is asked three times itself, then everybody is, and after 60 s it is unknown', () => {
    const network = known();
    const asked: string[] = [];
    for (let second = 1; second <= 60; second++) {
      network.pass(1);
      asked.push(...network.requests().map((text) => text.split(', ')[1]));
      expect(network.resolve()).toBe('200 cc01');
    }
    expect(asked.slice(0, 6)).toEqual([ROUTER_MAC, ROUTER_MAC, ROUTER_MAC, BROADCAST, BROADCAST, BROADCAST]);
    network.pass(1);
    expect(network.resolve()).toBeNull();
    expect(network.park(1)).toBe(Parked.waiting);
  });

  test('not in use, it is not asked for', () => {
    const network = known();
    for (let second = 1; second <= 100; second++) network.pass(1);
    expect(network.made.count('arp_sent')).toBe(1);
    expect(network.resolver.nextDue).toBe(Number.POSITIVE_INFINITY);
  });

  test('a static neighbor of a bridge is never asked', () => {
    const network = new Network();
    network.bridgeNeighbors.pin(ip(CONTAINER), 5, 0x0200);
    for (let second = 1; second <= 100; second++) {
      network.pass(1);
      expect(network.resolve(CONTAINER, 0)).toBe('200 5');
    }
    expect(network.made.count('arp_sent', 0)).toBe(0);
  });
});

describe('a next hop on a bridge', () => {
  test('what the ARP proxy learns hands frames back', () => {
    const network = new Network();
    network.park(1, { to: CONTAINER, zone: 0 });
    expect(network.requests(network.made.onBridge(0))).toEqual([`10.9.0.254 > ${CONTAINER}, ${BROADCAST}`]);
    network.bridgeNeighbors.note(ip(CONTAINER), 5, 0x0200, network.made.batch.seconds);
    network.pass(0);
    expect(network.ready()).toEqual([1]);
    expect(network.resolver).toMatchObject({ zone: 0, macHigh: 0x0200, macLow: 5 });
  });

  test('it is asked again on its own port, where the FDB knows that', () => {
    const network = new Network();
    const fdb = new Fdb(64, 300, 16);
    fdb.learn(5, 0x0200, 3, 0, network.made.batch.seconds);
    network.resolver.setZone(0, network.bridgeNeighbors, fdb);
    network.bridgeNeighbors.note(ip(CONTAINER), 5, 0x0200, network.made.batch.seconds);
    network.pass(31);
    network.resolve(CONTAINER, 0);
    network.pass(0);
    expect(network.requests(network.made.onPort(3))).toEqual([`10.9.0.254 > ${CONTAINER}, ${CONTAINER_MAC}`]);
    expect(network.made.onBridge(0)).toEqual([]);
    expect(network.made.portCounters.snapshot(3).made).toBe(1);
  });

  test('an answer is remembered for its second only: a move is followed in the next', () => {
    const network = new Network();
    network.bridgeNeighbors.pin(ip(CONTAINER), 5, 0x0200);
    expect(network.resolve(CONTAINER, 0)).toBe('200 5');
    network.bridgeNeighbors.pin(ip(CONTAINER), 6, 0x0200);
    network.pass(1);
    expect(network.resolve(CONTAINER, 0)).toBe('200 6');
    expect(network.resolve(CONTAINER, UPLINK)).toBeNull();
  });
});
