import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emitPlain } from '../../src/offload/emit-plain.js';
import { emitSegments } from '../../src/offload/segment.js';
import { VnetFault, validate } from '../../src/offload/validate.js';
import { wirePackets } from '../../src/offload/wire-packets.js';
import * as checksum from '../../src/wire/checksum.js';
import { describe as line } from '../../src/wire/describe.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as ipv6 from '../../src/wire/ipv6.js';
import * as tcp from '../../src/wire/tcp.js';
import * as udp from '../../src/wire/udp.js';
import * as vnet from '../../src/wire/vnet-header.js';
import { fixtureFrames } from '../helpers/fixture.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { Ring, type Sent } from '../helpers/ring.js';

const PORT = 3;

/** What a port without vnet header sends for these packets. */
function plain(...packets: Packet[]): Sent[] {
  const ring = new Ring();
  for (const packet of packets) {
    ring.add(packet);
  }
  expect(emitPlain(ring.bytes, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx)).toBe(0);
  return ring.frames();
}

/** Both checksums of an untagged TCP or UDP frame are right, and its lengths are those of the frame. */
function verify(frame: Uint8Array): void {
  const isIpv4 = frame[12] === 0x08;
  const length = frame.length - 14;
  const header = isIpv4 ? 20 : 40;
  const protocol = isIpv4 ? ipv4.protocol(frame, 14) : ipv6.nextHeader(frame, 14);
  const l4Length = length - header;
  if (isIpv4) {
    expect(ipv4.check(frame, 14, length)).toBe(ipv4.Fault.none);
    expect(ipv4.totalLength(frame, 14)).toBe(length);
  } else {
    expect(ipv6.payloadLength(frame, 14)).toBe(l4Length);
  }
  if (protocol === ipv4.Protocol.udp) {
    expect(udp.datagramLength(frame, 14 + header)).toBe(l4Length);
    expect(udp.checksumField(frame, 14 + header)).not.toBe(0);
  }
  const pseudo = isIpv4 ? checksum.pseudoIpv4(frame, 14, protocol, l4Length) : checksum.pseudoIpv6(frame, 14, protocol, l4Length);
  expect(checksum.sum(frame, 14 + header, l4Length, pseudo)).toBe(0xffff);
}

