import { describe, expect, test } from 'vitest';
import { EtherType } from '../../src/wire/ethernet.js';
import * as vlan from '../../src/wire/vlan.js';

/** Addresses are of no interest here. */
function frame(...behindAddresses: number[]): Uint8Array {
  return new Uint8Array([...new Array<number>(12).fill(0xa5), ...behindAddresses]);
}

const UNTAGGED = frame(0x08, 0x00);
const TAGGED = frame(0x81, 0x00, 0xb0, 0x2a, 0x08, 0x06);
const DOUBLE = frame(0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x60, 0x08, 0x86, 0xdd);

describe('vlan', () => {
  test('deconstruct: none, one and two tags', () => {
    const read = (bytes: Uint8Array) => [
      vlan.vid(bytes, 0, bytes.length),
      vlan.l3Offset(bytes, 0, bytes.length),
      vlan.innerEtherType(bytes, 0, bytes.length),
    ];
    expect(read(UNTAGGED)).toEqual([0, 14, EtherType.ipv4]);
    expect(read(TAGGED)).toEqual([42, 18, EtherType.arp]);
    expect(read(DOUBLE)).toEqual([7, 22, EtherType.ipv6]);
  });

  test('a tag that is cut off: no VLAN, no L3', () => {
    for (let length = 14; length < TAGGED.length; length++) {
      expect(vlan.vid(TAGGED, 0, length)).toBe(0);
      expect(vlan.l3Offset(TAGGED, 0, length)).toBe(-1);
      expect(vlan.innerEtherType(TAGGED, 0, length)).toBe(-1);
    }
    expect(vlan.l3Offset(DOUBLE, 0, 18)).toBe(-1);
    expect(vlan.vid(DOUBLE, 0, 18)).toBe(7);
  });

  test('a third tag is an unknown type', () => {
    const triple = frame(0x81, 0x00, 0, 1, 0x81, 0x00, 0, 2, 0x81, 0x00, 0, 3, 0x08, 0x00);
    expect(vlan.innerEtherType(triple, 0, triple.length)).toBe(EtherType.vlan);
  });

  test('parse', () => {
    expect(vlan.parse(TAGGED, 12)).toEqual({ tpid: 0x8100, priority: 5, dropEligible: true, vid: 42 });
  });

  test('construct and emit', () => {
    const bytes = new Uint8Array(8).fill(0xa5);
    vlan.emit(bytes, 2, { tpid: 0x8100, priority: 5, dropEligible: true, vid: 42 });
    expect([...bytes]).toEqual([0xa5, 0xa5, 0x81, 0x00, 0xb0, 0x2a, 0xa5, 0xa5]);
    expect(vlan.priority(bytes, 2)).toBe(5);
  });
});
