/** How long flows live: what renews them, what ends them, and who gives way in a full table. */
import { describe, expect, test } from 'vitest';
import { Removal } from '../../src/conntrack/flow-layout.js';
import { TIMEOUT_CLASSES, TIMEOUTS_KERNEL, TIMEOUTS_RFC } from '../../src/conntrack/timeouts.js';
import { BRIDGE_ZONE, type Datagram, icmpFrom, Rig, rawFrom, segment, UPLINK, udpFrom } from './rig.js';

const INWARD = BRIDGE_ZONE | (UPLINK << 16);

describe('D.3: timeouts', () => {
  test('both profiles name every class', () => {
    for (const profile of [TIMEOUTS_RFC, TIMEOUTS_KERNEL]) {
      expect(Object.keys(profile)).toEqual([...TIMEOUT_CLASSES]);
    }
  });

  const sends =
    (...all: Datagram[]) =>
    (rig: Rig) => {
      for (const made of all) rig.send(made);
    };
  const established =
    (...all: Datagram[]) =>
    (rig: Rig) => {
      rig.establish();
      sends(...all)(rig);
    };
  const SYN = segment('client', 'S', { seq: 1000 });
  const FIN = segment('client', 'FA', { seq: 1001, ack: 5001 });
  const FIN_BACK = segment('server', 'FA', { seq: 5001, ack: 1002 });
  const stream = (rig: Rig) => {
    sends(udpFrom('client'), udpFrom('server'))(rig);
    rig.seconds += 3;
    rig.send(udpFrom('client'));
  };

  /** What brings a flow into a class, and the seconds of the profiles. */
  const cases: [string, rfc: number, kernel: number, (rig: Rig) => void][] = [
    ['tcpSynSent', 240, 120, sends(SYN)],
    ['tcpSynSent2', 240, 120, sends(SYN, segment('server', 'S', { seq: 5000 }))],
    ['tcpSynRecv', 240, 60, sends(SYN, segment('server', 'SA', { seq: 5000, ack: 1001 }))],
    ['tcpEstablished', 432_000, 432_000, established()],
    ['tcpPickedUp', 300, 300, sends(segment('client', 'A'))],
    ['tcpFinWait', 7440, 120, established(FIN)],
    ['tcpCloseWait', 7440, 60, established(FIN, segment('server', 'A', { seq: 5001, ack: 1002 }))],
    ['tcpLastAck', 240, 30, established(FIN, FIN_BACK)],
    ['tcpTimeWait', 120, 120, established(FIN, FIN_BACK, segment('client', 'A', { seq: 1002, ack: 5002 }))],
    ['tcpClose', 240, 10, established(segment('client', 'R', { seq: 1001 }))],
    ['udpUnreplied', 300, 30, sends(udpFrom('client'))],
    ['udpStream', 300, 120, stream],
    ['icmpQuery', 60, 30, sends(icmpFrom('client', 8))],
    ['greUnreplied', 30, 30, sends(rawFrom('client', 47))],
    ['greStream', 180, 180, sends(rawFrom('client', 47), rawFrom('server', 47))],
    ['generic', 600, 600, sends(rawFrom('client', 253))],
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
    expect(rig.lookup(udpFrom('server'))).toBe(1);
    rig.seconds += 1;
    expect(rig.lookup(udpFrom('server'))).toBe(-1);
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
    expect(rig.lookup(udpFrom('client', { sourcePort: 1 }))).toBe(-1);
    expect(rig.lookup(udpFrom('client', { sourcePort: 2 }))).toBeGreaterThanOrEqual(0);
  });
});
