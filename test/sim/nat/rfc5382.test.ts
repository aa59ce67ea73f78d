/** RFC 5382, requirement by requirement: NAT behaviour for TCP. docs/nat-conformance.md names these tests. */
import { describe, expect, test } from 'vitest';
import * as icmp from '../../../src/wire/icmp.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag } from '../../../src/wire/tcp.js';
import { ipOf } from '../frames.js';
import { UPLINK_IP } from '../gateway-simulation.js';
import { icmpError, isIntact, read, segment } from '../packets.js';
import { at, Connection, destinationOf, FAR, IP_AT, inside, L4_AT, NatRig, OTHER, outside, sourceOf } from './rig.js';

const { fin, syn, rst, ack } = Flag;
const SERVER = `${FAR}:80`;
const CLIENT = at(1, 40_000);

test('RFC 5382 REQ-1: one inner endpoint has one outer endpoint for all remotes', () => {
  const rig = new NatRig();
  expect(new Set([SERVER, `${FAR}:81`, `${OTHER}:80`].map((remote) => rig.syn(1, 40_000, remote))).size).toBe(1);
});

describe('legal segments', () => {
  test('RFC 5382 REQ-2: open from inside, data, close from inside', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    expect(connection.works()).toBe(true);
    const states = [
      connection.fromClient({ flags: fin | ack }) && connection.state,
      connection.fromServer({ flags: ack }) && connection.state,
      connection.works() && connection.state,
      connection.fromServer({ flags: fin | ack }) && connection.state,
      connection.fromClient({ flags: ack }) && connection.state,
    ];
    expect(states).toEqual(['fin_wait', 'close_wait', 'close_wait', 'last_ack', 'time_wait']);
  });

  test('RFC 5382 REQ-2: close from outside, and both at once', () => {
    const rig = new NatRig();
    const first = new Connection(rig, 1, 40_000);
    expect(first.fromServer({ flags: fin | ack })).toBe(true);
    expect(first.fromClient({ flags: fin | ack })).toBe(true);
    expect(first.fromServer({ flags: ack })).toBe(true);
    expect(first.state).toBe('time_wait');
    const second = new Connection(rig, 1, 40_001);
    expect(second.fromClient({ flags: fin | ack, acknowledgment: 5001 })).toBe(true);
    expect(second.fromServer({ flags: fin | ack, acknowledgment: 1001 })).toBe(true);
    expect(second.fromClient({ flags: ack })).toBe(true);
    expect(second.fromServer({ flags: ack })).toBe(true);
    expect(second.state).toBe('time_wait');
  });

  test('RFC 5382 REQ-2: opened from outside to a published port', () => {
    const rig = new NatRig();
    const server = rig.container(1);
    rig.gateway.publish({ protocol: 'tcp', hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner: server.number });
    rig.arrive(segment(`${FAR}:4000`, `${UPLINK_IP}:8080`, { flags: syn, sequence: 10 }, outside));
    expect(rig.received(1).map(read)).toEqual([`tcp ${FAR}:4000 > ${at(1, 80)} ttl 63`]);
    const answer = segment(at(1, 80), `${FAR}:4000`, { flags: syn | ack, sequence: 20, acknowledgment: 11 }, inside(1));
    expect(rig.send(1, answer).map(read)).toEqual([`tcp ${UPLINK_IP}:8080 > ${FAR}:4000 ttl 63`]);
    rig.arrive(segment(`${FAR}:4000`, `${UPLINK_IP}:8080`, { flags: ack, sequence: 11, acknowledgment: 21 }, outside));
    expect(rig.flow(6).state).toBe('established');
  });

  test('RFC 5382 REQ-2: a repeated SYN, SYN+ACK and FIN pass', () => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, SERVER);
    expect(rig.syn(1, 40_000, SERVER)).toBe(outer);
    const synAck = segment(SERVER, outer, { flags: syn | ack, sequence: 5000, acknowledgment: 1001 }, outside);
    rig.arrive(synAck, synAck);
    expect(rig.received(1)).toHaveLength(2);
    const connection = new Connection(rig, 1, 40_001);
    expect(connection.fromClient({ flags: fin | ack, sequence: 1001 })).toBe(true);
    expect(connection.fromClient({ flags: fin | ack, sequence: 1001 })).toBe(true);
  });

  test.each(['SYN+ACK of the client first', 'SYN+ACK of the server first'])('RFC 5382 REQ-2a: simultaneous open, %s', (order) => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, SERVER);
    rig.arrive(segment(SERVER, outer, { flags: syn, sequence: 5000 }, outside));
    expect(rig.received(1).map(read)).toEqual([`tcp ${SERVER} > ${CLIENT} ttl 63`]);
    const client = () =>
      rig.send(1, segment(CLIENT, SERVER, { flags: syn | ack, sequence: 1000, acknowledgment: 5001 }, inside(1))).length;
    const server = () => {
      rig.arrive(segment(SERVER, outer, { flags: syn | ack, sequence: 5000, acknowledgment: 1001 }, outside));
      return rig.received(1).length;
    };
    const passed = order.startsWith('SYN+ACK of the client') ? [client(), server()] : [server(), client()];
    expect(passed).toEqual([1, 1]);
    expect(rig.send(1, segment(CLIENT, SERVER, { flags: ack, sequence: 1001, acknowledgment: 5001 }, inside(1)))).toHaveLength(1);
    expect(rig.flow(6).state).toBe('established');
  });
});

