import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Removal } from '../../src/conntrack/flow-layout.js';
import { icmpKind, invertPorts, kindOf } from '../../src/conntrack/kind.js';
import { TIMEOUT_CLASSES, TIMEOUTS_KERNEL, TIMEOUTS_RFC } from '../../src/conntrack/timeouts.js';
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

const INWARD = BRIDGE_ZONE | (UPLINK << 16);

function look(rig: Rig, made: Datagram): number {
  return rig.conntrack.lookup(made.bytes, made.at, made.ip, made.l4, made.l4Length, rig.seconds);
}

describe('C1: tuples', () => {
  test('a flow is found by both, and the direction is which one matched', () => {
    const rig = new Rig();
    expect(rig.send(udpFrom('client'))).toBe('pass');
    expect(look(rig, udpFrom('client'))).toBe(0);
    expect(look(rig, udpFrom('server'))).toBe(1);
    expect(rig.flow.original).toMatchObject({ source: CLIENT, sourcePort: CLIENT_PORT, destination: SERVER });
    expect(rig.flow.reply).toMatchObject({ destination: OUTER, destinationPort: OUTER_PORT, sourcePort: SERVER_PORT });
    expect(rig.flow).toMatchObject({ zones: { original: UPLINK, reply: BRIDGE_ZONE }, mapping: 5, owner: -1 });
  });

  test('the tuple of the last lookup is left in the fields', () => {
    const rig = new Rig();
    const { conntrack } = rig;
    expect(look(rig, udpFrom('server'))).toBe(-1);
    expect([conntrack.source, conntrack.destination]).toEqual([parseIpv4(SERVER), parseIpv4(OUTER)]);
    expect([conntrack.ports >>> 0, conntrack.kind]).toEqual([(SERVER_PORT << 16) | OUTER_PORT, kindOf(17)]);
  });

  test('a tuple another flow has is refused: nobody is mapped onto it', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    const other = udpFrom('client', { ipSource: '10.9.0.3' });
    expect(look(rig, other)).toBe(-1);
    const ports = (SERVER_PORT << 16) | OUTER_PORT;
    const open = () => rig.conntrack.open(parseIpv4(SERVER), parseIpv4(OUTER), ports, OUTWARD, 0, 0, -1, 0xffff, rig.seconds);
    expect(open()).toBe(-1);
    rig.seconds += 301;
    look(rig, other);
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
    expect(look(rig, first)).toBe(-1);
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

describe('D.3: timeouts', () => {
  test('both profiles name every class', () => {
    for (const profile of [TIMEOUTS_RFC, TIMEOUTS_KERNEL]) {
      expect(Object.keys(profile)).toEqual([...TIMEOUT_CLASSES]);
    }
  });

  /** What brings a flow into a class, and the seconds of the profiles. */
  const cases: [string, rfc: number, kernel: number, (rig: Rig) => void][] = [
    ['tcpSynSent', 240, 120, (rig) => rig.send(segment('client', 'S', { seq: 1000 }))],
    [
      'tcpSynSent2',
      240,
      120,
      (rig) => {
        rig.send(segment('client', 'S', { seq: 1000 }));
        rig.send(segment('server', 'S', { seq: 5000 }));
      },
    ],
    [
      'tcpSynRecv',
      240,
      60,
      (rig) => {
        rig.send(segment('client', 'S', { seq: 1000 }));
        rig.send(segment('server', 'SA', { seq: 5000, ack: 1001 }));
      },
    ],
    ['tcpEstablished', 432_000, 432_000, (rig) => rig.establish()],
    ['tcpPickedUp', 300, 300, (rig) => rig.send(segment('client', 'A'))],
    [
      'tcpFinWait',
      7440,
      120,
      (rig) => {
        rig.establish();
        rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
      },
    ],
    [
      'tcpCloseWait',
      7440,
      60,
      (rig) => {
        rig.establish();
        rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
        rig.send(segment('server', 'A', { seq: 5001, ack: 1002 }));
      },
    ],
    [
      'tcpLastAck',
      240,
      30,
      (rig) => {
        rig.establish();
        rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
        rig.send(segment('server', 'FA', { seq: 5001, ack: 1002 }));
      },
    ],
    [
      'tcpTimeWait',
      120,
      120,
      (rig) => {
        rig.establish();
        rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
        rig.send(segment('server', 'FA', { seq: 5001, ack: 1002 }));
        rig.send(segment('client', 'A', { seq: 1002, ack: 5002 }));
      },
    ],
    [
      'tcpClose',
      240,
      10,
      (rig) => {
        rig.establish();
        rig.send(segment('client', 'R', { seq: 1001 }));
      },
    ],
    ['udpUnreplied', 300, 30, (rig) => rig.send(udpFrom('client'))],
    [
      'udpStream',
      300,
      120,
      (rig) => {
        rig.send(udpFrom('client'));
        rig.send(udpFrom('server'));
        rig.seconds += 3;
        rig.send(udpFrom('client'));
      },
    ],
    ['icmpQuery', 60, 30, (rig) => rig.send(icmpFrom('client', 8))],
    ['greUnreplied', 30, 30, (rig) => rig.send(rawFrom('client', 47))],
    [
      'greStream',
      180,
      180,
      (rig) => {
        rig.send(rawFrom('client', 47));
        rig.send(rawFrom('server', 47));
      },
    ],
    ['generic', 600, 600, (rig) => rig.send(rawFrom('client', 253))],
  ];

  for (const [name, rfc, kernel, reach] of cases) {
    for (const [profile, timeouts, seconds] of [
      ['rfc', TIMEOUTS_RFC, rfc],
      ['kernel', TIMEOUTS_KERNEL, kernel],
    ] as const) {
      test(`${name}: alive after ${seconds} s, gone after ${seconds + 1} (${profile})`, () => {
        const rig = new Rig({ timeouts });
        reach(rig);
        expect(rig.timeoutClass).toBe(name);
        rig.seconds += seconds;
        expect(rig.conntrack.expire(rig.seconds, 100)).toBe(0);
        expect(rig.flow.timeLeft).toBe(0);
        rig.seconds += 1;
        expect(rig.conntrack.expire(rig.seconds, 100)).toBe(1);
        expect(rig.removed).toEqual(['expired']);
      });
    }
  }

  test('C24: an expired flow found by lookup is absent, before anything swept it', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    rig.seconds += 300;
    expect(look(rig, udpFrom('server'))).toBe(1);
    rig.seconds += 1;
    expect(look(rig, udpFrom('server'))).toBe(-1);
    expect(rig.conntrack.flows.size).toBe(0);
  });

  test('a timeout set while flows live counts for them at once', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    rig.conntrack.setTimeouts({ udpUnreplied: 120 });
    expect(rig.flow.timeLeft).toBe(120);
    rig.seconds += 121;
    expect(rig.conntrack.expire(rig.seconds, 1)).toBe(1);
  });

  test('C24: expiry goes on where its budget ended, and a renewed flow waits its turn', () => {
    const rig = new Rig();
    for (let port = 1; port <= 10; port++) rig.send(udpFrom('client', { sourcePort: port }));
    rig.seconds += 200;
    rig.send(udpFrom('client', { sourcePort: 1 }));
    rig.seconds += 101;
    expect([4, 4, 4].map((budget) => rig.conntrack.expire(rig.seconds, budget))).toEqual([4, 4, 1]);
    expect(rig.flow.original.sourcePort).toBe(1);
  });
});

describe('C20–C23: what renews a flow', () => {
  test('C20: one-way data after a FIN may pause for two hours in the profile `rfc`, for a minute in `kernel`', () => {
    for (const [timeouts, left] of [
      [TIMEOUTS_RFC, 7440],
      [TIMEOUTS_KERNEL, 60],
    ] as const) {
      const rig = new Rig({ timeouts });
      rig.establish();
      rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
      rig.send(segment('server', 'A', { seq: 5001, ack: 1002 }));
      rig.send(segment('server', 'A', { seq: 5001, ack: 1002, data: 500 }));
      expect(rig.flow.timeLeft).toBe(left);
    }
  });

  test('C21: a stream has an answer and a packet more than 2 s after the first', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    rig.send(udpFrom('server'));
    rig.seconds += 2;
    rig.send(udpFrom('client'));
    expect(rig.flow).toMatchObject({ assured: false, timeoutClass: 'udpUnreplied' });
    rig.seconds += 1;
    rig.send(udpFrom('client'));
    expect(rig.flow).toMatchObject({ assured: true, timeoutClass: 'udpStream' });
  });

  test('C21: without an answer there is none, however long it goes on', () => {
    const rig = new Rig();
    for (let turn = 0; turn < 10; turn++) {
      rig.send(udpFrom('client'));
      rig.seconds += 100;
    }
    expect(rig.flow.assured).toBe(false);
  });

  test('C22: UDP from outside does not renew a flow begun inside', () => {
    const rig = new Rig();
    rig.send(udpFrom('client'));
    for (let turn = 0; turn < 3; turn++) {
      rig.seconds += 100;
      expect(rig.send(udpFrom('server'))).toBe('pass');
    }
    expect(rig.flow.timeLeft).toBe(0);
    expect(rig.send(udpFrom('client'))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(300);
  });

  test('C22: it does with the switch on, and for a flow begun outside', () => {
    for (const rig of [new Rig({ inboundRefresh: true }), new Rig({ zones: INWARD })]) {
      rig.send(udpFrom('client'));
      rig.seconds += 100;
      rig.send(udpFrom('server'));
      expect(rig.flow.timeLeft).toBe(300);
    }
  });

  test('C23: no ICMP error changes anything', () => {
    const rig = new Rig();
    rig.establish();
    rig.seconds += 10;
    const before = rig.flow;
    for (const type of [3, 4, 5, 11, 12]) rig.send(icmpFrom('server', type));
    expect(rig.flow).toEqual(before);
  });
});

describe('D.4: a full table', () => {
  function fill(rig: Rig, count: number, from = 1): string[] {
    return Array.from({ length: count }, (_, index) => rig.send(udpFrom('client', { sourcePort: from + index })));
  }

  function assure(rig: Rig): void {
    const { flows } = rig.conntrack;
    for (let flow = 0; flow < flows.rows(); flow++) flows.words[flow * 16 + 7] |= 1 << 11;
  }

  test('1: what has expired makes room', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 64 });
    fill(rig, 64);
    assure(rig);
    rig.seconds += 301;
    expect(fill(rig, 1, 1000)).toEqual(['pass']);
    expect(new Set(rig.removed)).toEqual(new Set(['expired']));
  });

  test('2: a container above its share is refused, and drops nobody', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 16, owner: 3 });
    fill(rig, 16);
    assure(rig);
    expect(fill(rig, 5, 1000)).toEqual(Array(5).fill('flow_quota'));
    expect([rig.removed, rig.conntrack.flows.sizeOf(3)]).toEqual([[], 16]);
    rig.owner = 4;
    expect(fill(rig, 5, 1000)).toEqual(Array(5).fill('pass'));
  });

  test('2: in a share that is used up a flow of the same container that was never answered gives way', () => {
    const rig = new Rig({ limit: 32, ownerLimit: 16, owner: 4 });
    fill(rig, 8);
    rig.owner = 3;
    fill(rig, 16, 100);
    expect(fill(rig, 1, 1000)).toEqual(['pass']);
    expect([rig.removed, rig.conntrack.flows.sizeOf(3), rig.conntrack.flows.sizeOf(4)]).toEqual([['early_dropped'], 16, 8]);
  });

  test('2: what ends gives its share back', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 16, owner: 3 });
    fill(rig, 16);
    assure(rig);
    rig.conntrack.remove(0, Removal.flushed, rig.seconds);
    expect(fill(rig, 1, 1000)).toEqual(['pass']);
    assure(rig);
    expect(fill(rig, 1, 1001)).toEqual(['flow_quota']);
  });

  test('3: the quota comes before early drop, also in a full table', () => {
    const rig = new Rig({ limit: 32, ownerLimit: 16, owner: 3 });
    fill(rig, 16);
    rig.owner = 4;
    fill(rig, 16, 100);
    expect(rig.conntrack.flows.size).toBe(32);
    assure(rig);
    expect(fill(rig, 1, 1000)).toEqual(['flow_quota']);
    expect(rig.removed).toEqual([]);
  });

  test('3: early drop takes flows that were never answered', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 64 });
    fill(rig, 64);
    const results = fill(rig, 50, 1000);
    expect(results.filter((result) => result === 'pass').length).toBeGreaterThan(40);
    expect(new Set(rig.removed)).toEqual(new Set(['early_dropped']));
    expect(rig.conntrack.flows.size).toBeLessThanOrEqual(64);
  });

  test('5: nothing but assured flows: refused, and they live on (C30)', () => {
    const rig = new Rig({ limit: 64, ownerLimit: 64 });
    fill(rig, 64);
    assure(rig);
    expect(fill(rig, 5, 1000)).toEqual(Array(5).fill('flow_table_full'));
    expect(fill(rig, 64)).toEqual(Array(64).fill('pass'));
    expect(rig.removed).toEqual([]);
  });

  test('4: above 95 % the background pass gives up closing and unanswered flows, oldest first, down to 95 %', () => {
    const rig = new Rig({ limit: 100, ownerLimit: 100 });
    fill(rig, 90);
    assure(rig);
    for (let flow = 0; flow < 90; flow++) rig.conntrack.flows.touch(flow, TIMEOUT_CLASSES.indexOf('udpStream'), rig.seconds);
    for (let port = 1; port <= 10; port++) rig.send(segment('client', 'S', { packet: { sourcePort: port } }));
    expect(rig.conntrack.expire(rig.seconds, 3)).toBe(3);
    expect(rig.conntrack.expire(rig.seconds, 100)).toBe(2);
    expect(rig.removed).toEqual(Array(5).fill('early_dropped'));
    const left = rig.flows().filter((flow) => flow.protocol === 6);
    expect(left.map((flow) => flow.original.sourcePort)).toEqual([6, 7, 8, 9, 10]);
    expect(rig.conntrack.expire(rig.seconds, 100)).toBe(0);
  });

  test('4: assured flows that are open stay, whatever the pressure', () => {
    const rig = new Rig({ limit: 100, ownerLimit: 100 });
    fill(rig, 100);
    assure(rig);
    for (let flow = 0; flow < 100; flow++) rig.conntrack.flows.touch(flow, TIMEOUT_CLASSES.indexOf('udpStream'), rig.seconds);
    expect(rig.conntrack.expire(rig.seconds, 100)).toBe(0);
  });

  test('a closed connection gives up what it holds when asked, an open one never', () => {
    const rig = new Rig();
    rig.establish();
    expect(rig.conntrack.reclaim(rig.seconds)).toBe(false);
    rig.send(segment('client', 'R', { seq: 1001 }));
    expect([rig.conntrack.reclaim(rig.seconds), rig.conntrack.reclaim(rig.seconds)]).toEqual([true, false]);
    expect(rig.removed).toEqual(['early_dropped']);
  });

  test('C32: a scan of ten times the table neither grows it nor touches an established flow', () => {
    const rig = new Rig({ limit: 128, ownerLimit: 128 });
    rig.establish();
    for (let port = 1; port <= 1280; port++) {
      rig.send(segment('client', 'S', { packet: { sourcePort: port, ipSource: '10.9.0.66' } }));
    }
    expect(rig.conntrack.flows.size).toBeLessThanOrEqual(128);
    expect(rig.conntrack.flows.rows()).toBeLessThanOrEqual(128);
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 1001, data: 10 }))).toBe('pass');
  });
});

describe('D.5: deletion from outside', () => {
  test('matching flows end, each with its reason', () => {
    const rig = new Rig();
    for (let port = 1; port <= 10; port++) rig.send(udpFrom('client', { sourcePort: port }));
    const { words } = rig.conntrack.flows;
    const odd = (flow: number) => ((words[flow * 16 + 2] >>> 16) & 1) === 1;
    expect(rig.conntrack.removeWhere(odd, Removal.unpublished, rig.seconds)).toBe(5);
    expect(rig.removed).toEqual(Array(5).fill('unpublished'));
    expect(look(rig, udpFrom('client', { sourcePort: 1 }))).toBe(-1);
    expect(look(rig, udpFrom('client', { sourcePort: 2 }))).toBeGreaterThanOrEqual(0);
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
