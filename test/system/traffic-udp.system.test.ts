/** Generator and sink of the bench over a bare veth pair, where nothing may be lost, doubled, swapped or altered. */
import { spawn, spawnSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectHosts } from '../../src/lab/connect-hosts.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { DelayReport, FrameSendOptions, TrafficReport, UdpSendOptions } from '../../src/lab/traffic.js';
import { describeSystem } from '../helpers/requirements.js';

const A = '198.18.0.1';
const B = '198.18.0.2';
const PORT = 5001;
const CLEAN = { missing: 0, reordered: 0, duplicated: 0, foreign: 0, corrupt: 0, dropped: 0 };
const WAITING = { startMillis: 5000, idleMillis: 1000, limitMillis: 20_000 };
const LOAD = { burst: 64, durationMillis: 20_000, frames: 20_000, framesPerSecond: 50_000 };

let lab: Lab;
let a: LabHost;
let b: LabHost;

async function open(): Promise<void> {
  lab = Lab.create('tbudp');
  [a, b] = await Promise.all([lab.host('a'), lab.host('b')]);
  for (const host of [a, b]) await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
  await b.sysctl('net/ipv4/conf/all/rp_filter', 0);
  connectHosts(a, A, b, B);
  await b.sysctl('net/ipv4/conf/eth0/rp_filter', 0);
  await a.ping({ address: B, count: 1 });
}

interface Exchange {
  sent: TrafficReport;
  received: DelayReport;
}

async function udp(options: Partial<UdpSendOptions> = {}, expected: Partial<UdpSendOptions> = {}): Promise<Exchange> {
  const load = { address: B, port: PORT, flows: 1, payloadBytes: 18, ...LOAD, ...options };
  const { flows, payloadBytes, token = 0, integrity = false } = { ...load, ...expected };
  await b.request('traffic-udp-bind', { port: PORT });
  const receiving = b.request('traffic-udp-receive', { port: PORT, flows, payloadBytes, token, integrity, ...WAITING });
  const sent = await a.request('traffic-udp-send', load);
  return { sent, received: await receiving };
}

async function frames(options: Partial<FrameSendOptions> = {}): Promise<Exchange> {
  const load = {
    ifname: 'eth0',
    frameBytes: 60,
    source: { first: '02:00:00:00:00:01', count: 1 },
    destination: { first: 'ff:ff:ff:ff:ff:ff', count: 1 },
    ...LOAD,
    ...options,
  };
  await b.request('traffic-frame-bind', { ifname: 'eth0' });
  const { frameBytes, integrity = false } = load;
  const receiving = b.request('traffic-frame-receive', { ifname: 'eth0', frameBytes, integrity, ...WAITING });
  const sent = await a.request('traffic-frame-send', load);
  return { sent, received: await receiving };
}

function counted({ delays }: DelayReport): number {
  return delays.reduce((sum, [, count]) => sum + count, 0);
}

