import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VnetFault, validate } from '../../src/offload/validate.js';
import { largestPacketBytes, wirePackets } from '../../src/offload/wire-packets.js';
import * as tcp from '../../src/wire/tcp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { makePacket, type Packet, payload } from '../helpers/packet.js';

const AT = 14;

/** The packet as it lies in an arena, its vnet header before it, `fill` around. */
function place(packet: Packet, fill = 0xa5): Uint8Array {
  const bytes = new Uint8Array(packet.frame.length + 128).fill(fill);
  bytes.set(packet.vnet, AT - vnet.HEADER_BYTES);
  bytes.set(packet.frame, AT);
  return bytes;
}

function judge(packet: Packet, header: Partial<vnet.VnetHeader> = {}): number {
  const changed = packet.vnet.slice();
  vnet.emit(changed, 0, { ...vnet.parse(changed, 0), ...header });
  return validate(place({ ...packet, vnet: changed }), AT, packet.frame.length);
}

const UDP4 = makePacket({ payload: payload(5000), gsoSize: 1400 });
const UDP6 = makePacket({ version: 6, payload: payload(5000), gsoSize: 1400 });
const TCP4 = makePacket({ protocol: 'tcp', payload: payload(5000), gsoSize: 1400, tcpOptions: [1, 1, 1, 1] });
const TCP6 = makePacket({ version: 6, protocol: 'tcp', payload: payload(5000), gsoSize: 1400 });
const TAGGED = makePacket({ protocol: 'tcp', vid: 42, payload: payload(5000), gsoSize: 1400 });
const PLAIN = makePacket();
const PARTIAL = makePacket({ partial: true });

