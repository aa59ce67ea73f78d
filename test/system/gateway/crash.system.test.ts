/** The daemon is killed under load and started again: connections go on, translated and not. */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectHosts } from '../../../src/lab/connect-hosts.js';
import { Lab } from '../../../src/lab/lab.js';
import type { LabHost } from '../../../src/lab/lab-host.js';
import { getLink } from '../../../src/netlink/link.js';
import { addRoute } from '../../../src/netlink/route.js';
import { ingressQueue } from '../../../src/netlink/tc.js';
import { eventually, TestDaemon } from '../../helpers/daemon.js';
import { describeSystem } from '../../helpers/requirements.js';

const HOST = '10.0.0.1';
const OUTSIDE = '10.0.0.2';
/** So long that a stream runs when the daemon is killed, and still does when it is back. */
const BYTES = 1_500_000_000;
const LONG = { timeout: 60_000 };
const RUNNING_BYTES = 1_000_000;

interface Stream {
  done: boolean;
  sent: Promise<unknown>;
  result: () => Promise<{ bytes: number; intact: boolean }>;
}

describeSystem('a daemon killed under load', ['root', 'tap', 'bpf', 'named-netns'], () => {
  let lab: Lab;
  let [host, outside, web, db]: LabHost[] = [];
  let daemon: TestDaemon;

  beforeAll(async () => {
    lab = Lab.create('tbcrash');
    [host, outside, web, db] = await Promise.all(['host', 'outside', 'web', 'db'].map((name) => lab.host(name)));
    connectHosts(host, HOST, outside, OUTSIDE);
    const { netlink } = host.namespace;
    addRoute(netlink, { destination: 'default', gateway: OUTSIDE, index: getLink(netlink, 'eth0').index });
    daemon = await TestDaemon.start(lab, host.namespace);
    await daemon.client.createBridge({ name: 'tb0', subnet: '10.88.0.0/24' });
    await daemon.client.attach('tb0', { port: 'web', netns: web.netnsPath, ip: '10.88.0.10/24' });
    await daemon.client.attach('tb0', { port: 'db', netns: db.netnsPath, ip: '10.88.0.11/24' });
    await daemon.client.publish('tb0', { hostPort: 8080, port: 5000, portName: 'web' });
  });
  afterAll(async () => {
    await daemon?.close();
    await lab.close();
  });

  const flowFile = () => daemon.socket.replace(/\.sock$/, '.flows');
  /** @returns what the next daemon says when it begins */
  const restart = async (signal: NodeJS.Signals = 'SIGKILL', ...args: string[]) => {
    await daemon.end(signal);
    daemon.log = '';
    await daemon.start(...args);
    return daemon.log;
  };
  const begin = async (from: LabHost, to: LabHost, address: string, port: number, listening = port): Promise<Stream> => {
    const served = await to.tcpServe(listening);
    const stream: Stream = { done: false, sent: Promise.resolve(), result: served.result };
    stream.sent = from.tcpSend({ address, port, bytes: BYTES }).then(() => {
      stream.done = true;
    });
    return stream;
  };
  const end = async ({ sent, result }: Stream) => {
    await sent;
    return result();
  };
  const flowsOf = async (protocol: string) => {
    const flows = [];
    for await (const page of daemon.client.listFlows('tb0', { protocol })) flows.push(...page);
    return flows;
  };
  /** Bytes from either end of each TCP flow through the gateway. */
  const progress = async () => {
    return (await flowsOf('tcp')).map(({ bytes }) => bytes.original + bytes.reply);
  };

  test.each([
    ['out', () => begin(web, outside, OUTSIDE, 6000)],
    ['in, published', () => begin(outside, web, HOST, 8080, 5000)],
    ['from a container to a published port', () => begin(db, web, HOST, 8080, 5000)],
  ])('a stream %s goes on', LONG, async (_name, start) => {
    await daemon.client.flushFlows('tb0');
    const stream = await start();
    expect(await eventually(async () => (await progress()).some((bytes) => bytes > RUNNING_BYTES))).toBe(true);
    expect(await restart()).toContain('connections through the gateway were taken over');
    expect(stream.done).toBe(false);
    expect(await end(stream)).toMatchObject({ bytes: BYTES, intact: true });
  });

  test('so it does when the daemon was told to end and to keep what there is', LONG, async () => {
    await restart('SIGKILL', '--on-stop', 'keep');
    const stream = await begin(web, outside, OUTSIDE, 6001);
    expect(await eventually(async () => (await progress()).some((bytes) => bytes > RUNNING_BYTES))).toBe(true);
    expect(await restart('SIGTERM')).toContain('connections through the gateway were taken over');
    expect(stream.done).toBe(false);
    expect(await end(stream)).toMatchObject({ bytes: BYTES, intact: true });
  });

  test('so it does with the classic guard, and from one guard to the other', LONG, async () => {
    const config = join(daemon.folder, 'classic.yaml');
    writeFileSync(config, 'nat: { guard: classic }\n');
    await restart('SIGKILL', '--config', config);
    const stream = await begin(web, outside, OUTSIDE, 6002);
    expect(await eventually(async () => (await progress()).some((bytes) => bytes > RUNNING_BYTES))).toBe(true);
    await restart('SIGKILL', '--config', config);
    expect(stream.done).toBe(false);
    await restart();
    expect(await end(stream)).toMatchObject({ bytes: BYTES, intact: true });
  });

  test('a stream between containers goes on', LONG, async () => {
    const stream = await begin(db, web, '10.88.0.10', 7000);
    const counters = async () => (await daemon.client.getPort('tb0', 'web')).txBytes;
    const before = await counters();
    expect(await eventually(async () => (await counters()) > before + RUNNING_BYTES)).toBe(true);
    await restart();
    expect(stream.done).toBe(false);
    expect(await end(stream)).toMatchObject({ bytes: BYTES, intact: true });
  });

  test('UDP and echoes keep their outer ports, and what was open is listed as before', async () => {
    const { socket } = await web.request('udp-open', {});
    const server = await outside.request('udp-open', {});
    const ask = async () => {
      await web.request('say', { socket, text: 'question', address: OUTSIDE, port: server.port });
      return (await outside.request('hear', { socket: server.socket }))?.port;
    };
    const port = await ask();
    expect(port).toBeGreaterThan(0);
    expect((await web.ping({ address: OUTSIDE, count: 1 })).received).toBe(1);
    const list = async () => {
      return (await flowsOf('udp')).map(({ original, reply, port: owner }) => ({ original, reply, owner }));
    };
    const before = await list();
    expect(before).toHaveLength(1);
    await restart();
    expect(await list()).toEqual(before);
    await outside.request('say', { socket: server.socket, text: 'answer', address: HOST, port: port as number });
    expect((await web.request('hear', { socket }))?.text).toBe('answer');
    expect(await ask()).toBe(port);
  });

  test.each(['auto', 'classic'])('guard %s: what is published is kept from the host’s own stack all the while', async (guard) => {
    const config = join(daemon.folder, `${guard}.yaml`);
    writeFileSync(config, `nat: { guard: ${guard} }\n`);
    await restart('SIGKILL', '--config', config);
    // Attached and published last, so that it comes back last.
    const late = await lab.host(`late-${guard}`);
    await daemon.client.attach('tb0', { port: 'late', netns: late.netnsPath, ip: '10.88.0.12/24' });
    await daemon.client.publish('tb0', { hostPort: 8053, protocol: 'udp', port: 5300, portName: 'late' });
    await late.request('udp-open', { port: 5300 });
    const { socket } = await outside.request('udp-open', { connect: { address: HOST, port: 8053 } });
    const refusals: string[] = [];
    const say = () => outside.request('say', { socket, text: 'question' }).catch((error) => refusals.push(error.message));
    const hear = async (timeoutMillis: number) => {
      const heard = await outside.request('hear', { socket, timeoutMillis });
      if (heard !== null) refusals.push(heard.error ?? heard.text);
    };

    let back = false;
    const restarted = restart('SIGKILL', '--config', config).then(() => {
      back = true;
    });
    while (!back) await say();
    await restarted;
    await hear(100);
    expect(refusals).toEqual([]);
    await daemon.client.unpublish('tb0', { hostPort: 8053, protocol: 'udp' });
    await say();
    await hear(5000);
    expect(refusals.join()).toContain('ECONNREFUSED');
    await daemon.client.detach('tb0', 'late');
  });

  test('an orderly end leaves neither the file of flows nor a classifier', async () => {
    expect(statSync(flowFile()).mode & 0o777).toBe(0o600);
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(existsSync(flowFile())).toBe(false);
    expect(ingressQueue(host.namespace.netlink, getLink(host.namespace.netlink, 'eth0').index)).toBe('');
  });
});
