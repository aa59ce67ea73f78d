/** Rates of ports in the kernel's hands: TCP and UDP between two hosts, while a rate is set, changed and lifted. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';

const [A, B] = ['198.18.0.2', '198.18.0.3'];
const PORT = 5003;
const MEGABIT = 1_000_000;
/** Many times the burst. */
const BYTES = 3_000_000;

describeSystem('rates', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;
  let b: LabHost;

  beforeAll(async () => {
    lab = Lab.create('tbrates');
    [daemon, a, b] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a'), lab.host('b')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: A });
    const rate = { bitsPerSecond: 20 * MEGABIT, burstBytes: 131_072 };
    await daemon.client.attach('tb0', { port: 'b', netns: b.netnsPath, ip: B, rates: { in: rate } });
  });
  afterAll(async () => {
    await daemon.close();
    await lab.close();
  });

  /** Bits a second that a TCP connection moved. */
  async function tcp(from: LabHost, to: LabHost, address: string, streams: number, bytes: number): Promise<number> {
    await to.request('traffic-tcp-listen', { port: PORT });
    const [, received] = await Promise.all([
      from.request('traffic-tcp-send', { address, port: PORT, streams, durationMillis: 20_000, bytes }),
      to.request('traffic-tcp-receive', { port: PORT, streams, checkAll: true, idleMillis: 5000 }),
    ]);
    expect(received.bytes).toBe(streams * bytes);
    expect(received.streams.map(({ wrongAt }) => wrongAt)).toEqual(Array(streams).fill(-1));
    return (received.bytes * 8 * 1e6) / received.micros;
  }

  for (const streams of [1, 4]) {
    test(`in: ${streams} TCP streams towards the port keep its rate, and get most of it`, async () => {
      const bits = await tcp(a, b, B, streams, BYTES / streams);
      // Loosely: whoever else needs the cores delays the first byte or the last.
      expect(bits).toBeLessThan(20 * MEGABIT * 1.5);
      expect(bits).toBeGreaterThan(20 * MEGABIT * 0.25);
    });
  }

  test('the other way is as fast as it goes', async () => {
    expect(await tcp(b, a, A, 1, 4 * BYTES)).toBeGreaterThan(40 * MEGABIT);
  });

  test('out: set by the command line while it runs, shown, and lifted', async () => {
    const set = await daemon.cli('set', 'tb0', 'a', 'rate-out=40mbit', 'burst-out=128k');
    expect(set).toMatchObject({ status: 0, stderr: '' });
    await daemon.cli('set', 'tb0', 'b', 'rate-in=off');
    const shown = await daemon.client.listPorts('tb0');
    expect(shown.map(({ rates }) => rates)).toEqual([
      { in: null, out: null },
      { in: null, out: { bitsPerSecond: 40 * MEGABIT, burstBytes: 131_072 } },
      { in: null, out: null },
    ]);
    const bits = await tcp(a, b, B, 1, BYTES);
    expect(bits).toBeLessThan(40 * MEGABIT * 1.5);
    expect(bits).toBeGreaterThan(40 * MEGABIT * 0.25);
    await daemon.cli('set', 'tb0', 'a', 'rate-out=off');
    expect(await tcp(a, b, B, 1, 4 * BYTES)).toBeGreaterThan(60 * MEGABIT);
  });

  test('datagrams beyond the rate are dropped, counted with their reason', async () => {
    await daemon.cli('set', 'tb0', 'a', 'rate-out=1mbit');
    const load = { burst: 32, durationMillis: 5000, frames: 500, framesPerSecond: 0, flows: 1, payloadBytes: 1000 };
    await b.request('traffic-udp-bind', { port: PORT });
    await a.request('traffic-udp-send', { address: B, port: PORT, ...load });
    const { drops } = await daemon.client.counters('tb0');
    expect(drops.rx_rate_limited).toBeGreaterThan(0);
  });

  test.each([
    [['set', 'tb0', 'a', 'rate-in=1bit'], /the rate in|bitsPerSecond/],
    [['set', 'tb0', 'a', 'rate-in=10mbit', 'burst-in=1k'], /burst|65604/],
    [['set', 'tb0', 'a', 'burst-in=128k'], /burst-in is of a rate/],
    [['set', 'tb0', 'a', 'rate-out=quick'], /rate-out is a rate like/],
  ])('%j is refused in one line', async (args, words) => {
    const { status, stderr } = await daemon.cli(...args);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(words);
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
  });

  test('a daemon that comes back after SIGKILL keeps the rates', async () => {
    await daemon.cli('set', 'tb0', 'a', 'rate-out=20mbit');
    await daemon.end('SIGKILL');
    await daemon.start();
    const { rates } = await daemon.client.getPort('tb0', 'a');
    expect(rates).toEqual({ in: null, out: { bitsPerSecond: 20 * MEGABIT, burstBytes: 131_072 } });
    expect(await tcp(a, b, B, 1, BYTES)).toBeLessThan(20 * MEGABIT * 1.5);
  });
});
