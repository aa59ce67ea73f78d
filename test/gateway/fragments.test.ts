/** E.5: N40 to N42. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GATEWAY, type GatewayCounter } from '../../src/core/counters.js';
import { Fragment, FragmentTable } from '../../src/gateway/fragments.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import { makePacket, type PacketOptions, payload } from '../helpers/packet.js';
import { ip, MadeBatch, UPLINK } from './made-batch.js';

interface Piece extends PacketOptions {
  /** Bytes of the datagram's IP payload. */
  from: number;
  to: number;
  more?: boolean;
}

/** A fragment with bytes [from, to) of a UDP datagram of 4,000 bytes. */
function piece({ from, to, more = to !== 4000, ...options }: Piece): Uint8Array {
  const whole = makePacket({ payload: payload(3992), dontFragment: false, ...options }).frame;
  const frame = new Uint8Array(34 + to - from);
  frame.set(whole.subarray(0, 34));
  frame.set(whole.subarray(34 + from, 34 + to), 34);
  ipv4.setTotalLength(frame, 14, frame.length - 14);
  ipv4.setFragmentWord(frame, 14, (more ? ipv4.MORE_FRAGMENTS_FLAG : 0) | (from >> 3));
  ipv4.fillHeaderChecksum(frame, 14);
  return frame;
}

class Fragments {
  readonly made = new MadeBatch(1 << 19, 8192);
  readonly table = new FragmentTable(16, this.made.counters, () => 0.5);
  /** Datagrams bound so far. */
  bound = 0;

  /** What becomes of a fragment that comes by a port; a first one is bound at once. */
  accept(frame: Uint8Array, owner = 1, zone = 0): number {
    const { made, table } = this;
    const number = made.addBare(frame, owner);
    const verdict = table.accept(made.batch, number, made.ip(number), zone, owner);
    if (verdict === Fragment.first) {
      this.bound++;
      table.bind(table.datagram, 1000 + this.bound, 0x12345, 50 + this.bound);
    }
    return verdict;
  }

  released(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let frame = this.table.nextReleased(this.made.batch); frame >= 0; frame = this.table.nextReleased(this.made.batch)) {
      frames.push(this.made.bytesOf(frame));
    }
    return frames;
  }

  count(counter: GatewayCounter): number {
    return this.made.count(counter, 0);
  }

  pass(seconds: number): void {
    this.made.later(seconds);
    this.table.expire(this.made.batch.seconds, 1000);
  }
}

const FIRST = piece({ from: 0, to: 1376 });
const MIDDLE = piece({ from: 1376, to: 2752 });
const LAST = piece({ from: 2752, to: 4000 });