describe('validate (F.2)', () => {
  test('what kernels send: plain, partial, TCP and UDP over both IPs, tagged, ECN', () => {
    for (const packet of [PLAIN, PARTIAL, UDP4, UDP6, TCP4, TCP6, TAGGED]) {
      expect(judge(packet)).toBe(VnetFault.none);
    }
    expect(judge(TCP4, { gsoType: vnet.GsoType.tcpv4 | vnet.GsoType.ecn })).toBe(VnetFault.none);
    expect(judge(PLAIN, { flags: vnet.Flag.dataValid })).toBe(VnetFault.none);
    expect(judge(UDP4, { headerLength: 0 })).toBe(VnetFault.none);
  });

  test('a super-frame whose payload fits one segment is no lie', () => {
    expect(judge(makePacket({ payload: payload(100), gsoSize: 1400 }))).toBe(VnetFault.none);
  });

  test('each lie has its reason', () => {
    const length = UDP4.frame.length;
    expect(judge(UDP4, { flags: 0 })).toBe(VnetFault.noChecksum);
    expect(judge(UDP4, { gsoSize: 0 })).toBe(VnetFault.noSize);
    expect(judge(TCP4, { gsoSize: 7 })).toBe(VnetFault.tinySegments);
    expect(judge(TCP6, { gsoSize: 8 })).toBe(VnetFault.none);
    expect(judge(UDP4, { gsoType: vnet.GsoType.udpFragment })).toBe(VnetFault.type);
    expect(judge(UDP4, { gsoType: 2 })).toBe(VnetFault.type);
    expect(judge(UDP4, { gsoType: vnet.GsoType.udpL4 | vnet.GsoType.ecn })).toBe(VnetFault.ecn);
    expect(judge(UDP4, { gsoType: vnet.GsoType.tcpv4, checksumOffset: tcp.CHECKSUM })).toBe(VnetFault.mismatch);
    expect(judge(TCP4, { gsoType: vnet.GsoType.tcpv6 })).toBe(VnetFault.mismatch);
    expect(judge(TCP6, { gsoType: vnet.GsoType.tcpv4 })).toBe(VnetFault.mismatch);
    expect(judge(TCP4, { gsoType: vnet.GsoType.udpL4, checksumOffset: 6 })).toBe(VnetFault.mismatch);
    expect(judge(UDP4, { checksumStart: 35 })).toBe(VnetFault.checksumStart);
    expect(judge(TAGGED, { checksumStart: 34 })).toBe(VnetFault.checksumStart);
    expect(judge(UDP4, { checksumOffset: 16 })).toBe(VnetFault.checksumOffset);
    expect(judge(TCP4, { checksumOffset: 6 })).toBe(VnetFault.checksumOffset);
    expect(judge(UDP4, { headerLength: length + 1 })).toBe(VnetFault.headerLength);
    expect(judge(PARTIAL, { checksumStart: PARTIAL.frame.length - 7 })).toBe(VnetFault.checksumRange);
    expect(judge(PARTIAL, { checksumStart: 13 })).toBe(VnetFault.checksumRange);
    expect(judge(PARTIAL, { checksumStart: 65_535, checksumOffset: 65_535 })).toBe(VnetFault.checksumRange);
    expect(judge(makePacket({ payload: payload(1290), gsoSize: 10 }))).toBe(VnetFault.segments);
  });

  test('a fragment, an unknown type, cut-off headers cannot be super-frames', () => {
    const fragment = { ...UDP4, frame: UDP4.frame.slice() };
    fragment.frame[20] = 0x20;
    expect(judge(fragment)).toBe(VnetFault.mismatch);
    const unknown = { ...UDP4, frame: UDP4.frame.slice() };
    unknown.frame[12] = 0x88;
    expect(judge(unknown)).toBe(VnetFault.mismatch);
    for (let length = 44; length < 70; length++) {
      expect(judge({ ...TCP4, frame: TCP4.frame.slice(0, Math.min(length, 57)) }, { headerLength: 0 })).not.toBe(VnetFault.none);
    }
  });

  const packets = fc.constantFrom(UDP4, UDP6, TCP4, TCP6, TAGGED, PLAIN, PARTIAL);
  const header = fc.uint8Array({ minLength: 12, maxLength: 12 });
  const change = fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 3 });

  test('any header before any frame: a verdict, the same whatever lies around', () => {
    fc.assert(
      fc.property(packets, fc.option(header), change, fc.nat(120), (packet, random, changes, length) => {
        const frame = packet.frame.slice(0, length);
        for (const [at, value] of changes) {
          if (at < length) {
            frame[at] = value;
          }
        }
        const hostile = { frame, vnet: random ?? packet.vnet };
        const verdict = validate(place(hostile), AT, length);
        expect(validate(place(hostile, 0x5a), AT, length)).toBe(verdict);
        expect(wirePackets(place(hostile), AT, length)).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});

describe('wire packets (G41)', () => {
  const count = (packet: Packet) => wirePackets(place(packet), AT, packet.frame.length);

  test('ceil of payload by gso_size', () => {
    expect([count(PLAIN), count(PARTIAL), count(UDP4), count(TCP4), count(TCP6), count(TAGGED)]).toEqual([1, 1, 4, 4, 4, 4]);
    expect(count(makePacket({ payload: payload(2800), gsoSize: 1400 }))).toBe(2);
    expect(count(makePacket({ payload: payload(2801), gsoSize: 1400 }))).toBe(3);
    expect(count(makePacket({ payload: payload(100), gsoSize: 1400 }))).toBe(1);
  });

  test('L40: the largest packet is compared with the MTU', () => {
    const largest = (packet: Packet) => largestPacketBytes(place(packet), AT, packet.frame.length);
    // A frame of MTU 1500 is 1514 bytes, with a tag 1518; K lets both, and an untagged one of 1518, pass.
    expect(largest(makePacket({ payload: payload(1472) }))).toBeLessThanOrEqual(1500);
    expect(largest(makePacket({ payload: payload(1472), vid: 1 }))).toBe(1500);
    expect(largest(makePacket({ payload: payload(1477) }))).toBeGreaterThan(1500);
    expect(largest(makePacket({ payload: payload(9000), gsoSize: 1472, vid: 1 }))).toBe(1500);
    expect(largest(makePacket({ payload: payload(9000), gsoSize: 1473, vid: 1 }))).toBe(1501);
    expect(largest(makePacket({ payload: payload(100), gsoSize: 60_000 }))).toBeLessThan(1500);
  });
});
