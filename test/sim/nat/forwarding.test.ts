/** Rules R1 to R35 through the whole gateway: what is accepted, where it goes, which errors are made. */
import { describe, expect, test } from 'vitest';
import type { PolicyRule } from '../../../src/engine/protocol.js';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag, OptionKind, HEADER_BYTES as TCP_HEADER_BYTES } from '../../../src/wire/tcp.js';
import { makePacket, payload } from '../../helpers/packet.js';
import { BROADCAST, GATEWAY_MAC, ipOf, MULTICAST, macOf } from '../frames.js';
import { GATEWAY_IP, ROUTER_IP, ROUTER_MAC, route, UPLINK_IP, UPLINK_MAC } from '../gateway-simulation.js';
import { datagram, echo, icmpError, isIntact, read, segment } from '../packets.js';
import { at, Connection, FAR, IP_AT, inside, L4_AT, NatRig, OTHER, outside } from './rig.js';

const TO_FAR = `${FAR}:53`;

function spoiled(spoil: (bytes: Uint8Array) => void, refill = true): Uint8Array {
  const frame = datagram(at(1, 5000), TO_FAR, inside(1));
  spoil(frame);
  if (refill) ipv4.fillHeaderChecksum(frame, IP_AT);
  return frame;
}

/** The datagram with these IP options. */
function withOptions(...options: number[]): Uint8Array {
  const plain = datagram(at(1, 5000), TO_FAR, inside(1));
  const padded = [...options, ...new Array((4 - (options.length % 4)) % 4).fill(0)];
  const frame = new Uint8Array(plain.length + padded.length);
  frame.set(plain.subarray(0, L4_AT));
  frame.set(padded, L4_AT);
  frame.set(plain.subarray(L4_AT), L4_AT + padded.length);
  ipv4.setHeaderBytes(frame, IP_AT, ipv4.HEADER_BYTES + padded.length);
  ipv4.setTotalLength(frame, IP_AT, frame.length - IP_AT);
  ipv4.fillHeaderChecksum(frame, IP_AT);
  return frame;
}

