import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_OWNER } from '../../src/conntrack/flow-layout.js';
import { Random } from '../../src/core/random.js';
import { MappingRefusal, MappingTable, type MappingTableOptions } from '../../src/nat/mapping-table.js';
import type { PortGuard } from '../../src/nat/port-guard.js';
import { defaultRanges, upperRanges } from '../../src/nat/port-plan.js';
import { Protocol } from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';

const { tcp, udp, icmp, gre } = Protocol;
const OUTER = parseIpv4('192.0.2.1');
const SECOND = parseIpv4('192.0.2.2');
const INNER = parseIpv4('10.9.0.2');
const RANGES = {
  tcp: defaultRanges(32_768, 60_999),
  udp: defaultRanges(32_768, 60_999),
  icmp: upperRanges(32_768, 60_999),
};

/** Remembers what it was told, and that nothing is told twice. */
class ListedGuard implements PortGuard {
  readonly marks = new Set<string>();

  mark(address: number, protocol: number, port: number): void {
    const mark = `${address} ${protocol} ${port}`;
    expect(this.marks.has(mark)).toBe(false);
    this.marks.add(mark);
  }

  unmark(address: number, protocol: number, port: number): void {
    expect(this.marks.delete(`${address} ${protocol} ${port}`)).toBe(true);
  }
}

function makeTable(options: Partial<MappingTableOptions> = {}): { table: MappingTable; guard: ListedGuard } {
  const guard = new ListedGuard();
  const random = new Random(1);
  return { table: new MappingTable({ limit: 1000, guard, random: () => random.fraction(), ranges: RANGES, ...options }), guard };
}

describe('mappings of flows another process left', () => {
  test('the very port it had, marked, counted for its owner; more flows are more references', () => {
    const { table, guard } = makeTable();
    const mapping = table.adopt(tcp, INNER, 5000, OUTER, 20_000, 3);
    expect(table.adopt(tcp, INNER, 5000, OUTER, 20_000, 3)).toBe(mapping);
    expect([table.references(mapping), table.sizeOf(3), table.outerPort(mapping), table.owner(mapping)]).toEqual([
      2, 1, 20_000, 3,
    ]);
    expect([...guard.marks]).toEqual([`${OUTER} 6 20000`]);
    expect(table.acquire(tcp, INNER, 5000, OUTER, 3)).toBe(mapping);
    const other = table.acquire(tcp, INNER + 1, 20_000, OUTER, 4);
    expect(table.outerPort(other)).not.toBe(20_000);
    for (let flow = 0; flow < 3; flow++) table.release(mapping);
    expect([table.used(mapping), table.findOuter(tcp, OUTER, 20_000)]).toEqual([false, -1]);
  });

  test('also a port that is not given out any more, until it is given back', () => {
    const { table } = makeTable();
    const mapping = table.adopt(udp, INNER, 5000, OUTER, 40_000, 3);
    expect(table.findOuter(udp, OUTER, 40_000)).toBe(mapping);
    table.release(mapping);
    expect(table.outerPort(table.acquire(udp, INNER, 40_000, OUTER, 3))).not.toBe(40_000);
  });

  test('what contradicts another, or is none, is refused and leaves nothing', () => {
    const { table, guard } = makeTable({ limit: 2 });
    table.adopt(tcp, INNER, 5000, OUTER, 20_000, 3);
    const size = () => [table.size, guard.marks.size];
    expect(table.adopt(tcp, INNER, 5000, OUTER, 20_001, 3)).toBe(-1);
    expect(table.adopt(tcp, INNER + 1, 5000, OUTER, 20_000, 3)).toBe(-1);
    expect(table.adopt(gre, INNER, 0, OUTER, 0, 3)).toBe(-1);
    expect(table.adopt(udp, INNER, 0, OUTER, 20_000, 3)).toBe(-1);
    expect(size()).toEqual([1, 1]);
    expect(table.adopt(udp, INNER, 0, OUTER, 0, 3)).toBe(1);
    expect(table.adopt(icmp, INNER, 1, OUTER, 1, 3)).toBe(-1);
    expect(size()).toEqual([2, 1]);
  });

  test('an owner is learned from the first flow that has one, or told later', () => {
    const { table } = makeTable();
    const mapping = table.adopt(udp, INNER, 5000, OUTER, 20_000, NO_OWNER);
    const other = table.adopt(udp, INNER, 5001, OUTER, 20_001, NO_OWNER);
    table.adopt(udp, INNER, 5000, OUTER, 20_000, 3);
    table.setOwner(other, 4);
    table.setOwner(other, 5);
    expect([table.owner(mapping), table.owner(other), table.sizeOf(3), table.sizeOf(4), table.sizeOf(5)]).toEqual([
      3, 4, 1, 1, 0,
    ]);
  });

  test('an address the guard learns of later gets the marks of its mappings, and of no others', () => {
    const { table, guard } = makeTable();
    table.adopt(tcp, INNER, 5000, OUTER, 20_000, 3);
    table.adopt(udp, INNER, 0, OUTER, 0, 3);
    table.release(table.adopt(udp, INNER, 7, OUTER, 20_002, 3));
    table.adopt(tcp, INNER, 5000, SECOND, 20_001, 3);
    guard.marks.clear();
    table.guardAddress(SECOND);
    expect([...guard.marks]).toEqual([`${SECOND} 6 20001`]);
    table.guardAddress(OUTER);
    expect(guard.marks).toEqual(new Set([`${SECOND} 6 20001`, `${OUTER} 6 20000`]));
  });
});

