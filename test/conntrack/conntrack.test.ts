import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { icmpKind, invertPorts, kindOf } from '../../src/conntrack/kind.js';
import { Random } from '../../src/core/random.js';
import * as icmp from '../../src/wire/icmp.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import * as udp from '../../src/wire/udp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import {
  BRIDGE_ZONE,
  CLIENT,
  CLIENT_PORT,
  type Datagram,
  icmpFrom,
  OUTER,
  OUTER_PORT,
  OUTWARD,
  Rig,
  rawFrom,
  SERVER,
  SERVER_PORT,
  segment,
  UPLINK,
  udpFrom,
} from './rig.js';

describe('C1: tuples', () => {
  test('a flow is found by both, and the direction is which one matched', () => {
    const rig = new Rig();
    expect(rig.send(udpFrom('client'))).toBe('pass');
    expect(rig.lookup(udpFrom('client'))).toBe(0);
    expect(rig.lookup(udpFrom('server'))).toBe(1);
    expect(rig.flow.original).toMatchObject({ source: CLIENT, sourcePort: CLIENT_PORT, destination: SERVER });
    expect(rig.flow.reply).toMatchObject({ destination: OUTER, destinationPort: OUTER_PORT, sourcePort: SERVER_PORT });
    expect(rig.flow).toMatchObject({ zones: { original: UPLINK, reply: BRIDGE_ZONE }, mapping: 5, owner: -1 });
  });

  test('the tuple of the last lookup is left in the fields', () => {
    const rig = new Rig();
    const { conntrack } = rig;
    expect(rig.lookup(udpFrom('server'))).toBe(-1);
    expect([conntrack.source, conntrack.destination]).toEqual([parseIpv4(SERVER), parseIpv4(OUTER)]);
    expect([conntrack.ports >>> 0, conntrack.kind]).toEqual([(SERVER_PORT << 16) | OUTER_PORT, kindOf(17)]);
  });

  test('a tuple another flow has is refused: nobody is mapped onto it', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    const other = udpFrom('client', { ipSource: '10.9.0.3' });
    expect(rig.lookup(other)).toBe(-1);
    const ports = (SERVER_PORT << 16) | OUTER_PORT;
    const open = () => rig.conntrack.open(parseIpv4(SERVER), parseIpv4(OUTER), ports, OUTWARD, 0, 0, -1, 0xffff, rig.seconds);
    expect(open()).toBe(-1);
    rig.seconds += 301;
    rig.lookup(other);
    expect(open()).toBe(0);
    expect(rig.removed).toEqual(['expired']);
  });

  test('a later fragment finds its flow by the ports its first one had, is counted and renews', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    rig.seconds += 100;
    const ports = (CLIENT_PORT << 16) | SERVER_PORT;
    const ref = rig.conntrack.lookupPorts(parseIpv4(CLIENT), parseIpv4(SERVER), ports, kindOf(17), rig.seconds);
    expect(ref).toBe(0);
    rig.conntrack.trackFragment(ref, 1500, rig.seconds);
    expect(rig.flow).toMatchObject({ original: { packets: 2, bytes: 46 + 1500 }, timeLeft: 300 });
  });

  test('a first fragment: its length fields speak of the whole datagram', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    const first = udpFrom('client', { payload: new Uint8Array(64) });
    udp.setDatagramLength(first.bytes, first.l4, 3000);
    expect(rig.lookup(first)).toBe(-1);
    const { bytes, ip, l4, l4Length } = first;
    expect(rig.conntrack.lookupFirstFragment(bytes, ip, l4, l4Length, rig.seconds)).toBe(0);
  });

  test('ports change places', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }), (one, other) => {
        expect(invertPorts((one << 16) | other)).toBe((other << 16) | one);
      }),
    );
  });
});

