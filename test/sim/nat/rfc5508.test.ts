/** RFC 5508, requirement by requirement: NAT behaviour for ICMP. docs/nat-conformance.md names these tests. */
import { describe, expect, test } from 'vitest';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag } from '../../../src/wire/tcp.js';
import { payload } from '../../helpers/packet.js';
import { BROADCAST, ipOf } from '../frames.js';
import { GATEWAY_IP, UPLINK_IP } from '../gateway-simulation.js';
import { datagram, echo, icmpError, isIntact, read, segment } from '../packets.js';
import { at, Connection, FAR, fragment, IP_AT, inside, L4_AT, NatRig, OTHER, outside } from './rig.js';

const QUOTE_AT = L4_AT + icmp.HEADER_BYTES;
const { unreachable, timeExceeded } = icmp.Type;

/** The packet an error quotes, as a frame whose ethernet header nobody looks at. */
function quoteOf(error: Uint8Array): Uint8Array {
  return error.subarray(QUOTE_AT - IP_AT);
}

/** Makes the checksum of a changed ICMP message right again. */
function refill(frame: Uint8Array): Uint8Array {
  icmp.fillChecksum(frame, L4_AT, ipv4.totalLength(frame, IP_AT) - ipv4.HEADER_BYTES);
  return frame;
}

/** A container's datagram on its way, and the error a router would send about it. */
function onTheWay() {
  const rig = new NatRig();
  const [sent] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)));
  const error = (type: number = unreachable, code = 1) => icmpError(OTHER, UPLINK_IP, type, code, sent, outside);
  return { rig, sent, error };
}

describe('queries', () => {
  test('RFC 5508 REQ-1: an echo request goes out with another id, and the answer comes back with its own', () => {
    const rig = new NatRig();
    const id = rig.echo(1, 77, FAR);
    expect(id).not.toBe(77);
    rig.arrive(echo(FAR, UPLINK_IP, id, { ...outside, type: icmp.Type.echoReply }));
    const received = rig.received(1);
    expect(received.map(read)).toEqual([`icmp 0/0 id 77 ${FAR} > ${ipOf(1)} ttl 63`]);
    expect(isIntact(received[0])).toBe(true);
    expect(rig.admitsEcho(OTHER, id, 1)).toBe(false);
  });

  test('RFC 5508 REQ-1a: an id is mapped the same for all remotes, and another one for another container', () => {
    const rig = new NatRig();
    const id = rig.echo(1, 77, FAR);
    expect(rig.echo(1, 77, OTHER)).toBe(id);
    expect(rig.echo(2, 77, FAR)).not.toBe(id);
  });

  test('RFC 5508 REQ-2: the answer is awaited for 60 s', () => {
    const rig = new NatRig();
    const id = rig.echo(1, 77, FAR);
    rig.idle(59);
    expect(rig.admitsEcho(FAR, id, 1)).toBe(true);
    rig.idle(61);
    expect(rig.admitsEcho(FAR, id, 1)).toBe(false);
  });

  test('RFC 5508 REQ-2a: or as long as it is set to', () => {
    const rig = new NatRig();
    rig.set({ timeouts: { icmpQuery: 200 } });
    const id = rig.echo(1, 77, FAR);
    rig.idle(199);
    expect(rig.admitsEcho(FAR, id, 1)).toBe(true);
  });
});

