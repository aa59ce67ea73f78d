import { describe, expect, test } from 'vitest';
import {
  defaultInterfaces,
  hostAddresses,
  interfaceAddresses,
  isUsable,
  type Network,
  routeRows,
} from '../../src/control/network.js';
import type { InterfaceAddress } from '../../src/netlink/address.js';
import type { Link } from '../../src/netlink/link.js';
import type { Route } from '../../src/netlink/route.js';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4-address.js';

const link = (index: number, name: string, fields: Partial<Link> = {}): Link => ({
  index,
  name,
  mtu: 1500,
  mac: '02:00:00:00:00:01',
  flags: 0,
  up: true,
  lowerUp: true,
  operState: 'up',
  kind: 'veth',
  master: -1,
  peer: -1,
  alias: '',
  txQueueLength: 1000,
  rxPackets: 0,
  txDropped: 0,
  ...fields,
});
const address = (index: number, text: string, prefix: number, fields: Partial<InterfaceAddress> = {}): InterfaceAddress => ({
  family: 'ipv4',
  index,
  address: text,
  prefix,
  broadcast: '',
  scope: 0,
  flags: 0,
  label: '',
  ...fields,
});
const route = (destination: string, prefix: number, fields: Partial<Route> = {}): Route => ({
  destination,
  prefix,
  gateway: '',
  index: 2,
  preferredSource: '',
  metric: 0,
  table: 254,
  type: 1,
  protocol: 4,
  scope: 0,
  ...fields,
});

const LOOPBACK = 0x8;
const NETWORK: Network = {
  links: [
    link(1, 'lo', { flags: LOOPBACK, mac: '00:00:00:00:00:00' }),
    link(2, 'eth0'),
    link(3, 'eth1'),
    link(4, 'wg0', { mac: '' }),
    link(5, 'tb0'),
    link(6, 'port', { master: 7 }),
  ],
  addresses: [
    address(1, '127.0.0.1', 8),
    address(2, '192.0.2.130', 25, { broadcast: '192.0.2.255' }),
    address(2, '192.0.2.2', 25, { broadcast: '192.0.2.127' }),
    address(2, '192.0.2.3', 25, { flags: 1 }),
    address(5, '10.1.0.1', 24, { broadcast: '10.1.0.255' }),
  ],
  routes: [
    route('0.0.0.0', 0, { gateway: '192.0.2.1', metric: 100 }),
    route('0.0.0.0', 0, { gateway: '198.51.100.1', index: 3, metric: 50 }),
    route('0.0.0.0', 0, { index: 4, metric: 10 }),
    route('0.0.0.0', 0, { index: 6, metric: 20 }),
    route('10.1.0.0', 24, { index: 5, scope: 253 }),
    route('10.9.0.0', 16, { index: -1, type: 7 }),
    route('10.8.0.0', 16, { index: 4 }),
    route('198.18.0.0', 15, { index: 2, type: 2 }),
  ],
};
const OURS = new Set([5]);

describe('the host as the gateway sees it', () => {
  test('ways out: Ethernet interfaces of default routes, best metric first, members of bridges and tunnels not', () => {
    expect(defaultInterfaces(NETWORK, OURS).map(({ name }) => name)).toEqual(['eth1', 'eth0']);
    expect(defaultInterfaces(NETWORK, new Set([3])).map(({ name }) => name)).toEqual(['eth0']);
  });

  test('routes: all but those to the bridges; over no uplink of ours -1; local ones are no routes', () => {
    const rows = routeRows(NETWORK, new Map([[2, 0]]), OURS);
    const text = rows.map(({ network, prefix, gateway, type, uplink, metric }) =>
      [`${formatIpv4(network)}/${prefix}`, formatIpv4(gateway), type, uplink, metric].join(' '),
    );
    expect(text).toEqual([
      '0.0.0.0/0 192.0.2.1 unicast 0 100',
      '0.0.0.0/0 198.51.100.1 unicast -1 50',
      '0.0.0.0/0 0.0.0.0 unicast -1 10',
      '0.0.0.0/0 0.0.0.0 unicast -1 20',
      '10.9.0.0/16 0.0.0.0 unreachable -1 0',
      '10.8.0.0/16 0.0.0.0 unicast -1 0',
    ]);
  });

  test('addresses of the host without its loopback, with the gateways', () => {
    const { locals, broadcasts } = hostAddresses(NETWORK, [parseIpv4('10.2.0.1')]);
    const sorted = (column: Int32Array) => [...column].map(formatIpv4).sort();
    expect(sorted(locals)).toEqual(['10.1.0.1', '10.2.0.1', '192.0.2.130', '192.0.2.2', '192.0.2.3']);
    expect(sorted(broadcasts)).toEqual(['10.1.0.255', '192.0.2.127', '192.0.2.255']);
  });

  test('N20: MASQUERADE takes the primary address in the subnet of the next hop', () => {
    expect(interfaceAddresses(NETWORK, 2).map(formatIpv4)).toEqual(['192.0.2.2', '192.0.2.130', '192.0.2.3']);
    expect(interfaceAddresses(NETWORK, 3)).toEqual([]);
  });

  test('an interface without carrier is no way out', () => {
    expect(isUsable(link(2, 'eth0'))).toBe(true);
    expect(isUsable(link(2, 'eth0', { lowerUp: false }))).toBe(false);
    expect(isUsable(link(2, 'eth0', { up: false }))).toBe(false);
  });
});
