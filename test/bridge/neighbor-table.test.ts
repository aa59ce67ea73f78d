import { describe, expect, test } from 'vitest';
import { NEIGHBOR_SECONDS, NeighborTable, Noted } from '../../src/bridge/neighbor-table.js';

const IP = 0x0a000001;
const HIGH = 0x0200;

function macOf(table: NeighborTable, ip: number, seconds: number): number | undefined {
  return table.find(ip, seconds) ? table.macLow : undefined;
}

describe('neighbor table', () => {
  test('a learned neighbor lives 60 s from its last confirmation (A14)', () => {
    const table = new NeighborTable(10);
    expect(table.note(IP, 1, HIGH, 100)).toBe(Noted.added);
    expect(macOf(table, IP, 100 + NEIGHBOR_SECONDS)).toBe(1);
    expect(macOf(table, IP, 101 + NEIGHBOR_SECONDS)).toBeUndefined();
    expect(table.note(IP, 1, HIGH, 150)).toBe(Noted.known);
    expect(macOf(table, IP, 150 + NEIGHBOR_SECONDS)).toBe(1);
    expect(NEIGHBOR_SECONDS).toBe(60);
  });

  test('it changes its MAC at most once a second (A13)', () => {
    const table = new NeighborTable(10);
    table.note(IP, 1, HIGH, 100);
    expect(table.note(IP, 2, HIGH, 100)).toBe(Noted.tooSoon);
    expect(macOf(table, IP, 100)).toBe(1);
    expect(table.note(IP, 2, HIGH, 101)).toBe(Noted.changed);
    expect(table.note(IP, 1, HIGH, 101)).toBe(Noted.tooSoon);
    expect(macOf(table, IP, 101)).toBe(2);
  });

  test('a static neighbor does not age and no claim overwrites it (A10)', () => {
    const table = new NeighborTable(10);
    table.note(IP, 9, HIGH, 100);
    expect(table.pin(IP, 1, HIGH)).toBe(true);
    expect(table.note(IP, 2, HIGH, 200)).toBe(Noted.conflict);
    expect(table.note(IP, 1, HIGH, 200)).toBe(Noted.known);
    expect(macOf(table, IP, 1e9)).toBe(1);
    for (let turn = 0; turn < 20; turn++) {
      table.sweep(table.rows, 1e9);
    }
    expect([...table.entries(1e9)]).toMatchObject([{ ip: IP, macLow: 1, macHigh: HIGH, static: true }]);
  });

  test('a find says when it was confirmed; a static one is not', () => {
    const table = new NeighborTable(10);
    table.note(IP, 1, HIGH, 100);
    table.note(IP, 1, HIGH, 130);
    table.pin(IP + 1, 2, HIGH);
    expect([table.find(IP, 150), table.confirmed]).toEqual([true, 130]);
    expect([table.find(IP + 1, 150), table.confirmed]).toEqual([true, -1]);
  });

  test('the full table learns nothing new, and keeps what it knows up to date', () => {
    const table = new NeighborTable(10);
    for (let host = 0; host < 10; host++) {
      expect(table.note(IP + host, host, HIGH, 100)).toBe(Noted.added);
    }
    expect(table.note(IP + 10, 10, HIGH, 100)).toBe(Noted.full);
    expect(table.pin(IP + 10, 10, HIGH)).toBe(false);
    expect(table.note(IP + 3, 3, HIGH, 150)).toBe(Noted.known);
    // A sweep after a minute frees the others.
    table.sweep(table.rows * 2, 170);
    expect([...table.entries(170)].map(({ ip }) => ip)).toEqual([IP + 3]);
    expect(table.note(IP + 10, 10, HIGH, 170)).toBe(Noted.added);
  });

  test('a MAC that is gone takes its neighbors along: the learned, or all (A14, L17)', () => {
    for (const [all, left] of [
      [false, [IP + 1, IP + 2]],
      [true, [IP + 2]],
    ] as const) {
      const table = new NeighborTable(10);
      table.note(IP, 1, HIGH, 100);
      table.pin(IP + 1, 1, HIGH);
      table.note(IP + 2, 2, HIGH, 100);
      table.removeWhere((low, high) => low === 1 && high === HIGH, all);
      expect([...table.entries(100)].map(({ ip }) => ip).sort()).toEqual(left);
    }
  });

  test('any address is a key, 255.255.255.255 and 0.0.0.0 included', () => {
    const table = new NeighborTable(10);
    table.pin(-1, 5, HIGH);
    table.pin(0, 6, HIGH);
    expect([macOf(table, -1, 1), macOf(table, 0, 1), macOf(table, 1, 1)]).toEqual([5, 6, undefined]);
    expect([table.remove(-1), table.remove(-1)]).toEqual([true, false]);
  });
});