describe('errors that are dropped, or not', () => {
  test('RFC 5508 REQ-3: an ICMP checksum that is wrong', () => {
    const { rig, error } = onTheWay();
    const bad = error();
    bad[L4_AT + 3] ^= 1;
    rig.arrive(bad);
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ l4_checksum: 1 });
  });

  test('RFC 5508 REQ-3a: a checksum of the quoted IP header that is wrong', () => {
    const { rig, error } = onTheWay();
    const bad = error();
    bad[QUOTE_AT + 11] ^= 1;
    rig.arrive(refill(bad));
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ l4_checksum: 1 });
  });

  test('RFC 5508 REQ-3b: options of the quoted IP header are passed over, 4 bytes of them or 40', () => {
    const { rig, sent } = onTheWay();
    for (let words = 6; words <= 15; words++) {
      const options = (words - 5) * 4;
      const quoted = new Uint8Array(sent.length + options).fill(1);
      quoted.set(sent.subarray(0, L4_AT));
      quoted.set(sent.subarray(L4_AT), L4_AT + options);
      ipv4.setHeaderBytes(quoted, IP_AT, words * 4);
      ipv4.setTotalLength(quoted, IP_AT, quoted.length - IP_AT);
      ipv4.fillHeaderChecksum(quoted, IP_AT);
      rig.arrive(icmpError(OTHER, UPLINK_IP, unreachable, 1, quoted, outside));
      const [error] = rig.received(1);
      expect(read(quoteOf(error)), `${words} words`).toBe(`udp ${at(1, 5000)} > ${FAR}:53 ttl 63`);
      expect(isIntact(error)).toBe(true);
    }
  });

  test('RFC 5508 REQ-3c: the checksum of the quoted transport header is nobody’s business', () => {
    const { rig, error } = onTheWay();
    const odd = error();
    odd[QUOTE_AT + ipv4.HEADER_BYTES + 6] ^= 0x55;
    rig.arrive(refill(odd));
    expect(rig.received(1)).toHaveLength(1);
  });

  test('RFC 5508 REQ-3d: an MPLS object behind the quote (RFC 4884) arrives byte for byte', () => {
    const rig = new NatRig();
    const [whole] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1), payload(1000)));
    // Routers quote 128 bytes in front of an extension: this packet is longer.
    const sent = whole.subarray(0, IP_AT + 128);
    const extension = Uint8Array.of(0x20, 0, 0x5a, 0xa5, 0, 8, 1, 1, 0xde, 0xad, 0xb1, 0xff);
    const error = new Uint8Array(QUOTE_AT + 128 + extension.length);
    error.set(icmpError(OTHER, UPLINK_IP, timeExceeded, 0, sent, outside));
    error.set(extension, QUOTE_AT + 128);
    error[L4_AT + 5] = 128 / 4;
    ipv4.setTotalLength(error, IP_AT, error.length - IP_AT);
    ipv4.fillHeaderChecksum(error, IP_AT);
    rig.arrive(refill(error));
    const [received] = rig.received(1);
    expect(received.subarray(QUOTE_AT + 128)).toEqual(extension);
    expect(received.subarray(QUOTE_AT + 28, QUOTE_AT + 128)).toEqual(payload(1000).subarray(0, 100));
    expect(isIntact(received)).toBe(true);
    expect(read(quoteOf(received))).toBe(`udp ${at(1, 5000)} > ${FAR}:53 ttl 63`);
  });
});

describe('errors from outside', () => {
  test('RFC 5508 REQ-4: without a mapping they are dropped', () => {
    const rig = new NatRig();
    const never = datagram(`${UPLINK_IP}:25000`, `${FAR}:53`, outside);
    rig.arrive(icmpError(OTHER, UPLINK_IP, unreachable, 3, never, outside));
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ icmp_unrelated: 1 });
  });

  const QUOTES = [
    ['UDP', datagram(at(1, 5000), `${FAR}:53`, inside(1))],
    ['TCP', segment(at(1, 40_000), `${FAR}:80`, { flags: Flag.syn, sequence: 7 }, inside(1))],
    ['ICMP', echo(ipOf(1), FAR, 77, inside(1))],
  ] as const;

  test.each(QUOTES)('RFC 5508 REQ-4a: the quote is what was sent, of %s', (_, frame) => {
    const rig = new NatRig();
    const [sent] = rig.send(1, frame.slice());
    rig.arrive(icmpError(OTHER, UPLINK_IP, unreachable, 13, sent, outside));
    const [error] = rig.received(1);
    const expected = frame.slice();
    ipv4.setTtl(expected, IP_AT, 63);
    ipv4.fillHeaderChecksum(expected, IP_AT);
    expect(error.subarray(QUOTE_AT)).toEqual(expected.subarray(IP_AT));
    expect(isIntact(error)).toBe(true);
  });

  test('RFC 5508 REQ-4b: type and code stay', () => {
    const { rig, error } = onTheWay();
    const all = [
      [3, 1],
      [3, 13],
      [11, 0],
      [11, 1],
      [12, 0],
    ];
    for (const [type, code] of all) rig.arrive(error(type, code));
    const received = rig.received(1).map((frame) => [icmp.type(frame, L4_AT), icmp.code(frame, L4_AT)]);
    expect(received).toEqual(all);
  });

  test('RFC 5508 REQ-4c: the destination becomes the container, the source stays', () => {
    const { rig, error } = onTheWay();
    rig.arrive(error());
    const [received] = rig.received(1);
    expect(ipv4.destination(received, IP_AT)).toBe(parseIpv4(ipOf(1)));
    expect(ipv4.source(received, IP_AT)).toBe(parseIpv4(OTHER));
  });
});

