/** BurstIo refuses what makes no sense, from whomever it comes. */
import { openSync } from 'node:fs';
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { Bench, binding, frame, joined, Kind, Network, PLAIN, SMALL_OPTIONS } from './lab.js';

const { EBADF, EINVAL } = constants.errno;

describeSystem('BurstIo given garbage', ['root', 'tap'], () => {
  const numbers = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -(2 ** 31), 2 ** 31, 2 ** 53, 1e300, 0.5];
  const others = [undefined, null, '1', {}, [], Symbol('x'), 1n, true, () => 0];

  test('options: RangeError or TypeError, nothing leaks', () => {
    new binding.BurstIo(SMALL_OPTIONS).close();
    for (const name of Object.keys(SMALL_OPTIONS)) {
      for (const value of [...numbers, ...others, 0, 2 ** 31 - 1]) {
        expect(() => new binding.BurstIo({ ...SMALL_OPTIONS, [name]: value } as never), `${name}: ${String(value)}`).toThrow(
          /BurstIo/,
        );
      }
    }
    for (const value of [...others.filter((each) => typeof each !== 'object' || each === null), 1]) {
      if (typeof value === 'function') continue;
      expect(() => new binding.BurstIo(value as never)).toThrow(TypeError);
    }
    expect(() => (binding.BurstIo as unknown as () => unknown)()).toThrow();
    expect(() => binding.BurstIo.prototype.receive.call({}, 0, 0)).toThrow();
  });

  test('add: strange ports, descriptors, kinds and header sizes are refused', () => {
    const net = new Network();
    const bench = new Bench();
    const tap = net.tap('tap0');
    const plain = net.tap('tap1', false);
    const packet = net.packet('tap0');
    const file = openSync('/dev/null', 'r+');
    const add = bench.io.add.bind(bench.io) as (...args: unknown[]) => number;
    for (const value of [...numbers, ...others]) {
      if (value !== -1) expect(add(value, tap, 0, 12)).toBe(-EINVAL);
      expect(add(0, value, 0, 12)).toBeLessThan(0);
      expect(add(0, tap, value, 12)).toBe(-EINVAL);
      expect(add(0, tap, 0, value)).toBe(-EINVAL);
      expect((bench.io.remove as (port: unknown) => number)(value)).toBe(-EINVAL);
    }
    expect(add(70, tap, 0, 12)).toBe(-EINVAL);
    expect(add(0, file, 0, 12)).toBe(-EINVAL);
    expect(add(0, file, 1, 12)).toBe(-EINVAL);
    expect(add(0, bench.io.waker, 0, 12)).toBe(-EINVAL);
    expect(add(0, 999_999, 0, 12)).toBe(-EBADF);
    expect(add(0, 999_999, 1, 12)).toBe(-EBADF);
    expect(add(0, packet, 0, 12)).toBe(-EINVAL);
    expect(add(0, tap, 1, 12)).toBe(-EINVAL);
    expect(add(0, tap, 0, 0)).toBe(-EINVAL);
    expect(add(0, plain, 0, 12)).toBe(-EINVAL);
    expect(add(0, packet, 1, 0)).toBe(-EINVAL);
    expect(add(0, tap, 0, 12)).toBe(0);
    bench.io.close();
    for (const each of [tap, plain, packet]) binding.closeDescriptor(each);
    net.close();
  });

  test('receive: times that are none', () => {
    const bench = new Bench();
    const receive = bench.io.receive.bind(bench.io) as (...args: unknown[]) => number;
    for (const value of [Number.NaN, ...others]) {
      expect(receive(value, 0)).toBe(-EINVAL);
      expect(receive(0, value)).toBe(-EINVAL);
    }
    expect(receive(-5, 0)).toBe(0);
    binding.wake(bench.io.waker);
    expect(receive(1e300, 1e300)).toBe(0);
    bench.io.close();
  });

  test('send: a ring that makes no sense sends nothing; bad offsets are refused one by one', () => {
    const net = new Network();
    const bench = new Bench();
    const tap = net.tap('tap0');
    const stack = net.packet('tap0');
    bench.add(0, tap, Kind.tap);
    bench.add(1, stack, Kind.packet);
    const send = bench.io.send.bind(bench.io) as (words: unknown) => number;
    for (const value of [...numbers, ...others, 4097]) expect(send(value)).toBe(-EINVAL);
    expect(send(0)).toBe(0);

    const at = 7 << 20;
    bench.arena.set(joined(PLAIN, frame(1)), at);
    const good = [0, 1, at, 72];
    const nonsense = [
      [0],
      [0, 1],
      [0, 1, at],
      [0, 0, at, 72],
      [0, -1, at, 72],
      [0, 131, at, 72],
      [0, 2, at, 72],
      [0, 2 ** 31 - 1, at, 72],
    ];
    for (const bad of nonsense) {
      bench.transmit.set([...good, ...bad]);
      expect(send(4 + bad.length), String(bad)).toBe(-EINVAL);
    }
    expect(bench.receive(5000)).toEqual([]);

    const arena = bench.options.arenaBytes;
    const refused = [
      [-1, 72],
      [at, -1],
      [-(2 ** 31), 2 ** 31 - 1],
      [arena, 1],
      [arena - 71, 72],
      [2 ** 31 - 1, 2 ** 31 - 1],
      [0, arena + 1],
    ];
    for (const port of [0, 1]) {
      let words = 0;
      for (const [offset, length] of refused) {
        bench.transmit.set([port, 2, at, 72, offset!, length!], words);
        words += 6;
      }
      bench.transmit.set([port, 1, at, 72], words);
      expect(send(words + 4)).toBe(refused.length);
      const failures = new Int32Array(bench.io.failures);
      for (let i = 0; i < refused.length; i++) expect([failures[2 * i], failures[2 * i + 1]]).toEqual([6 * i, EINVAL]);
      expect(bench.pull(1)).toMatchObject([{ port: 1 - port, bytes: frame(1) }]);
    }

    // A full ring of failures fits its buffer.
    for (let word = 0; word < 4096; word += 4) bench.transmit.set([50, 1, 0, 60], word);
    expect(send(4096)).toBe(1024);
    expect(new Int32Array(bench.io.failures).length).toBe(2048);

    // Random rings: every answer is a count or EINVAL, and what is sent came out of the arena.
    let seed = 12345;
    const random = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) | 0;
      return seed;
    };
    for (let round = 0; round < 2000; round++) {
      const words = (random() >>> 16) % 64;
      for (let i = 0; i < words; i++)
        bench.transmit[i] = [random(), (random() >>> 16) % 4, (random() >>> 8) % arena, 1][(random() >>> 16) % 4]!;
      const result = send(words);
      expect(result >= 0 || result === -EINVAL).toBe(true);
      if (round % 100 === 0) while (bench.receive(0).length > 0);
    }
    bench.io.close();
    for (const each of [tap, stack]) binding.closeDescriptor(each);
    net.close();
  });
});
