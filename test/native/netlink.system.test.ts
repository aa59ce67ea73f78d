import { openSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createVeth } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding, inside, Network } from './lab.js';

const { EBADF, EINVAL, EMSGSIZE, ENODEV, ETIMEDOUT } = constants.errno;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const REQUEST = 1;
const ACK = 4;
const DUMP = 0x300;
const RTMGRP_LINK = 1;

/** nlmsghdr and ifinfomsg, in the machine's byte order. */
function getLink(index: number, flags: number, sequence: number): Uint8Array {
  const words = new Uint32Array([32, RTM_GETLINK | (flags << 16), sequence, 0, 0, index, 0, 0]);
  return new Uint8Array(words.buffer);
}

function messages(reply: Uint8Array, length: number): { type: number; sequence: number; errno: number }[] {
  const found = [];
  const words = new Uint32Array(reply.buffer);
  for (let at = 0; at < length / 4; at += (words[at]! + 3) >> 2) {
    found.push({ type: words[at + 1]! & 0xffff, sequence: words[at + 2]!, errno: 0 - (words[at + 4]! | 0) });
  }
  return found;
}

describeSystem('netlink sockets', ['root'], () => {
  let net: Network;
  let socket: number;
  const reply = new Uint8Array(65536);

  beforeEach(() => {
    net = new Network();
    createVeth(net.netlink, { name: 'veth0' }, { name: 'veth1' });
    socket = binding.openNetlink(net.netns, 0);
    expect(socket).toBeGreaterThanOrEqual(0);
  });

  afterEach(() => {
    binding.closeDescriptor(socket);
    net.close();
  });

  test('a single answer, an acknowledged one, a whole table, a refusal', () => {
    const ask = (index: number, flags: number, sequence: number) =>
      messages(reply, binding.netlinkRequest(socket, getLink(index, flags, sequence), reply, 1000));
    expect(ask(1, REQUEST, 1)).toMatchObject([{ type: RTM_NEWLINK, sequence: 1 }]);
    expect(ask(1, REQUEST | ACK, 2)).toMatchObject([{ type: RTM_NEWLINK }, { type: NLMSG_ERROR, errno: 0 }]);
    const table = ask(0, REQUEST | DUMP, 3);
    expect(table.filter((each) => each.type === RTM_NEWLINK).length).toBeGreaterThanOrEqual(3);
    expect(table.at(-1)).toMatchObject({ type: NLMSG_DONE, sequence: 3 });
    expect(ask(9999, REQUEST, 4)).toMatchObject([{ type: NLMSG_ERROR, sequence: 4, errno: ENODEV }]);
  });

  test('an answer longer than the buffer: EMSGSIZE, and the next answer is not mixed with its rest', () => {
    const small = new Uint8Array(64);
    expect(binding.netlinkRequest(socket, getLink(0, REQUEST | DUMP, 1), small, 1000)).toBe(-EMSGSIZE);
    const length = binding.netlinkRequest(socket, getLink(1, REQUEST, 2), reply, 1000);
    expect(messages(reply, length)).toMatchObject([{ type: RTM_NEWLINK, sequence: 2 }]);
  });

  test('notifications: none wait, some wait, none again', () => {
    const monitor = binding.openNetlink(net.netns, RTMGRP_LINK);
    expect(binding.netlinkRead(monitor, reply)).toBe(0);
    net.up('veth0');
    const length = binding.netlinkRead(monitor, reply);
    expect(messages(reply, length)).toMatchObject([{ type: RTM_NEWLINK }]);
    expect(binding.netlinkRead(monitor, reply)).toBe(0);
    net.up('veth1');
    expect(binding.netlinkRead(monitor, new Uint8Array(16))).toBe(-EMSGSIZE);
    expect(binding.netlinkRead(monitor, reply)).toBeGreaterThan(0);
    binding.closeDescriptor(monitor);
  });

  test('garbage', () => {
    const request = binding.netlinkRequest as (...values: unknown[]) => number;
    const file = openSync('/dev/null', 'r+');
    for (const descriptor of [Number.NaN, 'x', undefined, file])
      expect(request(descriptor, getLink(1, REQUEST, 1), reply, 10)).toBe(-EINVAL);
    expect(request(1_000_000, getLink(1, REQUEST, 1), reply, 10)).toBe(-EBADF);
    for (const bad of [
      undefined,
      null,
      'x',
      new Uint16Array(16),
      new Uint8Array(0),
      new Uint8Array(15),
      getLink(1, REQUEST, 0),
    ]) {
      expect(request(socket, bad, reply, 10)).toBe(-EINVAL);
    }
    const longer = getLink(1, REQUEST, 1);
    longer.fill(0xff, 0, 4);
    expect(request(socket, longer, reply, 10)).toBe(-EINVAL);
    for (const bad of [undefined, {}, new ArrayBuffer(8)]) expect(request(socket, getLink(1, REQUEST, 1), bad, 10)).toBe(-EINVAL);
    for (const bad of [-1, Number.NaN, 1e12]) expect(request(socket, getLink(1, REQUEST, 1), reply, bad)).toBe(-EINVAL);
    // A request flag is missing: the kernel says nothing at all.
    expect(request(socket, getLink(1, 0, 5), reply, 20)).toBe(-ETIMEDOUT);
    expect((binding.netlinkRead as (...values: unknown[]) => number)(socket, 'x')).toBe(-EINVAL);
    expect(binding.netlinkRead(file, reply)).toBe(-EINVAL);
    expect(binding.openNetlink(file, 0)).toBe(-EINVAL);
    expect(binding.openNetlink(net.netns, -1)).toBe(-EINVAL);
  });
});

describeSystem('icmpEcho', ['root'], () => {
  test('a round trip over the loopback; addresses and sizes that are none; no route', () => {
    const net = new Network();
    net.up('lo');
    inside(net.netns, () => {
      for (const bytes of [0, 56, 65_499]) expect(binding.icmpEcho('127.0.0.1', 1, bytes, 2000)).toBeGreaterThan(0);
      for (const address of ['', 'localhost', '::1', '127.0.0.1 ', '256.0.0.1']) {
        expect(binding.icmpEcho(address, 1, 8, 100)).toBe(-EINVAL);
      }
      for (const [sequence, bytes, millis] of [
        [-1, 8, 9],
        [65_536, 8, 9],
        [1, -1, 9],
        [1, 65_500, 9],
        [1, 8, Number.NaN],
      ] as const) {
        expect(binding.icmpEcho('127.0.0.1', sequence, bytes, millis)).toBe(-EINVAL);
      }
      expect(binding.icmpEcho('192.0.2.1', 1, 8, 100)).toBe(-constants.errno.ENETUNREACH);
    });
    net.close();
  });
});