describe('errors from inside', () => {
  /** A datagram from outside that a container has received. */
  function published() {
    const rig = new NatRig();
    const owner = rig.container(1).number;
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner });
    const original = datagram(`${FAR}:4000`, `${UPLINK_IP}:8080`, outside);
    rig.arrive(original.slice());
    const [received] = rig.received(1);
    return { rig, original, received };
  }

  test('RFC 5508 REQ-5: without a flow they are dropped', () => {
    const { rig } = published();
    const never = datagram(`${FAR}:4001`, at(1, 80), inside(1));
    expect(rig.send(1, icmpError(ipOf(1), FAR, unreachable, 3, never, inside(1)))).toEqual([]);
    expect(rig.drops()).toEqual({ icmp_unrelated: 1 });
  });

  test('RFC 5508 REQ-5a: the quote is what the remote has sent', () => {
    const { rig, original, received } = published();
    const [error] = rig.send(1, icmpError(ipOf(1), FAR, unreachable, 3, received, inside(1)));
    ipv4.setTtl(original, IP_AT, 63);
    ipv4.fillHeaderChecksum(original, IP_AT);
    expect(error.subarray(QUOTE_AT)).toEqual(original.subarray(IP_AT));
    expect(isIntact(error)).toBe(true);
  });

  test('RFC 5508 REQ-5b: type and code stay', () => {
    const { rig, received } = published();
    const [error] = rig.send(1, icmpError(ipOf(1), FAR, unreachable, 3, received, inside(1)));
    expect([icmp.type(error, L4_AT), icmp.code(error, L4_AT)]).toEqual([3, 3]);
  });

  test.each([1, 2])('RFC 5508 REQ-5c: the source becomes the outer address, for the container or a router inside (%i)', (n) => {
    const { rig, received } = published();
    const [error] = rig.send(n, icmpError(ipOf(n), FAR, unreachable, 3, received, inside(n)));
    expect(read(error)).toBe(`icmp 3/3 id 0 ${UPLINK_IP} > ${FAR} ttl 63`);
  });
});

test('RFC 5508 REQ-6: an error about a query neither renews nor ends it', () => {
  const rig = new NatRig();
  const [sent] = rig.send(1, echo(ipOf(1), FAR, 77, inside(1)));
  rig.idle(50);
  const before = rig.flow(1);
  rig.arrive(icmpError(OTHER, UPLINK_IP, unreachable, 1, sent, outside));
  expect(rig.received(1)).toHaveLength(1);
  expect(rig.flow(1)).toEqual(before);
  expect(before.timeout).toBe(10);
});

describe('hairpin', () => {
  test('RFC 5508 REQ-7: an error about a hairpinned packet reaches who sent that', () => {
    const rig = new NatRig();
    const owner = rig.container(2).number;
    rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(2)), owner });
    rig.send(1, datagram(at(1, 5000), `${UPLINK_IP}:8080`, inside(1)));
    const [received] = rig.received(2);
    rig.send(2, icmpError(ipOf(2), UPLINK_IP, unreachable, 3, received, inside(2)));
    const [error] = rig.received(1);
    expect(read(quoteOf(error))).toBe(`udp ${at(1, 5000)} > ${UPLINK_IP}:8080 ttl 63`);
    expect(isIntact(error)).toBe(true);
  });

  test('RFC 5508 REQ-7a: its destination is the source of the quote, its source the address that was asked', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.udp(2, 6000, `${FAR}:53`);
    rig.send(1, datagram(at(1, 5000), outer, inside(1)));
    const [received] = rig.received(2);
    rig.send(2, icmpError(ipOf(2), UPLINK_IP, unreachable, 3, received, inside(2)));
    expect(rig.received(1).map(read)).toEqual([`icmp 3/3 id 0 ${UPLINK_IP} > ${ipOf(1)} ttl 63`]);
  });
});

