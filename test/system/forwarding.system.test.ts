/** The engine's thread between real kernels: hosts in namespaces talk through TAPs and raw sockets, with and without offloads. */
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EngineGroup } from '../../src/engine/engine-group.js';
import {
  DEFAULT_BRIDGE_SETTINGS,
  DEFAULT_PORT_FLAGS,
  type EngineEvent,
  type PortFlags,
  type PortSpec,
} from '../../src/engine/protocol.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { check } from '../../src/native/system-error.js';
import { createVeth, getLink, moveLink, setLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { THREADS } from '../helpers/threads.js';
import { Bench, Kind } from '../native/lab.js';
import { BROADCAST, EXPERIMENT, frame, tagged } from '../sim/frames.js';

/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6 (include/uapi/linux/if_tun.h). */
const ALL_OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;
const ADDRESSES = ['198.18.0.1', '198.18.0.2', '198.18.0.3'];
const [A, B, C] = ADDRESSES;
const BYTES = 30_000_001;
const PEER = fileURLToPath(new URL('./udp-peer.mjs', import.meta.url));

/** How a host is attached. */
type Link = 'tap' | 'tap without offloads' | 'tap without vnet header' | 'raw socket';

describeSystem('forwarding between kernels', ['tap'], () => {
  let lab: Lab;
  let thread: EngineGroup;
  let middle: LabNamespace;
  let hosts: LabHost[];
  let events: EngineEvent[];

  beforeEach(async () => {
    lab = Lab.create('tbfwd');
    // The worker is a file of its own, which runs compiled only.
    const compiled = new URL('../../dist/engine/engine-group.js', import.meta.url).href;
    const module = (await import(compiled)) as typeof import('../../src/engine/engine-group.js');
    thread = await module.EngineGroup.start(lab.binding, { threads: THREADS });
    events = [];
    thread.onEvent((event) => events.push(event));
    await thread.call('add-bridge', { bridge: 0, settings: DEFAULT_BRIDGE_SETTINGS });
    middle = lab.namespace('middle');
    hosts = [];
  });
  afterEach(async () => {
    await thread.stop();
    await lab.close();
  });

  /** Makes the interface of a host and returns its other end. */
  function makeLink(host: LabHost, link: Link): PortSpec {
    const vnetHeader = link !== 'tap without vnet header';
    const { binding } = lab;
    if (link === 'raw socket') {
      createVeth(middle.netlink, { name: host.name }, { name: 'eth0', netns: host.namespace.descriptor });
      setLink(middle.netlink, getLink(middle.netlink, host.name).index, { up: true });
      const options = { interface: host.name, netns: middle.descriptor, vnetHeader, promiscuous: true, ignoreOutgoing: true };
      const descriptor = check(binding.openPacket(options), 'openPacket', host.name);
      const queues = further(() => binding.openPacket({ ...options, fanoutWith: descriptor }));
      return { kind: 'packet', descriptor, queues, vnetHeader, udpSegmentation: true };
    }
    const offloads = link === 'tap' ? ALL_OFFLOADS : 0;
    // Made outside and moved in: the descriptor then does not keep the host's namespace alive.
    const options = {
      name: host.name,
      netns: middle.descriptor,
      vnetHeader,
      offloads,
      persistent: false,
      multiQueue: THREADS > 1,
    };
    const descriptor = check(binding.openTap({ ...options, mode: 'create' }), 'openTap', host.name);
    const queues = further(() => binding.openTap({ ...options, mode: 'attach' }));
    moveLink(middle.netlink, getLink(middle.netlink, host.name).index, host.namespace.descriptor, 'eth0');
    return { kind: 'tap', descriptor, queues, vnetHeader, udpSegmentation: true };
  }

  /** Descriptors for the engine threads behind the first. */
  function further(open: () => number): number[] {
    return Array.from({ length: THREADS - 1 }, () => check(open(), 'open a queue', 'of the port'));
  }

  async function attach(link: Link, flags: Partial<PortFlags> = {}, mtu = 1500): Promise<LabHost> {
    const port = hosts.length;
    const host = await lab.host('abc'[port]);
    hosts.push(host);
    // Nothing but what the test sends.
    await host.sysctl('net/ipv6/conf/all/disable_ipv6', 1);
    await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
    const spec = makeLink(host, link);
    host.namespace.configure('eth0', { address: ADDRESSES[port], mac: macOf(port) });
    const settings = { bridge: 0, spec, mtu, macLimit: 0, address: null, local: false, faults: null };
    await thread.call('add-port', { port, settings: { ...settings, flags: { ...DEFAULT_PORT_FLAGS, ...flags } } });
    return host;
  }

  const macOf = (port: number) => `02:00:00:00:07:0${port + 1}`;
  const counters = (port: number) => thread.portCounters.snapshot(port);
  const pings = async (from: LabHost, address: string, more: { payload?: number; timeoutMillis?: number } = {}) =>
    (await from.ping({ address, count: 3, ...more })).received;
  /** Long enough for what is not to come. */
  const SHORT = { timeoutMillis: 300 };

  async function stream(from: LabHost, to: LabHost, address: string): Promise<void> {
    const server = await to.tcpServe();
    const [sent, received] = await Promise.all([from.tcpSend({ address, port: server.port, bytes: BYTES }), server.result()]);
    expect(sent.bytes).toBe(BYTES);
    expect(received).toMatchObject({ bytes: BYTES, intact: true });
  }

  /** Datagrams whose number, order and bytes the receiver checks. */
  async function datagrams(from: LabHost, to: LabHost, address: string, count: number): Promise<void> {
    const server = lab.run(to.namespace, PEER, ['serve', '9000'], { stdio: 'pipe' });
    const lines = linesOf(server);
    expect(await lines()).toBe('ready');
    const client = lab.run(from.namespace, PEER, ['send', address, '9000', String(count), '40'], { stdio: 'pipe' });
    expect(JSON.parse(await linesOf(client)())).toEqual({ answered: count });
    expect(JSON.parse(await lines())).toEqual({ count, intact: count, inOrder: count });
  }

  test('three hosts ping each other; what the bridge has learned answers the last ARP request', async () => {
    const [a, b, c] = [await attach('tap'), await attach('tap'), await attach('tap')];
    expect([await pings(a, B), await pings(b, A), await pings(b, C), await pings(c, B)]).toEqual([3, 3, 3, 3]);
    const before = thread.bridgeCounters.snapshot(0);
    expect(await pings(a, C)).toBe(3);
    const after = thread.bridgeCounters.snapshot(0);
    // Host a asks for c, and c for a.
    expect([after.arp_answered - before.arp_answered, after.arp_flooded - before.arp_flooded]).toEqual([2, 0]);
    const fdb = await thread.call('list-fdb', { bridge: 0 });
    expect(fdb.map(({ mac, port, kind }) => [mac.low & 0xff, port, kind]).sort()).toEqual([
      [1, 0, 'learned'],
      [2, 1, 'learned'],
      [3, 2, 'learned'],
    ]);
    expect([0, 1, 2].map((port) => counters(port).tx_refused + counters(port).rx_bad_vnet)).toEqual([0, 0, 0]);
  });

  const links: [Link, Link][] = [
    ['tap', 'tap'],
    ['tap', 'tap without offloads'],
    ['tap', 'tap without vnet header'],
    ['tap', 'raw socket'],
    ['tap without vnet header', 'tap without vnet header'],
    ['raw socket', 'raw socket'],
  ];
  for (const [one, other] of links) {
    test(`${one} and ${other}: a TCP stream each way and datagrams each way, byte for byte`, async () => {
      const [a, b] = [await attach(one), await attach(other)];
      await stream(a, b, B);
      await stream(b, a, A);
      await datagrams(a, b, B, 2000);
      await datagrams(b, a, A, 2000);
      // Super-frames came from where there are offloads.
      const { rx_frames: frames, rx_packets: packets } = counters(0);
      expect(packets > frames).toBe(one === 'tap' || one === 'raw socket');
      for (const port of [0, 1]) {
        expect(counters(port)).toMatchObject({
          rx_bad_vnet: 0,
          rx_malformed: 0,
          tx_refused: 0,
          tx_unsegmentable: 0,
          tx_partial: 0,
        });
      }
    });
  }

  test('802.1Q: tags pass as they are, and one MAC in two VLANs is two hosts', async () => {
    await attach('tap');
    await attach('raw socket');
    await attach('tap');
    // Sockets on the hosts' own interfaces: tagged frames in and out of three kernels, whether or not these know VLANs.
    const sockets = new Bench();
    for (const [port, host] of hosts.entries()) {
      const options = {
        interface: 'eth0',
        netns: host.namespace.descriptor,
        vnetHeader: false,
        promiscuous: true,
        ignoreOutgoing: true,
      };
      sockets.add(port, check(lab.binding.openPacket(options), 'openPacket', host.name), Kind.packet, 0);
    }
    const send = (port: number, bytes: Uint8Array) => {
      sockets.describe(port, bytes);
      expect(sockets.send()).toEqual([]);
      const frames: ReturnType<typeof sockets.receive> = [];
      // The kernels at both ends have frames of their own, at any time: they must not stand for ours.
      for (let burst = sockets.receive(3_000_000); burst.length > 0; burst = sockets.receive(100_000)) {
        frames.push(...burst.filter((each) => (each.bytes[16] << 8) + each.bytes[17] === EXPERIMENT));
      }
      return frames.map((each) => [each.port, Buffer.from(each.bytes).equals(bytes)]).sort();
    };
    const twin = '02:00:00:00:09:99';
    expect(send(0, tagged(frame(BROADCAST, twin, 1), 10, 5))).toEqual([
      [1, true],
      [2, true],
    ]);
    expect(send(1, tagged(frame(BROADCAST, twin, 2), 20))).toEqual([
      [0, true],
      [2, true],
    ]);
    expect(send(2, tagged(frame(twin, macOf(2), 3), 10))).toEqual([[0, true]]);
    expect(send(2, tagged(frame(twin, macOf(2), 4), 20))).toEqual([[1, true]]);
    expect(send(2, tagged(frame(twin, macOf(2), 5), 30))).toEqual([
      [0, true],
      [1, true],
    ]);
    sockets.io.close();
  });

  test('a packet longer than the MTU of the egress port is dropped there and counted; what fits goes on', async () => {
    const [a] = [await attach('tap'), await attach('tap', {}, 1400)];
    expect(await pings(a, B, { payload: 1300 })).toBe(3);
    expect(await pings(a, B, { payload: 1472, ...SHORT })).toBe(0);
    expect(counters(1).tx_too_big).toBe(3);
    expect(await pings(a, B, { payload: 1300 })).toBe(3);
  });

  test('isolated ports: silence between them, no ARP answer either; both reach the third', async () => {
    const [a, b] = [await attach('tap', { isolated: true }), await attach('tap', { isolated: true })];
    const c = await attach('tap');
    expect([await pings(a, C), await pings(b, C), await pings(c, A)]).toEqual([3, 3, 3]);
    expect(await pings(a, B, SHORT)).toBe(0);
    expect(a.namespace.neighbors('eth0').find(({ address }) => address === B)?.mac ?? '').toBe('');
  });

  test('a namespace that disappears: the engine tells which port failed, and the others talk on', async () => {
    const [a, b] = [await attach('tap'), await attach('tap')];
    const c = await attach('tap');
    expect([await pings(a, B), await pings(a, C)]).toEqual([3, 3]);
    await b.close();
    await expect.poll(() => events.some(({ event }) => event === 'port-failed')).toBe(true);
    expect(events.filter(({ event }) => event === 'port-failed')).toMatchObject([{ port: 1 }]);
    expect(await pings(a, C)).toBe(3);
    await thread.call('remove-port', { port: 1 });
    expect((await thread.call('list-fdb', { bridge: 0 })).map(({ port }) => port).sort()).toEqual([0, 2]);
    expect(await pings(c, A)).toBe(3);
  });

  test('an interface that is down loses its own frames, counted; a stream between the others is whole', async () => {
    const [a, b] = [await attach('tap'), await attach('tap')];
    const c = await attach('tap');
    expect(await pings(a, C)).toBe(3);
    setLink(c.namespace.netlink, getLink(c.namespace.netlink, 'eth0').index, { up: false });
    const flood = a.ping({ address: C, count: 20, timeoutMillis: 20 });
    await stream(b, a, A);
    expect((await flood).received).toBe(0);
    expect(counters(2).tx_port_down).toBeGreaterThan(0);
    setLink(c.namespace.netlink, getLink(c.namespace.netlink, 'eth0').index, { up: true });
    await expect.poll(() => pings(a, C)).toBe(3);
  });

  test('a reader that never reads: its flood is its own loss, a stream between the others is whole', async () => {
    const [a, b] = [await attach('tap'), await attach('tap')];
    const c = await attach('tap');
    await c.request('traffic-udp-bind', { port: 7 });
    expect(await pings(a, C)).toBe(3);
    const flood = {
      address: C,
      port: 7,
      flows: 4,
      payloadBytes: 1000,
      burst: 64,
      durationMillis: 400,
      frames: 0,
      framesPerSecond: 0,
    };
    const [sent] = await Promise.all([a.request('traffic-udp-send', flood), stream(b, c, C)]);
    expect(sent.frames).toBeGreaterThan(0);
    expect(await pings(a, B)).toBe(3);
  });

  test('the engine stops when told, also with traffic, and its descriptors are closed with their owner', async () => {
    const [a, b] = [await attach('tap'), await attach('tap')];
    const sending = a.ping({ address: B, count: 50, timeoutMillis: 20 });
    expect(await pings(b, A)).toBe(3);
    await thread.stop();
    await sending;
    await expect(thread.call('list-fdb', { bridge: 0 })).rejects.toThrow('the engine is not running');
  });
});

/** Reads a program's output line by line. */
function linesOf(program: ChildProcess): () => Promise<string> {
  let rest = '';
  const lines: string[] = [];
  let wake = () => {};
  program.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    wake();
  });
  program.stdout?.on('end', () => {
    lines.push('(the program ended)');
    wake();
  });
  return async () => {
    while (lines.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return lines.shift() as string;
  };
}
