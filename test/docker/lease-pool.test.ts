import { describe, expect, test } from 'vitest';
import type { SavedPool } from '../../src/docker/docker-record.js';
import { LeasePool } from '../../src/docker/lease-pool.js';
import { formatAddress, parseAddress, Subnet } from '../../src/docker/subnet.js';

const nobody = () => null;

function made(subnet: string, range: string | null = null): { saved: SavedPool; pool: LeasePool } {
  const saved: SavedPool = { id: `tblocal/${subnet}`, subnet, range, leases: [], last: null, since: 0 };
  return { saved, pool: new LeasePool(saved) };
}

describe('subnet', () => {
  test.each(['10.1.0.0/24', '0.0.0.0/0', '255.255.255.255/32', 'fd00::/64', '::/0', 'fd31:1::ff00/120'])(
    '%s stays as it is',
    (text) => {
      expect(String(Subnet.parse(text))).toBe(text);
    },
  );

  test('host bits are cut off', () => {
    expect(String(Subnet.parse('10.1.0.77/24'))).toBe('10.1.0.0/24');
    expect(String(Subnet.parse('fd00::1:2/112'))).toBe('fd00::1:0/112');
  });

  test.each(['10.1.0.0', '10.1.0.0/33', 'fd00::/129', '/24', '10.1.0.0/24/1', 'x/1', '10.1.0.0/-1', ''])('%j is none', (text) => {
    expect(() => Subnet.parse(text)).toThrow();
  });

  test('overlaps within a family only', () => {
    expect(Subnet.parse('10.0.0.0/8').overlaps(Subnet.parse('10.9.9.0/24'))).toBe(true);
    expect(Subnet.parse('10.9.9.0/24').overlaps(Subnet.parse('10.0.0.0/8'))).toBe(true);
    expect(Subnet.parse('10.9.9.0/24').overlaps(Subnet.parse('10.9.10.0/24'))).toBe(false);
    expect(Subnet.parse('::/0').overlaps(Subnet.parse('0.0.0.0/0'))).toBe(false);
  });

  test('network and broadcast are no hosts, of IPv6 only the first address', () => {
    const isHost = (subnet: string, address: string) => Subnet.parse(subnet).isHost(parseAddress(address));
    expect([isHost('10.1.0.0/24', '10.1.0.0'), isHost('10.1.0.0/24', '10.1.0.255'), isHost('10.1.0.0/24', '10.1.0.1')]).toEqual([
      false,
      false,
      true,
    ]);
    expect([isHost('fd00::/64', 'fd00::'), isHost('fd00::/64', 'fd00::ffff:ffff:ffff:ffff')]).toEqual([false, true]);
    expect(isHost('10.1.0.0/24', '10.1.1.1')).toBe(false);
  });

  test('addresses there and back', () => {
    for (const text of ['0.0.0.0', '192.0.2.255', '255.255.255.255', '::', 'fd31::ff:1'])
      expect(formatAddress(parseAddress(text))).toBe(text);
  });
});

describe('leases', () => {
  test('go round the subnet: what was given back rests longest', () => {
    const { pool } = made('10.1.0.0/29');
    expect(['1', '2', '3'].map(() => pool.request('', false, nobody))).toEqual(['10.1.0.1/29', '10.1.0.2/29', '10.1.0.3/29']);
    pool.release('10.1.0.2');
    expect(['1', '2', '3'].map(() => pool.request('', false, nobody))).toEqual(['10.1.0.4/29', '10.1.0.5/29', '10.1.0.6/29']);
    expect(pool.request('', false, nobody)).toBe('10.1.0.2/29');
    expect(() => pool.request('', false, nobody)).toThrow('no address of 10.1.0.0/29 is free');
  });

  test('the gateway is the first address, or the next when that is taken', () => {
    const { pool } = made('10.1.0.0/24');
    expect(pool.request('', true, nobody)).toBe('10.1.0.1/24');
    expect(pool.request('', true, nobody)).toBe('10.1.0.2/24');
  });

  test('of a range with the prefix of the subnet; gateway and others may lie outside of it', () => {
    const { pool } = made('10.1.0.0/24', '10.1.0.128/30');
    expect(pool.request('10.1.0.254', true, nobody)).toBe('10.1.0.254/24');
    expect(pool.request('10.1.0.9', false, nobody)).toBe('10.1.0.9/24');
    const given = [1, 2, 3, 4].map(() => pool.request('', false, nobody));
    expect(given).toEqual(['10.1.0.128/24', '10.1.0.129/24', '10.1.0.130/24', '10.1.0.131/24']);
    expect(() => pool.request('', false, nobody)).toThrow('no address of 10.1.0.128/30 is free');
  });

  test.each(['10.1.0.0', '10.1.0.255', '10.2.0.1', 'fd00::1', 'x', '10.1.0.1/24'])('%s cannot be chosen', (text) => {
    expect(() => made('10.1.0.0/24').pool.request(text, false, nobody)).toThrow();
  });

  test('a chosen one has one holder; what somebody beside dockerd has is taken, and left out', () => {
    const { pool } = made('10.1.0.0/24');
    pool.request('10.1.0.7', false, nobody);
    expect(() => pool.request('10.1.0.7', false, nobody)).toThrow('10.1.0.7 is taken');
    const taken = (address: string) => (address === '10.1.0.1' ? 'port web' : null);
    expect(() => pool.request('10.1.0.1', false, taken)).toThrow('10.1.0.1 is taken by port web');
    expect(pool.request('', false, taken)).toBe('10.1.0.2/24');
  });

  test('IPv6', () => {
    const { pool } = made('fd00::/64');
    expect(pool.request('', true, nobody)).toBe('fd00::1/64');
    expect(pool.request('', false, nobody)).toBe('fd00::2/64');
    pool.release('FD00:0:0::2');
    expect(pool.request('fd00::2', false, nobody)).toBe('fd00::2/64');
  });

  test('a full subnet of 65,536 is found full', () => {
    const { saved, pool } = made('10.0.0.0/8');
    expect(() => pool.request('', false, () => 'somebody')).toThrow('no address');
    expect(saved.leases).toEqual([]);
  });

  test('releasing what was not given is no error', () => {
    const { pool } = made('10.1.0.0/24');
    for (const text of ['10.1.0.9', 'x', '']) expect(() => pool.release(text)).not.toThrow();
  });
});

