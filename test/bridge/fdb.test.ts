import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EntryKind, Fdb, fdbKey, Learned } from '../../src/bridge/fdb.js';

const KEY = fdbKey(0, 0x0200);
const AGEING = 300;

function makeFdb(limit = 100, staticLimit = 10): Fdb {
  return new Fdb(limit, AGEING, 16, staticLimit);
}

describe('fdb: learning', () => {
  test('new: added, again: known, elsewhere: moved, and the first frame is enough (L12, L13)', () => {
    const fdb = makeFdb();
    expect(fdb.learn(1, KEY, 3, 0, 10)).toBe(Learned.added);
    expect(fdb.learn(1, KEY, 3, 0, 10)).toBe(Learned.known);
    expect(fdb.lookup(1, KEY, 10)).toBe(3);
    expect(fdb.learn(1, KEY, 4, 0, 10)).toBe(Learned.moved);
    expect(fdb.movedFrom).toBe(3);
    expect(fdb.lookup(1, KEY, 10)).toBe(4);
    expect(fdb.learned).toBe(1);
  });

  test('a lookup that misses creates nothing (L20)', () => {
    const fdb = makeFdb();
    expect(fdb.lookup(1, KEY, 10)).toBe(-1);
    expect([...fdb.entries(10)]).toEqual([]);
  });

  test('the same MAC in two VLANs: two entries (L10)', () => {
    const fdb = makeFdb();
    fdb.learn(1, fdbKey(10, 0x0200), 3, 0, 10);
    fdb.learn(1, fdbKey(20, 0x0200), 4, 0, 10);
    expect([fdb.lookup(1, fdbKey(10, 0x0200), 10), fdb.lookup(1, fdbKey(20, 0x0200), 10), fdb.lookup(1, KEY, 10)]).toEqual([
      3, 4, -1,
    ]);
  });

  test('port 0 and the largest VLAN and MAC are as good as any', () => {
    const fdb = makeFdb();
    fdb.learn(-1, fdbKey(4095, 0xfeff), 0, 0, 10);
    expect([...fdb.entries(10)]).toEqual([
      { macHigh: 0xfeff, macLow: -1, vlan: 4095, port: 0, kind: EntryKind.learned, seen: 10 },
    ]);
    expect(fdb.lookup(-1, fdbKey(4095, 0xfeff), 10)).toBe(0);
  });

  test('ageing 0: nothing is learned (L11)', () => {
    const fdb = makeFdb();
    fdb.ageing = 0;
    expect(fdb.learn(1, KEY, 3, 0, 10)).toBe(Learned.refused);
    expect(fdb.lookup(1, KEY, 10)).toBe(-1);
  });
});

describe('fdb: ageing (L15)', () => {
  test('silent for the ageing time: there; a second longer: absent, also before the sweep', () => {
    const fdb = makeFdb();
    fdb.learn(1, KEY, 3, 0, 1000);
    expect(fdb.lookup(1, KEY, 1000 + AGEING)).toBe(3);
    expect(fdb.lookup(1, KEY, 1001 + AGEING)).toBe(-1);
    expect([...fdb.entries(1001 + AGEING)]).toEqual([]);
    expect(fdb.learned).toBe(1);
    expect(fdb.sweep(fdb.rows, 1001 + AGEING)).toBe(1);
    expect(fdb.learned).toBe(0);
  });

  test('every frame of the source starts the time anew', () => {
    const fdb = makeFdb();
    fdb.learn(1, KEY, 3, 0, 1000);
    fdb.learn(1, KEY, 3, 0, 1250);
    expect(fdb.lookup(1, KEY, 1250 + AGEING)).toBe(3);
  });

  test('an expired entry seen on another port is a new one, not a move', () => {
    const fdb = makeFdb();
    fdb.learn(1, KEY, 3, 0, 1000);
    expect(fdb.learn(1, KEY, 4, 0, 1001 + AGEING)).toBe(Learned.added);
    expect(fdb.lookup(1, KEY, 1001 + AGEING)).toBe(4);
    expect(fdb.learned).toBe(1);
  });

  test('sweeps of a tenth: ten of them free everything expired, and nothing else', () => {
    const fdb = makeFdb(1000);
    for (let mac = 0; mac < 1000; mac++) {
      fdb.learn(mac, KEY, 3, 0, mac < 600 ? 1000 : 1200);
    }
    let aged = 0;
    for (let turn = 0; turn < 20; turn++) {
      aged += fdb.sweep(Math.ceil(fdb.rows / 10), 1001 + AGEING);
    }
    expect(aged).toBe(600);
    for (let mac = 0; mac < 1000; mac++) {
      expect(fdb.lookup(mac, KEY, 1001 + AGEING)).toBe(mac < 600 ? -1 : 3);
    }
  });
});

