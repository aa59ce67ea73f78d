import { describe, expect, test } from 'vitest';
import { addAddress, listAddresses, removeAddress } from '../../src/netlink/address.js';
import { Family, Ifa, RouteType, Rta, Scope } from '../../src/netlink/constants.js';
import { readAttributes, readMessages } from '../../src/netlink/message.js';
import { listNeighbors, setPermanentNeighbor } from '../../src/netlink/neighbor.js';
import { Netlink } from '../../src/netlink/netlink.js';
import { addRoute, listRoutes, lookUpRoute } from '../../src/netlink/route.js';
import * as recorded from './recorded.js';
import { recordedBinding } from './recorded-binding.js';

const conversation = (...answers: Uint8Array[]) => {
  const { binding, sent } = recordedBinding(answers);
  return { netlink: Netlink.open(binding), sent };
};

describe('addresses', () => {
  test('deconstruct: both families, of one interface', () => {
    const { netlink } = conversation(recorded.addresses);
    expect(listAddresses(netlink, 3).map(({ address, prefix, broadcast }) => `${address}/${prefix} ${broadcast}`)).toEqual([
      '10.9.0.2/24 10.9.0.255',
      'fe80::ff:fe00:a/64 ',
    ]);
  });

  test('deconstruct: the loopback has host scope', () => {
    const { netlink } = conversation(recorded.addresses);
    expect(listAddresses(netlink, 1)[0]).toEqual({
      family: 'ipv4',
      index: 1,
      address: '127.0.0.1',
      prefix: 8,
      broadcast: '',
      scope: Scope.host,
      flags: 0x80,
      label: 'lo',
    });
  });

  test.each([
    ['10.1.2.3', 24, '10.1.2.255'],
    ['10.1.2.3', 20, '10.1.15.255'],
    ['10.1.2.3', 0, '255.255.255.255'],
    ['10.1.2.3', 30, '10.1.2.3'],
  ])('construct: %s/%i has the broadcast address %s', (address, prefix, broadcast) => {
    const { netlink, sent } = conversation(recorded.acknowledged);
    addAddress(netlink, 3, address, prefix);
    expect(readAttributes(readMessages(sent[0])[0].payload, 8).get(Ifa.broadcast)?.join('.')).toBe(broadcast);
  });

  // RFC 3021: the two addresses of a /31 are both hosts.
  test.each([31, 32])('construct: a /%i has none', (prefix) => {
    const { netlink, sent } = conversation(recorded.acknowledged);
    addAddress(netlink, 3, '10.1.2.2', prefix);
    expect(readAttributes(readMessages(sent[0])[0].payload, 8).has(Ifa.broadcast)).toBe(false);
  });

  test('an address or prefix length that is none is refused before anything is sent', () => {
    const { netlink, sent } = conversation();
    expect(() => addAddress(netlink, 3, '10.1.2', 24)).toThrow('"10.1.2" is not an IP address');
    expect(() => addAddress(netlink, 3, '10.1.2.3', 33)).toThrow('10.1.2.3/33: the prefix length must be 0 to 32');
    expect(() => removeAddress(netlink, 3, 'fe80::1', 129)).toThrow('must be 0 to 128');
    expect(sent).toEqual([]);
  });
});

describe('routes', () => {
  test('deconstruct: those of the main table, local ones left out', () => {
    const { netlink } = conversation(recorded.routes);
    const routes = listRoutes(netlink).map(
      (r) => `${r.destination}/${r.prefix} by ${r.gateway || '-'} on ${r.index} metric ${r.metric}`,
    );
    expect(routes).toEqual([
      '0.0.0.0/0 by 10.9.0.1 on 3 metric 0',
      '10.9.0.0/24 by - on 3 metric 0',
      // Two next hops: the first.
      '10.10.0.0/16 by 10.9.0.3 on 3 metric 5',
    ]);
  });

  test('deconstruct: the way to an address', () => {
    const { netlink } = conversation(recorded.routeTo);
    expect(lookUpRoute(netlink, '8.8.8.8')).toMatchObject({
      destination: '8.8.8.8',
      prefix: 32,
      gateway: '10.9.0.1',
      index: 3,
      preferredSource: '10.9.0.2',
      type: RouteType.unicast,
    });
  });

  test('construct: the default route has prefix 0 and no destination', () => {
    const { netlink, sent } = conversation(recorded.acknowledged);
    addRoute(netlink, { destination: 'default', gateway: '10.9.0.1' });
    const { payload } = readMessages(sent[0])[0];
    expect(payload[1]).toBe(0);
    expect([...readAttributes(payload, 12).keys()]).toEqual([Rta.gateway]);
  });

  test('construct: IPv6 says so and carries 16 bytes', () => {
    const { netlink, sent } = conversation(recorded.acknowledged);
    addRoute(netlink, { destination: '2001:db8::/32', index: 3 });
    const { payload } = readMessages(sent[0])[0];
    expect([payload[0], payload[1]]).toEqual([Family.ipv6, 32]);
    expect(readAttributes(payload, 12).get(Rta.destination)?.length).toBe(16);
  });

  test.each(['10.1.0.0/33', '10.1.0.0/x', 'fe80::/129', 'everything'])('%s is no destination', (destination) => {
    const { netlink, sent } = conversation();
    expect(() => addRoute(netlink, { destination, index: 3 })).toThrow();
    expect(sent).toEqual([]);
  });
});

describe('neighbors', () => {
  test('deconstruct: a permanent one; the multicast entries of the kernel are left out', () => {
    const { netlink } = conversation(recorded.neighbors);
    expect(listNeighbors(netlink)).toEqual([
      { family: 'ipv4', index: 3, address: '10.9.0.1', mac: '02:00:00:00:00:01', state: 0x80 },
    ]);
  });

  test('a MAC address that is none is refused before anything is sent', () => {
    const { netlink, sent } = conversation();
    expect(() => setPermanentNeighbor(netlink, 3, '10.9.0.1', '02:00')).toThrow();
    expect(sent).toEqual([]);
  });
});