describe('N40: virtual reassembly', () => {
  test('in order: the first gives what the others are bound to, nothing waits, nothing stays', () => {
    const fragments = new Fragments();
    const { table } = fragments;
    expect(fragments.accept(FIRST)).toBe(Fragment.first);
    expect(fragments.accept(MIDDLE)).toBe(Fragment.bound);
    expect(table).toMatchObject({ ref: 1001, ports: 0x12345, identification: 51, zone: 0 });
    expect(fragments.accept(LAST)).toBe(Fragment.bound);
    expect([table.ref, table.size, table.parkedFrames]).toEqual([1001, 0, 0]);
  });

  test('RFC 4787 REQ-14: any order of arrival; those before the first wait and leave behind it as they came', () => {
    const orders = [
      [FIRST, LAST, MIDDLE],
      [MIDDLE, FIRST, LAST],
      [MIDDLE, LAST, FIRST],
      [LAST, FIRST, MIDDLE],
      [LAST, MIDDLE, FIRST],
    ];
    for (const order of orders) {
      const fragments = new Fragments();
      const left: Uint8Array[] = [];
      for (const frame of order) {
        if (fragments.accept(frame) !== Fragment.parked) left.push(frame);
        for (const released of fragments.released()) {
          left.push(released);
          expect(fragments.table).toMatchObject({ ref: 1001, ports: 0x12345, identification: 51, zone: 0 });
        }
      }
      const before = order.indexOf(FIRST);
      expect(left).toEqual([FIRST, ...order.slice(0, before), ...order.slice(before + 1)]);
      expect([fragments.table.size, fragments.table.parkedFrames]).toEqual([0, 0]);
      expect(fragments.count('fragments_parked')).toBe(before);
    }
  });

  test('a batch without room releases the rest in the next pass, and what comes meanwhile waits behind it', () => {
    const fragments = new Fragments();
    const small = new MadeBatch(1536, 64);
    const accept = (frame: Uint8Array) => {
      const number = small.addBare(frame);
      return fragments.table.accept(small.batch, number, small.ip(number), 0, 1);
    };
    expect([accept(LAST), accept(piece({ from: 1376, to: 2000 }))]).toEqual([Fragment.parked, Fragment.parked]);
    expect(accept(FIRST)).toBe(Fragment.first);
    fragments.table.bind(fragments.table.datagram, 1, 2, 3);
    expect(small.bytesOf(fragments.table.nextReleased(small.batch))).toEqual(LAST);
    expect(fragments.table.nextReleased(small.batch)).toBe(-1);
    expect(fragments.table.isReleasingMore).toBe(true);
    expect(accept(piece({ from: 2000, to: 2752 }))).toBe(Fragment.parked);
    small.later(0);
    expect(small.bytesOf(fragments.table.nextReleased(small.batch))).toEqual(piece({ from: 1376, to: 2000 }));
    small.later(0);
    expect(small.bytesOf(fragments.table.nextReleased(small.batch))).toEqual(piece({ from: 2000, to: 2752 }));
    expect(fragments.table.nextReleased(small.batch)).toBe(-1);
    expect([fragments.table.size, fragments.table.isReleasingMore]).toEqual([0, false]);
  });

  test('zone, source, destination, identification and protocol tell datagrams apart', () => {
    const fragments = new Fragments();
    expect(fragments.accept(FIRST)).toBe(Fragment.first);
    for (const other of [{ ipSource: '10.9.0.3' }, { ipDestination: '10.9.0.3' }, { identification: 9 }]) {
      expect(fragments.accept(piece({ from: 1376, to: 2752, ...other }))).toBe(Fragment.parked);
    }
    const tcp = MIDDLE.slice();
    tcp[23] = 6;
    ipv4.fillHeaderChecksum(tcp, 14);
    expect(fragments.accept(tcp)).toBe(Fragment.parked);
    expect(fragments.accept(MIDDLE, 1, UPLINK)).toBe(Fragment.parked);
    expect(fragments.accept(MIDDLE)).toBe(Fragment.bound);
  });

  test('what is discarded takes along what waits and what comes, for its reason', () => {
    const fragments = new Fragments();
    const { made, table } = fragments;
    fragments.accept(LAST);
    const first = made.addBare(FIRST);
    expect(table.accept(made.batch, first, made.ip(first), 0, 1)).toBe(Fragment.first);
    table.discard(table.datagram, GATEWAY.policy_denied);
    expect(fragments.accept(MIDDLE)).toBe(Fragment.dropped);
    expect(table.reason).toBe(GATEWAY.policy_denied);
    expect(fragments.count('policy_denied')).toBe(2);
    fragments.pass(31);
    expect(table.size).toBe(0);
  });
});

