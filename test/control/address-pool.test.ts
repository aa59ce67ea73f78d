import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressPool } from '../../src/control/address-pool.js';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4-address.js';

describe('subnets', () => {
  test('the gateway is the first address unless it is given', () => {
    expect(formatIpv4(AddressPool.parse('10.1.0.0/24').gateway)).toBe('10.1.0.1');
    expect(formatIpv4(AddressPool.parse('10.1.0.0/24', '10.1.0.254').gateway)).toBe('10.1.0.254');
    expect(formatIpv4(AddressPool.parse('192.168.0.0/16').gateway)).toBe('192.168.0.1');
  });

  test.each([
    ['10.1.0.7/24', 'is an address inside of a subnet'],
    ['10.1.0.0/31', 'prefix of /8 to /30'],
    ['0.0.0.0/0', 'prefix of /8 to /30'],
    ['224.0.0.0/24', 'is not a network of hosts'],
    ['127.0.0.0/8', 'is not a network of hosts'],
    ['0.0.0.0/8', 'is not a network of hosts'],
    ['10.1.0.0', 'is not an address with a prefix'],
    ['ten', 'is not an address with a prefix'],
  ])('%s is refused: %s', (subnet, why) => {
    expect(() => AddressPool.parse(subnet)).toThrow(why);
  });

  test.each(['10.1.0.0', '10.1.0.255', '10.1.1.1', 'none'])('gateway %s is refused', (gateway) => {
    expect(() => AddressPool.parse('10.1.0.0/24', gateway)).toThrow();
  });
});

describe('addresses', () => {
  test('auto goes round: an address given back rests until the others were used', () => {
    const pool = AddressPool.parse('10.1.0.0/29');
    const take = () => {
      const address = pool.resolve('auto');
      pool.take(address, 'x');
      return formatIpv4(address);
    };
    expect([take(), take(), take()]).toEqual(['10.1.0.2', '10.1.0.3', '10.1.0.4']);
    pool.release(parseIpv4('10.1.0.3'));
    expect([take(), take(), take()]).toEqual(['10.1.0.5', '10.1.0.6', '10.1.0.3']);
    expect(take).toThrow('no address of 10.1.0.0/29 is free');
  });

  test('the prefix of the subnet may be written or left out', () => {
    const pool = AddressPool.parse('200.1.0.0/24');
    expect(formatIpv4(pool.resolve('200.1.0.9'))).toBe('200.1.0.9');
    expect(formatIpv4(pool.resolve('200.1.0.9/24'))).toBe('200.1.0.9');
    expect(() => pool.resolve('200.1.0.9/16')).toThrow('another prefix than the bridge');
  });

  test('what cannot be had, with the reason', () => {
    const pool = AddressPool.parse('10.1.0.0/24');
    pool.take(parseIpv4('10.1.0.9'), 'web');
    expect(() => pool.resolve('10.2.0.9')).toThrow('outside');
    expect(() => pool.resolve('10.1.0.0')).toThrow('network address');
    expect(() => pool.resolve('10.1.0.255')).toThrow('broadcast address');
    expect(() => pool.resolve('10.1.0.1')).toThrow('gateway');
    expect(() => pool.resolve('10.1.0.9')).toThrow('taken by port web');
    pool.release(parseIpv4('10.1.0.9'));
    expect(pool.resolve('10.1.0.9')).toBe(parseIpv4('10.1.0.9'));
  });

  test('auto gives each host address of any subnet exactly once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 24, max: 30 }), fc.integer(), fc.nat(), (prefix, seed, pick) => {
        const network = (0x0a000000 | (seed & 0xffffff)) & (-1 << (32 - prefix));
        const hosts = 2 ** (32 - prefix) - 2;
        const gateway = network + 1 + (pick % hosts);
        const pool = AddressPool.parse(`${formatIpv4(network)}/${prefix}`, formatIpv4(gateway));
        const seen = new Set<number>();
        for (let count = 0; count < hosts - 1; count++) {
          const address = pool.resolve('auto');
          pool.take(address, 'x');
          seen.add(address);
        }
        expect(seen.size).toBe(hosts - 1);
        expect(seen.has(gateway)).toBe(false);
        expect(Math.min(...seen)).toBeGreaterThan(network);
        expect(Math.max(...seen)).toBeLessThan(network + hosts + 1);
        expect(() => pool.resolve('auto')).toThrow('is free');
      }),
      { numRuns: 50 },
    );
  });
});