describe('replay', () => {
  test('what was given before dockerd started is given once more to who names it, and only once', () => {
    const { saved, pool } = made('10.1.0.0/24');
    pool.request('10.1.0.1', true, nobody);
    pool.request('', false, nobody);
    expect(pool.confirm(null, 0)).toBeUndefined();
    pool.beginReplay(0);
    expect(pool.confirm(null, 0)).toBeDefined();
    expect(pool.confirm(null, 0)).toBeUndefined();
    expect(pool.request('10.1.0.1', true, nobody)).toBe('10.1.0.1/24');
    expect(pool.request('10.1.0.2', false, nobody)).toBe('10.1.0.2/24');
    expect(() => pool.request('10.1.0.2', false, nobody)).toThrow('taken');
    expect(saved.leases).toEqual(['10.1.0.1', '10.1.0.2']);
  });

  test('nobody else gets what was not asked for again', () => {
    const { pool } = made('10.1.0.0/24');
    pool.request('', false, nobody);
    pool.beginReplay(0);
    expect(pool.request('', false, nobody)).toBe('10.1.0.2/24');
  });

  test('a gateway nobody names is the first address again, once, and not what somebody has', () => {
    const { saved, pool } = made('10.1.0.0/24');
    pool.request('', true, nobody);
    pool.beginReplay(0);
    expect(pool.request('', true, (address) => (address === '10.1.0.1' ? 'a container' : null))).toBe('10.1.0.2/24');
    expect(pool.request('', true, nobody)).toBe('10.1.0.1/24');
    expect(pool.request('', true, nobody)).toBe('10.1.0.3/24');
    expect(saved.leases).toEqual(['10.1.0.1', '10.1.0.2', '10.1.0.3']);
  });

  test('the range is as asked for then; undone, all is as it was, to be asked for again', () => {
    const { saved, pool } = made('10.1.0.0/24');
    pool.request('', true, nobody);
    pool.beginReplay(50);
    const before = structuredClone(saved);
    pool.confirm('10.1.0.128/25', 60)?.();
    expect([saved, pool.unclaimedSince]).toEqual([before, 50]);
    expect(pool.confirm('10.1.0.128/25', 60)).toBeDefined();
    expect(pool.request('', false, nobody)).toBe('10.1.0.128/24');
    expect(new LeasePool(saved).request('', false, nobody)).toBe('10.1.0.129/24');
  });

  test('the same range: the next address is behind the last one, as without a replay', () => {
    const { pool } = made('10.1.0.0/24', '10.1.0.128/25');
    for (const address of ['10.1.0.128/24', '10.1.0.129/24']) expect(pool.request('', false, nobody)).toBe(address);
    pool.release('10.1.0.128');
    pool.beginReplay(0);
    pool.confirm('10.1.0.128/25', 0);
    expect(pool.request('', false, nobody)).toBe('10.1.0.130/24');
  });

  test('a pool is unclaimed while it is empty, and from a start of dockerd until it is named', () => {
    const { pool } = made('10.1.0.0/24');
    expect(pool.unclaimedSince).toBe(0);
    pool.request('10.1.0.1', true, nobody);
    expect(pool.unclaimedSince).toBeNull();
    const names = [() => pool.confirm(null, 60), () => pool.request('10.1.0.1', true, nobody), () => pool.release('10.1.0.7')];
    for (const name of names) {
      pool.beginReplay(50);
      expect(pool.unclaimedSince).toBe(50);
      name();
      expect(pool.unclaimedSince).toBeNull();
    }
  });

  test('a restart of the daemon is none', () => {
    const { saved, pool } = made('10.1.0.0/24');
    pool.request('10.1.0.5', false, nobody);
    const again = new LeasePool(saved);
    expect(again.confirm(null, 0)).toBeUndefined();
    expect(() => again.request('10.1.0.5', false, nobody)).toThrow('taken');
    expect(again.request('', false, nobody)).toBe('10.1.0.1/24');
  });
});