describe('acceptance', () => {
  test.each([BROADCAST, MULTICAST])('R1: what came by a link broadcast or multicast (%s) is not forwarded', (destinationMac) => {
    const rig = new NatRig();
    expect(rig.send(1, datagram(at(1, 5000), TO_FAR, { ...inside(1), destinationMac }))).toEqual([]);
    rig.arrive(datagram(TO_FAR, `${UPLINK_IP}:8080`, { sourceMac: ROUTER_MAC, destinationMac }));
    expect(rig.count('forwarded_out') + rig.count('forwarded_in')).toBe(1);
    expect(rig.flows()).toEqual([]);
  });

  const UNSOUND: readonly (readonly [string, Uint8Array])[] = [
    ['shorter than a header', spoiled(() => {}).subarray(0, 30)],
    ['a wrong checksum', spoiled((bytes) => bytes.set([0xff], IP_AT + 11), false)],
    ['another version', spoiled((bytes) => bytes.set([0x65], IP_AT))],
    ['a header of 16 bytes', spoiled((bytes) => bytes.set([0x44], IP_AT))],
    ['a total length below the header’s', spoiled((bytes) => ipv4.setTotalLength(bytes, IP_AT, 19))],
    ['a total length beyond the frame', spoiled((bytes) => ipv4.setTotalLength(bytes, IP_AT, 500))],
  ];

  test.each(UNSOUND)('R2: %s', (_, frame) => {
    const rig = new NatRig();
    expect(rig.send(1, frame)).toEqual([]);
    expect(rig.drops()).toEqual({ ip_malformed: 1 });
    expect(rig.received(1)).toEqual([]);
  });

  test('R2: padding behind the packet is cut off', () => {
    const rig = new NatRig();
    const frame = datagram(at(1, 5000), TO_FAR, inside(1));
    const padded = new Uint8Array(frame.length + 20).fill(0xa5);
    padded.set(frame);
    expect(rig.send(1, padded).map((each) => each.length)).toEqual([frame.length]);
  });

  test('R3: sources and destinations no packet may have', () => {
    const rig = new NatRig();
    const sources = ['0.0.0.1', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'];
    const destinations = ['0.0.0.0', '127.0.0.1', '240.0.0.1'];
    rig.send(1, ...sources.map((source) => datagram(`${source}:1`, TO_FAR, inside(1))));
    rig.send(1, ...destinations.map((destination) => datagram(at(1, 1), `${destination}:1`, inside(1))));
    rig.arrive(...sources.map((source) => datagram(`${source}:1`, `${UPLINK_IP}:8080`, outside)));
    expect(rig.drops()).toEqual({ ip_martian: 13 });
    expect(rig.received(1)).toEqual([]);
  });

  test('R4: a container uses addresses of its network only, and nobody outside uses those', () => {
    const rig = new NatRig();
    expect(rig.send(1, datagram('10.0.1.1:1', TO_FAR, inside(1)))).toEqual([]);
    rig.arrive(datagram(`${ipOf(1)}:1`, `${UPLINK_IP}:8080`, outside), datagram(`${UPLINK_IP}:1`, `${UPLINK_IP}:8080`, outside));
    expect(rig.drops()).toEqual({ ip_spoofed: 3 });
  });

  test('R4: with the source guard of its port a container uses its own address only', () => {
    const rig = new NatRig();
    rig.container(1).set({ sourceGuard: true });
    expect(rig.send(1, datagram(at(2, 1), TO_FAR, inside(1)))).toEqual([]);
    expect(rig.container(1).count('rx_spoofed')).toBe(1);
    expect(rig.udp(1, 1, TO_FAR)).toMatch(UPLINK_IP);
  });

  test('R5: source routes are dropped, unknown options pass untouched', () => {
    const rig = new NatRig();
    expect(rig.send(1, withOptions(131, 7, 4, 1, 2, 3, 4), withOptions(1, 137, 7, 4, 1, 2, 3, 4))).toEqual([]);
    expect(rig.drops()).toEqual({ ip_option: 2 });
    const [sent] = rig.send(1, withOptions(0x1e, 4, 9, 9));
    expect([...sent.subarray(L4_AT, L4_AT + 4)]).toEqual([0x1e, 4, 9, 9]);
    expect(isIntact(sent)).toBe(true);
    expect(rig.send(1, withOptions(0x1e, 0, 9, 9))).toEqual([]);
    expect(rig.count('ip_malformed')).toBe(1);
  });
});

describe('local or forward', () => {
  test('R10: packets to the host’s addresses go to it as they are, whatever their TTL', () => {
    const rig = new NatRig();
    for (const address of [GATEWAY_IP, UPLINK_IP, '10.0.0.255', '255.255.255.255']) {
      const frame = datagram(at(1, 5000), `${address}:53`, { ...inside(1), ttl: 1 });
      rig.send(1, frame);
      expect(rig.gateway.host.receive()?.frame, address).toEqual(frame);
    }
    expect(rig.flows()).toEqual([]);
    expect(rig.count('icmp_errors_sent')).toBe(0);
  });

  test('R11: TTL less one, own source MAC, the MAC of the next hop', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)));
    expect(ipv4.ttl(sent, IP_AT)).toBe(63);
    expect(Buffer.from(sent.subarray(0, 12)).toString('hex')).toBe(`${ROUTER_MAC}${UPLINK_MAC}`.replaceAll(':', ''));
  });

  test('R11: TTL 1 is not forwarded, inwards either: the sender is told', () => {
    const rig = new NatRig();
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner: rig.container(1).number });
    rig.arrive(datagram(TO_FAR, `${UPLINK_IP}:8080`, { ...outside, ttl: 1 }));
    expect(rig.received(1)).toEqual([]);
    expect(rig.left().map(read)).toEqual([`icmp 11/0 id 0 ${UPLINK_IP} > ${FAR} ttl 64`]);
  });

  test('R11: no route is 3/0, a prohibited one as well; a way to an uplink that is down, too', () => {
    const rig = new NatRig();
    rig.gateway.setRoutes([route('192.0.2.0', 24, '0.0.0.0')]);
    rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)));
    rig.gateway.setRoutes([{ ...route('0.0.0.0', 0, ROUTER_IP), type: 'prohibit' }]);
    rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)));
    expect(rig.received(1).map(read)).toEqual(new Array(2).fill(`icmp 3/0 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`));
    expect(rig.drops()).toEqual({ no_route: 2 });
  });

  test('R12: no redirect is made, and none received is passed on', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)));
    rig.arrive(icmpError(ROUTER_IP, UPLINK_IP, icmp.Type.redirect, 1, sent, outside));
    rig.container(2);
    rig.send(1, datagram(at(1, 5000), at(2, 6000), inside(1)));
    expect(rig.received(1)).toEqual([]);
    expect(rig.received(2).map(read)).toEqual([`udp ${at(1, 5000)} > ${at(2, 6000)} ttl 63`]);
    expect(rig.count('icmp_ignored')).toBe(1);
  });
});

