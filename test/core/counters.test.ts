import { describe, expect, test } from 'vitest';
import { BRIDGE_COUNTERS, Counters, DROP_REASONS, PORT, PORT_COUNTERS } from '../../src/core/counters.js';

describe('counters', () => {
  test('owners do not share', () => {
    const counters = new Counters(PORT_COUNTERS, 3);
    counters.add(1, PORT.rx_frames, 5);
    counters.add(1, PORT.tx_partial, 2);
    expect(counters.snapshot(1)).toMatchObject({ rx_frames: 5, tx_partial: 2, rx_bytes: 0 });
    expect(Object.values(counters.snapshot(0)).every((value) => value === 0)).toBe(true);
    expect(Object.values(counters.snapshot(2)).every((value) => value === 0)).toBe(true);
    counters.clear(1);
    expect(counters.get(1, PORT.rx_frames)).toBe(0);
  });

  test('memory of one side is read by the other', () => {
    const writer = new Counters(BRIDGE_COUNTERS, 2);
    const reader = new Counters(BRIDGE_COUNTERS, 0, writer.memory);
    writer.add(1, 3, 7);
    expect(reader.get(1, 3)).toBe(7);
  });

  test('beyond 32 bits they count on', () => {
    const counters = new Counters(PORT_COUNTERS, 1);
    counters.add(0, PORT.rx_bytes, 2 ** 40);
    counters.add(0, PORT.rx_bytes, 1);
    expect(counters.get(0, PORT.rx_bytes)).toBe(2 ** 40 + 1);
  });

  test('every drop has its reason in words; totals are no drops', () => {
    const totals = ['rx_frames', 'rx_bytes', 'rx_packets', 'tx_frames', 'tx_bytes', 'tx_packets'];
    // Part of a super-frame whose first segment was sent: not a frame of its own.
    const partial = ['tx_partial'];
    const drops = PORT_COUNTERS.filter((name) => /^[rt]x_/.test(name) && ![...totals, ...partial].includes(name));
    expect(Object.keys(DROP_REASONS).sort()).toEqual([...drops].sort());
  });

  test('0 is no drop: what the forwarding decision returns for "no objection"', () => {
    expect(PORT.rx_frames).toBe(0);
  });
});
