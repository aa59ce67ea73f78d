import { fstatSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TapOptions } from '../../src/native/binding.js';
import { createVeth, getLink, moveLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { Bench, binding, frame, hereIs, joined, Kind, Network, numberOf, OFFLOADS, PLAIN } from './lab.js';

const { EBADF, EBUSY, EEXIST, EINVAL, ENAMETOOLONG, ENODEV } = constants.errno;

describeSystem('TAPs', ['root', 'tap'], () => {
  let net: Network;
  const opened: number[] = [];

  function open(change: Partial<TapOptions> = {}): number {
    const result = binding.openTap({
      name: 'tap0',
      netns: net.netns,
      vnetHeader: true,
      offloads: OFFLOADS,
      persistent: false,
      mode: 'create',
      ...change,
    });
    if (result >= 0) opened.push(result);
    return result;
  }

  function close(descriptor: number): void {
    opened.splice(opened.indexOf(descriptor), 1);
    expect(binding.closeDescriptor(descriptor)).toBe(0);
  }

  beforeEach(() => {
    net = new Network();
  });

  afterEach(() => {
    for (const descriptor of opened.splice(0)) binding.closeDescriptor(descriptor);
    net.close();
  });

  test('create: the interface is in the namespace, and gone with the descriptor', () => {
    const home = hereIs();
    const tap = open();
    expect(tap).toBeGreaterThanOrEqual(0);
    expect(hereIs()).toBe(home);
    expect(binding.tapName(tap)).toBe('tap0');
    expect(net.has('tap0')).toBe(true);
    close(tap);
    expect(net.has('tap0')).toBe(false);
  });

  test('several queues: each descriptor is one of the same interface, which is there as long as one of them', () => {
    const first = open({ multiQueue: true });
    const second = open({ multiQueue: true, mode: 'attach' });
    expect([binding.tapName(first), binding.tapName(second)]).toEqual(['tap0', 'tap0']);
    expect(open({ mode: 'attach' })).toBe(-EINVAL);
    close(first);
    expect(net.has('tap0')).toBe(true);
    close(second);
    expect(net.has('tap0')).toBe(false);
    open();
    expect(open({ multiQueue: true, mode: 'attach' })).toBe(-EINVAL);
  });

  test('create: a pattern gets a number', () => {
    expect(binding.tapName(open({ name: 'port%d' }))).toBe('port0');
    expect(binding.tapName(open({ name: 'port%d' }))).toBe('port1');
  });

  test('create: EEXIST for a taken name, whatever has it', () => {
    open();
    expect(open()).toBe(-EEXIST);
    createVeth(net.netlink, { name: 'veth0' }, { name: 'veth1' });
    expect(open({ name: 'veth0' })).toBe(-EEXIST);
  });

  test('attach: ENODEV when nothing has the name, and nothing is made', () => {
    expect(open({ mode: 'attach' })).toBe(-ENODEV);
    expect(net.has('tap0')).toBe(false);
  });

  test('attach: EINVAL for an interface that is no TAP, EBUSY for one that is in use', () => {
    createVeth(net.netlink, { name: 'veth0' }, { name: 'veth1' });
    expect(open({ name: 'veth0', mode: 'attach' })).toBe(-EINVAL);
    open();
    expect(open({ mode: 'attach' })).toBe(-EBUSY);
  });

  test('persistent: it outlives its descriptor, can be attached to, and carries frames again', () => {
    close(open({ persistent: true }));
    expect(net.has('tap0')).toBe(true);

    const tap = open({ mode: 'attach', persistent: true });
    expect(binding.tapName(tap)).toBe('tap0');
    net.up('tap0');
    const bench = new Bench();
    bench.add(0, tap, Kind.tap);
    const stack = net.packet('tap0');
    bench.add(1, stack, Kind.packet);
    bench.describe(1, joined(PLAIN, frame(5)));
    expect(bench.send()).toEqual([]);
    expect(bench.pull(1).map((each) => [each.port, numberOf(each)])).toEqual([[0, 5]]);
    bench.io.close();
    binding.closeDescriptor(stack);
    close(tap);
    expect(net.has('tap0')).toBe(true);

    expect(binding.setTapPersistent(open({ mode: 'attach', persistent: true }), false)).toBe(0);
    close(opened[0]!);
    expect(net.has('tap0')).toBe(false);
  });

  test('tapNetns: where the interface is now, also after it was moved', async () => {
    const tap = open();
    const inode = (descriptor: number) => fstatSync(descriptor, { bigint: true }).ino;
    const where = () => {
      const found = binding.tapNetns(tap);
      expect(found).toBeGreaterThanOrEqual(0);
      const number = inode(found);
      expect(binding.closeDescriptor(found)).toBe(0);
      return number;
    };
    expect(where()).toBe(inode(net.netns));
    const other = binding.createNetns(null);
    moveLink(net.netlink, getLink(net.netlink, 'tap0').index, other, 'eth0');
    expect(where()).toBe(inode(other));
    expect(binding.tapName(tap)).toBe('eth0');
    binding.closeDescriptor(other);
    await expect.poll(() => typeof binding.tapName(tap)).toBe('number');
    expect(binding.tapNetns(tap)).toBeLessThan(0);
    expect(binding.tapNetns(openSync('/dev/null', 'r'))).toBe(-EINVAL);
    expect(binding.tapNetns(1_000_000)).toBe(-EBADF);
  });

  test('attach without persistence: the interface ends with this descriptor', () => {
    close(open({ persistent: true }));
    close(open({ mode: 'attach' }));
    expect(net.has('tap0')).toBe(false);
  });

  test('names: 15 bytes fit, 16 do not; the kernel refuses the rest', () => {
    expect(open({ name: 'a'.repeat(15) })).toBeGreaterThanOrEqual(0);
    expect(open({ name: 'a'.repeat(16) })).toBe(-ENAMETOOLONG);
    for (const name of ['', 'a/b', 'a b', '..', 'a\0b', '%s', 'x%d%d']) expect(open({ name })).toBe(-EINVAL);
  });

  test('nothing stays behind when setting up fails half way', () => {
    expect(open({ offloads: 0x8000_0000 })).toBe(-EINVAL);
    expect(open({ vnetHeader: false, offloads: 1 })).toBe(-EINVAL);
    expect(net.has('tap0')).toBe(false);
  });

  test('namespaces that are none are refused', () => {
    const file = openSync('/dev/null', 'r');
    expect(open({ netns: file })).toBe(-EINVAL);
    expect(open({ netns: 1_000_000 })).toBe(-EBADF);
    expect(open({ netns: -2 })).toBe(-EINVAL);
  });

  test('descriptors that are no TAP are refused', () => {
    const file = openSync('/dev/null', 'r');
    expect(binding.tapName(file)).toBe(-EINVAL);
    expect(binding.setTapPersistent(file, true)).toBe(-EINVAL);
    expect(binding.tapName(1_000_000)).toBe(-EBADF);
    const unattached = openSync('/dev/net/tun', 'r+');
    expect(binding.tapName(unattached)).toBeLessThan(0);
  });
});