describeSystem('traffic: udp', ['root', 'tool:tcpdump'], () => {
  beforeEach(open);
  afterEach(() => lab.close());

  test.each([1, 16, 4096])('%i flows, every byte checked: all arrives once and in order', async (flows) => {
    const { sent, received } = await udp({ flows, payloadBytes: 100, integrity: true });
    expect(sent).toMatchObject({ frames: 20_000, refused: 0, bytes: 2_000_000 });
    expect(received).toMatchObject({ ...CLEAN, frames: 20_000, bytes: 2_000_000 });
    expect(counted(received)).toBe(20_000);
    expect(received.delays.map(([edge]) => edge)).toEqual(received.delays.map(([edge]) => edge).sort((x, y) => x - y));
  });

  test('at full speed a system call moves 64 datagrams', async () => {
    const { sent } = await udp({ frames: 64_000, framesPerSecond: 0 });
    expect(sent.systemCalls).toBe(1000);
  });

  test('flows have their source addresses, and take turns', async () => {
    const program = spawn('nsenter', [`--net=${b.netnsPath}`, 'tcpdump', '-ni', 'eth0', '-c', '6', '-l', `udp port ${PORT}`]);
    let seen = '';
    program.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await new Promise((resolve) => program.stderr.on('data', (text: Buffer) => text.includes('listening on') && resolve(null)));
    const ended = new Promise((resolve) => program.once('exit', resolve));
    await udp({ flows: 3, source: '198.18.70.255', frames: 6 });
    await ended;
    expect(seen.match(/IP [0-9.]+(?=\.\d+ >)/g)).toEqual(
      [0, 1].flatMap(() => ['IP 198.18.70.255', 'IP 198.18.71.0', 'IP 198.18.71.1']),
    );
  });

  test('what the sink does not expect is foreign, not received: other flows, other trials', async () => {
    const flows = await udp({ flows: 2, frames: 1000 }, { flows: 1 });
    expect(flows.received).toMatchObject({ frames: 500, foreign: 500 });
    const trial = await udp({ token: 7, frames: 1000 }, { token: 8 });
    expect(trial.received).toMatchObject({ frames: 0, foreign: 1000, missing: 0 });
  });

  test('payload that is not what was sent is corrupt, not received: other bytes, other lengths', async () => {
    const bytes = await udp({ payloadBytes: 64, frames: 1000 }, { integrity: true });
    expect(bytes.received).toMatchObject({ frames: 0, corrupt: 1000 });
    const length = await udp({ payloadBytes: 64, frames: 1000 }, { payloadBytes: 63 });
    expect(length.received).toMatchObject({ frames: 0, corrupt: 1000 });
  });

  test('arguments out of range are refused', async () => {
    const good = {
      address: B,
      port: PORT,
      flows: 1,
      payloadBytes: 18,
      burst: 1,
      durationMillis: 1,
      frames: 1,
      framesPerSecond: 0,
    };
    const bads = [
      { payloadBytes: 17 },
      { payloadBytes: 1473 },
      { flows: 0 },
      { flows: 262_145 },
      { port: 70_000 },
      { address: 'b' },
      { source: '' },
      { burst: 1e9 },
      { durationMillis: -1 },
      { framesPerSecond: Number.NaN },
      { token: 65_536 },
    ];
    for (const bad of bads)
      await expect(a.request('traffic-udp-send', { ...good, ...bad })).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('questions: each has its answer and its delay', async () => {
    await b.request('traffic-udp-echo-bind', { port: PORT });
    const echo = b.request('traffic-udp-echo', { port: PORT, startMillis: 5000, idleMillis: 1000 });
    const asked = await a.request('traffic-udp-ask', {
      address: B,
      port: PORT,
      count: 500,
      payloadBytes: 18,
      timeoutMillis: 2000,
    });
    expect(asked).toMatchObject({ frames: 500, missing: 0 });
    expect(counted(asked)).toBe(500);
    expect((await echo).frames).toBe(500);
  });
});

describeSystem('traffic: raw frames', ['root'], () => {
  beforeEach(open);
  afterEach(() => lab.close());

  test.each([60, 1514])('%i bytes, every byte checked: all arrives once and in order', async (frameBytes) => {
    const { sent, received } = await frames({ frameBytes, integrity: true });
    expect(sent).toMatchObject({ frames: 20_000, refused: 0 });
    expect(received).toMatchObject({ ...CLEAN, frames: 20_000 });
    expect(counted(received)).toBe(20_000);
  });

  test('for any address, from a range of addresses', async () => {
    const { received } = await frames({
      source: { first: '02:00:00:00:ff:00', count: 1000 },
      destination: { first: '02:11:00:00:00:00', count: 77 },
    });
    expect(received).toMatchObject({ ...CLEAN, frames: 20_000 });
  });

  test('no such interface, no such address', async () => {
    const good = {
      ifname: 'eth0',
      frameBytes: 60,
      source: { first: '02:00:00:00:00:01', count: 1 },
      destination: { first: 'ff:ff:ff:ff:ff:ff', count: 1 },
      ...LOAD,
    };
    const send = (bad: Partial<FrameSendOptions>) => a.request('traffic-frame-send', { ...good, ...bad });
    await expect(send({ ifname: 'nowhere' })).rejects.toMatchObject({ code: 'ENODEV' });
    await expect(send({ source: { first: 'mac', count: 1 } })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(send({ destination: { first: 'ff:ff:ff:ff:ff:ff', count: 2 } })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(send({ frameBytes: 59 })).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describeSystem('traffic: beside iperf3', ['root', 'tool:iperf3'], () => {
  beforeEach(open);
  afterEach(() => lab.close());

  test('both sinks count what the interface counts', async () => {
    const before = b.namespace.interfaces().find(({ name }) => name === 'eth0')?.rxPackets ?? 0;
    const ours = await udp();
    const between = b.namespace.interfaces().find(({ name }) => name === 'eth0')?.rxPackets ?? 0;
    expect(between - before).toBe(ours.received.frames);

    const inside = (host: LabHost, args: string[]): string[] => [`--net=${host.netnsPath}`, 'iperf3', ...args];
    const server = spawn('nsenter', inside(b, ['-s', '-1', '--forceflush']));
    await new Promise((resolve) => server.stdout.on('data', (text: Buffer) => text.includes('listening') && resolve(null)));
    const client = spawnSync('nsenter', inside(a, ['-c', B, '-u', '-b', '20M', '-l', '100', '-k', '20000', '-J']), {
      encoding: 'utf8',
    });
    const { sum, error } = JSON.parse(client.stdout).end as { sum: { packets: number; lost_packets: number }; error?: string };
    expect(error).toBeUndefined();
    const after = b.namespace.interfaces().find(({ name }) => name === 'eth0')?.rxPackets ?? 0;
    const theirs = sum.packets - sum.lost_packets;
    // Its control connection is in the interface's count.
    expect(after - between).toBeGreaterThanOrEqual(theirs);
    expect(after - between).toBeLessThan(theirs * 1.05 + 200);
    expect(Math.abs(theirs - ours.received.frames)).toBeLessThan(ours.received.frames * 0.05);
  });
});
