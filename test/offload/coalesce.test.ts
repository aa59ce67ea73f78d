import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emitCoalesced, portSet } from '../../src/offload/coalesce.js';
import { emitPlain } from '../../src/offload/emit-plain.js';
import { validate } from '../../src/offload/validate.js';
import * as checksum from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as udp from '../../src/wire/udp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { fixtureFrames } from '../helpers/fixture.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { Ring, type Sent } from '../helpers/ring.js';

const PORT = 5;

function emit(packets: Packet[], uso = true, unmerged?: Uint8Array): Sent[] {
  const ring = new Ring();
  for (const packet of packets) {
    ring.add(packet);
  }
  expect(
    emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx, uso, unmerged),
  ).toBe(0);
  return ring.frames();
}

/** How many of the given frames each descriptor holds. */
function grouping(packets: Packet[]): number[] {
  return emit(packets).map(({ frames }) => frames);
}

const unfinished = (options: PacketOptions = {}) => makePacket({ partial: true, ...options });
const split = ({ bytes }: Sent): Packet => ({ vnet: bytes.slice(0, 12), frame: bytes.slice(12) });

describe('F.4: datagrams that merge', () => {
  test('the result: headers of the first, payloads of all', () => {
    const parts = [1, 2, 3].map((seed) => payload(100, seed));
    const last = payload(40, 4);
    const packets = [...parts, last].map((data, index) => unfinished({ payload: data, identification: 100 + index }));
    const [merged, ...more] = emit(packets);
    expect(more).toEqual([]);
    expect(merged).toMatchObject({ port: PORT, frames: 4, packets: 4 });
    const { vnet: header, frame } = split(merged);
    expect(vnet.parse(header, 0)).toEqual({
      flags: vnet.Flag.needsChecksum,
      gsoType: vnet.GsoType.udpL4,
      headerLength: 42,
      gsoSize: 100,
      checksumStart: 34,
      checksumOffset: 6,
    });
    expect(vnet.buffers(header, 0)).toBe(0);
    expect(frame.subarray(0, 14)).toEqual(packets[0].frame.subarray(0, 14));
    expect(ipv4.check(frame, 14, frame.length - 14)).toBe(ipv4.Fault.none);
    expect(ipv4.parse(frame, 14)).toEqual({ ...ipv4.parse(packets[0].frame, 14), totalLength: 28 + 340 });
    expect(udp.parse(frame, 34)).toEqual({
      sourcePort: 40001,
      destinationPort: 9001,
      length: 348,
      checksum: checksum.pseudoIpv4(frame, 14, 17, 348),
    });
    expect([...frame.subarray(42)]).toEqual([...parts, last].flatMap((part) => [...part]));
  });

  test('payload is referenced; the frames and their headers stay untouched (L4)', () => {
    const ring = new Ring().add(unfinished()).add(unfinished());
    const before = ring.bytes.slice(0, 256);
    emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, ring.order, 2, PORT, ring.tx, true);
    const [merged] = ring.frames();
    expect(merged.segments.slice(1)).toEqual([
      [ring.at[0] + 42, 18],
      [ring.at[1] + 42, 18],
    ]);
    expect(ring.bytes.subarray(0, 256)).toEqual(before);
  });

  test('a group of one leaves as it came, header and all', () => {
    const packet = unfinished();
    const [alone] = emit([packet]);
    expect(split(alone)).toEqual(packet);
    expect(alone).toMatchObject({ frames: 1, packets: 1 });
  });

  test('datagrams another kernel sent merge with the checksums it made', () => {
    const echoes = fixtureFrames('udp').filter((_, index) => index === 6);
    const packet = { frame: echoes[0], vnet: new Uint8Array(12) };
    expect(grouping([packet, packet, packet])).toEqual([3]);
  });

  test('G22: finished checksum verified, promised by NEEDS_CSUM, vouched for by DATA_VALID', () => {
    const finished = makePacket();
    const vouched = { ...makePacket(), vnet: new Uint8Array([vnet.Flag.dataValid, ...new Array<number>(11).fill(0)]) };
    expect(grouping([finished, finished])).toEqual([2]);
    expect(grouping([vouched, vouched])).toEqual([2]);
    expect(grouping([finished, vouched, unfinished()])).toEqual([3]);
  });

  test('G25: 64 datagrams are full, the next starts anew', () => {
    expect(grouping(new Array<Packet>(130).fill(unfinished()))).toEqual([64, 64, 2]);
  });

  test('G25: an IP packet ends at 65,535 bytes', () => {
    const big = unfinished({ payload: payload(1472) });
    const groups = grouping(new Array<Packet>(50).fill(big));
    expect(groups).toEqual([44, 6]);
    expect(28 + 44 * 1472).toBeLessThanOrEqual(65_535);
    expect(28 + 45 * 1472).toBeGreaterThan(65_535);
  });

  test('G24: with fragmentation allowed the ID must count up, wrapping at 16 bits', () => {
    const at = (identification: number) => unfinished({ dontFragment: false, identification });
    expect(grouping([at(0xfffe), at(0xffff), at(0), at(1)])).toEqual([4]);
    expect(grouping([at(5), at(5)])).toEqual([1, 1]);
    expect(grouping([at(5), at(6), at(8), at(9)])).toEqual([2, 2]);
    const fixed = (identification: number) => unfinished({ identification });
    expect(grouping([fixed(5), fixed(5), fixed(900)])).toEqual([3]);
  });

  test('G23: a shorter one ends the group, a longer one starts anew', () => {
    const sized = (length: number) => unfinished({ payload: payload(length) });
    expect(grouping([sized(50), sized(50), sized(20), sized(20), sized(50)])).toEqual([3, 1, 1]);
    expect(grouping([sized(20), sized(50), sized(50)])).toEqual([1, 2]);
  });
});

