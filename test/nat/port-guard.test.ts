import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ADDRESSES_MAX, GUARD_BYTES, GuardBitmap, otherIndex, PORT_CLASSES, portClass } from '../../src/nat/port-guard.js';
import { Protocol } from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';

const BITMAP = 8192;
const A = parseIpv4('192.0.2.1');
const B = parseIpv4('203.0.113.9');

function makeGuard(...addresses: number[]): { guard: GuardBitmap; view: DataView; bytes: Uint8Array } {
  const memory = new ArrayBuffer(GUARD_BYTES);
  new Uint8Array(memory).fill(0xa5);
  const guard = new GuardBitmap(memory);
  expect(guard.setAddresses(addresses)).toBe(0);
  return { guard, view: new DataView(memory), bytes: new Uint8Array(memory) };
}

/** What the eBPF programs compute: count, address by address, then the bit. */
function programSays(view: DataView, address: string, group: number, port: number): boolean {
  const wanted = new Uint8Array(address.split('.').map(Number));
  for (let slot = 0; slot < view.getUint32(0, true); slot++) {
    const at = 4 + slot * 4;
    if (wanted.every((byte, index) => view.getUint8(at + index) === byte)) {
      return ((view.getUint8((1 + slot * 4 + group) * BITMAP + (port >> 3)) >> (port & 7)) & 1) === 1;
    }
  }
  return false;
}

describe('guard bitmap', () => {
  test('the layout of the map: count, addresses as in a packet, one bit for each port, nothing else', () => {
    const { guard, view, bytes } = makeGuard(A, B);
    expect(view.getUint32(0, true)).toBe(2);
    expect([...bytes.subarray(4, 12)]).toEqual([192, 0, 2, 1, 203, 0, 113, 9]);
    guard.mark(B, Protocol.udp, 40_001);
    expect(bytes[(1 + 4 + 1) * BITMAP + (40_001 >> 3)]).toBe(1 << (40_001 & 7));
    expect(bytes.subarray(BITMAP).reduce((sum, byte) => sum + byte, 0)).toBe(1 << (40_001 & 7));
    expect(bytes.subarray(12, BITMAP).every((byte) => byte === 0)).toBe(true);
  });

  test('classes: TCP, UDP, ICMP id, everything else', () => {
    expect([Protocol.tcp, Protocol.udp, Protocol.icmp, Protocol.gre, Protocol.sctp].map(portClass)).toEqual([0, 1, 2, 3, 3]);
    const { guard, view } = makeGuard(A);
    for (const [group, protocol] of [Protocol.tcp, Protocol.udp, Protocol.icmp, Protocol.gre].entries()) {
      guard.mark(A, protocol, 700 + group);
      for (let other = 0; other < PORT_CLASSES; other++) {
        expect(programSays(view, '192.0.2.1', other, 700 + group)).toBe(other === group);
      }
    }
  });

  test('a bit stays until its last mark is taken back, and one unmark too many does no harm', () => {
    const { guard, view } = makeGuard(A);
    guard.mark(A, Protocol.gre, 7);
    guard.mark(A, Protocol.gre, 7);
    guard.unmark(A, Protocol.gre, 7);
    expect(programSays(view, '192.0.2.1', 3, 7)).toBe(true);
    guard.unmark(A, Protocol.gre, 7);
    expect(programSays(view, '192.0.2.1', 3, 7)).toBe(false);
    guard.unmark(A, Protocol.gre, 7);
    guard.mark(A, Protocol.gre, 7);
    expect(guard.marked(A, Protocol.gre, 7)).toBe(true);
  });

  test('N21: addresses that stay keep slot and marks; one that goes takes its marks along', () => {
    const { guard, view } = makeGuard(A, B);
    guard.mark(A, Protocol.tcp, 1);
    guard.mark(B, Protocol.tcp, 2);
    const slot = guard.slotOf(B);
    expect(guard.setAddresses([B])).toBe(0);
    expect(guard.slotOf(B)).toBe(slot);
    expect(programSays(view, '203.0.113.9', 0, 2)).toBe(true);
    expect(programSays(view, '192.0.2.1', 0, 1)).toBe(false);
    guard.mark(A, Protocol.tcp, 3);
    expect(guard.setAddresses([A, B])).toBe(0);
    expect([1, 3].map((port) => programSays(view, '192.0.2.1', 0, port))).toEqual([false, false]);
    guard.setAddresses([]);
    expect(view.getUint32(0, true)).toBe(0);
  });

  test('as many addresses as there are slots; the rest is refused and said', () => {
    const { guard } = makeGuard();
    const all = Array.from({ length: ADDRESSES_MAX + 3 }, (_, index) => A + index);
    expect(guard.setAddresses(all)).toBe(3);
    expect(all.filter((address) => guard.slotOf(address) >= 0)).toHaveLength(ADDRESSES_MAX);
    expect(guard.setAddresses([A, A, 0])).toBe(0);
  });

  test('the hash of other protocols is what 32-bit arithmetic with the constant gives', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(0xffff), fc.nat(0xffff), (protocol, high, low) => {
        const k = 0x9e3779b1n;
        const mixed = ((BigInt(high) << 16n) | BigInt(low)) ^ ((BigInt(protocol) * k) & 0xffffffffn);
        expect(otherIndex(protocol, (high << 16) | low)).toBe(Number(((mixed * k) & 0xffffffffn) >> 16n));
      }),
    );
  });
});