const concatenate = (parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

describe('a port without vnet header', () => {
  test('a finished frame leaves as it is, by reference', () => {
    const ring = new Ring().add(makePacket());
    emitPlain(ring.bytes, ring.at, ring.length, ring.order, 1, PORT, ring.tx);
    expect(ring.frames()).toMatchObject([{ port: PORT, frames: 1, packets: 1, segments: [[ring.at[0], ring.length[0]]] }]);
  });

  test('N30: a partial checksum is finished in a header copy; the shared bytes stay untouched (L4)', () => {
    for (const frame of [...fixtureFrames('udp'), ...fixtureFrames('tcp')]) {
      const offset = ipv4.protocol(frame, 14) === ipv4.Protocol.udp ? udp.CHECKSUM : tcp.CHECKSUM;
      const l4Length = frame.length - 34;
      const unfinished = frame.slice();
      const pseudo = checksum.pseudoIpv4(frame, 14, ipv4.protocol(frame, 14), l4Length);
      unfinished[34 + offset] = pseudo >>> 8;
      unfinished[34 + offset + 1] = pseudo;
      const header = new Uint8Array(vnet.HEADER_BYTES);
      vnet.write(header, 0, vnet.Flag.needsChecksum, 0, 0, 0, 34, offset);
      const ring = new Ring().add({ frame: unfinished, vnet: header });
      const before = ring.bytes.slice(0, ring.at[0] + frame.length);
      expect(emitPlain(ring.bytes, ring.at, ring.length, ring.order, 1, PORT, ring.tx)).toBe(0);
      const [sent] = ring.frames();
      // The frame another kernel finished is the oracle.
      expect(sent.bytes).toEqual(frame);
      expect(ring.bytes.subarray(0, before.length)).toEqual(before);
      expect(sent.segments[0][1]).toBe(34 + offset + 2);
    }
  });

  test('a UDP checksum that comes out as 0 is sent as 0xffff, a TCP one as 0', () => {
    for (const protocol of ['udp', 'tcp'] as const) {
      const offset = protocol === 'udp' ? udp.CHECKSUM : tcp.CHECKSUM;
      // The last payload word is the checksum of the packet without it: then the sum is all ones.
      const data = new Uint8Array(8);
      const probe = makePacket({ protocol, payload: data }).frame;
      data.set(probe.subarray(34 + offset, 34 + offset + 2), 6);
      const [sent] = plain(makePacket({ protocol, payload: data, partial: true }));
      const field = (sent.bytes[34 + offset] << 8) | sent.bytes[34 + offset + 1];
      expect(field).toBe(protocol === 'udp' ? 0xffff : 0);
      const [first] = plain(makePacket({ protocol, payload: new Uint8Array([...data, ...data]), gsoSize: 8, sequence: 1000 }));
      expect((first.bytes[34 + offset] << 8) | first.bytes[34 + offset + 1]).toBe(protocol === 'udp' ? 0xffff : 0);
    }
  });

  test('TCP: sequence goes on, ID counts, FIN and PSH come last, CWR first', () => {
    const { fin, psh, ack, cwr, ece } = tcp.Flag;
    const sent = plain(
      makePacket({
        protocol: 'tcp',
        payload: payload(2501),
        gsoSize: 1000,
        sequence: 0xffff_fe00,
        identification: 0xffff,
        flags: fin | psh | ack | cwr | ece,
      }),
    );
    expect(sent.map(({ bytes }) => line(bytes, 0, bytes.length).replace(/^.*?: .*?: /, ''))).toEqual([
      'Flags [.EW], seq 4294966784:488, ack 77, win 500, length 1000',
      'Flags [.E], seq 488:1488, ack 77, win 500, length 1000',
      'Flags [FP.E], seq 1488:1989, ack 77, win 500, length 501',
    ]);
    expect(sent.map(({ bytes }) => ipv4.identification(bytes, 14))).toEqual([0xffff, 0, 1]);
    expect(sent.map(({ frames, packets }) => [frames, packets])).toEqual([
      [1, 1],
      [0, 1],
      [0, 1],
    ]);
    for (const { bytes } of sent) {
      verify(bytes);
    }
  });

  test('payload is referenced, never copied', () => {
    const ring = new Ring().add(makePacket({ payload: payload(3000), gsoSize: 1000 }));
    emitPlain(ring.bytes, ring.at, ring.length, ring.order, 1, PORT, ring.tx);
    const from = ring.at[0] + 42;
    expect(ring.frames().map(({ segments }) => segments[1])).toEqual([
      [from, 1000],
      [from + 1000, 1000],
      [from + 2000, 1000],
    ]);
  });

  test('a tagged super-frame keeps its tag in every segment', () => {
    const sent = plain(makePacket({ vid: 42, protocol: 'tcp', payload: payload(2500), gsoSize: 1000 }));
    expect(sent).toHaveLength(3);
    for (const { bytes } of sent) {
      expect(line(bytes, 0, bytes.length)).toContain('vlan 42, p 0, ethertype IPv4');
      verify(concatenate([bytes.subarray(0, 12), bytes.subarray(16)]));
    }
  });

  const options = fc.record({
    version: fc.constantFrom<4 | 6>(4, 6),
    protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
    length: fc.integer({ min: 1, max: 9000 }),
    gsoSize: fc.integer({ min: 71, max: 1460 }),
    tcpOptions: fc.constantFrom<number[]>([], [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
    identification: fc.nat(0xffff),
    sequence: fc.nat(0xffffffff),
  });

  test('any super-frame: segments put together are the payload, every checksum verifies, order kept', () => {
    fc.assert(
      fc.property(options, ({ length, ...rest }) => {
        const data = payload(length, rest.gsoSize);
        const made: PacketOptions = { ...rest, payload: data };
        const sent = plain(makePacket(made));
        const header = 14 + (made.version === 4 ? 20 : 40) + (made.protocol === 'udp' ? 8 : 20 + rest.tcpOptions.length);
        expect(sent).toHaveLength(Math.ceil(length / rest.gsoSize));
        expect(concatenate(sent.map(({ bytes }) => bytes.subarray(header)))).toEqual(data);
        for (const { bytes } of sent) {
          verify(bytes);
          expect(bytes.length).toBeLessThanOrEqual(header + rest.gsoSize);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('L31: what comes before and after a super-frame leaves before and after its segments', () => {
    const [a, b] = [makePacket({ payload: payload(1) }), makePacket({ payload: payload(2) })];
    const sent = plain(a, makePacket({ payload: payload(200), gsoSize: 100 }), b);
    expect(sent.map(({ bytes }) => bytes.length - 42)).toEqual([1, 100, 100, 2]);
  });

  test('a ring and a scratch too small for it all: sent in pieces, nothing lost', () => {
    const ring = new Ring(1 << 20, 256, 20);
    ring.add(makePacket({ payload: payload(60_000), gsoSize: 1000 }));
    emitPlain(ring.bytes, ring.at, ring.length, ring.order, 1, PORT, ring.tx);
    const sent = ring.frames();
    expect(ring.flushes).toBeGreaterThan(10);
    expect(concatenate(sent.map(({ bytes }) => bytes.subarray(42)))).toEqual(payload(60_000));
  });

  test('a lie is not sent but counted; the frames around it are', () => {
    const lie = makePacket({ payload: payload(3000), gsoSize: 1000 });
    vnet.write(lie.vnet, 0, 1, vnet.GsoType.udpL4, 42, 1000, 35, 6);
    const ring = new Ring().add(makePacket()).add(lie).add(makePacket());
    expect(emitPlain(ring.bytes, ring.at, ring.length, ring.order, ring.count, PORT, ring.tx)).toBe(1);
    expect(ring.frames()).toHaveLength(2);
  });
});

describe('super-frames and partial checksums of real stacks', () => {
  const packets = fixtureFrames('super-frames').map((bytes) => ({ vnet: bytes.slice(0, 12), frame: bytes.slice(12) }));

  test('every vnet header is true, and the wire packets are those of the sizes sent', () => {
    const counts = packets.map(({ vnet: header, frame }) => {
      const bytes = concatenate([new Uint8Array(2), header, frame]);
      expect(validate(bytes, 14, frame.length)).toBe(VnetFault.none);
      return wirePackets(bytes, 14, frame.length);
    });
    // 7001 bytes of TCP in segments of 1448 and 1428, 4321 bytes of UDP in datagrams of 1000.
    expect(counts.filter((count) => count > 1)).toEqual([5, 5, 5, 5]);
  });

  test('segmented and finished: every frame verifies, the payload is what was sent', () => {
    for (const packet of packets) {
      const sent = plain(packet);
      for (const { bytes } of sent) {
        verify(bytes);
      }
      const headerBytes = sent[0].segments[0][1];
      if (sent.length > 1) {
        const received = concatenate(sent.map(({ bytes }) => bytes.subarray(headerBytes)));
        const step = received.length === 4321 ? 5 : 3;
        expect(received).toEqual(Uint8Array.from({ length: received.length }, (_, index) => (index * step) & 255));
      }
    }
  });
});

describe('a port with vnet header but without UDP segmentation', () => {
  test('segments keep a partial checksum: with it finished they are those of a port without header', () => {
    const packet = makePacket({ payload: payload(2500), gsoSize: 1000, version: 6 });
    const ring = new Ring().add(packet);
    expect(emitSegments(ring.bytes, ring.at[0], ring.length[0], PORT, ring.tx, 12)).toBe(3);
    const partial = ring.frames().map(({ bytes }) => ({ vnet: bytes.slice(0, 12), frame: bytes.slice(12) }));
    expect(vnet.parse(partial[0].vnet, 0)).toEqual({
      flags: 1,
      gsoType: 0,
      headerLength: 62,
      gsoSize: 0,
      checksumStart: 54,
      checksumOffset: 6,
    });
    expect(plain(...partial).map(({ bytes }) => bytes)).toEqual(plain(packet).map(({ bytes }) => bytes));
  });
});