describe('F.4: datagrams that do not', () => {
  const differences: [string, PacketOptions][] = [
    ['destination MAC', { destination: '02:00:00:00:00:0c' }],
    ['first octets of the destination MAC', { destination: '06:00:00:00:00:0b' }],
    ['source MAC', { source: '02:00:00:00:00:0c' }],
    ['first octets of the source MAC', { source: '06:00:00:00:00:0a' }],
    ['source address', { ipSource: '10.9.0.3' }],
    ['destination address', { ipDestination: '10.9.0.3' }],
    // The two halves of the address change so that the header checksum stays the same.
    ['source address of the same checksum', { ipSource: '10.8.0.2' }],
    ['destination address of the same checksum', { ipDestination: '10.8.0.3' }],
    ['source port', { sourcePort: 40002 }],
    ['destination port', { destinationPort: 9002 }],
    ['TTL', { ttl: 63 }],
    ['TOS', { tos: 1 }],
    ['DF', { dontFragment: false }],
    ['protocol', { protocol: 'tcp', payload: payload(6) }],
    ['VLAN', { vid: 4, payload: payload(14) }],
  ];
  for (const [what, options] of differences) {
    test(`G20: another ${what}`, () => {
      expect(grouping([unfinished(), unfinished(options)])).toEqual([1, 1]);
      expect(grouping([unfinished(options), unfinished()])).toEqual([1, 1]);
    });
  }

  test('G20: another ingress port', () => {
    const ring = new Ring();
    for (const ingress of [1, 1, 2, 1]) {
      ring.add(unfinished(), ingress);
    }
    emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx, true);
    expect(ring.frames().map(({ frames }) => frames)).toEqual([3, 1]);
  });

  const twice = (change: (packet: Packet) => void, options: PacketOptions = {}) => {
    const packet = unfinished(options);
    change(packet);
    return grouping([packet, packet]);
  };

  test('G21: options, fragments, padding, no payload, lengths that disagree', () => {
    expect(twice(() => {})).toEqual([2]);
    // Header checksums are made right again over 20 bytes, so that nothing but the one difference keeps them apart.
    const changed = (at: number, value: number) =>
      twice(({ frame }) => {
        frame[at] = value;
        ipv4.setHeaderChecksum(frame, 14, 0);
        ipv4.setHeaderChecksum(frame, 14, checksum.checksum(frame, 14, 20));
      });
    expect(changed(14, 0x46)).toEqual([1, 1]);
    expect(changed(14, 0x55)).toEqual([1, 1]);
    // UDP-Lite (RFC 3828) looks like UDP.
    expect(changed(23, 136)).toEqual([1, 1]);
    expect(changed(13, 0x01)).toEqual([1, 1]);
    expect(changed(22, 9)).toEqual([2]);
    expect(
      twice(({ frame }) => {
        ipv4.setFragmentWord(frame, 14, 0x2000);
        ipv4.fillHeaderChecksum(frame, 14);
      }),
    ).toEqual([1, 1]);
    const padded = unfinished({ payload: payload(4) });
    const wire = { ...padded, frame: new Uint8Array([...padded.frame, ...new Array<number>(14).fill(0)]) };
    expect(grouping([wire, wire])).toEqual([1, 1]);
    expect(twice(() => {}, { payload: new Uint8Array(0) })).toEqual([1, 1]);
    expect(twice(({ frame }) => udp.setDatagramLength(frame, 34, 25))).toEqual([1, 1]);
    const short = unfinished();
    udp.setDatagramLength(short.frame, 34, 25);
    expect(grouping([unfinished(), short, unfinished()])).toEqual([1, 1, 1]);
  });

  test('G22: no checksum, a wrong one, or a partial one elsewhere', () => {
    const without = makePacket();
    udp.setChecksumField(without.frame, 34, 0);
    expect(grouping([without, without])).toEqual([1, 1]);
    const vouched = { ...without, vnet: new Uint8Array([vnet.Flag.dataValid, ...new Array<number>(11).fill(0)]) };
    expect(grouping([vouched, vouched])).toEqual([1, 1]);
    const wrong = makePacket();
    wrong.frame[45] ^= 1;
    expect(grouping([makePacket(), wrong, makePacket()])).toEqual([1, 1, 1]);
    expect(twice(({ vnet: header }) => vnet.write(header, 0, 1, 0, 0, 0, 14, 10))).toEqual([1, 1]);
  });

  test('a wrong IP header checksum is not hidden under a fresh one', () => {
    const wrong = unfinished();
    wrong.frame[24] ^= 0x40;
    expect(grouping([unfinished(), wrong, unfinished()])).toEqual([1, 1, 1]);
    expect(grouping([wrong, wrong])).toEqual([1, 1]);
  });

  test('G25: tunnels, in either direction, and ports the caller names', () => {
    for (const port of [4789, 8472, 6081]) {
      expect(twice(() => {}, { destinationPort: port })).toEqual([1, 1]);
      expect(twice(() => {}, { sourcePort: port })).toEqual([1, 1]);
    }
    const packets = [unfinished(), unfinished()];
    expect(emit(packets, true, portSet([9001])).map(({ frames }) => frames)).toEqual([1, 1]);
    expect(emit(packets, true, portSet([])).map(({ frames }) => frames)).toEqual([2]);
  });

  test('an egress without UDP segmentation: nothing merges, and super-frames are cut', () => {
    expect(emit([unfinished(), unfinished()], false).map(({ frames }) => frames)).toEqual([1, 1]);
    const sent = emit([makePacket({ payload: payload(250), gsoSize: 100 })], false);
    expect(sent.map(({ bytes, frames }) => [bytes.length - 54, frames])).toEqual([
      [100, 1],
      [100, 0],
      [50, 0],
    ]);
    expect(emit([makePacket({ protocol: 'tcp', payload: payload(250), gsoSize: 100 })], false)).toMatchObject([{ packets: 3 }]);
  });

  test('super-frames pass whole, with their wire packets', () => {
    const superFrame = makePacket({ payload: payload(250), gsoSize: 100 });
    const sent = emit([superFrame, superFrame]);
    expect(sent).toMatchObject([
      { frames: 1, packets: 3 },
      { frames: 1, packets: 3 },
    ]);
    expect(split(sent[0])).toEqual(superFrame);
    expect(grouping([unfinished({ payload: payload(300) }), superFrame, unfinished({ payload: payload(50) })])).toEqual([
      1, 1, 1,
    ]);
  });
});