describe('fdb: static and local entries (L14)', () => {
  test('they neither age nor move', () => {
    const fdb = makeFdb();
    expect(fdb.pin(1, KEY, 3, EntryKind.static)).toBe(true);
    expect(fdb.pin(2, KEY, 4, EntryKind.local)).toBe(true);
    expect(fdb.learn(1, KEY, 5, 0, 10)).toBe(Learned.pinned);
    expect(fdb.learn(2, KEY, 5, 0, 10)).toBe(Learned.local);
    expect([fdb.learn(1, KEY, 3, 0, 10), fdb.learn(2, KEY, 4, 0, 10)]).toEqual([Learned.known, Learned.known]);
    fdb.sweep(fdb.rows, 1e9);
    expect([fdb.lookup(1, KEY, 1e9), fdb.lookup(2, KEY, 1e9)]).toEqual([3, 4]);
    expect([fdb.isLocal(1, KEY), fdb.isLocal(2, KEY), fdb.isLocal(3, KEY)]).toEqual([false, true, false]);
    expect(fdb.learned).toBe(0);
  });

  test('pinning replaces what was learned', () => {
    const fdb = makeFdb();
    fdb.learn(1, KEY, 5, 0, 10);
    fdb.pin(1, KEY, 3, EntryKind.static);
    expect([fdb.lookup(1, KEY, 10), fdb.learned]).toEqual([3, 0]);
  });

  test('their number is bounded, and does not eat into what may be learned', () => {
    const fdb = makeFdb(100, 10);
    for (let mac = 0; mac < 10; mac++) {
      expect(fdb.pin(mac, KEY, 3, EntryKind.static)).toBe(true);
    }
    expect(fdb.pin(10, KEY, 3, EntryKind.static)).toBe(false);
    // Replacing one of them is no addition.
    expect(fdb.pin(9, KEY, 4, EntryKind.static)).toBe(true);
    for (let mac = 100; mac < 200; mac++) {
      expect(fdb.learn(mac, KEY, 3, 0, 10)).toBe(Learned.added);
    }
    expect(fdb.learn(200, KEY, 3, 0, 10)).toBe(Learned.full);
  });

  test('the kind of a live entry on exactly one port', () => {
    const fdb = makeFdb();
    fdb.pin(1, KEY, 3, EntryKind.static);
    fdb.learn(2, KEY, 3, 0, 10);
    expect([fdb.kindOn(1, KEY, 3, 10), fdb.kindOn(2, KEY, 3, 10)]).toEqual([EntryKind.static, EntryKind.learned]);
    expect([fdb.kindOn(1, KEY, 4, 10), fdb.kindOn(2, KEY, 4, 10), fdb.kindOn(3, KEY, 3, 10)]).toEqual([0, 0, 0]);
    expect(fdb.kindOn(2, KEY, 3, 11 + AGEING)).toBe(0);
  });
});

describe('fdb: limits (L16)', () => {
  test('65,536 learned entries: the next one is not learned, the known are refreshed and move, none is evicted', () => {
    const fdb = new Fdb(65_536, AGEING, 16);
    for (let mac = 0; mac < 65_536; mac++) {
      expect(fdb.learn(mac, KEY, mac & 7, 0, 10)).toBe(Learned.added);
    }
    expect(fdb.learn(65_536, KEY, 1, 0, 11)).toBe(Learned.full);
    expect(fdb.lookup(65_536, KEY, 11)).toBe(-1);
    expect(fdb.learn(5, KEY, 5, 0, 200)).toBe(Learned.known);
    expect(fdb.lookup(5, KEY, 200 + AGEING)).toBe(5);
    expect(fdb.learn(6, KEY, 9, 0, 200)).toBe(Learned.moved);
    for (let mac = 0; mac < 65_536; mac++) {
      expect(fdb.lookup(mac, KEY, 11)).toBe(mac === 6 ? 9 : mac & 7);
    }
    fdb.remove(7, KEY);
    expect(fdb.learn(65_536, KEY, 1, 0, 11)).toBe(Learned.added);
  });

  test('a limit that is raised beyond the table: more is learned, and what was known stays as it was', () => {
    const fdb = makeFdb(100, 10);
    fdb.pin(1000, KEY, 5, EntryKind.static);
    for (let mac = 0; mac < 100; mac++) {
      fdb.learn(mac, KEY, mac & 7, 0, 10 + mac);
    }
    const before = [...fdb.entries(10)];
    fdb.setLimit(5000);
    const byMac = (a: { macLow: number }, b: { macLow: number }) => a.macLow - b.macLow;
    expect([...fdb.entries(10)].sort(byMac)).toEqual(before.sort(byMac));
    for (let mac = 2000; mac < 6900; mac++) {
      expect(fdb.learn(mac, KEY, 3, 0, 200)).toBe(Learned.added);
    }
    expect(fdb.learn(6900, KEY, 3, 0, 200)).toBe(Learned.full);
    expect(fdb.removePort(3, true)).toBe(4900 + 13);
    expect(fdb.learned).toBe(87);
  });

  test('a limit that is lowered: nobody is forgotten for it, and nothing is learned until enough have aged', () => {
    const fdb = makeFdb(100, 10);
    for (let mac = 0; mac < 10; mac++) {
      fdb.learn(mac, KEY, 3, 0, mac < 5 ? 10 : 200);
    }
    fdb.setLimit(6);
    expect(fdb.learned).toBe(10);
    expect(fdb.learn(10, KEY, 3, 0, 200)).toBe(Learned.full);
    expect(fdb.sweep(fdb.rows, 11 + AGEING)).toBe(5);
    expect(fdb.learn(10, KEY, 3, 0, 200)).toBe(Learned.added);
    expect(fdb.learn(11, KEY, 3, 0, 200)).toBe(Learned.full);
  });

  test('a port teaches no more than its own limit, by moving addresses neither', () => {
    const fdb = makeFdb();
    expect([fdb.learn(1, KEY, 3, 2, 10), fdb.learn(2, KEY, 3, 2, 10)]).toEqual([Learned.added, Learned.added]);
    expect(fdb.learn(3, KEY, 3, 2, 10)).toBe(Learned.full);
    fdb.learn(4, KEY, 5, 0, 10);
    expect(fdb.learn(4, KEY, 3, 2, 10)).toBe(Learned.full);
    expect(fdb.lookup(4, KEY, 10)).toBe(5);
    // Another port has its own count, and one address that moves away makes room.
    expect(fdb.learn(1, KEY, 6, 2, 10)).toBe(Learned.moved);
    expect(fdb.learn(3, KEY, 3, 2, 10)).toBe(Learned.added);
  });
});

