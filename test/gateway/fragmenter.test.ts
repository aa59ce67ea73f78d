/** R20 and R22. What a receiver puts together again is held against the packet, or against the segments of offload/. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fragmenter, packetBytes, tooBig } from '../../src/gateway/fragmenter.js';
import { emitPlain } from '../../src/offload/emit-plain.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { makePacket, type Packet, type PacketOptions, payload } from '../helpers/packet.js';
import { Ring } from '../helpers/ring.js';
import { MadeBatch } from './made-batch.js';

/** The frame as a wire without offloads would carry it. */
function onWire(packet: Packet): Uint8Array[] {
  const ring = new Ring().add(packet);
  expect(emitPlain(ring.bytes, ring.at, ring.length, ring.order, ring.count, 1, ring.tx)).toBe(0);
  return ring.frames().map(({ bytes }) => bytes);
}

/** What is sent in place of the packet, in its order. */
function split(packet: Packet, mtu: number, made = new MadeBatch()): Uint8Array[] {
  const fragmenter = new Fragmenter();
  const frame = made.add(packet);
  expect(tooBig(made.batch.bytes, made.batch.at[frame], mtu)).toBe(true);
  expect(fragmenter.split(made.batch, frame, mtu)).toBe(true);
  const behind = Array.from({ length: fragmenter.count }, (_, index) => fragmenter.first + index);
  return [frame, ...behind].map((number) => {
    expect([...made.vnetOf(number)]).toEqual(new Array(12).fill(0));
    return made.bytesOf(number);
  });
}

/** Puts fragments together as RFC 791 says; checks each of them. A packet for each identification, in order of first sight. */
function reassemble(frames: Uint8Array[], mtu: number): Uint8Array[] {
  const packets = new Map<number, { parts: Uint8Array[]; header: Uint8Array; next: number; done: boolean }>();
  for (const frame of frames) {
    const ip = frame.subarray(14);
    expect(ipv4.check(ip, 0, ip.length)).toBe(ipv4.Fault.none);
    expect(ipv4.totalLength(ip, 0)).toBe(ip.length);
    expect(ip.length).toBeLessThanOrEqual(mtu);
    const header = ipv4.headerBytes(ip, 0);
    const id = ipv4.identification(ip, 0);
    const known = packets.get(id) ?? { parts: [], header: frame.slice(0, 14 + header), next: 0, done: false };
    packets.set(id, known);
    // In order, without a gap or an overlap.
    expect([known.done, ipv4.fragmentOffset(ip, 0)]).toEqual([false, known.next]);
    known.parts.push(ip.slice(header));
    known.next += ip.length - header;
    known.done = !ipv4.moreFragments(ip, 0);
  }
  return [...packets.values()].map(({ parts, header, done, next }) => {
    expect(done).toBe(true);
    const whole = new Uint8Array(header.length + next);
    whole.set(header);
    let at = header.length;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    ipv4.setTotalLength(whole, 14, whole.length - 14);
    ipv4.setFragmentWord(whole, 14, 0);
    ipv4.fillHeaderChecksum(whole, 14);
    return whole;
  });
}

const UDP_DF0: PacketOptions = { protocol: 'udp', dontFragment: false };

describe('R20: too big', () => {
  test('is judged by the IP total length, not by padding', () => {
    const { frame, vnet } = makePacket({ payload: payload(1372) });
    const padded = new Uint8Array(1600);
    padded.set(frame);
    const made = new MadeBatch();
    const number = made.add({ frame: padded, vnet });
    const at = made.batch.at[number];
    expect(packetBytes(made.batch.bytes, at)).toBe(1400);
    expect([tooBig(made.batch.bytes, at, 1400), tooBig(made.batch.bytes, at, 1399)]).toEqual([false, true]);
  });

  test('of a super-frame by its largest segment', () => {
    for (const [protocol, headers] of [
      ['udp', 28],
      ['tcp', 40],
    ] as const) {
      const made = new MadeBatch();
      const number = made.add(makePacket({ protocol, payload: payload(30_000), gsoSize: 1400 }));
      expect(packetBytes(made.batch.bytes, made.batch.at[number])).toBe(headers + 1400);
    }
    const made = new MadeBatch();
    const number = made.add(makePacket({ protocol: 'udp', payload: payload(100), gsoSize: 1400 }));
    expect(packetBytes(made.batch.bytes, made.batch.at[number])).toBe(128);
  });
});