describe('order and identity', () => {
  /** A list of a few flows and sizes, each datagram numbered in its payload. */
  const lists = fc
    .array(fc.record({ flow: fc.nat(2), length: fc.constantFrom(20, 20, 20, 33), partial: fc.boolean() }), {
      minLength: 1,
      maxLength: 90,
    })
    .map((items) =>
      items.map(({ flow, length, partial }, index) => {
        const data = payload(length, index);
        data.set([index >> 8, index & 0xff]);
        return makePacket({ payload: data, partial, sourcePort: 40_000 + flow, identification: index, dontFragment: flow !== 1 });
      }),
    );

  test('coalesce, then segment: the finished frames of each flow, in their order, IDs included', () => {
    fc.assert(
      fc.property(lists, (packets) => {
        const merged = emit(packets).map(split);
        const again = new Ring();
        for (const packet of merged) {
          expect(validate(new Uint8Array([0, 0, ...packet.vnet, ...packet.frame]), 14, packet.frame.length)).toBe(0);
          again.add(packet);
        }
        emitPlain(again.bytes, again.at, again.length, again.order, again.count, PORT, again.tx);
        const direct = new Ring();
        for (const packet of packets) {
          direct.add(packet);
        }
        emitPlain(direct.bytes, direct.at, direct.length, direct.order, direct.count, PORT, direct.tx);
        const withoutFixedId = ({ bytes }: Sent) => {
          const frame = bytes.slice();
          if (ipv4.dontFragment(frame, 14)) {
            ipv4.setIdentification(frame, 14, 0);
            ipv4.fillHeaderChecksum(frame, 14);
          }
          return frame;
        };
        const flowsOf = (ring: Ring) => {
          const frames = ring.frames().map(withoutFixedId);
          return [0, 1, 2].map((flow) => frames.filter((frame) => udp.sourcePort(frame, 34) === 40_000 + flow));
        };
        expect(flowsOf(again)).toEqual(flowsOf(direct));
      }),
      { numRuns: 60 },
    );
  });

  test('a list that is not 0, 1, 2 …: only its frames, in its order', () => {
    const ring = new Ring();
    for (const length of [10, 20, 20, 10, 20]) {
      ring.add(unfinished({ payload: payload(length) }));
    }
    emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, new Int32Array([1, 4, 3]), 3, PORT, ring.tx, true);
    const [merged] = ring.frames();
    expect(merged.segments.slice(1).map(([at]) => at)).toEqual([ring.at[1] + 42, ring.at[4] + 42, ring.at[3] + 42]);
  });

  test('any bytes behind any header: everything leaves, whole or merged, nothing throws', () => {
    const header = fc.oneof(
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      fc.constant(new Uint8Array(12)),
      fc.constant(unfinished().vnet),
    );
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 90 }),
      fc.tuple(fc.nat(59), fc.nat(255)).map(([at, value]) => {
        const bytes = unfinished().frame.slice();
        bytes[at] = value;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ frame, vnet: header }), { maxLength: 12 }), fc.boolean(), (packets, uso) => {
        const ring = new Ring(1 << 18);
        for (const packet of packets) {
          ring.add(packet);
        }
        const lost = emitCoalesced(ring.bytes, ring.ingress, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx, uso);
        expect(ring.frames().reduce((total, { frames }) => total + frames, lost)).toBe(packets.length);
        const refused = emitPlain(ring.bytes, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx);
        const total = ring.frames().reduce((frames, sent) => frames + sent.frames, lost + refused);
        expect(total).toBe(2 * packets.length);
      }),
      { numRuns: 300 },
    );
  });
});