describe('filter', () => {
  const FILTERS = [
    { filter: 'apdf', sameHost: false, otherHost: false },
    { filter: 'adf', sameHost: true, otherHost: false },
    { filter: 'eif', sameHost: true, otherHost: true },
  ] as const;

  test.each(FILTERS)('RFC 5382 REQ-3, REQ-3a: filter $filter', ({ filter, sameHost, otherHost }) => {
    const rig = new NatRig({ nat: { filter } });
    const outer = rig.syn(1, 40_000, SERVER);
    expect(rig.admitsSyn(`${FAR}:81`, outer, 1)).toBe(sameHost);
    expect(rig.admitsSyn(`${OTHER}:80`, outer, 1)).toBe(otherHost);
  });

  test('RFC 5382 REQ-4: an unsolicited SYN hears nothing for 6 s, and an outbound SYN meanwhile opens the connection', () => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, `${OTHER}:99`);
    expect(rig.admitsSyn(`${OTHER}:80`, outer, 1)).toBe(false);
    for (let second = 0; second < 6; second++) {
      rig.idle(1);
      expect(rig.left()).toEqual([]);
    }
    expect(rig.syn(1, 40_000, `${OTHER}:80`)).toBe(outer);
    expect(rig.admitsSyn(`${OTHER}:80`, outer, 1)).toBe(true);
  });

  test('RFC 5382 REQ-4a: and nothing within 60 s: it is dropped silently', () => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, SERVER);
    expect(rig.admitsSyn(`${OTHER}:80`, outer, 1)).toBe(false);
    expect(rig.admitsSyn(`${OTHER}:80`, `${UPLINK_IP}:25000`, 1)).toBe(false);
    for (let second = 0; second < 60; second++) {
      rig.idle(1);
      expect(rig.left()).toEqual([]);
    }
    expect(rig.count('icmp_errors_sent')).toBe(0);
    expect(rig.drops()).toEqual({ not_published: 2 });
  });
});

describe('lifetime', () => {
  const IDLE = [
    ['established', 7439],
    ['fin_wait', 7439],
    ['close_wait', 7439],
    ['last_ack', 239],
    ['close', 239],
  ] as const;

  /** A connection in this state. */
  function connectionIn(rig: NatRig, state: string): Connection {
    const connection = new Connection(rig, 1, 40_000);
    if (state === 'close') connection.fromClient({ flags: rst | ack });
    else if (state !== 'established') connection.fromClient({ flags: fin | ack });
    if (state === 'close_wait' || state === 'last_ack') connection.fromServer({ flags: ack });
    if (state === 'last_ack') connection.fromServer({ flags: fin | ack });
    expect(connection.state).toBe(state);
    return connection;
  }

  test.each(IDLE)('RFC 5382 REQ-5: in %s it is still there after %i s', (state, seconds) => {
    const rig = new NatRig();
    const connection = connectionIn(rig, state);
    rig.idle(seconds);
    expect(connection.fromServer({ flags: ack })).toBe(true);
  });

  test('RFC 5382 REQ-5: established, it is there after five days less a second, and gone after five days and one', () => {
    const rig = new NatRig();
    const connection = connectionIn(rig, 'established');
    rig.idle(431_999);
    expect(connection.fromServer({ flags: ack })).toBe(true);
    rig.idle(432_001);
    expect(connection.fromServer({ flags: ack })).toBe(false);
    expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
  });

  test('RFC 5382 REQ-5: a SYN is waited for 239 s, with an answer on the way 239 s more', () => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, SERVER);
    rig.idle(239);
    rig.arrive(segment(SERVER, outer, { flags: syn | ack, sequence: 5000, acknowledgment: 1001 }, outside));
    expect(rig.received(1)).toHaveLength(1);
    expect(rig.flow(6).state).toBe('syn_recv');
    rig.idle(239);
    expect(rig.send(1, segment(CLIENT, SERVER, { flags: ack, sequence: 1001, acknowledgment: 5001 }, inside(1)))).toHaveLength(1);
    expect(rig.flow(6).state).toBe('established');
  });

  test('RFC 5382 REQ-5a: timeouts are settable by state', () => {
    const rig = new NatRig();
    const connection = connectionIn(rig, 'established');
    rig.set({ timeouts: { tcpEstablished: 100, tcpFinWait: 50 } });
    rig.idle(99);
    expect(connection.fromServer({ flags: ack })).toBe(true);
    rig.idle(101);
    expect(connection.fromServer({ flags: ack })).toBe(false);
  });
});