describe('MTU', () => {
  const large = datagram(at(1, 5000), TO_FAR, inside(1), payload(1472));

  test('R21: the second word of 3/4 is the MTU, its upper half 0', () => {
    const rig = new NatRig({ uplinkMtu: 1280 });
    rig.send(1, large);
    const [error] = rig.received(1);
    expect([...error.subarray(L4_AT + 4, L4_AT + 8)]).toEqual([0, 0, 1280 >> 8, 1280 & 0xff]);
    expect(isIntact(error)).toBe(true);
  });

  test('R21: towards a container behind a smaller bridge, whoever is outside is told', () => {
    const rig = new NatRig();
    rig.gateway.setGateway({ mtu: 1200 });
    const outer = rig.udp(1, 5000, TO_FAR);
    rig.arrive(datagram(TO_FAR, outer, outside, payload(1400)));
    expect(rig.received(1)).toEqual([]);
    const [error] = rig.left();
    expect(read(error)).toBe(`icmp 3/4 id 0 ${UPLINK_IP} > ${FAR} ttl 64`);
    expect(icmp.sequence(error, L4_AT)).toBe(1200);
  });

  test('R23: 3/4 from outside changes nothing in the gateway: the next packet of that size leaves', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, large);
    rig.arrive(icmpError(OTHER, UPLINK_IP, icmp.Type.unreachable, 4, sent, outside, 600));
    expect(rig.received(1)).toHaveLength(1);
    expect(rig.send(1, large)).toHaveLength(1);
  });

  const MSS = [
    { uplinkMtu: 1400, mssClamp: 'auto', offered: 1460, expected: 1360 },
    { uplinkMtu: 1400, mssClamp: 'auto', offered: 1000, expected: 1000 },
    { uplinkMtu: 1400, mssClamp: 'off', offered: 1460, expected: 1460 },
    { uplinkMtu: 1500, mssClamp: 'auto', offered: 8960, expected: 8960 },
    { uplinkMtu: 1500, mssClamp: 'on', offered: 8960, expected: 1460 },
  ] as const;

  test.each(MSS)('R24: MTU $uplinkMtu, clamp $mssClamp: MSS $offered leaves as $expected', (row) => {
    const rig = new NatRig({ uplinkMtu: row.uplinkMtu, mssClamp: row.mssClamp });
    const { frame } = makePacket({
      protocol: 'tcp',
      destination: GATEWAY_MAC,
      source: macOf(1),
      ipSource: ipOf(1),
      ipDestination: FAR,
      flags: Flag.syn,
      payload: new Uint8Array(),
      tcpOptions: [OptionKind.mss, 4, row.offered >> 8, row.offered & 0xff],
    });
    const [sent] = rig.send(1, frame);
    const option = L4_AT + TCP_HEADER_BYTES;
    expect((sent[option + 2] << 8) | sent[option + 3]).toBe(row.expected);
    expect(isIntact(sent)).toBe(true);
  });

  test('R25: a large segment that is lost beyond the gateway changes nothing about its connection', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    expect(connection.fromClient({ flags: Flag.ack, payload: payload(1460) })).toBe(true);
    expect(connection.fromServer({ flags: Flag.ack, acknowledgment: 1001 })).toBe(true);
    expect(connection.fromClient({ flags: Flag.ack, sequence: 1001, payload: payload(500) })).toBe(true);
    expect(connection.state).toBe('established');
  });
});