describe('C2: ICMP queries', () => {
  for (const [request, reply] of [
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
  ]) {
    test(`${request} opens, ${reply} is its answer`, () => {
      const rig = new Rig();
      expect(rig.send(icmpFrom('client', request))).toBe('pass');
      expect(rig.send(icmpFrom('server', reply))).toBe('pass');
      expect(rig.flow).toMatchObject({ icmpType: request, seenReply: true, original: { sourcePort: 77, destinationPort: 77 } });
      expect(icmpKind(reply)).toBe(icmpKind(request));
    });

    test(`${reply} opens nothing`, () => expect(new Rig().send(icmpFrom('server', reply))).toBe('icmp_unrelated'));
  }

  test('the type belongs to the tuple: a timestamp is no echo', () => {
    const rig = new Rig();
    rig.send(icmpFrom('client', 8));
    expect(rig.send(icmpFrom('server', 14))).toBe('icmp_unrelated');
  });

  test('another id, another flow', () => {
    const rig = new Rig();
    rig.send(icmpFrom('client', 8, 1));
    rig.send(icmpFrom('client', 8, 2));
    expect(rig.flows()).toHaveLength(2);
  });

  test('a query from outside is no answer to one of ours', () => {
    const rig = new Rig();
    rig.send(icmpFrom('client', 8));
    expect(rig.send(icmpFrom('server', 8))).toBe('icmp_unrelated');
  });

  test('untranslated, both ends may query with the same id', () => {
    const rig = new Rig();
    const ping = (from: string, to: string, type: number) => {
      const made = udpFrom('client', { ipSource: from, ipDestination: to, payload: new Uint8Array(24), partial: true });
      const query = icmpFrom('client', type);
      made.bytes.set(query.bytes.subarray(query.l4, query.l4 + query.l4Length), made.l4);
      made.bytes[made.ip + 9] = 1;
      return rig.send(made);
    };
    expect(ping('10.9.0.3', '10.8.0.3', 8)).toBe('pass');
    expect(ping('10.8.0.3', '10.9.0.3', 8)).toBe('pass');
    expect(ping('10.9.0.3', '10.8.0.3', 0)).toBe('pass');
  });

  for (const type of [3, 4, 5, 11, 12]) {
    test(`type ${type} is an error: not a flow's own business`, () => {
      const rig = new Rig();
      expect(rig.send(icmpFrom('server', type))).toBe('error');
      expect(rig.conntrack.fault).toBe(0);
    });
  }

  test('all other types and codes are ignored', () => {
    for (const type of [1, 2, 6, 7, 9, 10, 19, 30, 42, 255]) {
      expect(new Rig().send(icmpFrom('client', type))).toBe('icmp_ignored');
    }
    expect(new Rig().send(icmpFrom('client', 8, 77, 1))).toBe('icmp_ignored');
  });
});

describe('C3: other protocols', () => {
  for (const protocol of [47, 50, 132, 253]) {
    test(`${protocol}: by addresses alone`, () => {
      const rig = new Rig();
      expect(rig.send(rawFrom('client', protocol))).toBe('pass');
      expect(rig.send(rawFrom('server', protocol))).toBe('pass');
      expect(rig.flow).toMatchObject({ protocol, state: null, original: { sourcePort: 0, destinationPort: 0 } });
    });
  }

  test('600 s; GRE 30 s, and 180 s once answered', () => {
    const rig = new Rig();
    rig.send(rawFrom('client', 132));
    expect(rig.flow.timeLeft).toBe(600);
    const gre = new Rig();
    gre.send(rawFrom('client', 47));
    expect(gre.flow).toMatchObject({ timeLeft: 30, assured: false });
    gre.send(rawFrom('server', 47));
    expect(gre.flow).toMatchObject({ timeLeft: 180, assured: true });
  });
});