describe('R22: fragments', () => {
  test('as few as possible, multiples of 8, in order, the first one with the ports', () => {
    const packet = makePacket({ ...UDP_DF0, payload: payload(4000), identification: 77 });
    const frames = split(packet, 1400);
    expect(frames.map((frame) => ipv4.totalLength(frame, 14))).toEqual([1396, 1396, 1276]);
    expect(frames.map((frame) => [ipv4.fragmentOffset(frame, 14), ipv4.moreFragments(frame, 14)])).toEqual([
      [0, true],
      [1376, true],
      [2752, false],
    ]);
    expect(reassemble(frames, 1400)).toEqual([packet.frame]);
  });

  test('the last one uses the MTU to its last byte', () => {
    const frames = split(makePacket({ ...UDP_DF0, payload: payload(1376 + 1380 - 8) }), 1400);
    expect(frames.map((frame) => ipv4.totalLength(frame, 14))).toEqual([1396, 1400]);
  });

  test('a partial checksum is finished first', () => {
    for (const protocol of ['udp', 'tcp'] as const) {
      const packet = makePacket({ protocol, dontFragment: false, payload: payload(2000), partial: true });
      expect(reassemble(split(packet, 1280), 1280)).toEqual(onWire(packet));
    }
  });

  test('fragments of a fragment keep their place, and the last of a middle one is not the last of all', () => {
    const packet = makePacket({ ...UDP_DF0, payload: payload(2000) });
    ipv4.setFragmentWord(packet.frame, 14, ipv4.MORE_FRAGMENTS_FLAG | (4000 >> 3));
    ipv4.fillHeaderChecksum(packet.frame, 14);
    const frames = split(packet, 1400);
    expect(frames.map((frame) => [ipv4.fragmentOffset(frame, 14), ipv4.moreFragments(frame, 14)])).toEqual([
      [4000, true],
      [5376, true],
    ]);
  });

  test('only options with the copied flag go into later fragments', () => {
    const plain = makePacket({ ...UDP_DF0, payload: payload(3000) });
    // Record route (7, not copied), router alert (148, copied), end.
    const options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1, 0, 0, 0, 0];
    const frame = new Uint8Array(plain.frame.length + options.length);
    frame.set(plain.frame.subarray(0, 34));
    frame.set(options, 34);
    frame.set(plain.frame.subarray(34), 34 + options.length);
    ipv4.setHeaderBytes(frame, 14, 36);
    ipv4.setTotalLength(frame, 14, frame.length - 14);
    ipv4.fillHeaderChecksum(frame, 14);
    const frames = split({ frame, vnet: plain.vnet }, 1400);
    expect(frames.map((each) => ipv4.headerBytes(each, 14))).toEqual([36, 24, 24]);
    expect([...frames[0].subarray(34, 50)]).toEqual(options);
    expect([...frames[1].subarray(34, 38)]).toEqual([148, 4, 0, 0]);
    expect(reassemble(frames, 1400)).toEqual([frame]);
  });

  test('options cut off or with broken lengths do not harm', () => {
    for (const options of [
      [148, 0, 0, 0],
      [148, 1, 0, 0],
      [148, 40, 0, 0],
      [1, 1, 1, 148],
      [0, 148, 4, 0],
    ]) {
      const plain = makePacket({ ...UDP_DF0, payload: payload(3000) });
      const frame = new Uint8Array(plain.frame.length + 4);
      frame.set(plain.frame.subarray(0, 34));
      frame.set(options, 34);
      frame.set(plain.frame.subarray(34), 38);
      ipv4.setHeaderBytes(frame, 14, 24);
      ipv4.setTotalLength(frame, 14, frame.length - 14);
      ipv4.fillHeaderChecksum(frame, 14);
      const frames = split({ frame, vnet: plain.vnet }, 1400);
      expect(frames.map((each) => ipv4.headerBytes(each, 14))).toEqual([24, 20, 20]);
      expect(reassemble(frames, 1400)).toEqual([frame]);
    }
  });

  test('a super-frame is segmented first, each segment cut: what arrives is what segmentation alone would have made', () => {
    for (const protocol of ['udp', 'tcp'] as const) {
      const packet = makePacket({
        protocol,
        dontFragment: false,
        payload: payload(10_000),
        gsoSize: 1448,
        identification: 65_534,
        flags: 0x99,
        tcpOptions: protocol === 'tcp' ? [1, 1, 1, 1] : [],
      });
      const frames = split(packet, 1280);
      expect(reassemble(frames, 1280)).toEqual(onWire(packet));
      // Six segments of 1,448 bytes do not fit; the last one, of 1,312, neither.
      expect(frames).toHaveLength(14);
    }
  });

  test('any packet, any MTU', () => {
    const made = new MadeBatch(1 << 20, 4096);
    fc.assert(
      fc.property(
        fc.constantFrom('udp' as const, 'tcp' as const),
        fc.integer({ min: 600, max: 9000 }),
        fc.integer({ min: 68, max: 580 }),
        fc.integer({ min: 0, max: 1400 }),
        fc.boolean(),
        (protocol, bytes, mtu, gsoSize, partial) => {
          made.later(0);
          const size = gsoSize > 600 && bytes > gsoSize ? gsoSize : 0;
          const packet = makePacket({ protocol, dontFragment: false, payload: payload(bytes), gsoSize: size, partial });
          expect(reassemble(split(packet, mtu, made), mtu)).toEqual(onWire(packet));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('without room in the batch the frame stays as it was', () => {
    for (const gsoSize of [0, 1448]) {
      const made = new MadeBatch(4 * 1024, 64);
      const packet = makePacket({ ...UDP_DF0, payload: payload(20_000), gsoSize, partial: true });
      const frame = made.add(packet);
      expect(new Fragmenter().split(made.batch, frame, 1280)).toBe(false);
      expect([made.bytesOf(frame), made.vnetOf(frame)]).toEqual([packet.frame, packet.vnet]);
    }
  });

  test('an MTU too small for a header and 8 bytes: refused', () => {
    const made = new MadeBatch();
    const frame = made.add(makePacket({ ...UDP_DF0, payload: payload(100) }));
    expect(new Fragmenter().split(made.batch, frame, 27)).toBe(false);
  });
});