describe('errors', () => {
  test('R31: the source is the address of the interface the error leaves by; the identification is its own', () => {
    const rig = new NatRig();
    rig.send(1, datagram(at(1, 5000), TO_FAR, { ...inside(1), ttl: 1, identification: 4242 }));
    const [error] = rig.received(1);
    expect(ipv4.source(error, IP_AT)).toBe(parseIpv4(GATEWAY_IP));
    expect(ipv4.identification(error, IP_AT)).not.toBe(4242);
  });

  test('R32: 576 bytes at most, the quote as it was sent', () => {
    const rig = new NatRig();
    const frame = datagram(at(1, 5000), TO_FAR, { ...inside(1), ttl: 1 }, payload(1400));
    rig.send(1, frame.slice());
    const [error] = rig.received(1);
    expect(ipv4.totalLength(error, IP_AT)).toBe(576);
    expect(error.subarray(L4_AT + 8)).toEqual(frame.subarray(IP_AT, IP_AT + 548));
  });

  test('R32: it is undone what was translated before the next hop failed', () => {
    const rig = new NatRig();
    rig.gateway.setRoutes([route('0.0.0.0', 0, '192.0.2.77')]);
    rig.container(1).send(datagram(at(1, 5000), TO_FAR, inside(1)));
    while (rig.gateway.uplink.receive() !== undefined);
    for (let second = 0; second < 5; second++) rig.idle(1);
    const [error] = rig.received(1);
    expect(read(error)).toBe(`icmp 3/1 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`);
    expect(read(error.subarray(L4_AT + 8 - IP_AT))).toBe(`udp ${at(1, 5000)} > ${TO_FAR} ttl 63`);
  });

  test('R35: source quench is ignored, and never made', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)));
    rig.arrive(icmpError(OTHER, UPLINK_IP, 4, 0, sent, outside));
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ icmp_ignored: 1 });
  });
});

describe('policy', () => {
  const any = { protocol: 0, network: 0, prefix: 0, portLow: 0, portHigh: 65_535, port: -1 } as const;
  const denyOut: PolicyRule = { ...any, action: 'deny', direction: 'out', network: parseIpv4('198.51.100.0'), prefix: 24 };

  test('R11: a rule denies: 3/13 inside, silence outside, one named counter each', () => {
    const rig = new NatRig();
    rig.gateway.setGateway({ rules: [denyOut, { ...any, action: 'deny', direction: 'in', protocol: 17 }] });
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner: rig.container(1).number });
    expect(rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)))).toEqual([]);
    expect(rig.received(1).map(read)).toEqual([`icmp 3/13 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
    rig.arrive(datagram(`${OTHER}:1`, `${UPLINK_IP}:8080`, outside));
    expect(rig.received(1)).toEqual([]);
    expect(rig.left()).toEqual([]);
    expect(rig.drops()).toEqual({ policy_denied: 2 });
    expect(rig.udp(1, 5000, `${OTHER}:53`)).toMatch(UPLINK_IP);
  });

  test('R11: a rule of a port speaks before those of its bridge; answers are never asked about', () => {
    const rig = new NatRig();
    const allow: PolicyRule = { ...denyOut, action: 'allow', port: rig.container(1).number };
    rig.gateway.setGateway({ rules: [denyOut, { ...any, action: 'deny', direction: 'in' }, allow] });
    const outer = rig.udp(1, 5000, TO_FAR);
    expect(rig.admits(TO_FAR, outer, 1)).toBe(true);
    expect(rig.send(2, datagram(at(2, 5000), TO_FAR, inside(2)))).toEqual([]);
  });

  test('R11: an internal bridge has no way out, and nobody comes in', () => {
    const rig = new NatRig();
    rig.gateway.setGateway({ internal: true });
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner: rig.container(1).number });
    expect(rig.send(1, datagram(at(1, 5000), TO_FAR, inside(1)), echo(ipOf(1), FAR, 7, inside(1)))).toEqual([]);
    rig.arrive(datagram(TO_FAR, `${UPLINK_IP}:8080`, outside));
    expect(rig.received(1).map(read)).toEqual(new Array(2).fill(`icmp 3/13 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`));
    expect(rig.drops()).toEqual({ internal: 3 });
  });

  test('N23: outside nobody is told what is not published', () => {
    const rig = new NatRig();
    rig.arrive(
      datagram(TO_FAR, `${UPLINK_IP}:8080`, outside),
      segment(`${FAR}:9`, `${UPLINK_IP}:8080`, { flags: Flag.syn }, outside),
      echo(FAR, UPLINK_IP, 9, outside),
    );
    expect(rig.left()).toEqual([]);
    expect(rig.drops()).toEqual({ not_published: 3 });
  });
});
