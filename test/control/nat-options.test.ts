import { describe, expect, test } from 'vitest';
import { guardRules } from '../../src/control/guard-rules.js';
import { parseSockets } from '../../src/control/host-sockets.js';
import { checkNatOptions, DEFAULT_NAT_OPTIONS, defaultRanges, natSettings, shareOf } from '../../src/control/nat-options.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';

describe('settings', () => {
  test.each([
    [{ flowLimit: 1 }, 'nat.flowLimit must be a whole number from'],
    [{ flowShare: 0 }, 'nat.flowShare is a part'],
    [{ timeouts: { udp: 30 } }, 'nat.timeouts: there is no udp'],
    [{ timeouts: { udpStream: -1 } }, 'nat.timeouts.udpStream must be'],
    [{ ranges: [] }, 'nat.ranges is empty'],
    [{ ranges: [[9, 8]] }, 'nat.ranges: 9-8 ends before it begins'],
    [{ ranges: [[0, 8]] }, 'a port of nat.ranges must be'],
  ] as [object, string][])('%j is refused', (options, reason) => {
    expect(() => checkNatOptions({ ...DEFAULT_NAT_OPTIONS, ...options })).toThrow(reason);
  });

  test('a quarter of the table for one port; the profile, and what is set over it', () => {
    expect(shareOf(DEFAULT_NAT_OPTIONS)).toBe(65_536);
    const options = { ...DEFAULT_NAT_OPTIONS, profile: 'kernel', timeouts: { udpStream: 200 } } as const;
    expect(natSettings(options).timeouts).toMatchObject({ udpStream: 200, udpUnreplied: 30 });
  });

  test('N11: ports outside of the ephemeral range of the host', () => {
    expect(defaultRanges(32_768, 60_999)).toEqual([
      [600, 1023],
      [8192, 32_767],
      [61_000, 65_535],
    ]);
    expect(defaultRanges(1024, 65_535)).toEqual([[600, 1023]]);
  });

  test("ranges that are the host's, too, are told of", () => {
    const told: string[] = [];
    const log = { debug() {}, info() {}, error() {}, warn: (_fields: object, message: string) => void told.push(message) };
    natSettings({ ...DEFAULT_NAT_OPTIONS, ranges: [[1, 65_535]] }, log);
    natSettings({ ...DEFAULT_NAT_OPTIONS }, log);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('nat.ranges has 1-65535, and the host takes ports from');
  });
});

describe("the host's sockets", () => {
  const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 222 1 0
   2: 0000000000000000FFFF00000100007F:0017 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 444 1 0
   3: B80D0120000000000000000001000000:0018 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 555 1 0
   4: 0200007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0
`;

  test('those that listen, of both families; for UDP all', () => {
    expect(parseSockets(TCP, 'tcp')).toEqual([
      { address: parseIpv4('127.0.0.1'), port: 8080, inode: '111' },
      { address: 0, port: 22, inode: '222' },
      { address: parseIpv4('127.0.0.1'), port: 23, inode: '444' },
      { address: null, port: 24, inode: '555' },
    ]);
    expect(parseSockets(TCP, 'udp').map(({ port }) => port)).toEqual([8080, 22, 23, 24, 50_000]);
  });
});

test('the classic guard keeps the pool without the ports of the host, and what is published', () => {
  const address = parseIpv4('192.0.2.2');
  const reserved = { tcp: Uint16Array.of(22, 20_000, 20_001, 32_767), udp: new Uint16Array(0) };
  const published = [{ protocol: 'tcp', hostAddress: address, hostPort: 80, count: 2 }] as const;
  const { addresses, ranges } = guardRules([address], [[8192, 32_767]], reserved, published);
  expect(addresses).toEqual([address]);
  expect(ranges).toEqual([
    { protocol: 1, address: 0, first: 8192, last: 32_767 },
    { protocol: 6, address: 0, first: 8192, last: 19_999 },
    { protocol: 6, address: 0, first: 20_002, last: 32_766 },
    { protocol: 17, address: 0, first: 8192, last: 32_767 },
    { protocol: 6, address, first: 80, last: 81 },
  ]);
});
