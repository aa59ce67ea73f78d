/** The engine ends between any two frames and another one goes on with what lies in the file of the flows: nobody at the ends of a connection notices. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FlowTable } from '../../../src/conntrack/flow-table.js';
import { Random } from '../../../src/core/random.js';
import { formatIpv4, parseIpv4 } from '../../../src/wire/ipv4-address.js';
import * as tcp from '../../../src/wire/tcp.js';
import { ipOf } from '../frames.js';
import { type GatewayOptions, UPLINK_IP } from '../gateway-simulation.js';
import { datagram, segment } from '../packets.js';
import { at, Connection, destinationOf, FAR, inside, NatRig, OTHER, outside, portOf, sourceOf } from './rig.js';

const HEADER = 4096;
const FLOW_LIMIT = 1024;
const ESTABLISHED = tcp.Flag.ack | tcp.Flag.psh;

describe('flows that outlive the engine', () => {
  let folder: string;
  let descriptor: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-flows-'));
    descriptor = openSync(join(folder, 'flows'), 'wx+', 0o600);
    ftruncateSync(descriptor, HEADER + FlowTable.rowBytesFor(FLOW_LIMIT));
  });
  afterEach(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });

  const makeRig = (options: GatewayOptions = {}) =>
    new NatRig({ ...options, flowLimit: FLOW_LIMIT, flowFile: { descriptor, at: HEADER, adopt: false } });
  const publish = (rig: NatRig, hostPort: number, n: number, port: number, protocol: 'tcp' | 'udp' = 'udp') =>
    rig.gateway.publish({ hostPort, port, protocol, address: parseIpv4(ipOf(n)), owner: rig.container(n).number });
  const udpWorks = (rig: NatRig, n: number, port: number, outer: string): boolean => {
    const [sent] = rig.send(n, datagram(at(n, port), `${FAR}:53`, inside(n)));
    return sent !== undefined && sourceOf(sent) === outer && rig.admits(`${FAR}:53`, outer, n);
  };

  test('SNAT: TCP, UDP and echoes go on both ways, with the ports they had', () => {
    const rig = makeRig();
    const connection = new Connection(rig, 1, 5000);
    const outer = rig.udp(2, 6000, `${FAR}:53`);
    const id = rig.echo(3, 77, FAR);
    expect(rig.admitsEcho(FAR, id, 3)).toBe(true);
    const before = rig.use();
    rig.crash();
    expect(rig.use()).toMatchObject({ flows: before.flows, mappings: before.mappings, pools: before.pools });
    expect(connection.works()).toBe(true);
    expect(udpWorks(rig, 2, 6000, outer)).toBe(true);
    expect(rig.admitsEcho(FAR, id, 3)).toBe(true);
    expect(rig.echo(3, 77, FAR)).toBe(id);
    expect(rig.count('flows_opened')).toBe(0);
  });

  test('a new flow of the same endpoint keeps its port, one of another gets another', () => {
    const rig = makeRig();
    const outer = rig.udp(1, 6000, `${FAR}:53`);
    rig.crash();
    expect(rig.udp(1, 6000, `${OTHER}:53`)).toBe(outer);
    expect(portOf(rig.udp(2, portOf(outer), `${FAR}:53`))).not.toBe(portOf(outer));
  });

  test('published: what came in goes on, and so does the answer; the same from another container', () => {
    const rig = makeRig();
    publish(rig, 8080, 1, 80, 'tcp');
    const client = `${FAR}:40000`;
    expect(rig.admitsSyn(client, `${UPLINK_IP}:8080`, 1)).toBe(true);
    const answer = segment(
      at(1, 80),
      client,
      { flags: tcp.Flag.syn | tcp.Flag.ack, sequence: 500, acknowledgment: 78 },
      inside(1),
    );
    expect(rig.send(1, answer)).toHaveLength(1);
    rig.send(2, segment(at(2, 3000), `${UPLINK_IP}:8080`, { flags: tcp.Flag.syn, sequence: 9 }, inside(2)));
    const [hairpin] = rig.received(1);
    expect(destinationOf(hairpin)).toBe(at(1, 80));
    const backAnswer = { flags: tcp.Flag.syn | tcp.Flag.ack, sequence: 600, acknowledgment: 10 };

    rig.crash({ between: () => publish(rig, 8080, 1, 80, 'tcp') });
    const data = { flags: ESTABLISHED, sequence: 78, acknowledgment: 501, payload: Uint8Array.of(1) };
    rig.arrive(segment(client, `${UPLINK_IP}:8080`, data, outside));
    expect(rig.received(1).map(destinationOf)).toEqual([at(1, 80)]);
    const sent = rig.send(1, segment(at(1, 80), client, { flags: ESTABLISHED, sequence: 501, acknowledgment: 79 }, inside(1)));
    expect(sent.map(sourceOf)).toEqual([`${UPLINK_IP}:8080`]);
    rig.send(1, segment(at(1, 80), sourceOf(hairpin), backAnswer, inside(1)));
    expect(rig.received(2).map(sourceOf)).toEqual([`${UPLINK_IP}:8080`]);
  });

  test.each(['adf', 'eif'] as const)(
    '%s: who was admitted by a mapping still is, and the mapping is its container’s',
    (filter) => {
      const rig = makeRig({ nat: { filter } });
      const outer = rig.udp(1, 6000, `${FAR}:53`);
      expect(rig.admits(`${FAR}:999`, outer, 1)).toBe(true);
      rig.crash();
      expect(rig.admits(`${FAR}:999`, outer, 1)).toBe(true);
      expect(rig.admits(`${FAR}:1000`, outer, 1)).toBe(true);
      expect(rig.admits(`${OTHER}:53`, outer, 1)).toBe(filter === 'eif');
      rig.container(1).remove();
      expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
    },
  );

  test('what did not come back has no flows: container, publish, address', () => {
    const rig = makeRig({ addresses: ['192.0.2.77'] });
    publish(rig, 5353, 4, 53);
    new Connection(rig, 1, 5000);
    const kept = new Connection(rig, 2, 5000);
    expect(rig.admits(`${FAR}:1`, `${UPLINK_IP}:5353`, 4)).toBe(true);
    rig.simulation.execute('set-egress', { port: rig.container(3).number, address: parseIpv4('192.0.2.77') });
    rig.udp(3, 6000, `${FAR}:53`);
    expect(rig.flows()).toHaveLength(4);
    rig.crash({ missing: [1], options: { addresses: [] } });
    expect(rig.flows().map(({ original }) => formatIpv4(original.source))).toEqual([ipOf(2)]);
    expect(rig.use()).toMatchObject({ flows: 1, mappings: 1 });
    expect(kept.works()).toBe(true);
  });

  test('nothing is routed before all is there again, and nothing ends by that', () => {
    const rig = makeRig();
    const connection = new Connection(rig, 1, 5000);
    rig.crash({
      between: () => {
        expect(connection.fromClient({ flags: ESTABLISHED, payload: Uint8Array.of(1) })).toBe(false);
        expect(connection.fromServer({ flags: ESTABLISHED, payload: Uint8Array.of(1) })).toBe(false);
        expect(rig.drops()).toEqual({ restoring: 2 });
      },
    });
    // They send again what got no answer.
    expect(connection.fromClient({ flags: ESTABLISHED, sequence: 1001, acknowledgment: 5001, payload: Uint8Array.of(1) })).toBe(
      true,
    );
    expect(connection.fromServer({ flags: ESTABLISHED, sequence: 5001, acknowledgment: 1002, payload: Uint8Array.of(1) })).toBe(
      true,
    );
    expect(connection.works()).toBe(true);
  });

  test('shares: what a container had counts for it', () => {
    const rig = makeRig({ flowShare: 4 });
    for (let port = 0; port < 4; port++) new Connection(rig, 1, 5000 + port);
    rig.crash();
    expect(rig.send(1, segment(at(1, 6000), `${FAR}:80`, { flags: tcp.Flag.syn, sequence: 1 }, inside(1)))).toEqual([]);
    expect(rig.drops()).toEqual({ flow_quota: 1 });
  });

  test('time goes on: flows end when they would have', () => {
    const rig = makeRig();
    rig.udp(1, 6000, `${FAR}:53`);
    rig.idle(200);
    rig.udp(1, 6001, `${FAR}:53`);
    rig.crash();
    rig.idle(150);
    rig.idle(1);
    expect(rig.flows(17).map(({ original }) => original.sourcePort)).toEqual([6001]);
  });

  test.each([1, 2, 3])('killed between any two frames of twenty connections, again and again, seed %i', (seed) => {
    const rig = makeRig();
    const random = new Random(seed);
    const connections = Array.from({ length: 20 }, (_, index) => new Connection(rig, 1 + (index % 4), 5000 + index));
    for (let step = 0; step < 120; step++) {
      const connection = connections[random.below(connections.length)];
      const fields = { flags: ESTABLISHED, payload: new Uint8Array(1 + random.below(100)) };
      expect(random.below(2) === 0 ? connection.fromClient(fields) : connection.fromServer(fields)).toBe(true);
      if (random.below(8) === 0) rig.crash();
    }
    rig.crash();
    expect(rig.use()).toMatchObject({ flows: 20, mappings: 20 });
    for (const connection of connections) expect(connection.works()).toBe(true);
    rig.flush();
    expect(rig.use()).toMatchObject({ flows: 0, mappings: 0 });
  });
});