describe('no room', () => {
  const prohibited = `icmp 3/13 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`;
  const next = (rig: NatRig, port: number) => rig.send(1, datagram(at(1, port), `${FAR}:53`, inside(1)));

  test('RFC 5508 REQ-8: no free port: 3/13, and the packet is dropped', () => {
    const rig = new NatRig({ nat: { ranges: [[20_000, 20_001]] } });
    for (const n of [2, 3]) rig.udp(n, 5000, `${FAR}:53`);
    expect(next(rig, 5000)).toEqual([]);
    expect(rig.received(1).map(read)).toEqual([prohibited]);
    expect(rig.drops()).toEqual({ nat_exhausted: 1 });
  });

  test('RFC 5508 REQ-8: a table full of connections: 3/13', () => {
    const rig = new NatRig({ flowLimit: 4, flowShare: 4 });
    for (const n of [2, 3, 4, 5]) new Connection(rig, n, 40_000);
    expect(next(rig, 5000)).toEqual([]);
    expect(rig.received(1).map(read)).toEqual([prohibited]);
    expect(rig.drops()).toEqual({ flow_table_full: 1 });
  });

  test('RFC 5508 REQ-8: a container that has its share: 3/13', () => {
    const rig = new NatRig({ flowShare: 4 });
    for (let port = 5000; port < 5004; port++) new Connection(rig, 1, port);
    expect(next(rig, 6000)).toEqual([]);
    expect(rig.received(1).map(read)).toEqual([prohibited]);
    expect(rig.drops()).toEqual({ flow_quota: 1 });
    expect(rig.udp(2, 5000, `${FAR}:53`)).toMatch(UPLINK_IP);
  });
});

