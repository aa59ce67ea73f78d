/** Fragments through the whole gateway: E.5 of the rules, N40 to N43, and what C.3 cuts itself (R20 to R22). */
import { describe, expect, test } from 'vitest';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag } from '../../../src/wire/tcp.js';
import { makePacket, payload } from '../../helpers/packet.js';
import { GATEWAY_MAC, ipOf, macOf } from '../frames.js';
import { UPLINK_IP } from '../gateway-simulation.js';
import { datagram, segment } from '../packets.js';
import { at, FAR, fragment, fragments, IP_AT, inside, L4_AT, NatRig, reassemble, sourceOf } from './rig.js';

const long = (n: number, port = 5000, bytes = 1000) =>
  datagram(at(n, port), `${FAR}:53`, { ...inside(n), dontFragment: false }, payload(bytes, n));

describe('N40: later fragments wait for the first', () => {
  test('N40: released in the order they came, all with the outer address', () => {
    const rig = new NatRig();
    const [first, second, third] = fragments(long(1), [400, 400]);
    expect(rig.send(1, third, second)).toEqual([]);
    expect(rig.count('fragments_parked')).toBe(2);
    const sent = rig.send(1, first);
    expect(sent.map((frame) => ipv4.fragmentOffset(frame, IP_AT)).sort((a, b) => a - b)).toEqual([0, 400, 800]);
    expect(sent.every((frame) => ipv4.source(frame, IP_AT) === parseIpv4(UPLINK_IP))).toBe(true);
    expect(rig.use().fragments).toBe(0);
  });

  test('N40: those of a datagram that is refused are refused as well, and counted', () => {
    const rig = new NatRig();
    rig.gateway.setGateway({ internal: true });
    const [first, second, third] = fragments(long(1), [400, 400]);
    rig.send(1, third, first, second);
    expect(rig.left()).toEqual([]);
    expect(rig.drops()).toEqual({ internal: 3 });
  });

  test('N40: two datagrams with one identification in different protocols are two', () => {
    const rig = new NatRig();
    const data = { flags: Flag.syn, sequence: 7, payload: payload(1000) };
    const stream = segment(at(1, 5000), `${FAR}:53`, data, { ...inside(1), dontFragment: false });
    const [u1, u2] = fragments(long(1), [504]);
    const [t1, t2] = fragments(stream, [504]);
    expect(rig.send(1, u2, t2, t1, u1)).toHaveLength(4);
  });
});

describe('N41: limits', () => {
  test('N41: what has waited for 30 s is dropped', () => {
    const rig = new NatRig();
    const [first, second] = fragments(long(1), [504]);
    rig.send(1, second);
    rig.idle(29);
    expect(rig.use().fragments).toBe(1);
    rig.idle(2);
    expect(rig.use().fragments).toBe(0);
    expect(rig.count('fragment_timeout')).toBe(1);
    expect(rig.send(1, first)).toHaveLength(1);
    expect(rig.count('icmp_errors_sent')).toBe(0);
  });

  test('N41: 16 datagrams of a source wait, the oldest gives way, another source has its own 16', () => {
    const rig = new NatRig();
    const lone = (n: number, id: number) => fragments(long(n), [504], id)[1];
    rig.send(1, ...Array.from({ length: 20 }, (_, id) => lone(1, id)));
    expect(rig.use().fragments).toBe(16);
    expect(rig.count('fragment_limit')).toBe(4);
    rig.send(2, lone(2, 1));
    expect(rig.use().fragments).toBe(17);
  });

  test('N41: 64 fragments are one datagram’s, more end it', () => {
    const rig = new NatRig();
    const packet = long(1, 5000, 8 * 70);
    const pieces = Array.from({ length: 70 }, (_, index) => fragment(packet, 8 * index, 8 * index + 8, true));
    expect(rig.send(1, ...pieces)).toHaveLength(64);
    expect(rig.count('fragment_limit')).toBe(6);
  });
});

