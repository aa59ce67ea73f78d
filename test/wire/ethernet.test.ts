import { describe, expect, test } from 'vitest';
import * as ethernet from '../../src/wire/ethernet.js';
import { fixtureFrames } from '../helpers/fixture.js';

const FRAME = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x42, 0x0a, 0x00, 0x00, 0x01, 0x08, 0x06]);
const HEADER = { destination: 'ff:ff:ff:ff:ff:ff', source: '02:42:0a:00:00:01', etherType: 0x0806 };

describe('ethernet', () => {
  test('deconstruct', () => {
    expect(ethernet.destinationHigh(FRAME, 0)).toBe(0xffff);
    expect(ethernet.destinationLow(FRAME, 0)).toBe(-1);
    expect(ethernet.sourceHigh(FRAME, 0)).toBe(0x0242);
    expect(ethernet.sourceLow(FRAME, 0)).toBe(0x0a000001);
    expect(ethernet.etherType(FRAME, 0)).toBe(ethernet.EtherType.arp);
  });

  test('construct', () => {
    const bytes = new Uint8Array(18).fill(0xa5);
    ethernet.setDestination(bytes, 2, 0xffff, -1);
    ethernet.setSource(bytes, 2, 0x0242, 0x0a000001);
    ethernet.setEtherType(bytes, 2, ethernet.EtherType.arp);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...FRAME, 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(ethernet.parse(FRAME, 0)).toEqual(HEADER);
  });

  test('emit', () => {
    const bytes = new Uint8Array(14).fill(0xa5);
    ethernet.emit(bytes, 0, HEADER);
    expect(bytes).toEqual(FRAME);
  });

  test('check: 14 bytes make a header', () => {
    expect([ethernet.check(13), ethernet.check(14)]).toEqual([false, true]);
  });

  test('a frame of another stack', () => {
    expect(ethernet.parse(fixtureFrames('arp-icmp')[0], 0)).toEqual({
      destination: 'ff:ff:ff:ff:ff:ff',
      source: '02:00:00:00:00:0a',
      etherType: 0x0806,
    });
  });
});
