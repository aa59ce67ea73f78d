import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROUTE_LIMIT, RouteKind, type RouteRow, RouteTable } from '../../src/gateway/route-table.js';
import { ip } from './made-batch.js';

/** `10.1.0.0/16 via 10.0.0.1`; the rest as given. */
function route(text: string, zone: number, rest: Partial<RouteRow> = {}): RouteRow {
  const [network, , hop] = text.split(' ');
  const [address, prefix] = network.split('/');
  const nextHop = hop === undefined ? 0 : ip(hop);
  return { network: ip(address), prefix: Number(prefix), kind: RouteKind.unicast, zone, nextHop, mtu: 0, metric: 0, ...rest };
}

function tableOf(...routes: RouteRow[]): RouteTable {
  const table = new RouteTable();
  table.set(routes);
  return table;
}

/** Zone the best route to an address leads to, -1 without one. */
function zoneOf(table: RouteTable, to: string, zone = -1): number {
  const row = table.find(ip(to), zone);
  return row < 0 ? -1 : table.zone(row);
}

describe('route table', () => {
  test('the longest prefix wins, whatever the order they came in', () => {
    const table = tableOf(
      route('0.0.0.0/0 via 192.168.7.1', 256),
      route('10.1.2.0/24', 257),
      route('10.0.0.0/8 via 192.168.7.8', 258),
      route('10.1.2.3/32', 259),
      route('200.0.0.0/8', 260),
    );
    expect(['10.1.2.3', '10.1.2.4', '10.9.9.9', '200.1.1.1', '8.8.8.8'].map((to) => zoneOf(table, to))).toEqual([
      259, 257, 258, 260, 256,
    ]);
  });

  test('of equal prefixes the lowest metric wins; a given zone is another question', () => {
    const table = tableOf(
      route('0.0.0.0/0 via 192.168.8.1', 257, { metric: 200 }),
      route('0.0.0.0/0 via 192.168.7.1', 256, { metric: 100 }),
      route('10.0.0.0/8', 256),
    );
    expect(zoneOf(table, '8.8.8.8')).toBe(256);
    expect(zoneOf(table, '8.8.8.8', 257)).toBe(257);
    expect(zoneOf(table, '10.1.1.1', 257)).toBe(257);
    expect(zoneOf(table, '8.8.8.8', 258)).toBe(-1);
  });

  test('the next hop is the router, or the destination itself on the link', () => {
    const table = tableOf(route('0.0.0.0/0 via 192.168.7.1', 256, { mtu: 1400 }), route('192.168.7.0/24', 256));
    const away = table.find(ip('8.8.8.8'), -1);
    const near = table.find(ip('192.168.7.77'), -1);
    expect([table.nextHop(away, ip('8.8.8.8')), table.mtu(away)]).toEqual([ip('192.168.7.1'), 1400]);
    expect([table.nextHop(near, ip('192.168.7.77')), table.mtu(near)]).toEqual([ip('192.168.7.77'), 0]);
  });

  test('routes that lead nowhere are found like any', () => {
    const table = tableOf(
      route('0.0.0.0/0 via 192.168.7.1', 256),
      route('10.0.0.0/8', -1, { kind: RouteKind.unreachable }),
      route('172.16.0.0/12', -1, { kind: RouteKind.blackhole }),
      route('100.64.0.0/10', -1, { kind: RouteKind.prohibit }),
    );
    const kinds = ['10.1.1.1', '172.16.1.1', '100.64.1.1', '1.1.1.1'].map((to) => table.kind(table.find(ip(to), -1)));
    expect(kinds).toEqual([RouteKind.unreachable, RouteKind.blackhole, RouteKind.prohibit, RouteKind.unicast]);
  });

  test('without routes there is none; each change has a new generation', () => {
    const table = new RouteTable();
    expect(zoneOf(table, '8.8.8.8')).toBe(-1);
    const { generation } = table;
    table.set([route('0.0.0.0/0', 256)]);
    expect([zoneOf(table, '8.8.8.8'), table.size, table.generation - generation]).toEqual([256, 1, 1]);
    table.set([]);
    expect([zoneOf(table, '8.8.8.8'), table.generation - generation]).toEqual([-1, 2]);
  });

  test('10,000 routes fit, one more is refused and changes nothing; a prefix of 33 is none', () => {
    const table = new RouteTable();
    const many = Array.from({ length: ROUTE_LIMIT }, (_, n) => route('0.0.0.0/32', 256, { network: n << 4 }));
    table.set(many);
    expect(table.find(9999 << 4, -1)).toBeGreaterThanOrEqual(0);
    expect(table.find((9999 << 4) + 1, -1)).toBe(-1);
    expect(() => table.set([...many, many[0]])).toThrow('10001 routes are more than the 10000');
    expect(() => table.set([route('10.0.0.0/33', 256)])).toThrow('0 to 32');
    expect(table.size).toBe(ROUTE_LIMIT);
  });

  test('agrees with a search through the list', () => {
    const anyRoute = fc.record({
      network: fc.integer({ min: -0x80000000, max: 0x7fffffff }).map((n) => n & 0xc0f000ff),
      prefix: fc.integer({ min: 0, max: 32 }),
      kind: fc.constant(RouteKind.unicast),
      zone: fc.integer({ min: 256, max: 258 }),
      nextHop: fc.constant(0),
      mtu: fc.constant(0),
      metric: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(anyRoute, { maxLength: 40 }), fc.array(anyRoute, { minLength: 1, maxLength: 20 }), (routes, asked) => {
        const table = tableOf(...routes);
        for (const { network: to, zone } of asked) {
          for (const only of [-1, zone]) {
            const matches = routes.filter((each) => {
              const mask = each.prefix === 0 ? 0 : -1 << (32 - each.prefix);
              return (each.network & mask) === (to & mask) && (only < 0 || each.zone === only);
            });
            matches.sort((a, b) => b.prefix - a.prefix || a.metric - b.metric);
            const best = matches.filter((each) => each.prefix === matches[0].prefix && each.metric === matches[0].metric);
            const found = table.find(to, only);
            expect(found < 0 ? [-1] : best.map((each) => each.zone)).toContain(found < 0 ? -1 : table.zone(found));
            expect(found < 0).toBe(matches.length === 0);
          }
        }
      }),
    );
  });
});