describe('C4: checks before tracking', () => {
  function sent(made: Datagram, change: (made: Datagram) => void): string {
    change(made);
    return new Rig().send(made);
  }
  const flip = (made: Datagram) => {
    made.bytes[made.l4 + made.l4Length - 1] ^= 1;
  };
  const flags = (bits: number) => (made: Datagram) => {
    flip(made);
    made.bytes[made.at - vnet.HEADER_BYTES] = bits;
  };

  test('headers must be whole', () => {
    for (const made of [udpFrom('client'), segment('client', 'S'), icmpFrom('client', 8)]) {
      expect(sent(made, () => {})).toBe('pass');
      for (let length = 0; length < 8; length++) {
        expect(sent({ ...made, l4Length: length }, () => {})).toBe('l4_malformed');
      }
    }
    expect(sent({ ...segment('client', 'S'), l4Length: 19 }, () => {})).toBe('l4_malformed');
  });

  test('a UDP length of 8 up to the payload', () => {
    const length = (value: number) => (made: Datagram) => udp.setDatagramLength(made.bytes, made.l4, value);
    const made = () => udpFrom('client', { payload: new Uint8Array(20), partial: true });
    expect([7, 8, 28, 29].map((value) => sent(made(), length(value)))).toEqual(['l4_malformed', 'pass', 'pass', 'l4_malformed']);
  });

  test('TCP flags nobody sends', () => {
    for (const bits of ['', 'F', 'SF', 'SR', 'FR', 'P', 'U', 'SFRPAU']) {
      expect(new Rig().send(segment('client', bits))).toBe('l4_malformed');
    }
  });

  test('a wrong checksum', () => {
    expect(sent(udpFrom('client'), flip)).toBe('l4_checksum');
    expect(sent(icmpFrom('client', 8), flip)).toBe('l4_checksum');
    const plain = () => segment('client', 'S', { packet: { partial: false }, ack: 77, window: 500 });
    expect(sent(plain(), () => {})).toBe('pass');
    expect(sent(plain(), flip)).toBe('l4_checksum');
  });

  test('is not looked at when it is still to be made, or was verified', () => {
    for (const bits of [vnet.Flag.needsChecksum, vnet.Flag.dataValid]) {
      expect(sent(udpFrom('client'), flags(bits))).toBe('pass');
      expect(sent(icmpFrom('client', 8), flags(bits))).toBe('pass');
    }
    expect(sent(udpFrom('client'), flags(0))).toBe('l4_checksum');
  });

  test('UDP without one passes; its data behind the UDP length is not part of it', () => {
    const none = udpFrom('client');
    flip(none);
    expect(sent(none, (made) => udp.setChecksumField(made.bytes, made.l4, 0))).toBe('pass');
    const short = udpFrom('client', { payload: new Uint8Array(20) });
    expect(sent({ ...short, l4Length: short.l4Length + 4 }, () => {})).toBe('pass');
  });
});

describe('bad input', () => {
  test('100,000 random mutations: no exception, and never more flows than the limit', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 64 });
    const random = new Random(11);
    const results = new Set<string>();
    for (let turn = 0; turn < 100_000; turn++) {
      const side = random.below(2) === 0 ? 'client' : 'server';
      const kinds = [
        () => segment(side, ['S', 'SA', 'A', 'FA', 'R', 'RA'][random.below(6)], { seq: random.next(), ack: random.next() }),
        () => segment(side, 'S', { options: Array.from({ length: 12 }, () => random.below(16)) }),
        () => udpFrom(side),
        () => icmpFrom(side, [8, 0, 13, 14, 3][random.below(5)]),
        () => rawFrom(side, random.below(256)),
      ];
      const made = kinds[random.below(kinds.length)]();
      for (let change = random.below(3); change > 0; change--) {
        made.bytes[made.l4 + random.below(made.l4Length)] = random.below(256);
      }
      made.l4Length = random.below(8) === 0 ? random.below(made.l4Length + 1) : made.l4Length;
      results.add(rig.send(made, 1));
      if (turn % 100 === 0) {
        rig.seconds += random.below(60);
        rig.conntrack.expire(rig.seconds, 10);
      }
      expect(rig.conntrack.flows.size).toBeLessThanOrEqual(64);
    }
    for (const expected of ['pass', 'error', 'l4_malformed', 'l4_checksum', 'tcp_invalid', 'icmp_unrelated', 'icmp_ignored']) {
      expect(results).toContain(expected);
    }
  });

  test('an echo with its checksum still verifies after all this: lookups write nothing', () => {
    const made = icmpFrom('client', 8);
    const before = made.bytes.slice();
    new Rig().send(made);
    expect(made.bytes).toEqual(before);
    expect(icmp.verify(made.bytes, made.l4, made.l4Length)).toBe(true);
  });
});