describe('N42: fragments nobody sends in earnest', () => {
  const packet = long(1);
  const stream = segment(
    at(1, 5000),
    `${FAR}:53`,
    { flags: Flag.syn, payload: payload(100) },
    { ...inside(1), dontFragment: false },
  );

  test('N42: an overlap ends the datagram, and what comes of it later', () => {
    const rig = new NatRig();
    const first = fragment(packet, 0, 400, true);
    const overlapping = fragment(packet, 392, 800, true);
    expect(rig.send(1, first, overlapping, fragment(packet, 800, 1008, false))).toHaveLength(1);
    expect(rig.count('fragment_invalid')).toBe(2);
  });

  test('N42: an exact repetition is ignored, the datagram goes on', () => {
    const rig = new NatRig();
    const [first, second, third] = fragments(packet, [400, 400]);
    expect(rig.send(1, first, second, second, third)).toHaveLength(3);
    expect(rig.count('fragment_invalid')).toBe(1);
  });

  test.each([
    ['longer than 65,535 bytes', fragment(packet, 0, 400, true), 65_528],
    ['a length that is no multiple of 8', fragment(packet, 0, 399, true), 0],
  ] as const)('N42: %s', (_, frame, offset) => {
    const rig = new NatRig();
    const bad = frame.slice();
    ipv4.setFragmentWord(bad, IP_AT, 0x2000 | (offset >>> 3));
    ipv4.fillHeaderChecksum(bad, IP_AT);
    expect(rig.send(1, bad)).toEqual([]);
    expect(rig.drops()).toEqual({ fragment_invalid: 1 });
  });

  test('N42: a TCP header in two fragments (RFC 1858): a short first one, or an offset of 8', () => {
    const rig = new NatRig();
    expect(rig.send(1, fragment(stream, 0, 16, true), fragment(stream, 8, 120, false, 100))).toEqual([]);
    expect(rig.drops()).toEqual({ fragment_invalid: 2 });
  });
});

test('N43: packets that may be fragmented get identifications of the outer address, atomic ones keep theirs', () => {
  const rig = new NatRig();
  const ids = [1, 2, 3].map((n) => {
    const frame = datagram(at(n, 5000), `${FAR}:53`, { ...inside(n), dontFragment: false, identification: 99 });
    return ipv4.identification(rig.send(n, frame)[0], IP_AT);
  });
  expect(new Set(ids).size).toBe(3);
  const [atomic] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), identification: 99 }));
  expect(ipv4.identification(atomic, IP_AT)).toBe(99);
});

describe('the way out is smaller', () => {
  test('R20: a super-frame passes whole when its segments fit', () => {
    const rig = new NatRig({ uplinkMtu: 1400 });
    const whole = { destination: GATEWAY_MAC, source: macOf(1), ipSource: ipOf(1), ipDestination: FAR };
    const { frame, vnet } = makePacket({ ...whole, protocol: 'udp', gsoSize: 1372, payload: payload(4000) });
    rig.container(1).send({ frame, vnet });
    const [sent, ...more] = rig.left();
    expect(more).toEqual([]);
    expect(sent.length).toBe(frame.length);
  });

  test('R22: of a super-frame whose segments do not fit each is cut, in order, and nothing is lost', () => {
    const rig = new NatRig({ uplinkMtu: 1000 });
    const whole = { destination: GATEWAY_MAC, source: macOf(1), ipSource: ipOf(1), ipDestination: FAR, dontFragment: false };
    const { frame, vnet } = makePacket({ ...whole, protocol: 'udp', gsoSize: 1400, payload: payload(2800) });
    rig.container(1).send({ frame, vnet });
    const sent = rig.left();
    expect(sent.map((piece) => ipv4.fragmentOffset(piece, IP_AT))).toEqual([0, 976, 0, 976]);
    expect(sent.every((piece) => ipv4.totalLength(piece, IP_AT) <= 1000)).toBe(true);
    const data = [reassemble(sent.slice(0, 2)), reassemble(sent.slice(2))].map((bytes) => bytes?.subarray(8));
    expect(data).toEqual([payload(2800).subarray(0, 1400), payload(2800).subarray(1400)]);
    expect(sourceOf(sent[0])).toBe(sourceOf(sent[2]));
    expect(sent[0].subarray(L4_AT, L4_AT + 4)).toEqual(sent[2].subarray(L4_AT, L4_AT + 4));
  });
});
