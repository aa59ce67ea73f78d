import { openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addAddress } from '../../src/netlink/address.js';
import { getLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { addonPath, binding, inside, Network, OFFLOADS, OPTIONS, SMALL_OPTIONS } from './lab.js';

const { EBADF, EINVAL } = constants.errno;

interface Ready {
  waker: number;
  descriptors: number[];
  results: number[];
}

/** Everything this process holds open, without what node opens on its own account (epoll and event descriptors of its loops). */
function holdings(): string[] {
  const held: string[] = [];
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      if (/tun|net:|socket:|eventfd|eventpoll/.test(target)) held.push(`${name} ${target}`);
    } catch {
      // the descriptor of this very listing
    }
  }
  return held.sort();
}

function next<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function engine(workerData: object): Worker {
  return new Worker(new URL('worker.mjs', import.meta.url), { workerData: { addon: addonPath, ...workerData } });
}

/** Entries of the process's table of descriptors (proc_pid_status(5)). */
const descriptorRoom = () => Number(/^FDSize:\s+(\d+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);

test('an engine makes room for the descriptors of its ports, before they are opened', async () => {
  const io = new binding.BurstIo({ ...OPTIONS, maxPorts: 1000 });
  await expect.poll(descriptorRoom).toBeGreaterThanOrEqual(2000);
  io.close();
});

describeSystem('environments', ['root', 'tap'], () => {
  let nets: Network[];

  beforeEach(() => {
    nets = Array.from({ length: 4 }, () => new Network());
  });

  afterEach(() => {
    for (const net of nets) net.close();
  });

  test('two engines at once, in workers, with TAPs opened elsewhere: containers ping each other through them', async () => {
    const taps = nets.map((net, i) => {
      const tap = net.tap('eth0');
      addAddress(net.netlink, getLink(net.netlink, 'eth0').index, `10.77.0.${i + 1}`, 24);
      return tap;
    });
    const workers = [engine({ taps: taps.slice(0, 2) }), engine({ taps: taps.slice(2) })];
    const ready = await Promise.all(workers.map((worker) => next<Ready>(worker)));
    for (const each of ready) expect(each.results).toEqual([0, 0]);
    for (let sequence = 1; sequence <= 10; sequence++) {
      for (const [from, to] of [
        [0, 2],
        [1, 1],
        [2, 4],
        [3, 3],
      ] as const) {
        const nanos = inside(nets[from]!.netns, () => binding.icmpEcho(`10.77.0.${to}`, sequence, sequence * 700, 2000));
        expect(nanos, `${from} -> ${to}`).toBeGreaterThan(0);
      }
    }
    const ends = workers.map((worker) => next<{ frames: number }>(worker));
    for (const each of ready) expect(binding.wake(each.waker)).toBe(0);
    // Each ping is a request and an answer, in several fragments, and ARP came first.
    for (const { frames } of await Promise.all(ends)) expect(frames).toBeGreaterThanOrEqual(42);
    await Promise.all(workers.map((worker) => worker.terminate()));
    for (const tap of taps) binding.closeDescriptor(tap);
  });

  test('a terminated worker leaves no descriptor and no interface', async () => {
    const tap = (i: number): object => ({
      name: 'left',
      netns: nets[i]!.netns,
      vnetHeader: true,
      offloads: OFFLOADS,
      persistent: false,
      mode: 'create',
    });
    const before = holdings();
    for (let round = 0; round < 3; round++) {
      const worker = engine({ open: [tap(0), tap(1)], linger: true });
      const { waker, descriptors } = await next<Ready>(worker);
      expect(nets[0]!.has('left')).toBe(true);
      expect(holdings().length).toBeGreaterThan(before.length);
      // Another environment's descriptors are not ours to close.
      for (const descriptor of descriptors) expect(binding.closeDescriptor(descriptor)).toBe(-EBADF);
      const end = next(worker);
      expect(binding.wake(waker)).toBe(0);
      await end;
      await worker.terminate();
      expect(binding.wake(waker)).toBe(-EBADF);
    }
    expect(nets[0]!.has('left')).toBe(false);
    expect(nets[1]!.has('left')).toBe(false);
    expect(holdings()).toEqual(before);
  });

  test('closing gives the memory back, also when views on it are kept', async () => {
    const gibibytes = (): number => Number(/^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]) / 2 ** 20;
    const options = { ...SMALL_OPTIONS, arenaBytes: 2 ** 30 };
    const views: Uint8Array[] = [];
    const before = gibibytes();
    for (let round = 0; round < 8; round++) {
      const io = new binding.BurstIo(options);
      views.push(new Uint8Array(io.arena));
      expect(gibibytes()).toBeGreaterThan(before + 0.9);
      io.close();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(views.map((view) => view.length)).toEqual(Array(8).fill(0));
    expect(gibibytes()).toBeLessThan(before + 1.5);
  });

  test('closeDescriptor closes what was opened here, once, and nothing else', () => {
    const tap = nets[0]!.tap('eth0');
    const file = openSync('/dev/null', 'r');
    expect(binding.closeDescriptor(tap)).toBe(0);
    for (const descriptor of [tap, file, 0, 1, 2, -1, 1_000_000]) expect(binding.closeDescriptor(descriptor)).toBe(-EBADF);
    for (const value of [Number.NaN, 0.5, 2 ** 40, -7, '1', undefined, null, {}]) {
      expect((binding.closeDescriptor as (value: unknown) => number)(value)).toBe(-EINVAL);
    }
  });

  test('closeInBackground: the same answers; the interface is gone when it is kept, and the number at once', async () => {
    const taps = [nets[0]!.tap('eth0'), nets[0]!.tap('eth1')];
    const closing = taps.map((tap) => binding.closeInBackground(tap));
    for (const tap of taps) expect(binding.closeDescriptor(tap)).toBe(-EBADF);
    expect(await Promise.all(closing)).toEqual([0, 0]);
    binding.closeDescriptor(nets[0]!.tap('eth0'));
    for (const descriptor of [taps[0], 0, -1, 1_000_000]) expect(await binding.closeInBackground(descriptor)).toBe(-EBADF);
    for (const value of [Number.NaN, '1', undefined, {}]) {
      expect(await (binding.closeInBackground as (value: unknown) => Promise<number>)(value)).toBe(-EINVAL);
    }
  });

  test('an environment that ends while it closes in the background waits for the end of it', async () => {
    const before = holdings();
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const binding = require(workerData.addon);
      const descriptors = workerData.open.map((tap) => binding.openTap(tap));
      descriptors.forEach((descriptor) => binding.closeInBackground(descriptor));
      parentPort.postMessage(descriptors);
      parentPort.on('message', () => {});`;
    const open = nets.map(({ netns }) => ({
      name: 'closing',
      netns,
      vnetHeader: true,
      offloads: OFFLOADS,
      persistent: false,
      mode: 'create',
    }));
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(script, { eval: true, workerData: { addon: addonPath, open } });
      expect(Math.min(...(await next<number[]>(worker)))).toBeGreaterThanOrEqual(0);
      await worker.terminate();
      expect(nets.map((net) => net.has('closing'))).toEqual([false, false, false, false]);
      expect(holdings()).toEqual(before);
    }
  });

  test('wake rings wakers only', () => {
    const file = openSync('/dev/null', 'r+');
    for (const descriptor of [file, 0, 1, -1, 1_000_000]) expect(binding.wake(descriptor)).toBe(-EBADF);
    for (const value of [Number.NaN, 0.5, undefined, '3'])
      expect((binding.wake as (value: unknown) => number)(value)).toBe(-EINVAL);
  });
});