describe('errors the gateway makes', () => {
  test('RFC 5508 REQ-10a: time exceeded and unreachable are made, an echo passes', () => {
    const rig = new NatRig();
    rig.send(1, datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), ttl: 1 }));
    expect(rig.received(1).map(read)).toEqual([`icmp 11/0 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
    rig.gateway.setRoutes([]);
    rig.send(1, datagram(at(1, 5001), `${FAR}:53`, inside(1)));
    expect(rig.received(1).map(read)).toEqual([`icmp 3/0 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
    const other = new NatRig();
    expect(other.echo(1, 77, FAR)).toBeGreaterThan(0);
  });

  test('RFC 5508 REQ-10b: redirects and router discovery are neither made, answered nor translated; a timestamp query is a flow', () => {
    const { rig, error } = onTheWay();
    rig.arrive(error(5, 1));
    rig.send(1, echo(ipOf(1), FAR, 7, { ...inside(1), type: 10 }));
    expect(rig.received(1)).toEqual([]);
    expect(rig.left()).toEqual([]);
    expect(rig.count('icmp_ignored')).toBe(2);
    const [sent] = rig.send(1, echo(ipOf(1), FAR, 9, { ...inside(1), type: 13 }));
    const id = icmp.identifier(sent, L4_AT);
    rig.arrive(echo(FAR, UPLINK_IP, id, { ...outside, type: 14 }));
    expect(rig.received(1).map(read)).toEqual([`icmp 14/0 id 9 ${FAR} > ${ipOf(1)} ttl 63`]);
  });

  test('RFC 5508 REQ-10c: source quench is neither made nor translated, an information request not answered', () => {
    const { rig, error } = onTheWay();
    rig.arrive(error(4, 0));
    rig.send(1, echo(ipOf(1), GATEWAY_IP, 7, { ...inside(1), type: 15 }));
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ icmp_ignored: 1 });
  });

  test('RFC 5508 REQ-10d: the DSCP of the packet is copied, its ECN bits are not', () => {
    const rig = new NatRig();
    rig.send(1, datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), ttl: 1, tos: 0xb9 }));
    expect(rig.received(1).map((frame) => ipv4.tos(frame, IP_AT))).toEqual([0xb8]);
  });

  const lone = datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), ttl: 1 }, payload(800));
  const quoted = datagram(`${FAR}:53`, at(1, 5000), inside(1));
  const unsound = lone.slice();
  unsound[IP_AT + 10] ^= 1;
  const from = (source: string) => datagram(`${source}:5000`, `${FAR}:53`, { ...inside(1), ttl: 1 });
  const MUTED: readonly (readonly [string, Uint8Array])[] = [
    ['an ICMP error', icmpError(ipOf(1), FAR, unreachable, 3, quoted, { ...inside(1), ttl: 1 })],
    ['an unknown ICMP type', echo(ipOf(1), FAR, 7, { ...inside(1), ttl: 1, type: 42 })],
    ['a broadcast', datagram(at(1, 5000), '10.0.0.255:53', { ...inside(1), ttl: 1 })],
    ['a multicast', datagram(at(1, 5000), '224.1.2.3:53', { ...inside(1), ttl: 1 })],
    ['a frame broadcast on the link', datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), destinationMac: BROADCAST, ttl: 1 })],
    ['the source 0.0.0.0', from('0.0.0.0')],
    ['a source on the loopback', from('127.0.0.1')],
    ['a multicast source', from('224.0.0.9')],
    ['a reserved source', from('240.0.0.1')],
    ['a broadcast source', from('10.0.0.255')],
    ['a later fragment', fragment(lone, 400, 800, true)],
    ['a header with a wrong checksum', unsound],
  ];

  test.each(MUTED)('RFC 5508 REQ-10e: R30: no error about %s', (_, frame) => {
    const rig = new NatRig();
    rig.send(1, frame.slice());
    rig.idle(31);
    expect(rig.received(1)).toEqual([]);
    expect(rig.count('icmp_errors_sent')).toBe(0);
  });

  test('RFC 5508 REQ-10e: R30: no error about an ICMP error whose TTL ran out, which is too long, or which nobody takes', () => {
    const { rig, sent, error } = onTheWay();
    const late = error();
    ipv4.setTtl(late, IP_AT, 1);
    ipv4.fillHeaderChecksum(late, IP_AT);
    rig.gateway.setGateway({ mtu: 68 });
    rig.arrive(late, icmpError(OTHER, UPLINK_IP, unreachable, 1, new Uint8Array([...sent, ...payload(100)]), outside));
    expect(rig.received(1)).toEqual([]);
    expect(rig.left()).toEqual([]);
    expect(rig.count('icmp_errors_sent')).toBe(0);
    expect(rig.drops()).toEqual({ ttl_exceeded: 1, too_big: 1 });
  });

  test('RFC 5508 REQ-10e: R30: no error about a later fragment of a known datagram whose TTL ran out', () => {
    const rig = new NatRig();
    const packet = datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), dontFragment: false }, payload(800));
    const later = fragment(packet, 400, 808, false);
    ipv4.setTtl(later, IP_AT, 1);
    ipv4.fillHeaderChecksum(later, IP_AT);
    expect(rig.send(1, fragment(packet, 0, 400, true), later)).toHaveLength(1);
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ ttl_exceeded: 1 });
  });

  test('RFC 5508 REQ-10f: R34: a thousand reasons in one second are six errors, and one more each second; 3/4 is not limited', () => {
    const rig = new NatRig({ uplinkMtu: 1400 });
    const expired = datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), ttl: 1 });
    rig.send(1, ...Array.from({ length: 1000 }, () => expired));
    expect(rig.received(1)).toHaveLength(6);
    expect(rig.count('icmp_rate_limited')).toBe(994);
    rig.idle(3);
    rig.send(1, ...Array.from({ length: 100 }, () => expired));
    expect(rig.received(1)).toHaveLength(3);
    const large = datagram(at(1, 5000), `${FAR}:53`, inside(1), payload(1472));
    rig.send(1, ...Array.from({ length: 100 }, () => large));
    expect(rig.received(1)).toHaveLength(100);
  });

  test('RFC 5508 REQ-10f: R34: 50 at once altogether, whoever asks', () => {
    const rig = new NatRig();
    for (let n = 1; n <= 40; n++) {
      const expired = datagram(at(n, 5000), `${FAR}:53`, { ...inside(n), ttl: 1 });
      rig.container(n).queue(expired, expired);
    }
    rig.simulation.run();
    expect(rig.count('icmp_errors_sent')).toBe(50);
  });
});

test('RFC 5508 REQ-11: what is neither query nor error is dropped', () => {
  const rig = new NatRig();
  for (const type of [9, 10, 30, 42]) rig.arrive(echo(FAR, UPLINK_IP, 7, { ...outside, type }));
  expect(rig.drops()).toEqual({ icmp_ignored: 4 });
  expect(rig.flows()).toEqual([]);
});
