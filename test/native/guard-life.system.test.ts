import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GUARD_BYTES, GuardBitmap } from '../../src/nat/port-guard.js';
import { ingressQueue, listClassifiers } from '../../src/netlink/tc.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { describeSystem } from '../helpers/requirements.js';
import { framed, GuardLab, HOST, ip, tcpBody } from './guard-lab.js';
import { addonPath, binding } from './lab.js';

/** Lets earlier tests' mappings go now. Their finalizers run behind the collection. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  for (let round = 0; round < 2; round++) {
    runInNewContext('gc')();
    await setImmediate();
  }
}

const SCRIPT = fileURLToPath(new URL('guard-worker.mjs', import.meta.url));
const TCP = 6;
const OURS = 40_000;
const MARKED = 8192 + (OURS >> 3);

describeSystem('the guard and the ends of threads and processes', ['root', 'bpf'], () => {
  let lab: GuardLab;

  beforeEach(() => {
    lab = new GuardLab();
  });

  afterEach(() => lab.close());

  const reachesStack = (): boolean => lab.offer(framed(ip({ protocol: TCP, body: tcpBody(80, OURS) }))).stack;
  /** As the worker shall write it: one address, one port. */
  const bytes = (): [number, number][] => {
    const memory = new Uint8Array(GUARD_BYTES);
    const bits = new GuardBitmap(memory.buffer);
    bits.setAddresses([parseIpv4(HOST)]);
    bits.mark(parseIpv4(HOST), TCP, OURS);
    return [...memory.entries()].filter(([, value]) => value !== 0);
  };
  const settings = (more: object): object => ({
    addon: addonPath,
    netns: `/proc/${process.pid}/fd/${lab.host.netns}`,
    index: lab.index,
    bytes: [],
    attach: false,
    ...more,
  });
  /** Addresses of the maps this process has mapped. Earlier ones may go at any time, and later ones come in their places: see `collect`. */
  const mappings = (): string[] =>
    readFileSync('/proc/self/maps', 'latin1')
      .split('\n')
      .filter((line) => line.includes('bpf-map'))
      .map((line) => line.slice(0, line.indexOf(' ')));
  const addedTo = (before: string[]): string[] => mappings().filter((each) => !before.includes(each));

  test('a process that is killed leaves nothing on the interface', async () => {
    const process = spawn(globalThis.process.execPath, [SCRIPT, JSON.stringify(settings({ bytes: bytes(), attach: true }))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(process.stdout, 'data')) as [Buffer];
    expect(JSON.parse(line.toString()).link).toBeGreaterThan(0);
    expect(reachesStack()).toBe(false);
    process.kill('SIGKILL');
    await once(process, 'exit');
    expect(reachesStack()).toBe(true);
    expect([ingressQueue(lab.host.netlink, lab.index), listClassifiers(lab.host.netlink, lab.index)]).toEqual(['', []]);
  });

  test('a worker maps what the main thread opened, and lets go of it at its end', async () => {
    await collect();
    const guard = binding.openGuard();
    const link = binding.attachGuard(guard, lab.index, lab.host.netns);
    const view = new Uint8Array(binding.mapGuard(guard) as ArrayBuffer);
    view[GUARD_BYTES - 1] = 0x77;
    expect(reachesStack()).toBe(true);
    const before = mappings();
    const worker = new Worker(SCRIPT, { workerData: settings({ guard, bytes: bytes(), bitmap: GUARD_BYTES - 1 }) });
    expect((await once(worker, 'message'))[0]).toMatchObject({ own: guard, length: GUARD_BYTES, seen: 0x77 });
    expect(addedTo(before)).toHaveLength(1);
    expect(view[MARKED]).toBe(1 << (OURS & 7));
    expect(reachesStack()).toBe(false);
    await worker.terminate();
    expect(addedTo(before)).toEqual([]);
    // The map is the main thread's still.
    expect(reachesStack()).toBe(false);
    view[MARKED] = 0;
    expect(reachesStack()).toBe(true);
    expect([binding.closeDescriptor(link), binding.closeDescriptor(guard)]).toEqual([0, 0]);
  });

  test('what a worker attached ends with it, and its descriptors are nobody else’s to close', async () => {
    await collect();
    const before = mappings();
    const worker = new Worker(SCRIPT, { workerData: settings({ bytes: bytes(), attach: true }) });
    const [{ own, link }] = (await once(worker, 'message')) as [{ own: number; link: number }];
    expect(reachesStack()).toBe(false);
    expect(addedTo(before)).toHaveLength(1);
    expect([own, link].map((each) => binding.closeDescriptor(each) < 0)).toEqual([true, true]);
    await worker.terminate();
    expect(reachesStack()).toBe(true);
    expect(addedTo(before)).toEqual([]);
    expect(binding.mapGuard(own)).toBeLessThan(0);
  });

  test('the interface goes first: the link’s descriptor stays closable', () => {
    const guard = binding.openGuard();
    const link = binding.attachGuard(guard, lab.index, lab.host.netns);
    lab.host.delete('veth0');
    expect([binding.closeDescriptor(link), binding.closeDescriptor(guard)]).toEqual([0, 0]);
  });
});