describe('N42: dropped are', () => {
  const invalid = (frame: Uint8Array, fragments = new Fragments()) => {
    const before = fragments.count('fragment_invalid');
    expect(fragments.accept(frame)).toBe(Fragment.dropped);
    expect(fragments.table.reason).toBe(GATEWAY.fragment_invalid);
    expect(fragments.count('fragment_invalid')).toBeGreaterThan(before);
    return fragments;
  };

  test('exact repetitions, and nothing else happens', () => {
    const fragments = new Fragments();
    fragments.accept(LAST);
    invalid(LAST, fragments);
    fragments.accept(FIRST);
    invalid(FIRST, fragments);
    expect(fragments.released()).toEqual([LAST]);
    expect(fragments.accept(MIDDLE)).toBe(Fragment.bound);
  });

  test.each([
    ['inside', { from: 1400, to: 1408 }],
    ['around', { from: 1368, to: 2760 }],
    ['across the start', { from: 1368, to: 1384 }],
    ['across the end', { from: 2744, to: 2760 }],
    ['the same start', { from: 1376, to: 1384 }],
    ['the same bytes as the last', { from: 1376, to: 2752, more: false }],
  ])('any other overlap discards the datagram until its time is up: %s', (_, overlap) => {
    const fragments = new Fragments();
    fragments.accept(MIDDLE);
    invalid(piece(overlap), fragments);
    expect(fragments.table.parkedFrames).toBe(0);
    invalid(FIRST, fragments);
    fragments.pass(31);
    expect(fragments.accept(FIRST)).toBe(Fragment.first);
  });

  test('bytes behind the end, and a second end', () => {
    for (const bad of [piece({ from: 2752, to: 3992, more: true }), piece({ from: 1376, to: 2752, more: false })]) {
      const fragments = new Fragments();
      fragments.accept(LAST);
      invalid(bad, fragments);
      invalid(FIRST, fragments);
    }
  });

  test('a length that is no multiple of 8 but in the last, and none at all', () => {
    invalid(piece({ from: 0, to: 1377 }));
    invalid(piece({ from: 8, to: 8 }));
    expect(new Fragments().accept(piece({ from: 1376, to: 1377, more: false }))).toBe(Fragment.parked);
  });

  test('more than 65,535 bytes', () => {
    const frame = piece({ from: 0, to: 1376 });
    ipv4.setFragmentWord(frame, 14, 0x1fff);
    ipv4.fillHeaderChecksum(frame, 14);
    invalid(frame);
  });

  test('a first one without its whole L4 header (RFC 1858)', () => {
    const cut = (protocol: 'udp' | 'tcp', bytes: number) => piece({ protocol, from: 0, to: bytes });
    invalid(cut('tcp', 16));
    expect(new Fragments().accept(cut('tcp', 24))).toBe(Fragment.first);
    expect(new Fragments().accept(cut('udp', 8))).toBe(Fragment.first);
    const tcpOptions = new Array(12).fill(1);
    invalid(piece({ protocol: 'tcp', tcpOptions, from: 0, to: 24 }));
    const icmp = cut('udp', 8);
    icmp[23] = 1;
    ipv4.fillHeaderChecksum(icmp, 14);
    expect(new Fragments().accept(icmp)).toBe(Fragment.first);
  });

  test('TCP at offset 8 (RFC 3128)', () => {
    invalid(piece({ protocol: 'tcp', from: 8, to: 24 }));
    expect(new Fragments().accept(piece({ protocol: 'udp', from: 8, to: 24 }))).toBe(Fragment.parked);
  });

  test('fragments with an offload', () => {
    const fragments = new Fragments();
    const { vnet } = makePacket({ partial: true });
    const number = fragments.made.add({ frame: FIRST, vnet });
    const verdict = fragments.table.accept(fragments.made.batch, number, fragments.made.ip(number), 0, 1);
    expect([verdict, fragments.table.reason]).toEqual([Fragment.dropped, GATEWAY.fragment_invalid]);
  });
});

