import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksumAgrees, decrementTtl, rewrite, rewriteAddresses } from '../../src/nat/rewrite.js';
import { completeInPlace } from '../../src/offload/complete-checksum.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { AT, fillChecksum, IP, ip4, place, segment, taken, untouchedAround, verifies } from './packets.js';

const { tcp, udp, icmp, gre } = ipv4.Protocol;
const VNET = AT - vnet.HEADER_BYTES;

/** Words of 0 and of 0xffff are where ones' complement has two zeros. */
const word = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff, 0x8000, 1));
const int32 = fc.tuple(word, word).map(([high, low]) => (high << 16) | low);
const data = fc.uint8Array({ maxLength: 90 });
const headerBytes = fc.integer({ min: 5, max: 15 }).map((words) => words * 4);

const setup = fc.record({
  protocol: fc.constantFrom(tcp, udp, icmp),
  from: fc.tuple(int32, int32, int32),
  to: fc.tuple(int32, int32, int32),
  data,
  headerBytes,
  partial: fc.boolean(),
});

describe('rewrite', () => {
  test('N33: what the incremental way leaves is what a computation from scratch gives, complete and partial', () => {
    fc.assert(
      fc.property(setup, ({ protocol, from, to, data, headerBytes, partial }) => {
        const ports = (three: number[]) => (protocol === icmp ? (three[2] & 0xffff) * 0x10001 : three[2]) | 0;
        const make = (three: number[]) => {
          const [source, destination] = three;
          const packet = ip4({ source, destination, protocol, headerBytes }, segment(protocol, ports(three), data));
          fillChecksum(packet, partial && protocol !== icmp);
          return packet;
        };
        const bytes = place(make(from), partial && protocol !== icmp ? vnet.Flag.needsChecksum : 0);
        const header = bytes.slice(VNET, AT);
        rewrite(bytes, AT, IP, IP + headerBytes, to[0], to[1], ports(to));
        expect(taken(bytes)).toEqual(make(to));
        expect(bytes.slice(VNET, AT)).toEqual(header);
        expect(untouchedAround(bytes)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test('there and back again is the packet as it was', () => {
    fc.assert(
      fc.property(setup, ({ protocol, from, to, data, headerBytes }) => {
        fc.pre(protocol !== icmp);
        const packet = ip4({ source: from[0], destination: from[1], protocol, headerBytes }, segment(protocol, from[2], data));
        fillChecksum(packet);
        const bytes = place(packet);
        rewrite(bytes, AT, IP, IP + headerBytes, to[0], to[1], to[2]);
        expect(verifies(taken(bytes))).toBe(true);
        rewrite(bytes, AT, IP, IP + headerBytes, from[0], from[1], from[2]);
        expect(taken(bytes)).toEqual(packet);
      }),
    );
  });

  test('E.4: a UDP checksum of 0 stays 0', () => {
    const packet = ip4({ source: 1, destination: 2, protocol: udp }, segment(udp, 0x1234_5678, new Uint8Array(9)));
    const bytes = place(packet);
    rewrite(bytes, AT, IP, IP + 20, 0x0a090001, 0x0a090002, 0x1111_2222);
    const after = taken(bytes);
    expect([after[26], after[27]]).toEqual([0, 0]);
    expect(verifies(after)).toBe(true);
  });

  test('E.4: a UDP checksum that comes out as 0 is written as 0xffff, one of TCP as 0', () => {
    for (const [protocol, field] of [
      [udp, 0xffff],
      [tcp, 0],
    ]) {
      // The last word of the data makes the sum of the translated packet 0xffff.
      const payload = new Uint8Array(4);
      const translated = ip4({ source: 7, destination: 8, protocol }, segment(protocol, 0x9999_0050, payload));
      const l4 = translated.length - 20;
      const rest = checksum.sum(translated, 20, l4, checksum.pseudoIpv4(translated, 0, protocol, l4));
      new DataView(payload.buffer).setUint16(2, 0xffff - rest);
      const packet = ip4({ source: 0x0a090001, destination: 8, protocol }, segment(protocol, 0x1234_0050, payload));
      fillChecksum(packet);
      const bytes = place(packet);
      rewrite(bytes, AT, IP, IP + 20, 7, 8, 0x9999_0050);
      const after = taken(bytes);
      expect(verifies(after)).toBe(true);
      expect(new DataView(after.buffer).getUint16(20 + (protocol === udp ? 6 : 16))).toBe(field);
    }
  });

  test('E.4: in a partial checksum the ports have no part, and a field of 0 does not mean "none"', () => {
    for (const [protocol, offset] of [
      [udp, 6],
      [tcp, 16],
    ]) {
      const packet = ip4({ source: 5, destination: 6, protocol }, segment(protocol, 1, new Uint8Array(5)));
      const view = new DataView(packet.buffer);
      view.setUint16(20 + offset, 0);
      const bytes = place(packet, vnet.Flag.needsChecksum);
      rewrite(bytes, AT, IP, IP + 20, 5, 7, 0x4444_5555);
      expect(new DataView(bytes.buffer).getUint16(IP + 20 + offset)).toBe(1);
    }
  });

  test('G40: a super-frame: the sum over its whole length, the vnet header unchanged', () => {
    for (const [protocol, type] of [
      [tcp, vnet.GsoType.tcpv4],
      [udp, vnet.GsoType.udpL4],
    ]) {
      const payload = Uint8Array.from({ length: 30_000 }, (_, index) => index * 13);
      const packet = ip4({ source: 0x0a090002, destination: 0x0a000001, protocol }, segment(protocol, 0x9c40_0050, payload));
      fillChecksum(packet, true);
      const bytes = place(packet, vnet.Flag.needsChecksum, type, 1448);
      const header = bytes.slice(VNET, AT);
      rewrite(bytes, AT, IP, IP + 20, 0xc0000201 | 0, 0x0a000001, 0x4001_0050);
      expect(bytes.slice(VNET, AT)).toEqual(header);
      completeInPlace(bytes, AT, 14 + packet.length);
      expect(verifies(taken(bytes))).toBe(true);
      expect(ipv4.source(bytes, IP)).toBe(0xc0000201 | 0);
    }
  });

  test('N31: DATA_VALID is taken off, NEEDS_CSUM stays', () => {
    for (const [flags, after] of [
      [2, 0],
      [3, 1],
      [0, 0],
    ]) {
      const bytes = place(ip4({ source: 1, destination: 2, protocol: udp }, segment(udp, 3, new Uint8Array(1))), flags);
      rewrite(bytes, AT, IP, IP + 20, 1, 2, 3);
      expect(vnet.flags(bytes, VNET)).toBe(after);
    }
  });

  test('a partial ICMP checksum knows no id: what it is finished to is right', () => {
    const packet = ip4({ source: 1, destination: 2, protocol: icmp }, segment(icmp, 0x0007_0007, new Uint8Array(33)));
    const bytes = place(packet, vnet.Flag.needsChecksum);
    rewrite(bytes, AT, IP, IP + 20, 3, 4, 0x1234_1234);
    completeInPlace(bytes, AT, 14 + packet.length);
    expect(verifies(taken(bytes))).toBe(true);
  });

  test('N40, C3: fragments behind the first and other protocols: the addresses and the header checksum, nothing else', () => {
    const payload = Uint8Array.from({ length: 40 }, (_, index) => index);
    const part = ip4({ source: 1, destination: 2, protocol: udp, fragmentOffset: 1480 }, payload);
    const bytes = place(part);
    rewriteAddresses(bytes, AT, IP, 0x0a090001, 0x0a090002);
    expect(taken(bytes)).toEqual(
      ip4({ source: 0x0a090001, destination: 0x0a090002, protocol: udp, fragmentOffset: 1480 }, payload),
    );
    const other = place(ip4({ source: 1, destination: 2, protocol: gre }, payload));
    rewrite(other, AT, IP, IP + 20, 3, 4, 0);
    expect(taken(other)).toEqual(ip4({ source: 3, destination: 4, protocol: gre }, payload));
  });

  test('N33, RFC 1624, 4: the corner where eqn 2 is wrong, in an address', () => {
    // A header that adds up to 0xcd7a beside the word 0x5555: its checksum is 0xdd2f, and 0x0000 once the word is 0x3285.
    const packet = ip4({ source: 0x5555_0000, destination: 0, protocol: gre }, new Uint8Array(0));
    const view = new DataView(packet.buffer);
    const rest = checksum.fold(checksum.finish(view.getUint16(10)) + 0xffff - 0x5555);
    view.setUint16(4, checksum.fold(view.getUint16(4) + 0xcd7a + 0xffff - rest));
    ipv4.fillHeaderChecksum(packet, 0);
    expect(view.getUint16(10)).toBe(0xdd2f);
    const bytes = place(packet);
    rewriteAddresses(bytes, AT, IP, 0x3285_0000, 0);
    expect(ipv4.headerChecksum(bytes, IP)).toBe(0x0000);
  });
});

describe('time to live', () => {
  test('R11: one less, for every TTL and every checksum a header can have', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 255 }), word, int32, headerBytes, (ttl, identification, source, headerBytes) => {
        const header = { source, destination: 0x0a000001, protocol: udp, headerBytes, identification };
        const bytes = place(ip4({ ...header, ttl }, new Uint8Array(8)));
        decrementTtl(bytes, IP);
        expect(taken(bytes)).toEqual(ip4({ ...header, ttl: ttl - 1 }, new Uint8Array(8)));
      }),
      { numRuns: 2000 },
    );
  });

  test('the end-around carry: 0xfeff becomes 0, 0xff00 becomes 1', () => {
    for (const [before, after] of [
      [0xfeff, 0x0000],
      [0xff00, 0x0001],
      [0xfefe, 0xfffe],
      [0x0000, 0x0100],
    ]) {
      const packet = ip4({ source: 1, destination: 2, protocol: udp }, new Uint8Array(8));
      const view = new DataView(packet.buffer);
      // The identification makes up for the rest.
      const rest = checksum.fold(checksum.finish(view.getUint16(10)) + 0xffff - view.getUint16(4));
      view.setUint16(4, checksum.fold(checksum.finish(before) + 0xffff - rest));
      ipv4.fillHeaderChecksum(packet, 0);
      expect(view.getUint16(10)).toBe(before);
      const bytes = place(packet);
      decrementTtl(bytes, IP);
      expect(ipv4.headerChecksum(bytes, IP)).toBe(after);
      expect(verifies(taken(bytes))).toBe(true);
    }
  });
});

describe('what an unfinished checksum must be of', () => {
  test('the transport header that was found, and its field', () => {
    const packet = ip4({ source: 1, destination: 2, protocol: tcp }, segment(tcp, 3, new Uint8Array(4)));
    const bytes = place(packet, vnet.Flag.needsChecksum);
    const l4 = IP + 20;
    expect([tcp, udp, icmp, gre].map((protocol) => checksumAgrees(bytes, AT, l4, protocol))).toEqual([true, false, false, true]);
    expect(checksumAgrees(bytes, AT, l4 + 4, tcp)).toBe(false);
    vnet.write(bytes, VNET, vnet.Flag.needsChecksum, 0, 0, 0, 14, 16);
    expect(checksumAgrees(bytes, AT, l4, tcp)).toBe(false);
    vnet.setFlags(bytes, VNET, vnet.Flag.dataValid);
    expect(checksumAgrees(bytes, AT, l4, tcp)).toBe(true);
  });
});
