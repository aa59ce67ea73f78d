/**
 * Payload and order through tapbridge, with the offloads of each host on and off: super-frames that pass, that are cut, that are merged, and
 * checksums that are completed on the way. Every byte is compared. A byte of another stream or datagram shows too: all of them differ.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import type { DelayReport } from '../../src/lab/traffic.js';
import { createVeth, getLink, setLink } from '../../src/netlink/link.js';
import { TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';

const A = '198.18.0.1';
const B = '198.18.0.2';
const PORT = 5002;
const STREAMS = 4;
const BYTES = 6_000_001;
/** In one go, so that they are merged where they may be; few enough to wait in the queue of a TAP, so that none may be lost. */
/** The generator's flows differ by their source addresses. */
const MANY_SOURCES = { sourceGuard: false };
const DATAGRAMS = 400;
const CLEAN = { missing: 0, reordered: 0, duplicated: 0, foreign: 0, corrupt: 0, dropped: 0 };
const FEATURES = ['tx', 'sg', 'tso', 'gso', 'gro'];
const MAX_FRAME_BYTES = 1514;

/** What connects a host, and whether its kernel may use offloads on its interface. */
interface End {
  port: 'tap' | 'raw socket';
  offloads: boolean;
}

const ends: [End, End][] = [];
for (const [one, other] of [
  ['tap', 'tap'],
  ['tap', 'raw socket'],
  ['raw socket', 'raw socket'],
] as const) {
  for (const offloads of [true, false]) {
    for (const others of [true, false]) {
      if (one === other && !offloads && others) continue;
      ends.push([
        { port: one, offloads },
        { port: other, offloads: others },
      ]);
    }
  }
}
const words = ({ port, offloads }: End): string => `${port}, offloads ${offloads ? 'on' : 'off'}`;

describeSystem('integrity through tapbridge', ['root', 'tap', 'tool:ethtool'], () => {
  let lab: Lab;
  let outside: LabNamespace;
  let daemon: TestDaemon;
  let a: LabHost;
  let b: LabHost;

  beforeEach(async () => {
    lab = Lab.create('tbintegrity');
    outside = lab.namespace('host');
    [daemon, a, b] = await Promise.all([TestDaemon.start(lab, outside), lab.host('a'), lab.host('b')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24', gateway: '198.18.0.254' });
  });
  afterEach(async () => {
    await daemon.close();
    await lab.close();
  });

  async function attach(host: LabHost, address: string, { port, offloads }: End): Promise<void> {
    await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
    await host.sysctl('net/ipv4/conf/all/rp_filter', 0);
    await host.sysctl('net/ipv4/conf/default/rp_filter', 0);
    if (port === 'tap') {
      await daemon.client.attach('tb0', { port: host.name, netns: host.netnsPath, ip: address, flags: MANY_SOURCES });
    } else {
      createVeth(outside.netlink, { name: `v-${host.name}` }, { name: 'eth0', netns: host.namespace.descriptor });
      setLink(outside.netlink, getLink(outside.netlink, `v-${host.name}`).index, { up: true });
      host.namespace.configure('eth0', { address });
      await daemon.client.attach('tb0', { port: host.name, iface: `v-${host.name}` });
    }
    const settings = FEATURES.flatMap((feature) => [feature, offloads ? 'on' : 'off']);
    const { status, stderr } = ethtool(host, '-K', 'eth0', ...settings);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('Cannot')]);
    expect(ethtool(host, '-k', 'eth0').stdout).toContain(`tcp-segmentation-offload: ${offloads ? 'on' : 'off'}`);
  }

  function ethtool(host: LabHost, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return host.namespace.inside(() => spawnSync('ethtool', args, { encoding: 'utf8' }));
  }

  /** What the host's kernel has handed to its interface. */
  function sentFrames(host: LabHost): { frames: number; bytes: number } {
    const [, line] = readFileSync(`/proc/${host.pid}/net/dev`, 'latin1').match(/eth0:(.*)/) as RegExpMatchArray;
    const columns = line.trim().split(/\s+/).map(Number);
    return { bytes: columns[8], frames: columns[9] };
  }

  /** @returns the mean length of the frames the sender's kernel made */
  async function streams(from: LabHost, to: LabHost, address: string): Promise<number> {
    await to.request('traffic-tcp-listen', { port: PORT });
    const before = sentFrames(from);
    const [, received] = await Promise.all([
      from.request('traffic-tcp-send', { address, port: PORT, streams: STREAMS, durationMillis: 15_000, bytes: BYTES }),
      to.request('traffic-tcp-receive', { port: PORT, streams: STREAMS, checkAll: true, idleMillis: 5000 }),
    ]);
    const after = sentFrames(from);
    expect(received.streams.map(({ bytes, wrongAt }) => [bytes, wrongAt])).toEqual(Array(STREAMS).fill([BYTES, -1]));
    return (after.bytes - before.bytes) / (after.frames - before.frames);
  }

  async function datagrams(
    from: LabHost,
    to: LabHost,
    address: string,
    flows: number,
    payloadBytes: number,
  ): Promise<DelayReport> {
    const common = { port: PORT, flows, payloadBytes, integrity: true };
    await to.request('traffic-udp-bind', { port: PORT });
    const receiving = to.request('traffic-udp-receive', { ...common, startMillis: 5000, idleMillis: 1000, limitMillis: 15_000 });
    const load = { burst: 64, durationMillis: 15_000, frames: DATAGRAMS, framesPerSecond: 0 };
    await from.request('traffic-udp-send', { ...common, address, ...load });
    return receiving;
  }

  for (const [one, other] of ends) {
    test(`${words(one)} and ${words(other)}: streams and datagrams each way, byte for byte`, async () => {
      await attach(a, A, one);
      await attach(b, B, other);
      for (const [end, from, to, address] of [
        [one, a, b, B],
        [other, b, a, A],
      ] as const) {
        expect((await from.ping({ address, count: 1 })).received).toBe(1);
        const meanBytes = await streams(from, to, address);
        if (end.offloads) expect(meanBytes).toBeGreaterThan(2 * MAX_FRAME_BYTES);
        else expect(meanBytes).toBeLessThanOrEqual(MAX_FRAME_BYTES);
        for (const [flows, payloadBytes] of [
          [1, 18],
          [1, 1472],
          [16, 600],
        ]) {
          expect(await datagrams(from, to, address, flows, payloadBytes)).toMatchObject({ ...CLEAN, frames: DATAGRAMS });
        }
      }
    });
  }

  test('a port that loses, doubles and swaps is found out; streams arrive whole all the same', async () => {
    const tap: End = { port: 'tap', offloads: true };
    await attach(a, A, tap);
    await attach(b, B, tap);
    expect((await a.ping({ address: B, count: 1 })).received).toBe(1);
    await daemon.client.changePort('tb0', 'b', { faults: { loss: 0.05, duplicate: 0.05, reorder: 0.05 } });
    const seen = await datagrams(a, b, B, 1, 18);
    expect([seen.missing, seen.duplicated, seen.reordered].every((count) => count > 0)).toBe(true);
    expect(seen).toMatchObject({ corrupt: 0, foreign: 0 });
    await streams(a, b, B);
  });
});
