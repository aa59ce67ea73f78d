import { describe, expect, test } from 'vitest';
import * as ipv4 from '../../src/wire/ipv4.js';
import { fixtureFrames } from '../helpers/fixture.js';

/** The header of RFC 1071's best known example: checksum 0xb861. */
const HEADER = new Uint8Array([
  0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
]);
const FIELDS = {
  headerBytes: 20,
  tos: 0,
  totalLength: 115,
  identification: 0,
  dontFragment: true,
  moreFragments: false,
  fragmentOffset: 0,
  ttl: 64,
  protocol: ipv4.Protocol.udp,
  source: '192.168.0.1',
  destination: '192.168.0.199',
};

/** The packet with some header bytes changed and its checksum made right again. */
function changed(changes: Record<number, number>): Uint8Array {
  const bytes = new Uint8Array(115);
  bytes.set(HEADER);
  for (const [at, value] of Object.entries(changes)) {
    bytes[Number(at)] = value;
  }
  ipv4.fillHeaderChecksum(bytes, 0);
  return bytes;
}

describe('ipv4', () => {
  test('deconstruct', () => {
    expect(ipv4.version(HEADER, 0)).toBe(4);
    expect(ipv4.headerBytes(HEADER, 0)).toBe(20);
    expect(ipv4.totalLength(HEADER, 0)).toBe(115);
    expect(ipv4.ttl(HEADER, 0)).toBe(64);
    expect(ipv4.protocol(HEADER, 0)).toBe(ipv4.Protocol.udp);
    expect(ipv4.headerChecksum(HEADER, 0)).toBe(0xb861);
    expect(ipv4.source(HEADER, 0)).toBe(0xc0a80001 | 0);
    expect(ipv4.destination(HEADER, 0)).toBe(0xc0a800c7 | 0);
    expect([ipv4.dontFragment(HEADER, 0), ipv4.moreFragments(HEADER, 0), ipv4.isFragment(HEADER, 0)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('construct', () => {
    const bytes = new Uint8Array(24).fill(0xa5);
    bytes.set([0x45, 0x00], 2);
    ipv4.setTotalLength(bytes, 2, 115);
    ipv4.setIdentification(bytes, 2, 0);
    ipv4.setFragmentWord(bytes, 2, 0x4000);
    ipv4.setTtl(bytes, 2, 64);
    bytes[2 + 9] = 17;
    ipv4.setSource(bytes, 2, 0xc0a80001 | 0);
    ipv4.setDestination(bytes, 2, 0xc0a800c7 | 0);
    ipv4.fillHeaderChecksum(bytes, 2);
    expect([...bytes]).toEqual([0xa5, 0xa5, ...HEADER, 0xa5, 0xa5]);
  });

  test('parse', () => {
    expect(ipv4.parse(HEADER, 0)).toEqual(FIELDS);
  });

  test('emit', () => {
    const bytes = new Uint8Array(20).fill(0xa5);
    ipv4.emit(bytes, 0, FIELDS);
    expect(bytes).toEqual(HEADER);
  });

  test('a fragment: first, middle, last', () => {
    const read = (high: number, low: number) => {
      const bytes = changed({ 6: high, 7: low });
      return [
        ipv4.isFragment(bytes, 0),
        ipv4.moreFragments(bytes, 0),
        ipv4.fragmentOffset(bytes, 0),
        ipv4.dontFragment(bytes, 0),
      ];
    };
    expect(read(0x20, 0x00)).toEqual([true, true, 0, false]);
    expect(read(0x20, 0xb9)).toEqual([true, true, 1480, false]);
    expect(read(0x01, 0x72)).toEqual([true, false, 2960, false]);
  });

  test('R2: each reason', () => {
    const { Fault } = ipv4;
    const good = changed({});
    expect(ipv4.check(good, 0, 115)).toBe(Fault.none);
    expect(ipv4.check(good, 0, 200)).toBe(Fault.none);
    expect(ipv4.check(good, 0, 19)).toBe(Fault.short);
    expect(ipv4.check(good, 0, 114)).toBe(Fault.truncated);
    expect(ipv4.check(changed({ 0: 0x65 }), 0, 115)).toBe(Fault.version);
    expect(ipv4.check(changed({ 0: 0x44 }), 0, 115)).toBe(Fault.headerLength);
    expect(ipv4.check(changed({ 0: 0x4f }), 0, 59)).toBe(Fault.short);
    expect(ipv4.check(changed({ 0: 0x46, 3: 23 }), 0, 115)).toBe(Fault.totalLength);
    const flipped = changed({});
    flipped[15] ^= 1;
    expect(ipv4.check(flipped, 0, 115)).toBe(Fault.checksum);
  });

  test('headers of another stack pass', () => {
    for (const frame of [...fixtureFrames('udp'), ...fixtureFrames('tcp'), ...fixtureFrames('arp-icmp').slice(2)]) {
      expect(ipv4.check(frame, 14, frame.length - 14)).toBe(ipv4.Fault.none);
      const copy = frame.slice();
      ipv4.emit(copy, 14, ipv4.parse(frame, 14));
      expect(copy).toEqual(frame);
    }
  });
});