test('RFC 5382 REQ-6: no payload is changed, whatever addresses stand in it', () => {
  const rig = new NatRig();
  new Connection(rig, 1, 40_000, `${FAR}:21`);
  const payload = new TextEncoder().encode('PORT 10,0,0,1,19,136\r\n');
  const fields = { flags: ack, sequence: 1001, acknowledgment: 5001, payload };
  const [sent] = rig.send(1, segment(CLIENT, `${FAR}:21`, fields, inside(1)));
  expect(sent.subarray(L4_AT + 20)).toEqual(payload);
});

test('RFC 5382 REQ-7: no two inner endpoints share an outer one, to one server or to several', () => {
  const rig = new NatRig();
  const servers = [SERVER, SERVER, `${OTHER}:80`, `${OTHER}:80`];
  const outer = servers.map((server, index) => rig.syn(index + 1, 20_500, server));
  expect(new Set(outer).size).toBe(4);
});

describe('hairpin', () => {
  test('RFC 5382 REQ-8: a container connects to another by its outer endpoint', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.syn(2, 6000, SERVER);
    rig.send(1, segment(CLIENT, outer, { flags: syn, sequence: 10 }, inside(1)));
    const [asked] = rig.received(2);
    expect(destinationOf(asked)).toBe(at(2, 6000));
    rig.send(2, segment(at(2, 6000), sourceOf(asked), { flags: syn | ack, sequence: 20, acknowledgment: 11 }, inside(2)));
    expect(rig.received(1).map(read)).toEqual([`tcp ${outer} > ${CLIENT} ttl 63`]);
    rig.send(1, segment(CLIENT, outer, { flags: ack, sequence: 11, acknowledgment: 21 }, inside(1)));
    expect(rig.received(2)).toHaveLength(1);
    expect(rig.flows(6).map(({ state }) => state)).toContain('established');
  });

  test('RFC 5382 REQ-8a: the source it sees is the outer endpoint the sender has outside', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.syn(2, 6000, SERVER);
    const sender = rig.syn(1, 40_000, SERVER);
    rig.send(1, segment(CLIENT, outer, { flags: syn, sequence: 10 }, inside(1)));
    expect(rig.received(2).map(sourceOf)).toEqual([sender]);
  });
});

describe('ICMP', () => {
  test('RFC 5382 REQ-9: 3/4 reaches the client with its MTU, the quote as the client sent it', () => {
    const rig = new NatRig();
    new Connection(rig, 1, 40_000);
    const fields = { flags: ack, sequence: 1001, acknowledgment: 5001, payload: new Uint8Array(1400) };
    const [sent] = rig.send(1, segment(CLIENT, SERVER, fields, inside(1)));
    rig.arrive(icmpError(OTHER, UPLINK_IP, icmp.Type.unreachable, 4, sent, outside, 1280));
    const [error] = rig.received(1);
    expect(read(error)).toBe(`icmp 3/4 id 0 ${OTHER} > ${ipOf(1)} ttl 63`);
    expect(icmp.sequence(error, L4_AT)).toBe(1280);
    expect(isIntact(error)).toBe(true);
    expect(read(error.subarray(L4_AT + 8 - IP_AT))).toBe(`tcp ${CLIENT} > ${SERVER} ttl 63`);
  });

  test.each(['syn_sent', 'established'])('RFC 5382 REQ-10: no ICMP message ends a connection in %s', (state) => {
    const rig = new NatRig();
    const [sent] = rig.send(1, segment(CLIENT, SERVER, { flags: syn, sequence: 1000 }, inside(1)));
    const connection = state === 'established' ? new Connection(rig, 1, 40_000) : undefined;
    const before = rig.flow(6);
    for (const type of [3, 11, 12]) {
      for (let code = 0; code < 16; code++) rig.arrive(icmpError(OTHER, UPLINK_IP, type, code, sent, outside));
    }
    expect(rig.received(1)).toHaveLength(48);
    expect(rig.flow(6)).toEqual(before);
    if (connection !== undefined) expect(connection.works()).toBe(true);
    rig.arrive(segment(SERVER, sourceOf(sent), { flags: syn | ack, sequence: 5000, acknowledgment: 1001 }, outside));
    expect(rig.received(1)).toHaveLength(1);
  });
});
