import { describe, expect, test } from 'vitest';
import { type Publish, PublishRefusal, PublishTable } from '../../src/nat/publish-table.js';
import { Protocol } from '../../src/wire/ipv4.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';

const { tcp, udp, icmp } = Protocol;
const HOST = parseIpv4('192.0.2.1');
const SECOND = parseIpv4('192.0.2.2');
const SERVER = parseIpv4('10.9.0.2');

let nextId = 0;

function publish(part: Partial<Publish> = {}): Publish {
  const whole = { protocol: tcp, hostAddress: 0, hostPort: 80, count: 1, address: SERVER, port: 8080, owner: 1, ...part };
  return { id: ++nextId, ...whole };
}

describe('publish table', () => {
  test('N22: a port leads to its server, for any address of the host, of its protocol only', () => {
    const table = new PublishTable();
    const number = table.add(publish());
    expect([HOST, SECOND].map((address) => table.find(tcp, address, 80))).toEqual([number, number]);
    expect([table.find(udp, HOST, 80), table.find(icmp, HOST, 80), table.find(tcp, HOST, 81)]).toEqual([-1, -1, -1]);
    expect([table.address(number), table.port(number, 80), table.owner(number)]).toEqual([SERVER, 8080, 1]);
  });

  test('N22: a range, its ports counted along', () => {
    const table = new PublishTable();
    const number = table.add(publish({ protocol: udp, hostPort: 64_536, count: 1000, port: 5000 }));
    expect([64_535, 64_536, 65_000, 65_535].map((port) => table.find(udp, HOST, port))).toEqual([-1, number, number, number]);
    expect([64_536, 65_000, 65_535].map((port) => table.port(number, port))).toEqual([5000, 5464, 5999]);
    expect(table.publishAt(number)).toMatchObject({ hostPort: 64_536, count: 1000, address: SERVER, port: 5000 });
  });

  test('a certain address goes before any, in whatever order they were added', () => {
    for (const anyFirst of [true, false]) {
      const table = new PublishTable();
      const any = publish({ count: 3 });
      const certain = publish({ hostAddress: HOST, hostPort: 81 });
      const other = publish({ hostAddress: SECOND, hostPort: 81 });
      for (const each of anyFirst ? [any, certain, other] : [other, certain, any])
        expect(table.add(each)).toBeGreaterThanOrEqual(0);
      const ids = (address: number) => [80, 81, 82].map((port) => table.idAt(table.find(tcp, address, port)));
      expect(ids(HOST)).toEqual([any.id, certain.id, any.id]);
      expect(ids(SECOND)).toEqual([any.id, other.id, any.id]);
      expect(table.remove(certain.id)).toBe(true);
      expect(ids(HOST)).toEqual([any.id, any.id, any.id]);
      expect(table.remove(any.id)).toBe(true);
      expect([table.find(tcp, HOST, 81), table.idAt(table.find(tcp, SECOND, 81))]).toEqual([-1, other.id]);
    }
  });

  test('overlaps are refused, with the one that is in the way, and leave nothing behind', () => {
    const table = new PublishTable();
    const first = table.add(publish({ hostPort: 100, count: 10 }));
    const second = table.add(publish({ hostPort: 200, count: 10, hostAddress: HOST }));
    expect(table.add(publish({ hostPort: 95, count: 6 }))).toBe(-1);
    expect([table.refused, table.inTheWay]).toEqual([PublishRefusal.taken, first]);
    expect(table.add(publish({ hostPort: 209, hostAddress: HOST }))).toBe(-1);
    expect(table.inTheWay).toBe(second);
    expect([95, 99].map((port) => table.find(tcp, HOST, port))).toEqual([-1, -1]);
    for (const fine of [
      { hostPort: 100, protocol: udp },
      { hostPort: 110 },
      { hostPort: 100, hostAddress: HOST },
      { hostPort: 200, hostAddress: SECOND },
    ]) {
      expect(table.add(publish(fine))).toBeGreaterThanOrEqual(0);
    }
    expect(table.size).toBe(6);
  });

  test('ports that do not exist, other protocols, ids twice', () => {
    const table = new PublishTable();
    for (const wrong of [
      { hostPort: 0 },
      { port: 0 },
      { count: 0 },
      { hostPort: 65_535, count: 2 },
      { port: 65_530, count: 7 },
      { protocol: icmp },
    ]) {
      expect([table.add(publish(wrong)), table.refused, table.inTheWay]).toEqual([-1, PublishRefusal.range, -1]);
    }
    const known = publish({ hostPort: 65_535, port: 65_535 });
    expect(table.add(known)).toBe(0);
    expect([table.add({ ...known, hostPort: 1 }), table.refused, table.inTheWay]).toEqual([-1, PublishRefusal.id, 0]);
  });

  test('full: publishes, ports and chains are bounded', () => {
    const few = new PublishTable({ limit: 2, portLimit: 10 });
    expect(few.add(publish({ hostPort: 1, count: 10 }))).toBe(0);
    expect([few.add(publish({ hostPort: 20 })), few.refused]).toEqual([-1, PublishRefusal.full]);
    const table = new PublishTable({ limit: 2 });
    table.add(publish({ hostPort: 1 }));
    table.add(publish({ hostPort: 2 }));
    expect([table.add(publish({ hostPort: 3 })), table.refused]).toEqual([-1, PublishRefusal.full]);
    const chain = new PublishTable();
    for (let host = 0; host < 32; host++) expect(chain.add(publish({ hostAddress: HOST + host }))).toBe(host);
    expect([chain.add(publish()), chain.refused]).toEqual([-1, PublishRefusal.full]);
  });

  test('a number is given again, with another version; ports are free again', () => {
    const table = new PublishTable({ portLimit: 1000 });
    let version = -1;
    for (let round = 0; round < 5; round++) {
      const each = publish({ count: 1000, owner: round });
      const number = table.add(each);
      expect(number).toBe(0);
      expect(table.versionAt(number)).not.toBe(version);
      version = table.versionAt(number);
      expect([table.numberOf(each.id), table.nextOf(round, 0), table.nextOf(round, 1), table.nextOf(99, 0)]).toEqual([
        0, 0, -1, -1,
      ]);
      expect(table.remove(each.id)).toBe(true);
      expect([table.remove(each.id), table.used(0), table.find(tcp, HOST, 80), table.size]).toEqual([false, false, -1, 0]);
    }
  });

  test("D.5: which flows are a publish's is known from what their first packet was sent to", () => {
    const table = new PublishTable();
    const any = table.add(publish({ hostPort: 80, count: 2 }));
    const certain = table.add(publish({ hostPort: 90, hostAddress: HOST }));
    expect([79, 80, 81, 82].map((port) => table.covers(any, tcp, SECOND, port))).toEqual([false, true, true, false]);
    expect(table.covers(any, udp, HOST, 80)).toBe(false);
    expect([HOST, SECOND].map((address) => table.covers(certain, tcp, address, 90))).toEqual([true, false]);
  });
});
