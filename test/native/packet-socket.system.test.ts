import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PacketOptions } from '../../src/native/binding.js';
import { createVeth, getLink, setLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { Bench, binding, EXPERIMENTAL, frame, joined, Kind, Network, numberOf, PLAIN, VNET } from './lab.js';

const { EBADF, EINVAL, EMSGSIZE, ENAMETOOLONG, ENODEV } = constants.errno;
const DOT1Q = 0x8100;
const DOT1AD = 0x88a8;

describeSystem('packet sockets on the two ends of a veth pair', ['root'], () => {
  let net: Network;
  let bench: Bench;
  let descriptors: number[];

  function ends(vnetHeader: boolean): void {
    descriptors = [net.packet('veth0', vnetHeader), net.packet('veth1', vnetHeader)];
    descriptors.forEach((descriptor, port) => {
      bench.add(port, descriptor, Kind.packet, vnetHeader ? VNET : 0);
    });
  }

  beforeEach(() => {
    net = new Network();
    createVeth(net.netlink, { name: 'veth0' }, { name: 'veth1' });
    net.up('veth0');
    net.up('veth1');
    bench = new Bench();
    descriptors = [];
  });

  afterEach(() => {
    bench.io.close();
    for (const descriptor of descriptors) binding.closeDescriptor(descriptor);
    net.close();
  });

  test('frames cross in order, at 2 mod 4, and the sender does not hear its own', () => {
    ends(true);
    for (let i = 0; i < 50; i++) bench.describe(0, joined(PLAIN, frame(i, 60 + 13 * i)));
    expect(bench.send()).toEqual([]);
    const frames = bench.pull(50);
    expect(frames.map((each) => each.port)).toEqual(Array(50).fill(1));
    frames.forEach((each, i) => {
      expect(each).toMatchObject({ vnet: PLAIN, bytes: frame(i, 60 + 13 * i) });
      expect(each.at % 4).toBe(2);
    });
    expect(bench.receive(5000)).toEqual([]);
  });

  test('without vnet header: twelve zeros stand before the frame', () => {
    ends(false);
    bench.arena.fill(0xa5, 0, 4096);
    bench.describe(0, frame(1).subarray(0, 20), frame(1).subarray(20));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1)).toMatchObject([{ port: 1, vnet: PLAIN, bytes: frame(1) }]);
  });

  test.each([
    ['802.1Q', DOT1Q, 0x6123],
    ['802.1Q priority tag', DOT1Q, 0xe000],
    ['802.1ad', DOT1AD, 0x0fff],
  ])('%s: the tag the kernel took out is back in the frame', (_, tpid, tci) => {
    ends(true);
    const sent = tagged(frame(7, 200), tpid, tci);
    bench.describe(0, joined(PLAIN, sent));
    bench.describe(0, joined(PLAIN, frame(8)));
    expect(bench.send()).toEqual([]);
    const [first, second] = bench.pull(2);
    expect(first).toMatchObject({ port: 1, vnet: PLAIN, bytes: sent });
    expect(first!.at % 4).toBe(2);
    expect(second).toMatchObject({ port: 1, bytes: frame(8) });
  });

  test('two tags: both are there, in order', () => {
    ends(false);
    const sent = tagged(tagged(frame(7, 100), DOT1Q, 0x0002), DOT1AD, 0x0001);
    bench.describe(0, sent);
    bench.send();
    expect(bench.pull(1)).toMatchObject([{ port: 1, vnet: PLAIN, bytes: sent }]);
  });

  test('a tagged frame with a partial checksum: csum_start counts from the start of the whole frame', () => {
    ends(true);
    const sent = tagged(udpFrame(), DOT1Q, 0x0005);
    const header = new Uint8Array(VNET);
    const view = new DataView(header.buffer);
    view.setUint8(0, 1); // VIRTIO_NET_HDR_F_NEEDS_CSUM
    view.setUint16(6, 38, true);
    view.setUint16(8, 6, true);
    bench.describe(0, joined(header, sent));
    expect(bench.send()).toEqual([]);
    const [received] = bench.pull(1);
    expect(received).toMatchObject({ port: 1, bytes: sent });
    const seen = new DataView(received!.vnet.buffer);
    expect([seen.getUint8(0) & 1, seen.getUint16(6, true), seen.getUint16(8, true)]).toEqual([1, 38, 6]);
  });

  test('a frame beyond the MTU fails alone in the middle of a run', () => {
    ends(true);
    for (let i = 0; i < 5; i++) bench.describe(0, joined(PLAIN, frame(i, i === 2 ? 3000 : 60)));
    expect(bench.send()).toEqual([[2, EMSGSIZE]]);
    expect(bench.pull(4).map(numberOf)).toEqual([0, 1, 3, 4]);
  });

  test('a run longer than one system call, with a bad offset inside, keeps its order', () => {
    ends(true);
    for (let i = 0; i < 100; i++) bench.describe(0, joined(PLAIN, frame(i)));
    bench.transmit[4 * 70 + 2] = -5;
    expect(bench.send()).toEqual([[70, EINVAL]]);
    expect(bench.pull(99).map(numberOf)).toEqual(Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== 70));
  });

  test('bursts: a port gives its burst, the batch its room, and the rest stays', () => {
    bench.io.close();
    bench = new Bench({ batchFrames: 40, receiveFrames: 40, burstFrames: 33 });
    ends(true);
    for (let i = 0; i < 90; i++) bench.describe(0, joined(PLAIN, frame(i)));
    bench.send();
    const sizes: number[] = [];
    const numbers: number[] = [];
    for (let burst = bench.receive(500_000); burst.length > 0; burst = bench.receive(10_000)) {
      sizes.push(burst.length);
      numbers.push(...burst.map(numberOf));
    }
    expect(sizes).toEqual([33, 33, 24]);
    expect(numbers).toEqual(Array.from({ length: 90 }, (_, i) => i));
  });

  test('bytes enough end a batch: no more than one group is read behind them, and fewer when frames are known to be long', () => {
    bench.io.close();
    bench = new Bench({ batchBytes: 4000, burstFrames: 64 });
    ends(true);
    for (let i = 0; i < 64; i++) bench.describe(0, joined(PLAIN, frame(i, 1000)));
    bench.send();
    const sizes: number[] = [];
    const numbers: number[] = [];
    for (let burst = bench.receive(500_000); burst.length > 0; burst = bench.receive(10_000)) {
      sizes.push(burst.length);
      numbers.push(...burst.map(numberOf));
    }
    expect(sizes[0]).toBe(32);
    expect(sizes.slice(1, -1).every((size) => size <= 5)).toBe(true);
    expect(numbers).toEqual(Array.from({ length: 64 }, (_, i) => i));
  });

  test('an interface that is down when opened is silent, not an error, until it comes up', () => {
    net.up('veth1', false);
    ends(true);
    bench.receive(5000);
    // veth0 lost its carrier, which is no error either.
    expect(bench.errors()).toEqual([]);
    net.up('veth1');
    bench.describe(0, joined(PLAIN, frame(3)));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1).map(numberOf)).toEqual([3]);
  });

  test('promiscuous: frames for others are heard, by a socket that asked for it only', () => {
    const open = (promiscuous: boolean): number =>
      binding.openPacket({ interface: 'veth1', netns: net.netns, vnetHeader: true, promiscuous, ignoreOutgoing: true });
    const flags = (): number => getLink(net.netlink, 'veth1').flags & 0x100; // IFF_PROMISC
    const modest = open(false);
    const before = flags();
    const curious = open(true);
    expect([before, modest >= 0, curious >= 0]).toEqual([0, true, true]);
    bench.add(0, curious, Kind.packet);
    const sender = net.packet('veth0');
    bench.add(1, sender, Kind.packet);
    bench.describe(1, joined(PLAIN, frame(1)));
    bench.send();
    expect(bench.pull(1).map(numberOf)).toEqual([1]);
    descriptors.push(modest, curious, sender);
  });

  test('sockets of one group share the frames: each is heard once, those of a flow by one socket and in order', () => {
    const options = { interface: 'veth1', netns: net.netns, vnetHeader: true, promiscuous: true, ignoreOutgoing: true };
    const [sender, first] = [net.packet('veth0'), net.packet('veth1')];
    const second = binding.openPacket({ ...options, fanoutWith: first });
    expect(second).toBeGreaterThanOrEqual(0);
    descriptors.push(sender, first, second);
    descriptors.forEach((descriptor, port) => {
      bench.add(port, descriptor, Kind.packet);
    });
    const flows = 16;
    for (let number = 0; number < 4 * flows; number++) {
      const bytes = udpFrame();
      bytes.set([0x20, number % flows], 34);
      bytes[60] = number;
      bench.describe(0, joined(PLAIN, bytes));
    }
    expect(bench.send()).toEqual([]);
    const heard = bench.pull(4 * flows).map(({ port, bytes }) => [port, bytes[35], bytes[60]]);
    expect(bench.receive(5000)).toEqual([]);
    expect(heard.map(([, , number]) => number).sort((a, b) => a - b)).toEqual(Array.from({ length: 4 * flows }, (_, n) => n));
    for (let flow = 0; flow < flows; flow++) {
      const own = heard.filter((each) => each[1] === flow);
      expect(new Set(own.map(([port]) => port)).size).toBe(1);
      expect(own.map(([, , number]) => number)).toEqual([0, 1, 2, 3].map((turn) => turn * flows + flow));
    }
    expect(new Set(heard.map(([port]) => port))).toEqual(new Set([1, 2]));
    // What goes out by one of the group is heard by none.
    bench.describe(2, joined(PLAIN, udpFrame()));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1).map(({ port }) => port)).toEqual([0]);
    expect(bench.receive(5000)).toEqual([]);
  });

  test('jumbo frames pass when the MTU allows them', () => {
    for (const name of ['veth0', 'veth1']) setLink(net.netlink, getLink(net.netlink, name).index, { mtu: 9000 });
    ends(true);
    bench.describe(0, joined(PLAIN, frame(1, 9014)));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1)).toMatchObject([{ bytes: frame(1, 9014) }]);
  });

  test('names and namespaces that are none', () => {
    const open = (change: Partial<Record<keyof PacketOptions, unknown>>): number =>
      binding.openPacket({
        interface: 'veth0',
        netns: net.netns,
        vnetHeader: true,
        promiscuous: false,
        ignoreOutgoing: true,
        ...change,
      } as PacketOptions);
    expect(open({ interface: 'nothing' })).toBe(-ENODEV);
    expect(open({ interface: '' })).toBe(-EINVAL);
    expect(open({ interface: 'a'.repeat(16) })).toBe(-ENAMETOOLONG);
    expect(open({ interface: 'a\0' })).toBe(-EINVAL);
    expect(open({ interface: 5 })).toBe(-EINVAL);
    expect(open({ vnetHeader: 'yes' })).toBe(-EINVAL);
    expect(open({ netns: 1_000_000 })).toBe(-EBADF);
    expect((binding.openPacket as (options?: unknown) => number)()).toBe(-EINVAL);
  });
});

function tagged(bytes: Uint8Array, tpid: number, tci: number): Uint8Array {
  return joined(bytes.subarray(0, 12), new Uint8Array([tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff]), bytes.subarray(12));
}

function udpFrame(): Uint8Array {
  const bytes = frame(0, 142);
  const view = new DataView(bytes.buffer);
  expect(view.getUint16(12)).toBe(EXPERIMENTAL);
  view.setUint16(12, 0x0800);
  bytes.set([0x45, 0, 0, 128, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  bytes.set([0x12, 0x34, 0, 53, 0, 108, 0, 0], 34);
  return bytes;
}
