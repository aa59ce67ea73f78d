/** RFC 7857, section by section: what it changes in RFC 4787, 5382 and 5508. docs/nat-conformance.md names these tests. */
import { describe, expect, test } from 'vitest';
import { TIMEOUTS_RFC } from '../../../src/conntrack/timeouts.js';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { Flag } from '../../../src/wire/tcp.js';
import { payload } from '../../helpers/packet.js';
import { ipOf } from '../frames.js';
import { UPLINK_IP } from '../gateway-simulation.js';
import { datagram, icmpError, read, segment } from '../packets.js';
import { at, Connection, FAR, fragments, IP_AT, inside, NatRig, OTHER, outside, portOf, reassemble, sourceOf } from './rig.js';

const { fin, syn, rst, ack } = Flag;
const SERVER = `${FAR}:80`;
const data = { flags: ack, payload: Uint8Array.of(1, 2, 3) };

/** Of counts that are to be equal. */
function chiSquare(bins: Float64Array): number {
  const expected = bins.reduce((sum, count) => sum + count, 0) / bins.length;
  return bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe('TCP', () => {
  test('RFC 7857 2: each state lives at least as long as the one it refines', () => {
    const open = ['tcpEstablished', 'tcpFinWait', 'tcpCloseWait'] as const;
    const transitory = ['tcpSynSent', 'tcpSynSent2', 'tcpSynRecv', 'tcpLastAck', 'tcpClose'] as const;
    expect(open.filter((name) => TIMEOUTS_RFC[name] < 7440)).toEqual([]);
    expect(transitory.filter((name) => TIMEOUTS_RFC[name] < 240)).toEqual([]);
  });

  test('RFC 7857 2.1: opening, open and closing connections have timeouts of their own', () => {
    const rig = new NatRig();
    rig.set({ timeouts: { tcpSynSent: 30, tcpEstablished: 8000, tcpLastAck: 300 } });
    rig.syn(2, 40_000, SERVER);
    const connection = new Connection(rig, 1, 40_000);
    expect(rig.flows(6).map(({ timeout }) => timeout)).toEqual([30, 8000]);
    connection.fromClient({ flags: fin | ack });
    connection.fromServer({ flags: fin | ack });
    expect(rig.flows(6).map(({ timeout }) => timeout)).toEqual([30, 300]);
  });

  test('RFC 7857 2.2: a reset is translated, and the flow stays for 4 minutes', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    expect(connection.fromServer({ flags: rst | ack })).toBe(true);
    expect(connection.state).toBe('close');
    rig.idle(239);
    expect(connection.state).toBe('close');
    rig.idle(2);
    expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
  });

  test('RFC 7857 2.2: new data of who sent the reset show that it was not its own: the connection is established again', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    connection.fromServer({ flags: rst, acknowledgment: 0 });
    expect(connection.state).toBe('close');
    expect(connection.fromClient(data)).toBe(true);
    expect(connection.state).toBe('close');
    expect(connection.fromServer(data)).toBe(true);
    expect(connection.state).toBe('established');
    expect(rig.flow(6).timeout).toBe(TIMEOUTS_RFC.tcpEstablished);
    expect(connection.works()).toBe(true);
  });

  test('RFC 7857 2.2: a reset from off the path, with a number nobody expects, closes nothing', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    expect(connection.works()).toBe(true);
    expect(connection.fromServer({ flags: rst, sequence: 4000, acknowledgment: 0 })).toBe(false);
    expect(connection.fromServer({ flags: rst, sequence: 5_000_000, acknowledgment: 0 })).toBe(false);
    expect(connection.state).toBe('established');
    expect(rig.drops()).toEqual({ tcp_invalid: 2 });
  });
});

