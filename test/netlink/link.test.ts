import { describe, expect, test } from 'vitest';
import { Ifla, IflaInfo, NlmFlag, Rtm, VETH_PEER } from '../../src/netlink/constants.js';
import { createBridge, createDummy, createVeth, findLink, moveLink, parseLink, setLink } from '../../src/netlink/link.js';
import {
  attributeString,
  attributeU32,
  MessageWriter,
  readAttributes,
  readMessages,
  readU32,
} from '../../src/netlink/message.js';
import { Netlink } from '../../src/netlink/netlink.js';
import * as recorded from './recorded.js';
import { recordedBinding } from './recorded-binding.js';

const IFINFO_BYTES = 16;

describe('a link', () => {
  test('deconstruct: one end of a veth', () => {
    expect(parseLink(readMessages(recorded.link)[0])).toEqual({
      index: 3,
      name: 'eth0',
      mtu: 1400,
      mac: '02:00:00:00:00:0a',
      flags: 0x11043,
      up: true,
      lowerUp: true,
      operState: 'up',
      kind: 'veth',
      master: -1,
      peer: 2,
      alias: '',
      txQueueLength: 1000,
      rxPackets: 13,
      txDropped: 0,
    });
  });

  test('deconstruct: what it got and what its queue dropped, also beyond 32 bits; a kernel that says nothing counts as none', () => {
    const statistics = new Uint8Array(8 * 24);
    // rtnl_link_stats64: rx and tx of packets, bytes, errors, then rx_dropped, tx_dropped.
    new BigUint64Array(statistics.buffer).set([1n, 2n, 3n, 4n, 5n, 6n, 7n, 2n ** 32n + 8n, 9n]);
    const message = () => new MessageWriter(Rtm.newLink, 0).u32(0).u32(3).u32(0).u32(0);
    const parsed = (writer: MessageWriter) => parseLink(readMessages(writer.finish(1))[0]);
    expect(parsed(message().attribute(Ifla.stats64, statistics))).toMatchObject({ rxPackets: 1, txDropped: 2 ** 32 + 8 });
    expect(parsed(message())).toMatchObject({ rxPackets: 0, txDropped: 0 });
  });

  test('one that is not there is undefined', () => {
    const { binding } = recordedBinding([recorded.noSuchLink]);
    expect(findLink(Netlink.open(binding), 'nope')).toBeUndefined();
  });

  test('construct: a veth pair with its peer in another namespace', () => {
    const { binding, sent } = recordedBinding([recorded.acknowledged]);
    createVeth(Netlink.open(binding), { name: 'host0', mac: '02:00:00:00:00:01' }, { name: 'eth0', netns: 42, mtu: 1400 });
    const [message] = readMessages(sent[0]);
    expect(message.type).toBe(Rtm.newLink);
    expect(message.flags).toBe(NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.exclusive);
    const end = readAttributes(message.payload, IFINFO_BYTES);
    expect(attributeString(end, Ifla.name)).toBe('host0');
    expect([...end.get(Ifla.address)!]).toEqual([2, 0, 0, 0, 0, 1]);
    expect(end.has(Ifla.netnsFd)).toBe(false);
    const info = readAttributes(end.get(Ifla.info)!, 0);
    expect(attributeString(info, IflaInfo.kind)).toBe('veth');
    const peer = readAttributes(readAttributes(info.get(IflaInfo.data)!, 0).get(VETH_PEER)!, IFINFO_BYTES);
    expect(attributeString(peer, Ifla.name)).toBe('eth0');
    expect(attributeU32(peer, Ifla.mtu, 0)).toBe(1400);
    expect(attributeU32(peer, Ifla.netnsFd, -1)).toBe(42);
  });

  test.each([
    ['bridge', createBridge],
    ['dummy', createDummy],
  ])('construct: a %s', (kind, create) => {
    const { binding, sent } = recordedBinding([recorded.acknowledged]);
    create(Netlink.open(binding), 'x0');
    const attributes = readAttributes(readMessages(sent[0])[0].payload, IFINFO_BYTES);
    expect(attributeString(attributes, Ifla.name)).toBe('x0');
    expect(attributeString(readAttributes(attributes.get(Ifla.info)!, 0), IflaInfo.kind)).toBe(kind);
  });

  test('construct: only what is given changes; the change mask guards the flags', () => {
    const { binding, sent } = recordedBinding([recorded.acknowledged, recorded.acknowledged, recorded.acknowledged]);
    const netlink = Netlink.open(binding);
    setLink(netlink, 3, { mtu: 9000 });
    setLink(netlink, 3, { up: false });
    setLink(netlink, 3, { master: -1 });
    const [mtu, down, free] = sent.map((bytes) => readMessages(bytes)[0].payload);
    expect([readU32(mtu, 8), readU32(mtu, 12)]).toEqual([0, 0]);
    expect([...readAttributes(mtu, IFINFO_BYTES).keys()]).toEqual([Ifla.mtu]);
    expect([readU32(down, 8), readU32(down, 12)]).toEqual([0, 1]);
    expect(attributeU32(readAttributes(free, IFINFO_BYTES), Ifla.master, -1)).toBe(0);
  });

  test('a name the kernel would not take is refused before anything is sent', () => {
    const { binding, sent } = recordedBinding([]);
    const netlink = Netlink.open(binding);
    const long = 'sixteen-bytes-16';
    expect(() => createVeth(netlink, { name: 'ok' }, { name: long })).toThrow('it has 16 bytes');
    expect(() => setLink(netlink, 3, { name: long })).toThrow('it has 16 bytes');
    expect(() => moveLink(netlink, 3, 9, long)).toThrow('it has 16 bytes');
    expect(() => findLink(netlink, long)).toThrow('it has 16 bytes');
    expect(sent).toEqual([]);
  });
});