describe('fdb: forgetting (L17)', () => {
  const ports = (fdb: Fdb) => [1, 2, 3, 4].map((mac) => fdb.lookup(mac, KEY, 10));

  function filled(): Fdb {
    const fdb = makeFdb();
    fdb.learn(1, KEY, 3, 0, 10);
    fdb.pin(2, KEY, 3, EntryKind.static);
    fdb.learn(3, KEY, 4, 0, 10);
    fdb.pin(4, KEY, 4, EntryKind.local);
    return fdb;
  }

  test('port down: what it taught', () => {
    const fdb = filled();
    expect(fdb.removePort(3, false)).toBe(1);
    expect(ports(fdb)).toEqual([-1, 3, 4, 4]);
  });

  test('port removed: all of it', () => {
    const fdb = filled();
    expect(fdb.removePort(3, true)).toBe(2);
    expect(ports(fdb)).toEqual([-1, -1, 4, 4]);
  });

  test('flush: all that was learned, and nothing that was set', () => {
    const fdb = filled();
    expect(fdb.flush()).toBe(2);
    expect(ports(fdb)).toEqual([-1, 3, -1, 4]);
    expect(fdb.learned).toBe(0);
  });

  test('one address', () => {
    const fdb = filled();
    expect([fdb.remove(1, KEY), fdb.remove(1, KEY), fdb.remove(2, KEY)]).toEqual([true, false, true]);
    expect(ports(fdb)).toEqual([-1, -1, 4, 4]);
  });
});

test('fdb: any traffic, beside a Map that follows the rules', () => {
  const LIMIT = 8;
  const PORT_LIMIT = 5;
  const AGE = 10;
  const mac = fc.integer({ min: 0, max: 11 });
  const port = fc.integer({ min: 0, max: 3 });
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('learn' as const), mac, port }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), mac, port }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('pin' as const), mac, port }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), mac, port }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('down' as const), mac, port }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const), mac, port }) },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
      const fdb = new Fdb(LIMIT, AGE, 4, 100);
      const model = new Map<number, { port: number; pinned: boolean; seen: number }>();
      let now = 100;
      // Expired entries count towards the limits until they are swept: the model keeps them as the table does.
      const learned = (of?: number) =>
        [...model.values()].filter((each) => !each.pinned && (of ?? each.port) === each.port).length;
      for (const { kind, mac, port } of commands) {
        const entry = model.get(mac);
        if (kind === 'learn') {
          fdb.learn(mac, KEY, port, PORT_LIMIT, now);
          if (entry?.pinned !== true) {
            const live = entry !== undefined && now - entry.seen <= AGE;
            if (entry !== undefined && !live) {
              model.delete(mac);
            }
            const room = learned(port) < PORT_LIMIT;
            if (live ? entry.port === port || room : room && learned() < LIMIT) {
              model.set(mac, { port, pinned: false, seen: now });
            }
          }
        } else if (kind === 'wait') {
          now += mac;
        } else if (kind === 'pin') {
          fdb.pin(mac, KEY, port, EntryKind.static);
          model.set(mac, { port, pinned: true, seen: 0 });
        } else if (kind === 'remove') {
          expect(fdb.remove(mac, KEY)).toBe(model.delete(mac));
        } else {
          if (kind === 'down') {
            fdb.removePort(port, false);
          } else {
            fdb.sweep(fdb.rows * 2, now);
          }
          for (const [address, each] of model) {
            if (!each.pinned && (kind === 'down' ? each.port === port : now - each.seen > AGE)) {
              model.delete(address);
            }
          }
        }
        expect(fdb.learned).toBe(learned());
        for (let address = 0; address < 12; address++) {
          const each = model.get(address);
          const live = each !== undefined && (each.pinned || now - each.seen <= AGE);
          expect(fdb.lookup(address, KEY, now)).toBe(live ? each.port : -1);
        }
      }
    }),
    { numRuns: 200 },
  );
});
