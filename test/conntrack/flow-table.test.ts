import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOW, NO_OWNER, Removal, type RemovalReason } from '../../src/conntrack/flow-layout.js';
import { FlowTable, Refused } from '../../src/conntrack/flow-table.js';
import { invertPorts, kindOf } from '../../src/conntrack/kind.js';
import { TimeoutClass } from '../../src/conntrack/timeouts.js';

const KIND = kindOf(17);
const { udpUnreplied: A, udpStream: B } = TimeoutClass;
const OUTER = 0x0a0a0a0a;

function makeTable(limit: number, onRemove: (flow: number, reason: RemovalReason) => void = () => {}, memory?: ArrayBufferLike) {
  return new FlowTable({ limit, ownerCapacity: 4, ownerLimit: limit, seed: 12345, onRemove }, memory);
}

/** Flow number `index`: all tuples differ. */
function add(table: FlowTable, index: number, owner = NO_OWNER, seconds = 1): number {
  const ports = (index << 16) | 53;
  return table.add(index, 7, ports, KIND, 7, OUTER, invertPorts(ports), owner, A, seconds);
}

const findOriginal = (table: FlowTable, index: number) => table.find(index, 7, (index << 16) | 53, KIND);
const findReply = (table: FlowTable, index: number) => table.find(7, OUTER, (53 << 16) | (index & 0xffff), KIND);

/** The flows of a class, oldest first. */
function list(table: FlowTable, timeoutClass: number): number[] {
  const result: number[] = [];
  for (let flow = table.oldest(timeoutClass); flow >= 0; flow = table.words[flow * 16 + FLOW.next]) result.push(flow);
  return result;
}

