import { describe, expect, test } from 'vitest';
import * as vnet from '../../src/wire/vnet-header.js';

const HEADER = new Uint8Array([1, 5, 42, 0, 0xc0, 0x05, 34, 0, 6, 0, 0, 0]);
const FIELDS = {
  flags: vnet.Flag.needsChecksum,
  gsoType: vnet.GsoType.udpL4,
  headerLength: 42,
  gsoSize: 1472,
  checksumStart: 34,
  checksumOffset: 6,
};

describe('vnet-header', () => {
  test('deconstruct', () => {
    expect(vnet.flags(HEADER, 0)).toBe(1);
    expect(vnet.gsoType(HEADER, 0)).toBe(5);
    expect(vnet.headerLength(HEADER, 0)).toBe(42);
    expect(vnet.gsoSize(HEADER, 0)).toBe(1472);
    expect(vnet.checksumStart(HEADER, 0)).toBe(34);
    expect(vnet.checksumOffset(HEADER, 0)).toBe(6);
    expect(vnet.buffers(new Uint8Array([...HEADER.slice(0, 10), 1, 2]), 0)).toBe(0x0201);
  });

  test('construct', () => {
    const bytes = new Uint8Array(16).fill(0xa5);
    vnet.write(bytes, 2, 1, 5, 42, 1472, 34, 6);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...HEADER, 0xa5, 0xa5]);
    vnet.setFlags(bytes, 2, vnet.Flag.dataValid);
    expect(vnet.flags(bytes, 2)).toBe(2);
    vnet.clear(bytes, 2);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...new Array<number>(12).fill(0), 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(vnet.parse(HEADER, 0)).toEqual(FIELDS);
  });

  test('emit', () => {
    const bytes = new Uint8Array(12).fill(0xa5);
    vnet.emit(bytes, 0, FIELDS);
    expect(bytes).toEqual(HEADER);
  });
});
