/** Frames whose headers are changed at random, past the checks the gateway makes first: nothing throws, and nothing is written where it should not. */
import { expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { Fragmenter, tooBig } from '../../src/gateway/fragmenter.js';
import { Fragment, FragmentTable } from '../../src/gateway/fragments.js';
import { IcmpError, IcmpErrors } from '../../src/gateway/icmp-errors.js';
import { IpIds } from '../../src/gateway/ip-ids.js';
import { clampMss } from '../../src/gateway/mss-clamp.js';
import { validate } from '../../src/offload/validate.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import * as tcp from '../../src/wire/tcp.js';
import { makePacket, type PacketOptions, payload } from '../helpers/packet.js';
import { MadeBatch, twoZones } from './made-batch.js';

const SEED = 20_260;
const ROUNDS = 10_000;
const MTU = 1280;
const HEADER_BYTES = 60;

const SHAPES: PacketOptions[] = [
  { protocol: 'udp', payload: payload(40) },
  { protocol: 'udp', payload: payload(1400), dontFragment: false },
  { protocol: 'udp', payload: payload(6000), dontFragment: false, partial: true },
  { protocol: 'udp', payload: payload(6000), dontFragment: false, gsoSize: 1400 },
  { protocol: 'tcp', payload: payload(6000), dontFragment: false, gsoSize: 1400 },
  { protocol: 'tcp', payload: payload(0), flags: tcp.Flag.syn, tcpOptions: [2, 4, 5, 0xb4, 4, 2, 1, 1, 3, 3, 7, 0] },
];

test('what a frame contains harms nobody', () => {
  const random = new Random(SEED);
  const made = new MadeBatch(1 << 18, 512);
  const fraction = () => random.fraction();
  const errors = new IcmpErrors(twoZones(), new IpIds(fraction), made.counters, made.portCounters, fraction);
  errors.setLimits(1e9, 1e9, 1e9, 1e9);
  const table = new FragmentTable(16, made.counters, fraction);
  const fragmenter = new Fragmenter();
  const { bytes } = made.batch;
  const seen = { refused: 0, errors: 0, split: 0, first: 0, parked: 0 };

  for (let round = 0; round < ROUNDS; round++) {
    const label = `round ${round} of seed ${SEED}`;
    made.later(random.below(50) === 0 ? 1 : 0);
    const packet = makePacket(SHAPES[random.below(SHAPES.length)]);
    for (let change = random.below(4); change >= 0; change--) {
      packet.frame[14 + random.below(Math.min(HEADER_BYTES, packet.frame.length - 14))] = random.below(256);
    }
    if (random.below(3) > 0) {
      packet.frame[14] = 0x45;
      ipv4.setTotalLength(packet.frame, 14, packet.frame.length - 14);
      ipv4.setFragmentWord(
        packet.frame,
        14,
        random.below(2) === 0 ? ipv4.MORE_FRAGMENTS_FLAG : random.below(2) * random.below(0x4000),
      );
    }
    if (packet.frame.length - 14 >= ipv4.headerBytes(packet.frame, 14)) {
      ipv4.fillHeaderChecksum(packet.frame, 14);
    }
    const frame = made.add(packet, 1);
    const at = made.batch.at[frame];
    const end = at + packet.frame.length;
    if (
      validate(bytes, at, packet.frame.length) !== 0 ||
      ipv4.check(bytes, at + 14, packet.frame.length - 14) !== ipv4.Fault.none
    ) {
      seen.refused++;
      continue;
    }
    // What the frame does not occupy is as it was: behind it, up to where frames are made.
    const behind = bytes.slice(end, end + 1024);
    const error = errors.report(made.batch, made.egress, frame, 1, 0, IcmpError.fragmentationNeeded, MTU);
    if (error >= 0) {
      seen.errors++;
      const sent = made.bytesOf(error);
      expect(ipv4.check(sent, 14, sent.length - 14), label).toBe(ipv4.Fault.none);
      expect(sent.length, label).toBeLessThanOrEqual(14 + 576);
    }
    expect(Buffer.compare(made.bytesOf(frame), packet.frame), label).toBe(0);
    if (ipv4.isFragment(bytes, at + 14)) {
      const verdict = table.accept(made.batch, frame, at + 14, 0, random.below(4));
      if (verdict === Fragment.first) {
        seen.first++;
        table.bind(table.datagram, 1, 2, 3);
      }
      seen.parked += verdict === Fragment.parked ? 1 : 0;
      while (table.nextReleased(made.batch) >= 0);
    }
    const l4 = at + 14 + ipv4.headerBytes(bytes, at + 14);
    if (ipv4.protocol(bytes, at + 14) === ipv4.Protocol.tcp && tcp.check(bytes, l4, end - l4)) {
      clampMss(bytes, at, l4, MTU - 40);
    }
    if (tooBig(bytes, at, MTU) && fragmenter.split(made.batch, frame, MTU)) {
      seen.split++;
      for (let piece = fragmenter.first; piece < fragmenter.first + fragmenter.count; piece++) {
        const sent = made.bytesOf(piece);
        expect(ipv4.check(sent, 14, sent.length - 14), label).toBe(ipv4.Fault.none);
        expect(sent.length, label).toBeLessThanOrEqual(14 + MTU);
      }
      expect(made.batch.length[frame], label).toBeLessThanOrEqual(14 + MTU);
    }
    expect(Buffer.compare(bytes.subarray(end, end + behind.length), behind), label).toBe(0);
  }
  // Each part has had its share of them.
  expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(100);
  made.later(40);
  table.expire(made.batch.seconds, 10_000);
  expect([table.size, table.parkedFrames]).toEqual([0, 0]);
});