describe('mapping table', () => {
  test('N4, RFC 4787 REQ-1: the same inner endpoint keeps its outer port, counted', () => {
    const { table, guard } = makeTable();
    const mapping = table.acquire(udp, INNER, 20_000, OUTER, 3);
    expect(table.acquire(udp, INNER, 20_000, OUTER, 3)).toBe(mapping);
    expect(table.references(mapping)).toBe(2);
    expect([table.innerAddress(mapping), table.innerPort(mapping)]).toEqual([INNER, 20_000]);
    expect([table.outerAddress(mapping), table.outerPort(mapping)]).toEqual([OUTER, 20_000]);
    expect([table.protocol(mapping), table.owner(mapping)]).toEqual([udp, 3]);
    expect(table.find(udp, INNER, 20_000, OUTER)).toBe(mapping);
    expect(table.findOuter(udp, OUTER, 20_000)).toBe(mapping);
    expect([...guard.marks]).toEqual([`${OUTER} 17 20000`]);
    table.release(mapping);
    expect(table.used(mapping)).toBe(true);
    table.release(mapping);
    expect(table.used(mapping)).toBe(false);
    expect([table.size, guard.marks.size, table.sizeOf(3)]).toEqual([0, 0, 0]);
    expect([table.find(udp, INNER, 20_000, OUTER), table.findOuter(udp, OUTER, 20_000)]).toEqual([-1, -1]);
  });

  test('RFC 4787 REQ-3: endpoints with the same port get different outer ports, the class kept', () => {
    const { table } = makeTable();
    for (const port of [700, 20_000, 40_000]) {
      const outer = [0, 1, 2].map((host) => table.outerPort(table.acquire(tcp, INNER + host, port, OUTER, NO_OWNER)));
      expect(new Set(outer).size).toBe(3);
      expect(outer.every((each) => each < 1024 === port < 1024)).toBe(true);
    }
  });

  test('RFC 7857, 5: protocols and outer addresses are independent', () => {
    const { table } = makeTable();
    const all = [tcp, udp, icmp].flatMap((protocol) =>
      [OUTER, SECOND].map((outer) => table.acquire(protocol, INNER, 20_000, outer, NO_OWNER)),
    );
    expect(new Set(all).size).toBe(6);
    expect(all.every((mapping) => table.outerPort(mapping) === 20_000)).toBe(true);
    expect(table.poolUse().filter(({ taken }) => taken === 1)).toHaveLength(6);
  });

  test('N13: ids are mapped like ports, id 0 among them; UDP port 0 keeps 0 and takes no port', () => {
    const ids = { ...RANGES, icmp: [{ first: 0, last: 1 }] };
    const { table, guard } = makeTable({ ranges: ids });
    const zero = table.acquire(icmp, INNER, 0, OUTER, NO_OWNER);
    expect([table.outerPort(zero), table.findOuter(icmp, OUTER, 0)]).toEqual([0, zero]);
    expect(table.outerPort(table.acquire(icmp, INNER + 1, 0, OUTER, NO_OWNER))).toBe(1);
    expect(guard.marks.size).toBe(2);
    const mute = table.acquire(udp, INNER, 0, OUTER, NO_OWNER);
    expect([table.outerPort(mute), table.findOuter(udp, OUTER, 0), guard.marks.size]).toEqual([0, -1, 2]);
    table.release(mute);
    table.release(zero);
    expect([table.findOuter(icmp, OUTER, 0), guard.marks.size]).toEqual([-1, 1]);
  });

  test('N12: refusals are named, and change nothing', () => {
    const ranges = { ...RANGES, tcp: [{ first: 20_000, last: 20_001 }] };
    const { table, guard } = makeTable({ limit: 4, ownerLimit: 3, ranges });
    table.acquire(tcp, INNER, 1, OUTER, 5);
    table.acquire(tcp, INNER, 2, OUTER, 5);
    expect([table.acquire(tcp, INNER, 3, OUTER, 5), table.refused]).toEqual([-1, MappingRefusal.ports]);
    expect(table.acquire(udp, INNER, 1, OUTER, 5)).toBeGreaterThanOrEqual(0);
    expect([table.acquire(udp, INNER, 2, OUTER, 5), table.refused]).toEqual([-1, MappingRefusal.owner]);
    expect(table.acquire(udp, INNER, 1, OUTER, 5)).toBeGreaterThanOrEqual(0);
    expect(table.acquire(udp, INNER + 1, 2, OUTER, 6)).toBeGreaterThanOrEqual(0);
    expect([table.acquire(udp, INNER + 1, 3, OUTER, 6), table.refused]).toEqual([-1, MappingRefusal.full]);
    expect([table.acquire(gre, INNER, 0, OUTER, 6), table.refused]).toEqual([-1, MappingRefusal.protocol]);
    expect([table.size, guard.marks.size]).toEqual([4, 4]);
  });

  test('N14: a TCP port rests 240 s, a UDP port is free at once', () => {
    const { table } = makeTable();
    for (const [protocol, same] of [
      [tcp, false],
      [udp, true],
    ] as const) {
      table.tick(100);
      table.release(table.acquire(protocol, INNER, 20_000, OUTER, NO_OWNER));
      table.tick(339);
      const other = table.acquire(protocol, INNER + 1, 20_000, OUTER, NO_OWNER);
      expect(table.outerPort(other) === 20_000).toBe(same);
      table.release(other);
    }
    table.tick(340);
    expect(table.outerPort(table.acquire(tcp, INNER, 20_000, OUTER, NO_OWNER))).toBe(20_000);
  });

  test("N11: ports that are published or the host's are not given out, on any address", () => {
    const { table } = makeTable();
    table.acquire(tcp, INNER, 25_000, OUTER, NO_OWNER);
    table.exclude(tcp, 20_000, 20_100);
    for (const outer of [OUTER, SECOND]) {
      expect(table.outerPort(table.acquire(tcp, INNER, 20_050, outer, NO_OWNER))).not.toBe(20_050);
    }
    table.include(tcp, 20_000, 20_100);
    expect(table.outerPort(table.acquire(tcp, INNER + 1, 20_050, OUTER, NO_OWNER))).toBe(20_050);
    table.setRanges(tcp, [{ first: 5000, last: 5001 }]);
    const ports = [2, 3].map((host) => table.outerPort(table.acquire(tcp, INNER + host, 20_050, OUTER, NO_OWNER)));
    expect(ports.sort()).toEqual([5000, 5001]);
  });

  test('N21: a forgotten address is gone with its last mapping, or at once', () => {
    const { table, guard } = makeTable();
    const mapping = table.acquire(tcp, INNER, 20_000, OUTER, NO_OWNER);
    table.forgetAddress(OUTER);
    expect(table.outerAddress(mapping)).toBe(OUTER);
    table.release(mapping);
    expect([table.find(tcp, INNER, 20_000, OUTER), table.poolUse().length, guard.marks.size]).toEqual([-1, 0, 0]);
    table.release(table.acquire(tcp, INNER, 20_000, SECOND, NO_OWNER));
    table.forgetAddress(SECOND);
    expect(table.poolUse()).toEqual([]);
  });

  test('N21: an address that comes back before its last mapping went is in use again', () => {
    const { table } = makeTable();
    const mapping = table.acquire(tcp, INNER, 20_000, OUTER, NO_OWNER);
    table.forgetAddress(OUTER);
    expect(table.acquire(tcp, INNER, 20_000, OUTER, NO_OWNER)).toBe(mapping);
    table.release(mapping);
    table.release(mapping);
    expect(table.poolUse()).toHaveLength(1);
  });

  test('16 outer addresses; another one takes the place of one without mappings', () => {
    const { table } = makeTable();
    const mappings = Array.from({ length: 16 }, (_, index) => table.acquire(udp, INNER, 20_000, OUTER + index, NO_OWNER));
    expect([table.acquire(udp, INNER, 20_000, OUTER + 16, NO_OWNER), table.refused]).toEqual([-1, MappingRefusal.addresses]);
    table.release(mappings[4]);
    const late = table.acquire(udp, INNER, 20_000, OUTER + 16, NO_OWNER);
    expect(table.outerAddress(late)).toBe(OUTER + 16);
    expect(table.findOuter(udp, OUTER + 4, 20_000)).toBe(-1);
  });

  test('an address that takes the place of another does not inherit its resting ports', () => {
    const { table } = makeTable();
    for (let index = 0; index < 17; index++) {
      const mapping = table.acquire(tcp, INNER, 20_000, OUTER + index, NO_OWNER);
      expect(table.outerPort(mapping)).toBe(20_000);
      table.release(mapping);
    }
  });

  test('what a Map would hold, whatever is acquired and released', () => {
    const step = fc.record({ host: fc.nat(20), port: fc.nat(4), protocol: fc.constantFrom(tcp, udp, icmp), drop: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { table, guard } = makeTable({ limit: 60, restSeconds: 0 });
        const map = new Map<string, { mapping: number; references: number; outer: number }>();
        for (const { host, port, protocol, drop } of steps) {
          const key = `${host} ${port} ${protocol}`;
          const known = map.get(key);
          if (drop) {
            if (known === undefined) continue;
            table.release(known.mapping);
            if (--known.references === 0) map.delete(key);
          } else {
            const mapping = table.acquire(protocol, INNER + host, 20_000 + port, OUTER, NO_OWNER);
            if (known === undefined && map.size === 60) {
              expect(mapping).toBe(-1);
              continue;
            }
            const outer = table.outerPort(mapping);
            if (known !== undefined) expect([mapping, outer]).toEqual([known.mapping, known.outer]);
            map.set(key, { mapping, outer, references: (known?.references ?? 0) + 1 });
          }
        }
        expect([table.size, guard.marks.size]).toEqual([map.size, map.size]);
        for (const [key, { mapping, outer, references }] of map) {
          const [host, port, protocol] = key.split(' ').map(Number);
          expect(table.find(protocol, INNER + host, 20_000 + port, OUTER)).toBe(mapping);
          expect(table.findOuter(protocol, OUTER, outer)).toBe(mapping);
          expect(table.references(mapping)).toBe(references);
        }
        const outers = [...map].map(([key, { outer }]) => `${key.split(' ')[2]} ${outer}`);
        expect(new Set(outers).size).toBe(map.size);
      }),
    );
  });

  test('an index half full, for a long time: every mapping is found, no other', () => {
    const { table } = makeTable({ limit: 32 });
    const random = new Random(11);
    const live = new Map<number, number>();
    for (let step = 0; step < 20_000; step++) {
      const host = random.below(64);
      const known = live.get(host);
      if (known !== undefined) {
        table.release(known);
        live.delete(host);
      } else if (live.size < 32) {
        live.set(host, table.acquire(udp, INNER + host, 20_000, OUTER, NO_OWNER));
      }
      const other = random.below(64);
      expect(table.find(udp, INNER + other, 20_000, OUTER)).toBe(live.get(other) ?? -1);
    }
  });
});