describe('address and port', () => {
  test('RFC 7857 4: TCP, UDP and ICMP of a container leave from one address', () => {
    const rig = new NatRig({ addresses: ['192.0.2.3'] });
    const ends = [rig.udp(1, 5000, SERVER), rig.syn(1, 5000, SERVER), rig.udp(1, 5001, `${OTHER}:1`)];
    expect(new Set(ends.map((end) => end.split(':')[0]))).toEqual(new Set([UPLINK_IP]));
  });

  test('RFC 7857 5: mappings are made for each protocol by itself', () => {
    const rig = new NatRig({ nat: { ranges: [[20_000, 20_001]] } });
    for (const n of [1, 2]) rig.udp(n, 5000, SERVER);
    expect([1, 2].map((n) => portOf(rig.syn(n, 5000, SERVER))).sort()).toEqual([20_000, 20_001]);
    expect(rig.use().mappings).toBe(4);
  });

  test('RFC 7857 6: so are filters: a mapping of TCP admits no UDP', () => {
    const rig = new NatRig({ nat: { filter: 'eif' } });
    const outer = rig.syn(1, 40_000, SERVER);
    expect(rig.admitsSyn(`${OTHER}:9`, outer, 1)).toBe(true);
    expect(rig.admits(SERVER, outer, 1)).toBe(false);
  });

  test('RFC 7857 8: parity is not kept: a colliding even port gets odd ones as well', () => {
    const rig = new NatRig();
    const outer = Array.from({ length: 40 }, (_, index) => portOf(rig.udp(index + 1, 5000, SERVER)));
    expect(new Set(outer.map((port) => port & 1)).size).toBe(2);
  });

  test('RFC 7857 9: ports that cannot be kept are as random as those they stand for: chi square over ten thousand of them', () => {
    const rig = new NatRig();
    const bins = new Float64Array(100);
    for (let round = 0; round < 20; round++) {
      const inner = new Set<number>();
      while (inner.size < 500) inner.add(30_000 + Math.floor(Math.random() * 30_000));
      const sent = rig.send(1, ...[...inner].map((port) => datagram(at(1, port), SERVER, inside(1))));
      expect(sent).toHaveLength(500);
      for (const frame of sent) bins[Math.floor((portOf(sourceOf(frame)) - 20_000) / 100)]++;
      rig.flush();
    }
    // 99 degrees of freedom: mean 99, deviation 14; seven deviations.
    expect(chiSquare(bins)).toBeLessThan(199);
  });

  test('RFC 7857 9: those of a fixed port are random: chi square over colliding containers of many gateways', () => {
    const bins = new Float64Array(5);
    for (let round = 0; round < 50; round++) {
      const rig = new NatRig();
      const outer = [1, 2, 3].map((n) => portOf(rig.udp(n, 20_500, SERVER)));
      expect(outer[0]).toBe(20_500);
      for (const port of outer.slice(1)) bins[Math.floor((port - 20_000) / 2000)]++;
    }
    // 4 degrees of freedom: one in a billion is above 46.
    expect(chiSquare(bins)).toBeLessThan(46);
  });

  test('RFC 7857 11: with its last flow a query mapping ends', () => {
    const rig = new NatRig();
    rig.echo(1, 77, FAR);
    rig.echo(1, 77, OTHER);
    expect(rig.use().mappings).toBe(1);
    rig.idle(61);
    expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
  });
});

describe('what renews nothing', () => {
  test('RFC 7857 7: inbound packets the filter refuses, of UDP', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.idle(200);
    expect(rig.admits(`${OTHER}:53`, outer, 1)).toBe(false);
    expect(rig.flow(17).timeout).toBe(100);
  });

  test('RFC 7857 7: inbound packets the filter, or the window, refuses, of TCP', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    rig.idle(1000);
    const before = rig.flow(6);
    expect(rig.admitsSyn(`${OTHER}:80`, connection.outer, 1)).toBe(false);
    expect(connection.fromServer({ flags: ack, sequence: 50_000_000 })).toBe(false);
    expect(rig.flow(6)).toEqual(before);
  });

  test('RFC 7857 7.1: an ICMP error of the container about an inbound packet', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    rig.idle(200);
    rig.arrive(datagram(`${FAR}:53`, outer, outside));
    const [received] = rig.received(1);
    const before = rig.flow(17);
    expect(rig.send(1, icmpError(ipOf(1), FAR, icmp.Type.unreachable, 3, received, inside(1)))).toHaveLength(1);
    expect(rig.flow(17)).toEqual(before);
    expect(before.timeout).toBe(100);
  });

  test('RFC 7857 7.1: a reset of the container', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    connection.fromClient({ flags: rst | ack });
    rig.idle(100);
    connection.fromClient({ flags: rst | ack });
    expect(rig.flow(6).timeout).toBe(140);
    expect(rig.flow(6).state).toBe('close');
  });
});

test('RFC 7857 10: fragments of two hosts with one identification are not mixed up by their receiver', () => {
  const rig = new NatRig();
  const packet = (n: number) =>
    datagram(at(n, 5000), `${FAR}:53`, { ...inside(n), dontFragment: false, identification: 99 }, payload(1000, n));
  const pieces = [1, 2].map((n) => fragments(packet(n), [504]));
  const sent = [0, 1].flatMap((index) => [1, 2].flatMap((n) => rig.send(n, pieces[n - 1][index])));
  const datagrams = new Map<number, Uint8Array[]>();
  for (const frame of sent) {
    const id = ipv4.identification(frame, IP_AT);
    datagrams.set(id, [...(datagrams.get(id) ?? []), frame]);
  }
  expect(datagrams.size).toBe(2);
  const payloads = [...datagrams.values()].map((parts) => reassemble(parts)?.subarray(8));
  expect(payloads).toEqual([payload(1000, 1), payload(1000, 2)]);
});

test('RFC 7857 12: a hairpinned ICMP error finds the mapping of its receiver', () => {
  const rig = new NatRig({ nat: { filter: 'eif' } });
  const outer = rig.syn(2, 6000, SERVER);
  rig.send(1, segment(at(1, 40_000), outer, { flags: syn, sequence: 10 }, inside(1)));
  const [received] = rig.received(2);
  rig.send(2, icmpError(ipOf(2), UPLINK_IP, icmp.Type.unreachable, 3, received, inside(2)));
  expect(rig.received(1).map(read)).toEqual([`icmp 3/3 id 0 ${UPLINK_IP} > ${ipOf(1)} ttl 63`]);
});