describe('N41: limits', () => {
  test('30 s, then what waits is dropped and the datagram forgotten', () => {
    const fragments = new Fragments();
    fragments.accept(LAST);
    fragments.pass(30);
    expect(fragments.table.size).toBe(1);
    fragments.pass(1);
    expect([fragments.table.size, fragments.table.parkedFrames, fragments.count('fragment_timeout')]).toEqual([0, 0, 1]);
  });

  test('one whose time is up counts as absent before it is collected', () => {
    const fragments = new Fragments();
    fragments.accept(FIRST);
    fragments.made.later(31);
    expect(fragments.accept(MIDDLE)).toBe(Fragment.parked);
  });

  test('64 fragments of a datagram', () => {
    const fragments = new Fragments();
    const verdicts = Array.from({ length: 65 }, (_, n) => fragments.accept(piece({ from: n * 8, to: n * 8 + 8, more: true })));
    expect(verdicts.slice(0, 64)).toEqual([Fragment.first, ...new Array(63).fill(Fragment.bound)]);
    expect([verdicts[64], fragments.table.reason]).toEqual([Fragment.dropped, GATEWAY.fragment_limit]);
  });

  test('16 datagrams of a source: the oldest gives way', () => {
    const fragments = new Fragments();
    for (let n = 0; n < 20; n++) {
      expect(fragments.accept(piece({ from: 1376, to: 2752, identification: n }))).toBe(Fragment.parked);
    }
    expect([fragments.table.size, fragments.count('fragment_limit')]).toEqual([16, 4]);
    fragments.accept(piece({ from: 0, to: 1376, identification: 19 }));
    expect(fragments.released()).toHaveLength(1);
    fragments.accept(piece({ from: 0, to: 1376, identification: 0 }));
    expect(fragments.released()).toHaveLength(0);
  });

  test('REQ-14a: a flood of lone fragments is bounded, and another port does not notice', () => {
    const fragments = new Fragments();
    const lone = piece({ from: 1376, to: 2752 });
    for (let n = 0; n < 100_000; n++) {
      if (n % 64 === 0) fragments.made.later(0);
      ipv4.setSource(lone, 14, ip('11.0.0.0') + (n % 5000));
      ipv4.setIdentification(lone, 14, n);
      ipv4.fillHeaderChecksum(lone, 14);
      expect(fragments.accept(lone, 2)).toBe(Fragment.parked);
    }
    expect(fragments.table.size).toBeLessThanOrEqual(256);
    expect(fragments.table.parkedFrames).toBeLessThanOrEqual(256);
    fragments.made.later(0);
    for (const frame of [MIDDLE, FIRST, LAST]) fragments.accept(frame);
    expect(fragments.released()).toEqual([MIDDLE, LAST]);
    expect(fragments.count('fragments_parked') - fragments.count('fragment_limit')).toBe(256 + 2);
  });

  test('1 MiB of a port: the oldest give way; a datagram that alone is more is discarded', () => {
    const fragments = new Fragments();
    const { made, table } = fragments;
    const big = (n: number, from: number) => {
      const frame = new Uint8Array(34 + 1480).fill(0xa5);
      frame.set(FIRST.subarray(0, 34));
      ipv4.setSource(frame, 14, ip('11.0.0.0') + n);
      ipv4.setTotalLength(frame, 14, 1500);
      ipv4.setFragmentWord(frame, 14, ipv4.MORE_FRAGMENTS_FLAG | (from >> 3));
      ipv4.fillHeaderChecksum(frame, 14);
      return frame;
    };
    for (let n = 0; n < 100; n++) {
      for (let part = 1; part < 40; part++) {
        if (part % 8 === 0) made.later(0);
        fragments.accept(big(n, part * 1480), 3);
      }
    }
    expect(table.parkedFrames * 1536).toBeLessThanOrEqual(1 << 20);
    expect(table.parkedFrames * 1536).toBeGreaterThan(900 << 10);
  });

  test('any sequence of fragments leaves lists and numbers whole', () => {
    const step = fc.record({
      source: fc.integer({ min: 0, max: 20 }),
      id: fc.integer({ min: 0, max: 3 }),
      owner: fc.integer({ min: 0, max: 2 }),
      from: fc.integer({ min: 0, max: 20 }),
      length: fc.integer({ min: 1, max: 6 }),
      more: fc.boolean(),
      seconds: fc.integer({ min: 0, max: 3 }),
      discard: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const fragments = new Fragments();
        const { made, table } = fragments;
        for (const { source, id, owner, from, length, more, seconds, discard } of steps) {
          fragments.pass(seconds);
          const bytes = { from: from * 8, to: (from + length) * 8, more };
          const frame = made.addBare(piece({ ...bytes, identification: id, ipSource: formatIpv4(ip('10.9.0.1') + source) }));
          const verdict = table.accept(made.batch, frame, made.ip(frame), owner, owner);
          if (verdict === Fragment.first) {
            if (discard) table.discard(table.datagram, GATEWAY.policy_denied);
            else table.bind(table.datagram, 1, 2, 3);
          }
          fragments.released();
        }
        fragments.pass(31);
        expect([table.size, table.parkedFrames]).toEqual([0, 0]);
      }),
      { numRuns: 20 },
    );
  });
});