describe('flow table', () => {
  test('152 bytes per flow, index and all, at the default limit', () => {
    expect(FlowTable.bytesFor(262_144) / 262_144).toBe(152);
  });

  test('all of it fits the memory it is given, and nothing else', () => {
    const memory = new SharedArrayBuffer(FlowTable.bytesFor(100));
    const table = makeTable(100, undefined, memory);
    for (let index = 0; index < 100; index++) add(table, index);
    expect(table.words.buffer).toBe(memory);
    expect(table.floats.buffer).toBe(memory);
    expect(findReply(table, 99)).toBe(99 * 2 + 1);
  });

  test('a hint leads to its flow or to none, also when the row was given to another meanwhile', () => {
    const table = makeTable(4096);
    const tuple = (index: number) => [index, 7, (index << 16) | 53, KIND] as const;
    for (let index = 0; index < 4000; index++) add(table, index);
    const hints = Int32Array.from({ length: 4000 }, (_, index) => table.hint(...tuple(index)));
    table.prefetch(hints, hints.length);
    const confirmed = [...hints].filter((hint, index) => {
      const ref = table.confirm(hint, ...tuple(index));
      expect([-1, findOriginal(table, index)]).toContain(ref);
      return ref >= 0;
    });
    expect(confirmed.length).toBeGreaterThan(2000);
    expect(table.confirm(table.hint(9999, 7, 1, KIND), 9999, 7, 1, KIND)).toBe(-1);
    for (let index = 0; index < 4000; index++) table.remove(index, Removal.flushed);
    for (let index = 4000; index < 8000; index++) add(table, index);
    hints.forEach((hint, index) => {
      expect(table.confirm(hint, ...tuple(index))).toBe(-1);
    });
  });

  test('any change of a tuple or kind is another flow', () => {
    const table = makeTable(64);
    add(table, 5);
    expect(findOriginal(table, 5)).toBe(0);
    const ports = (5 << 16) | 53;
    expect([
      table.find(6, 7, ports, KIND),
      table.find(5, 8, ports, KIND),
      table.find(5, 7, ports + 1, KIND),
      table.find(5, 7, ports, kindOf(6)),
      table.find(5, 7, ports, KIND | (1 << 16)),
    ]).toEqual([-1, -1, -1, -1, -1]);
  });

  test('full at its limit; what was removed makes room, and its number is used again', () => {
    const table = makeTable(10);
    for (let index = 0; index < 10; index++) expect(add(table, index)).toBe(index);
    expect([add(table, 10), table.refused]).toEqual([-1, Refused.full]);
    table.remove(4, Removal.flushed);
    expect([table.used(4), add(table, 11), table.rows(), table.size]).toEqual([false, 4, 10, 10]);
  });

  test('a tuple that is its own answer is one flow, found and removed as any other', () => {
    const table = makeTable(64);
    const ports = (9 << 16) | 9;
    expect(table.add(1, 1, ports, KIND, 1, 1, ports, NO_OWNER, A, 1)).toBe(0);
    expect(table.find(1, 1, ports, KIND) >> 1).toBe(0);
    table.remove(0, Removal.flushed);
    expect(table.find(1, 1, ports, KIND)).toBe(-1);
  });

  test('onRemove sees the whole row, once, with the reason', () => {
    const seen: number[][] = [];
    const table: FlowTable = makeTable(64, (flow, reason) => seen.push([flow, reason, table.words[flow * 16]]));
    add(table, 77);
    table.remove(0, Removal.address_changed);
    expect(seen).toEqual([[0, Removal.address_changed, 77]]);
  });

  test('touch moves to the end of the list, once a second', () => {
    const table = makeTable(64);
    for (let index = 0; index < 3; index++) add(table, index);
    table.touch(0, A, 1);
    expect(list(table, A)).toEqual([0, 1, 2]);
    table.touch(0, A, 2);
    expect(list(table, A)).toEqual([1, 2, 0]);
    table.touch(1, B, 2);
    expect([list(table, A), list(table, B)]).toEqual([[2, 0], [1]]);
    expect([table.classOf(1), table.classOf(2)]).toEqual([B, A]);
  });

  test('packets are counted beyond 32 bits, bytes beyond 2^32, each direction for itself', () => {
    const table = makeTable(64);
    add(table, 1);
    for (let turn = 0; turn < 5; turn++) {
      table.account(0, 0, 3e9, 0x7fff_ffff);
      table.account(0, 1, 1, 0x7000_0000);
    }
    expect([table.packetsOf(0, 0), table.packetsOf(0, 1)]).toEqual([5 * 0x7fff_ffff, 5 * 0x7000_0000]);
    expect([table.bytesOf(0, 0), table.bytesOf(0, 1)]).toEqual([15e9, 5]);
  });

  test('against a simple model: adds, removes, touches in any order', () => {
    const step = fc.tuple(fc.constantFrom('add', 'remove', 'touch', 'tick'), fc.integer({ min: 0, max: 40 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), fc.integer(), (steps, seed) => {
        const table = new FlowTable({ limit: 24, ownerCapacity: 4, ownerLimit: 10, seed, onRemove: () => {} });
        const model = new Map<number, { flow: number; seen: number; owner: number }>();
        let seconds = 1;
        for (const [what, index] of steps) {
          const known = model.get(index);
          const owner = index % 4;
          if (what === 'tick') {
            seconds++;
          } else if (what === 'add') {
            const owned = [...model.values()].filter((entry) => entry.owner === owner).length;
            const flow = add(table, index, owner, seconds);
            const refused = owned >= 10 ? Refused.quota : known ? Refused.taken : model.size >= 24 ? Refused.full : Refused.none;
            expect(table.refused).toBe(refused);
            expect(flow >= 0).toBe(refused === Refused.none);
            if (flow >= 0) model.set(index, { flow, seen: seconds, owner });
          } else if (known !== undefined && what === 'remove') {
            table.remove(known.flow, Removal.flushed);
            model.delete(index);
          } else if (known !== undefined) {
            table.touch(known.flow, A, seconds);
            known.seen = seconds;
          }
        }
        expect(table.size).toBe(model.size);
        for (let index = 0; index <= 40; index++) {
          const flow = model.get(index)?.flow ?? -1;
          expect(findOriginal(table, index)).toBe(flow < 0 ? -1 : flow * 2);
          expect(findReply(table, index)).toBe(flow < 0 ? -1 : flow * 2 + 1);
        }
        for (let owner = 0; owner < 4; owner++) {
          expect(table.sizeOf(owner)).toBe([...model.values()].filter((entry) => entry.owner === owner).length);
        }
        const seen = list(table, A).map((flow) => table.words[flow * 16 + FLOW.seen]);
        expect(seen).toEqual([...model.values()].map((entry) => entry.seen).sort((one, other) => one - other));
      }),
    );
  });
});
