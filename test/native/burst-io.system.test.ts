import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Status } from '../../src/native/binding.js';
import { getLink, moveLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { addonPath, Bench, binding, frame, joined, Kind, Network, numberOf, PLAIN, VNET } from './lab.js';

const { EBADF, EEXIST, EINVAL, EIO, ENETDOWN, ENODEV } = constants.errno;
/** Linux's errno.h: the TAP's interface is gone. */
const EBADFD = 77;

describeSystem('BurstIo over TAPs', ['root', 'tap'], () => {
  let net: Network;
  let bench: Bench;
  const descriptors: number[] = [];

  /** A TAP as one port, and the kernel's side of it, through a packet socket, as another. */
  function tapWithStack(port: number, stackPort: number, vnetHeader = true): void {
    const tap = net.tap(`tap${port}`, vnetHeader);
    const stack = net.packet(`tap${port}`);
    descriptors.push(tap, stack);
    bench.add(port, tap, Kind.tap, vnetHeader ? VNET : 0);
    bench.add(stackPort, stack, Kind.packet);
  }

  beforeEach(() => {
    net = new Network();
    bench = new Bench();
  });

  afterEach(() => {
    bench.io.close();
    for (const descriptor of descriptors.splice(0)) binding.closeDescriptor(descriptor);
    net.close();
  });

  test('a frame goes through the TAP both ways, its vnet header directly before it, at 2 mod 4', () => {
    tapWithStack(0, 1);
    bench.describe(1, joined(PLAIN, frame(1)));
    expect(bench.send()).toEqual([]);
    const [out] = bench.pull(1);
    expect(out).toMatchObject({ port: 0, vnet: PLAIN, bytes: frame(1) });
    expect(out!.at % 4).toBe(2);

    bench.describe(0, joined(PLAIN, frame(2, 1514)));
    expect(bench.send()).toEqual([]);
    const [back] = bench.pull(1);
    expect(back).toMatchObject({ port: 1, bytes: frame(2, 1514) });
    expect(back!.at % 4).toBe(2);
  });

  test('a TCP super-frame with a partial checksum arrives whole, its vnet header with it', () => {
    tapWithStack(0, 1);
    const payload = 4000;
    const superFrame = tcpFrame(payload);
    const header = new Uint8Array(VNET);
    const view = new DataView(header.buffer);
    view.setUint8(0, 1); // VIRTIO_NET_HDR_F_NEEDS_CSUM
    view.setUint8(1, 1); // VIRTIO_NET_HDR_GSO_TCPV4
    view.setUint16(2, 54, true);
    view.setUint16(4, 1460, true);
    view.setUint16(6, 34, true);
    view.setUint16(8, 16, true);
    bench.describe(1, joined(header, superFrame));
    expect(bench.send()).toEqual([]);
    const [out] = bench.pull(1);
    expect(out).toMatchObject({ port: 0, bytes: superFrame });
    // hdr_len is a hint, which the kernel replaces by the length of its buffer's linear part (virtio_net_hdr_from_skb).
    out!.vnet.set(header.subarray(2, 4), 2);
    expect(out!.vnet).toEqual(header);
  });

  test('segments are sent as one frame', () => {
    tapWithStack(0, 1);
    const whole = frame(3, 300);
    bench.describe(0, PLAIN, whole.subarray(0, 20), whole.subarray(20, 20), whole.subarray(20));
    bench.describe(0, ...Array.from({ length: 130 }, (_, i) => (i === 0 ? PLAIN : frame(4, 129).subarray(i - 1, i))));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(2).map((each) => each.bytes)).toEqual([whole, frame(4, 129)]);
  });

  test('a TAP without vnet header: twelve zeros stand before the frame, and none are sent', () => {
    tapWithStack(0, 1, false);
    bench.arena.fill(0xa5, 0, 4096);
    bench.describe(1, joined(PLAIN, frame(6)));
    bench.send();
    expect(bench.pull(1)).toMatchObject([{ port: 0, vnet: PLAIN, bytes: frame(6) }]);
    bench.describe(0, frame(7));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1)).toMatchObject([{ port: 1, bytes: frame(7) }]);
  });

  test('frames lie back to back in slots of 64 bytes, in order', () => {
    tapWithStack(0, 1);
    for (let i = 0; i < 20; i++) bench.describe(1, joined(PLAIN, frame(i, 60 + 50 * i)));
    expect(bench.send()).toEqual([]);
    const frames = bench.pull(20);
    expect(frames.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    let end = 0;
    for (const each of frames) {
      expect(each.at).toBe(end + 14);
      end = (each.at + each.bytes.length + 63) & -64;
    }
    expect(bench.status[Status.arenaEnd]).toBe(end);
  });

  test('fairness: a burst per port, and the port behind the last one served goes first', () => {
    bench.io.close();
    bench = new Bench({ batchFrames: 9, receiveFrames: 6, burstFrames: 4 });
    for (const port of [0, 1, 65]) tapWithStack(port, port + 2);
    for (const port of [2, 3, 67]) {
      for (let i = 0; i < 5; i++) bench.describe(port, joined(PLAIN, frame(i)));
    }
    bench.send();
    const batches: number[][] = [];
    const perPort = new Map<number, number[]>([
      [0, []],
      [1, []],
      [65, []],
    ]);
    const more: number[] = [];
    for (let total = 0; total < 15; ) {
      const frames = bench.receive(500_000);
      if (frames.length === 0) break;
      total += frames.length;
      batches.push(frames.map((each) => each.port));
      more.push(bench.status[Status.more]!);
      for (const each of frames) perPort.get(each.port)!.push(numberOf(each));
    }
    expect(batches).toEqual([
      [0, 0, 0, 0, 1, 1],
      [65, 65, 65, 65, 0, 1],
      [65, 1, 1],
    ]);
    expect(more).toEqual([1, 1, 0]);
    for (const numbers of perPort.values()) expect(numbers).toEqual([0, 1, 2, 3, 4]);
  });

  test('fairness: a port that found no room goes first, however busy the others are', () => {
    bench.io.close();
    bench = new Bench({ batchFrames: 9, receiveFrames: 8, burstFrames: 4 });
    for (const port of [0, 1, 65]) tapWithStack(port, port + 2);
    for (const port of [2, 3, 67]) {
      for (let i = 0; i < 6; i++) bench.describe(port, joined(PLAIN, frame(i)));
    }
    bench.send();
    const batches = [0, 1, 2].map(() => bench.receive(500_000).map((each) => each.port));
    expect(batches).toEqual([
      [0, 0, 0, 0, 1, 1, 1, 1],
      [65, 65, 65, 65, 0, 0, 1, 1],
      [65, 65],
    ]);
  });

  test('bytes enough end a batch, and the port behind goes first', () => {
    bench.io.close();
    bench = new Bench({ batchBytes: 1000, burstFrames: 8 });
    for (const port of [0, 1]) tapWithStack(port, port + 2);
    for (const port of [2, 3]) {
      for (let i = 0; i < 5; i++) bench.describe(port, joined(PLAIN, frame(i, 400)));
    }
    bench.send();
    const batches: number[][] = [];
    for (let total = 0; total < 10; ) {
      const frames = bench.receive(500_000);
      if (frames.length === 0) break;
      total += frames.length;
      batches.push(frames.map((each) => each.port));
      expect(bench.status[Status.more]).toBe(total < 10 ? 1 : 0);
    }
    expect(batches).toEqual([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1]]);
  });

  test('the receive area is never left: what does not fit waits', () => {
    bench.io.close();
    bench = new Bench({ receiveBytes: 66_000 });
    tapWithStack(0, 1);
    bench.arena.fill(0xa5);
    for (let i = 0; i < 8; i++) bench.describe(1, joined(PLAIN, frame(i)));
    bench.send();
    bench.arena.fill(0xa5, 66_000);
    const first = bench.receive(500_000);
    expect(first.length).toBeGreaterThan(0);
    expect(first.length).toBeLessThan(8);
    expect(bench.status[Status.more]).toBe(1);
    expect([...first, ...bench.pull(8 - first.length)].map(numberOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(bench.arena.subarray(66_000).every((byte) => byte === 0xa5)).toBe(true);
  });

  test('a failing descriptor is recorded, the others are sent', () => {
    tapWithStack(0, 1);
    bench.describe(0, joined(PLAIN, frame(1)));
    bench.describe(0, joined(PLAIN, frame(2).subarray(0, 13))); // shorter than an Ethernet header
    bench.describe(9, joined(PLAIN, frame(3))); // no such port
    bench.describe(-1, joined(PLAIN, frame(3)));
    bench.describe(2 ** 31 - 1, joined(PLAIN, frame(3)));
    bench.describe(0, joined(PLAIN, frame(4)));
    expect(bench.send()).toEqual([
      [1, EINVAL],
      [2, ENODEV],
      [3, ENODEV],
      [4, ENODEV],
    ]);
    expect(bench.pull(2).map(numberOf)).toEqual([1, 4]);
  });

  test('a TAP whose interface is down refuses frames with EIO', () => {
    tapWithStack(0, 1);
    net.up('tap0', false);
    bench.describe(0, joined(PLAIN, frame(1)));
    expect(bench.send()).toEqual([[0, EIO]]);
  });

  test('a TAP whose interface is gone is reported once; the others go on; the port can be used again', () => {
    tapWithStack(0, 1);
    tapWithStack(2, 3);
    net.delete('tap0');
    expect(bench.receive(500_000)).toEqual([]);
    const errors = new Map(bench.errors());
    for (let i = 0; i < 5 && errors.size < 2; i++) {
      bench.receive(10_000);
      for (const [port, errno] of bench.errors()) {
        expect(errors.has(port)).toBe(false);
        errors.set(port, errno);
      }
    }
    expect([...errors]).toEqual(
      expect.arrayContaining([
        [0, EBADFD],
        [1, ENETDOWN],
      ]),
    );
    for (let i = 0; i < 3; i++) {
      expect(bench.receive(1000)).toEqual([]);
      expect(bench.errors()).toEqual([]);
    }
    bench.describe(3, joined(PLAIN, frame(8)));
    bench.describe(0, joined(PLAIN, frame(8)));
    expect(bench.send()).toEqual([[1, EBADFD]]);
    expect(bench.pull(1).map((each) => each.port)).toEqual([2]);

    const again = net.tap('again');
    descriptors.push(again);
    expect(bench.io.add(0, again, Kind.tap, VNET)).toBe(-EEXIST);
    expect(bench.io.remove(0)).toBe(0);
    expect(bench.io.remove(0)).toBe(-ENODEV);
    bench.add(0, again, Kind.tap);
  });

  test('a TAP that was moved into a namespace is reported when that namespace ends', () => {
    const container = new Network();
    const tap = net.tap('tap0');
    descriptors.push(tap);
    moveLink(net.netlink, getLink(net.netlink, 'tap0').index, container.netns, 'eth0');
    container.up('eth0');
    bench.add(0, tap, Kind.tap);
    expect(binding.tapName(tap)).toBe('eth0');
    bench.receive(1000);
    expect(bench.errors()).toEqual([]);
    container.close();
    // The kernel takes namespaces down in its own time.
    for (let i = 0; i < 50 && bench.errors().length === 0; i++) bench.receive(100_000);
    expect(bench.errors()).toEqual([[0, EBADFD]]);
  });

  test('an interface that goes down ends a packet port; removed and added again it hears as soon as it is up', () => {
    tapWithStack(0, 1);
    net.up('tap0', false);
    bench.receive(500_000);
    expect(bench.errors()).toEqual([[1, ENETDOWN]]);
    expect(bench.io.remove(1)).toBe(0);
    bench.add(1, descriptors[1]!, Kind.packet);
    expect(bench.receive(1000)).toEqual([]);
    expect(bench.errors()).toEqual([]);
    net.up('tap0');
    bench.describe(0, joined(PLAIN, frame(9)));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1)).toMatchObject([{ port: 1, bytes: frame(9) }]);
  });

  test('a removed port is read no more, though its descriptor stays open', () => {
    tapWithStack(0, 1);
    expect(bench.io.remove(0)).toBe(0);
    bench.describe(1, joined(PLAIN, frame(1)));
    bench.send();
    expect(bench.receive(10_000)).toEqual([]);
    bench.add(0, descriptors[0]!, Kind.tap);
    expect(bench.pull(1).map(numberOf)).toEqual([1]);
  });

  test('a wake from another thread ends a sleep without end, and one before the sleep is not lost', async () => {
    const source = `
      const { workerData } = require('node:worker_threads');
      const binding = require(workerData.addon);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      require('node:worker_threads').parentPort.postMessage(binding.wake(workerData.waker));`;
    const worker = new Worker(source, { eval: true, workerData: { addon: addonPath, waker: bench.io.waker } });
    await new Promise((resolve) => worker.once('online', resolve));
    expect(bench.receive(-1)).toEqual([]);
    expect(bench.status[Status.woken]).toBe(1);
    expect(await new Promise((resolve) => worker.once('message', resolve))).toBe(0);

    expect(bench.receive(0)).toEqual([]);
    expect(bench.status[Status.woken]).toBe(0);
    expect(binding.wake(bench.io.waker)).toBe(0);
    expect(binding.wake(bench.io.waker)).toBe(0);
    bench.receive(-1);
    expect(bench.status[Status.woken]).toBe(1);
    await worker.terminate();
  });

  test('polling that gives the core away lasts as long, and sees what comes', () => {
    const before = binding.monotonicMicros();
    expect(bench.io.receive(3000, 0, true)).toBe(0);
    expect(binding.monotonicMicros() - before).toBeGreaterThanOrEqual(3000);
    expect(binding.wake(bench.io.waker)).toBe(0);
    expect(bench.io.receive(1e6, 0, true)).toBe(0);
    expect(bench.status[Status.woken]).toBe(1);
    expect(bench.io.receive(0, 0, 1 as never)).toBe(-22);
  });

  test('the status clock is the monotonic clock', () => {
    const before = binding.monotonicMicros();
    bench.receive(0);
    expect(bench.status[Status.now]).toBeGreaterThanOrEqual(before);
    expect(bench.status[Status.now]).toBeLessThanOrEqual(binding.monotonicMicros());
  });

  test('time asleep, spent looking and busy adds up; the longest pass stays until somebody clears it', () => {
    const { status, io } = bench;
    const begin = binding.monotonicMicros();
    expect(io.receive(0, 20_000)).toBe(0);
    expect([status[Status.passes], status[Status.busy], status[Status.longest]]).toEqual([1, 0, 0]);
    expect(status[Status.polled]! + status[Status.slept]!).toBeGreaterThanOrEqual(20_000);
    const asleep = status[Status.slept]!;
    for (const until = binding.monotonicMicros() + 3000; binding.monotonicMicros() < until; );
    io.receive(2000, 0);
    expect(status[Status.passes]).toBe(2);
    expect(status[Status.busy]).toBeGreaterThanOrEqual(3000);
    expect(status[Status.longest]).toBe(status[Status.busy]);
    expect(status[Status.slept]).toBe(asleep);
    const sum = status[Status.busy]! + status[Status.polled]! + status[Status.slept]!;
    expect(sum).toBeLessThanOrEqual(binding.monotonicMicros() - begin);
    status[Status.longest] = 0;
    io.receive(0, 0);
    expect(status[Status.longest]).toBeLessThanOrEqual(status[Status.busy]!);
    expect([status[Status.passes], status[Status.fullPasses]]).toEqual([3, 0]);
  });

  test('close detaches every buffer, drops the waker, and later calls answer EBADF', () => {
    tapWithStack(0, 1);
    const { io } = bench;
    const waker = io.waker;
    io.close();
    for (const buffer of [io.arena, io.received, io.transmit, io.failures, io.errors, io.status])
      expect(buffer.byteLength).toBe(0);
    expect(bench.arena.length).toBe(0);
    expect([io.receive(0, 0), io.send(0), io.remove(0), io.add(0, descriptors[0]!, Kind.tap, 12)]).toEqual(Array(4).fill(-EBADF));
    expect(binding.wake(waker)).toBe(-EBADF);
    io.close();
  });
});

function tcpFrame(payload: number): Uint8Array {
  const bytes = new Uint8Array(54 + payload).fill(0x5a);
  const view = new DataView(bytes.buffer);
  bytes.set([0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00]);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  view.setUint16(16, 40 + payload);
  bytes.set([0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0], 34);
  return bytes;
}
