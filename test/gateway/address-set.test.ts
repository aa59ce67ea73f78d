import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressSet } from '../../src/gateway/address-set.js';
import { ip } from './made-batch.js';

describe('address set', () => {
  test('has its members and nothing else', () => {
    const set = new AddressSet();
    expect(set.has(ip('10.0.0.1'))).toBe(false);
    set.set(['10.0.0.1', '255.255.255.255', '192.168.7.2', '10.0.0.1'].map(ip));
    expect(set.size).toBe(3);
    expect(['10.0.0.1', '255.255.255.255', '192.168.7.2', '10.0.0.2', '0.0.0.0'].map((text) => set.has(ip(text)))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test('new members replace the old ones', () => {
    const set = new AddressSet();
    set.set([ip('10.0.0.1')]);
    set.set([ip('10.0.0.2')]);
    expect([set.has(ip('10.0.0.1')), set.has(ip('10.0.0.2')), set.size]).toEqual([false, true, 1]);
    set.set([]);
    expect([set.has(ip('10.0.0.2')), set.size]).toEqual([false, 0]);
  });

  test('0.0.0.0 is nobody: never a member', () => {
    const set = new AddressSet();
    set.set([0]);
    expect([set.has(0), set.size]).toEqual([false, 0]);
  });

  test('behaves like a Set, whatever the addresses', () => {
    const address = fc.integer({ min: -0x80000000, max: 0x7fffffff });
    fc.assert(
      fc.property(fc.array(address, { maxLength: 300 }), fc.array(address, { maxLength: 50 }), (members, others) => {
        const set = new AddressSet();
        set.set(members);
        const model = new Set(members);
        model.delete(0);
        expect(set.size).toBe(model.size);
        for (const each of [...members, ...others]) {
          expect(set.has(each)).toBe(model.has(each));
        }
      }),
    );
  });
});
