/** RFC 4787, requirement by requirement: NAT behaviour for UDP. docs/nat-conformance.md names these tests. */
import { describe, expect, test } from 'vitest';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { payload } from '../../helpers/packet.js';
import { ipOf } from '../frames.js';
import { GATEWAY_IP, route, UPLINK_IP } from '../gateway-simulation.js';
import { datagram, icmpError, isIntact, read } from '../packets.js';
import {
  at,
  destinationOf,
  FAR,
  fragments,
  IP_AT,
  inside,
  L4_AT,
  NatRig,
  OTHER,
  outside,
  portOf,
  reassemble,
  sourceOf,
} from './rig.js';

const REMOTES = [`${FAR}:53`, `${FAR}:54`, `${OTHER}:53`];
const SECOND_IP = '192.0.2.3';

/** Permutations of three. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

describe('mapping', () => {
  test('RFC 4787 REQ-1: an inner endpoint has one outer endpoint for all remotes', () => {
    const rig = new NatRig();
    expect(new Set(REMOTES.map((remote) => rig.udp(1, 5000, remote))).size).toBe(1);
    expect(rig.use().mappings).toBe(1);
    expect(rig.flows(17)).toHaveLength(3);
  });

  test('RFC 4787 REQ-1: so it is in a table that is 90 % full', () => {
    const rig = new NatRig({ flowLimit: 200, flowShare: 200 });
    for (let port = 0; port < 180; port++) rig.udp(2, 30_000 + port, `${FAR}:1`);
    expect(new Set(REMOTES.map((remote) => rig.udp(1, 5000, remote))).size).toBe(1);
  });

  test('RFC 4787 REQ-2: one inner address uses one outer address, and drops what that one has no port for', () => {
    const ranges: [number, number][] = [[20_000, 20_199]];
    const rig = new NatRig({ addresses: [SECOND_IP], nat: { ranges } });
    const used = [1, 2].flatMap((n) => Array.from({ length: 100 }, (_, index) => rig.udp(n, 3000 + index, `${FAR}:1`)));
    expect(new Set(used.map((end) => end.split(':')[0]))).toEqual(new Set([UPLINK_IP]));
    expect(rig.send(1, datagram(at(1, 4000), `${FAR}:1`, inside(1)))).toEqual([]);
    expect(rig.received(1).map(read)).toEqual([`icmp 3/13 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`]);
    expect(rig.count('nat_exhausted')).toBe(1);
  });

  test('RFC 4787 REQ-3: three containers with one port have three outer ports, and each gets its own answers', () => {
    const rig = new NatRig();
    const outer = [1, 2, 3].map((n) => rig.udp(n, 20_500, `${FAR}:53`));
    expect(new Set(outer).size).toBe(3);
    for (const n of [1, 2, 3]) {
      expect(rig.admits(`${FAR}:53`, outer[n - 1], n)).toBe(true);
      expect([1, 2, 3].filter((other) => rig.received(other).length > 0)).toEqual([]);
    }
  });

  test('RFC 4787 REQ-3a: a port below 1024 gets one below 1024, another never does; a free one is kept', () => {
    const rig = new NatRig();
    for (const port of [500, 700, 20_500]) {
      const outer = [1, 2, 3].map((n) => portOf(rig.udp(n, port, `${FAR}:53`)));
      expect(outer.every((each) => each < 1024 === port < 1024)).toBe(true);
      expect(outer[0] === port).toBe(port !== 500);
    }
  });

  test('RFC 4787 REQ-11: mapping and filter are the same at every collision', () => {
    const rig = new NatRig();
    for (const n of [1, 2, 3]) {
      const [first, ...others] = REMOTES.map((remote) => rig.udp(n, 20_500, remote));
      expect(others).toEqual([first, first]);
      expect(rig.admits(REMOTES[0], first, n)).toBe(true);
      expect(rig.admits(`${OTHER}:99`, first, n)).toBe(false);
    }
  });
});

describe('lifetime', () => {
  test('RFC 4787 REQ-5: a mapping lives 120 s without traffic', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.idle(119);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
    expect(rig.flow(17).state).toBe('replied');
  });

  test('RFC 4787 REQ-5b: the timeout is settable, and live mappings follow', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.set({ timeouts: { udpUnreplied: 600, udpStream: 600 } });
    rig.idle(599);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
    rig.idle(2);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(false);
  });

  test('RFC 4787 REQ-5c: by default it lives 300 s, and is gone after 301', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.idle(299);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
    rig.idle(2);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(false);
    expect(rig.use().mappings).toBe(0);
  });

  test('RFC 4787 REQ-6: outbound traffic renews it: every 299 s for an hour', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    for (let seconds = 0; seconds < 3600; seconds += 299) {
      rig.idle(299);
      expect(rig.udp(1, 5000, `${FAR}:53`)).toBe(outer);
    }
    expect(rig.flow(17).packets[0]).toBe(14);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
  });

  test('RFC 4787 REQ-6a: inbound traffic does not renew it', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const admitted = [100, 200, 299, 301].map((_, index, times) => {
      rig.idle(times[index] - (times[index - 1] ?? 0));
      return rig.admits(`${FAR}:53`, outer, 1);
    });
    expect(admitted).toEqual([true, true, true, false]);
  });

  test('RFC 4787 REQ-6a: inbound traffic of a third host, admitted by no filter, does not renew it either', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const admitted = Array.from({ length: 12 }, () => {
      rig.idle(100);
      return rig.admits(`${OTHER}:1000`, outer, 1);
    });
    expect(admitted[0]).toBe(true);
    expect(admitted.at(-1)).toBe(false);
    expect(rig.use().mappings).toBe(0);
  });
});

describe('filter', () => {
  const FILTERS = [
    { filter: 'apdf', sameHost: false, otherHost: false },
    { filter: 'adf', sameHost: true, otherHost: false },
    { filter: 'eif', sameHost: true, otherHost: true },
  ] as const;

  test.each(FILTERS)('RFC 4787 REQ-8, REQ-8a: filter $filter', ({ filter, sameHost, otherHost }) => {
    const rig = new NatRig({ nat: { filter } });
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
    expect(rig.admits(`${FAR}:54`, outer, 1)).toBe(sameHost);
    expect(rig.admits(`${OTHER}:53`, outer, 1)).toBe(otherHost);
    expect(rig.count('not_published')).toBe(Number(!sameHost) + Number(!otherHost));
  });

  test('RFC 4787 REQ-8: what filter eif admits is answered from the same outer port', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.admits(`${OTHER}:4000`, outer, 1);
    expect(rig.udp(1, 5000, `${OTHER}:4000`)).toBe(outer);
    expect(rig.use().mappings).toBe(1);
  });
});

describe('hairpin', () => {
  test('RFC 4787 REQ-9: a container reaches another by its outer endpoint', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.udp(2, 6000, `${FAR}:53`);
    expect(rig.send(1, datagram(at(1, 5000), outer, inside(1)))).toEqual([]);
    const [received] = rig.received(2);
    expect(destinationOf(received)).toBe(at(2, 6000));
    expect(isIntact(received)).toBe(true);
    rig.send(2, datagram(at(2, 6000), sourceOf(received), inside(2)));
    expect(rig.received(1).map(read)).toEqual([`udp ${outer} > ${at(1, 5000)} ttl 63`]);
  });

  test('RFC 4787 REQ-9a: what it sees as the source is the outer endpoint the sender has outside', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const sender = rig.udp(1, 5000, `${FAR}:53`);
    const outer = rig.udp(2, 6000, `${FAR}:53`);
    rig.send(1, datagram(at(1, 5000), outer, inside(1)));
    expect(rig.received(2).map(sourceOf)).toEqual([sender]);
  });
});

test('RFC 4787 REQ-7: an uplink renumbered into the network of the containers leaves them reachable, and the gateway, too', () => {
  const rig = new NatRig();
  rig.container(2);
  rig.gateway.setUplink({ addresses: ['10.0.0.77'] });
  rig.gateway.setRoutes([route('0.0.0.0', 0, '10.0.0.78'), route('10.0.0.0', 24, '0.0.0.0')], ['10.0.0.77', GATEWAY_IP]);
  rig.container(1).send(datagram(at(1, 5000), at(2, 6000), inside(1)), datagram(at(1, 5000), `${GATEWAY_IP}:53`, inside(1)));
  expect(rig.received(2).map(read)).toEqual([`udp ${at(1, 5000)} > ${at(2, 6000)} ttl 63`]);
  expect(rig.gateway.host.receive()).toBeDefined();
});

test('RFC 4787 REQ-10, REQ-10a: no payload is changed, whatever addresses stand in it', () => {
  const rig = new NatRig();
  const text = new TextEncoder().encode(
    `REGISTER sip:${FAR} SIP/2.0\r\nContact: <sip:me@${ipOf(1)}:5060>\r\nPORT 10,0,0,1,19,136\r\n`,
  );
  const [sent] = rig.send(1, datagram(at(1, 5060), `${FAR}:5060`, inside(1), text));
  expect(sent.subarray(L4_AT + 8)).toEqual(text);
});

describe('ICMP', () => {
  test('RFC 4787 REQ-12: no ICMP message ends a mapping', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)));
    const before = rig.flow(17);
    for (const [type, codes] of [
      [3, 16],
      [11, 2],
      [12, 3],
    ]) {
      for (let code = 0; code < codes; code++) {
        rig.arrive(icmpError(OTHER, UPLINK_IP, type, code, sent, outside, 1200));
        expect(rig.received(1).map(read), `${type}/${code}`).toEqual([`icmp ${type}/${code} id 0 ${OTHER} > ${ipOf(1)} ttl 63`]);
      }
    }
    expect(rig.flow(17)).toEqual(before);
    expect(rig.admits(`${FAR}:53`, sourceOf(sent), 1)).toBe(true);
  });

  test('RFC 4787 REQ-12a: an error is not filtered by the router that sends it', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)));
    rig.arrive(icmpError('203.0.113.200', UPLINK_IP, icmp.Type.timeExceeded, 0, sent, outside));
    expect(rig.received(1).map(read)).toEqual([`icmp 11/0 id 0 203.0.113.200 > ${ipOf(1)} ttl 63`]);
  });

  test('RFC 4787 REQ-12b: "unreachable" is translated: the quote is what the container sent', () => {
    const rig = new NatRig();
    const [sent] = rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)));
    rig.arrive(icmpError(FAR, UPLINK_IP, icmp.Type.unreachable, 3, sent, outside));
    const [error] = rig.received(1);
    expect(isIntact(error)).toBe(true);
    expect(read(error.subarray(L4_AT + 8 - IP_AT))).toBe(`udp ${at(1, 5000)} > ${FAR}:53 ttl 63`);
  });
});

describe('size and fragments', () => {
  const large = (dontFragment: boolean, bytes = 1472) =>
    datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), dontFragment }, payload(bytes));

  test('RFC 4787 REQ-13: too long and not to be fragmented: 3/4 with the MTU', () => {
    const rig = new NatRig({ uplinkMtu: 1400 });
    expect(rig.send(1, large(true))).toEqual([]);
    const [error] = rig.received(1);
    expect(read(error)).toBe(`icmp 3/4 id 0 ${GATEWAY_IP} > ${ipOf(1)} ttl 64`);
    expect(icmp.sequence(error, L4_AT)).toBe(1400);
    expect(read(error.subarray(L4_AT + 8 - IP_AT))).toBe(`udp ${at(1, 5000)} > ${FAR}:53 ttl 64`);
    expect(rig.count('too_big')).toBe(1);
  });

  test('RFC 4787 REQ-13a: too long and to be fragmented: fragments, in order', () => {
    const rig = new NatRig({ uplinkMtu: 1400 });
    const packet = large(false);
    const sent = rig.send(1, packet);
    expect(sent.map((frame) => ipv4.fragmentOffset(frame, IP_AT))).toEqual([0, 1376]);
    expect(sent.every((frame) => ipv4.totalLength(frame, IP_AT) <= 1400)).toBe(true);
    expect(new Set(sent.map((frame) => ipv4.identification(frame, IP_AT))).size).toBe(1);
    expect(reassemble(sent)?.subarray(8)).toEqual(packet.subarray(L4_AT + 8));
  });

  test.each(ORDERS)('RFC 4787 REQ-14: three fragments out, in the order %i %i %i', (...order) => {
    const rig = new NatRig();
    const packet = large(false, 1000);
    const pieces = fragments(packet, [400, 400]);
    const sent = rig.send(1, ...order.map((index) => pieces[index]));
    expect(sent).toHaveLength(3);
    const first = sent.find((frame) => ipv4.fragmentOffset(frame, IP_AT) === 0) as Uint8Array;
    expect(sourceOf(first).startsWith(`${UPLINK_IP}:`)).toBe(true);
    expect(sent.every((frame) => ipv4.source(frame, IP_AT) === parseIpv4(UPLINK_IP))).toBe(true);
    const whole = new Uint8Array(L4_AT + 1008);
    whole.set(first.subarray(0, L4_AT));
    whole.set(reassemble(sent) ?? [], L4_AT);
    ipv4.setTotalLength(whole, IP_AT, 1028);
    ipv4.setFragmentWord(whole, IP_AT, 0);
    ipv4.fillHeaderChecksum(whole, IP_AT);
    expect(isIntact(whole)).toBe(true);
  });

  test.each(ORDERS)('RFC 4787 REQ-14: three fragments in, in the order %i %i %i', (...order) => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const packet = datagram(`${FAR}:53`, outer, { ...outside, dontFragment: false }, payload(1000));
    const pieces = fragments(packet, [400, 400]);
    rig.arrive(...order.map((index) => pieces[index]));
    const received = rig.received(1);
    expect(received.every((frame) => ipv4.destination(frame, IP_AT) === parseIpv4(ipOf(1)))).toBe(true);
    expect(reassemble(received)?.subarray(8)).toEqual(packet.subarray(L4_AT + 8));
  });

  test('RFC 4787 REQ-14a: a flood of lone fragments neither stops other traffic nor takes memory', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const packet = datagram(at(2, 5000), `${FAR}:53`, { ...inside(2), dontFragment: false }, payload(1000));
    const attacker = rig.container(2);
    for (let round = 0; round < 100; round++) {
      const lone = Array.from({ length: 200 }, (_, index) => fragments(packet, [400, 400], round * 200 + index)[1 + (index & 1)]);
      attacker.send(...lone);
      expect(rig.use().fragments).toBeLessThanOrEqual(16);
      expect(rig.admits(`${FAR}:53`, outer, 1)).toBe(true);
    }
    const pieces = fragments(
      datagram(at(1, 5000), `${FAR}:53`, { ...inside(1), dontFragment: false }, payload(1000)),
      [400, 400],
    );
    expect(rig.send(1, ...pieces)).toHaveLength(3);
    rig.idle(31);
    expect(rig.use().fragments).toBe(0);
    expect(rig.count('fragment_limit') + rig.count('fragment_timeout')).toBe(20_000);
  });
});
