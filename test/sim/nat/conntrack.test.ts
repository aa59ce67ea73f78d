/** Rules C1 to C30, D.5 and N1 to N24 of connection tracking and NAT where only the whole gateway shows them. */
import { describe, expect, test } from 'vitest';
import * as icmp from '../../../src/wire/icmp.js';
import * as ipv4 from '../../../src/wire/ipv4.js';
import { parseIpv4 } from '../../../src/wire/ipv4-address.js';
import { Flag } from '../../../src/wire/tcp.js';
import * as udp from '../../../src/wire/udp.js';
import { ipOf } from '../frames.js';
import { UPLINK_IP } from '../gateway-simulation.js';
import { datagram, echo, icmpError, isIntact, read, segment } from '../packets.js';
import { at, Connection, FAR, IP_AT, inside, L4_AT, NatRig, OTHER, outside, portOf, sourceOf } from './rig.js';

const SERVER = `${FAR}:80`;
const { syn, ack, fin } = Flag;

describe('tuples', () => {
  test('C1: the reply tuple is the inverse of what left', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const { original, reply } = rig.flow(17);
    const [far, own, uplink] = [FAR, ipOf(1), UPLINK_IP].map(parseIpv4);
    expect(original).toEqual({ source: own, destination: far, sourcePort: 5000, destinationPort: 53 });
    expect(reply).toEqual({ source: far, destination: uplink, sourcePort: 53, destinationPort: portOf(outer) });
  });

  test('C2: an answer without a question opens nothing, and a question is no answer', () => {
    const rig = new NatRig();
    const id = rig.echo(1, 77, FAR);
    rig.arrive(echo(FAR, UPLINK_IP, id, outside));
    expect(rig.send(1, echo(ipOf(1), OTHER, 78, { ...inside(1), type: icmp.Type.echoReply }))).toEqual([]);
    expect(rig.received(1)).toEqual([]);
    expect(rig.flows(1)).toHaveLength(1);
    expect(rig.count('icmp_unrelated')).toBe(2);
  });

  test('C3: another protocol has its addresses translated only, both ways', () => {
    const rig = new NatRig();
    const gre = (frame: Uint8Array) => {
      frame[IP_AT + 9] = 132;
      ipv4.fillHeaderChecksum(frame, IP_AT);
      return frame;
    };
    const [sent] = rig.send(1, gre(datagram(at(1, 5000), `${FAR}:53`, inside(1))));
    expect(read(sent)).toBe(`protocol 132 ${UPLINK_IP} > ${FAR} ttl 63`);
    rig.arrive(gre(datagram(`${FAR}:53`, `${UPLINK_IP}:5000`, outside)));
    expect(rig.received(1).map(read)).toEqual([`protocol 132 ${FAR} > ${ipOf(1)} ttl 63`]);
    expect(rig.flow(132).timeout).toBe(600);
  });

  test('C4: wrong lengths, checksums and flags are refused, and open nothing', () => {
    const rig = new NatRig();
    const badLength = datagram(at(1, 5000), `${FAR}:53`, inside(1));
    udp.setDatagramLength(badLength, L4_AT, 7);
    const badChecksum = datagram(at(1, 5000), `${FAR}:53`, inside(1));
    badChecksum[badChecksum.length - 1] ^= 0xff;
    const badFlags = [0, syn | fin, fin, syn | Flag.rst].map((flags) => segment(at(1, 5000), SERVER, { flags }, inside(1)));
    expect(rig.send(1, badLength, badChecksum, ...badFlags)).toEqual([]);
    expect(rig.drops()).toEqual({ l4_malformed: 5, l4_checksum: 1 });
    expect(rig.flows()).toEqual([]);
    expect(rig.use().mappings).toBe(0);
  });
});

describe('TCP', () => {
  test('C10: after a restart a connection is picked up in its middle, from inside', () => {
    const rig = new NatRig();
    const frame = segment(at(1, 20_500), SERVER, { flags: ack, sequence: 1, acknowledgment: 1 }, inside(1));
    const [sent] = rig.send(1, frame);
    expect(sourceOf(sent)).toBe(`${UPLINK_IP}:20500`);
    expect(rig.flow(6)).toMatchObject({ state: 'established', assured: false, timeout: 300 });
    rig.set({ loose: false });
    rig.flush();
    expect(rig.send(1, frame)).toEqual([]);
    expect(rig.drops()).toEqual({ tcp_invalid: 1 });
  });

  test('C11: a SYN after both ends have closed is a new connection', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    connection.fromClient({ flags: fin | ack });
    connection.fromServer({ flags: fin | ack });
    connection.fromClient({ flags: ack });
    expect(connection.state).toBe('time_wait');
    rig.syn(1, 40_000, SERVER);
    expect(rig.flow(6)).toMatchObject({ state: 'syn_sent', packets: [1, 0] });
  });

  test('C15: a reset as the first answer ends the flow at once', () => {
    const rig = new NatRig();
    const outer = rig.syn(1, 40_000, SERVER);
    rig.arrive(segment(SERVER, outer, { flags: Flag.rst | ack, acknowledgment: 1001 }, outside));
    expect(rig.received(1)).toHaveLength(1);
    expect(rig.flows(6)).toEqual([]);
  });

  test('C16: a client that goes on trying does not keep its flow', () => {
    const rig = new NatRig();
    rig.syn(1, 40_000, SERVER);
    rig.idle(200);
    rig.syn(1, 40_000, SERVER);
    expect(rig.flow(6).timeout).toBe(40);
  });

  test('C17: what is far beyond the window is dropped, what was sent before passes', () => {
    const rig = new NatRig();
    const connection = new Connection(rig, 1, 40_000);
    expect(connection.works()).toBe(true);
    expect(connection.fromServer({ flags: ack, sequence: 900_000, payload: Uint8Array.of(1) })).toBe(false);
    expect(connection.fromServer({ flags: ack, sequence: 5001, payload: Uint8Array.of(1) })).toBe(true);
    expect(rig.drops()).toEqual({ tcp_invalid: 1 });
  });
});

describe('errors and tables', () => {
  test('C23: an error of a forged flow, or about one the receiver does not have, reaches nobody', () => {
    const rig = new NatRig();
    const outer = rig.udp(1, 5000, `${FAR}:53`);
    const quotes = [datagram(outer, `${FAR}:54`, outside), datagram(`${UPLINK_IP}:9`, `${FAR}:53`, outside)];
    rig.arrive(...quotes.map((quote) => icmpError(OTHER, UPLINK_IP, 3, 3, quote, outside)));
    expect(rig.received(1)).toEqual([]);
    expect(rig.drops()).toEqual({ icmp_unrelated: 2 });
  });

  test('C24: an expired flow is absent at once: its packets open a new one', () => {
    const rig = new NatRig();
    rig.udp(1, 5000, `${FAR}:53`);
    rig.simulation.clock.advanceSeconds(301);
    rig.udp(1, 5000, `${FAR}:53`);
    expect(rig.flow(17)).toMatchObject({ age: 0, packets: [1, 0] });
  });

  test('C30: a full table leaves known flows and the host alone', () => {
    const rig = new NatRig({ flowLimit: 2, flowShare: 2 });
    const connection = new Connection(rig, 1, 40_000);
    new Connection(rig, 2, 40_000);
    expect(rig.send(3, segment(at(3, 40_000), SERVER, { flags: syn }, inside(3)))).toEqual([]);
    expect(rig.drops()).toEqual({ flow_table_full: 1 });
    expect(connection.works()).toBe(true);
    rig.send(3, datagram(at(3, 5000), `${UPLINK_IP}:53`, inside(3)));
    expect(rig.gateway.host.receive()).toBeDefined();
  });

  test('D.5: a publish that ends takes its flows along, UDP too', () => {
    const rig = new NatRig();
    const owner = rig.container(1).number;
    const id = rig.gateway.publish({ hostPort: 8080, port: 80, address: parseIpv4(ipOf(1)), owner });
    expect(rig.admits(`${FAR}:1`, `${UPLINK_IP}:8080`, 1)).toBe(true);
    rig.simulation.execute('remove-publish', { id });
    expect(rig.flows()).toEqual([]);
    expect(rig.admits(`${FAR}:1`, `${UPLINK_IP}:8080`, 1)).toBe(false);
  });
});

describe('NAT', () => {
  test('N13: a datagram from port 0 keeps it', () => {
    const rig = new NatRig();
    expect(rig.udp(1, 0, `${FAR}:53`)).toBe(`${UPLINK_IP}:0`);
  });

  test('N14: a port TCP gave back goes to its own endpoint again, at once', () => {
    const rig = new NatRig();
    const first = rig.syn(1, 40_000, SERVER);
    rig.flush();
    expect(rig.syn(1, 40_000, `${OTHER}:80`)).toBe(first);
  });

  test('N20: without an address on the uplink nothing leaves', () => {
    const rig = new NatRig();
    rig.gateway.setUplink({ addresses: [] });
    expect(rig.send(1, datagram(at(1, 5000), `${FAR}:53`, inside(1)))).toEqual([]);
    expect(rig.count('no_address')).toBe(1);
  });

  test('N21: another address of the uplink ends the flows of the old one, and new ones have the new one', () => {
    const rig = new NatRig({ addresses: ['192.0.2.3'] });
    rig.udp(1, 5000, `${FAR}:53`);
    rig.gateway.setUplink({ addresses: ['192.0.2.3'] });
    expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
    expect(rig.udp(1, 5000, `${FAR}:53`)).toMatch(/^192\.0\.2\.3:/);
  });

  test('N22: a range is published with its offset', () => {
    const rig = new NatRig();
    const owner = rig.container(1).number;
    rig.gateway.publish({ hostPort: 8000, count: 100, port: 9000, address: parseIpv4(ipOf(1)), owner });
    rig.arrive(datagram(`${FAR}:1`, `${UPLINK_IP}:8042`, outside));
    expect(rig.received(1).map(read)).toEqual([`udp ${FAR}:1 > ${at(1, 9042)} ttl 63`]);
    expect(rig.admits(`${FAR}:1`, `${UPLINK_IP}:8100`, 1)).toBe(false);
  });

  test('E.4: a UDP checksum of 0 stays 0, another one stays right', () => {
    const rig = new NatRig();
    const frame = datagram(at(1, 5000), `${FAR}:53`, inside(1));
    expect(isIntact(rig.send(1, frame)[0])).toBe(true);
    udp.setChecksumField(frame, L4_AT, 0);
    expect(udp.checksumField(rig.send(1, frame)[0], L4_AT)).toBe(0);
  });
});
