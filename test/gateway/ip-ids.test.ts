import { describe, expect, test } from 'vitest';
import { Random } from '../../src/core/random.js';
import { IpIds } from '../../src/gateway/ip-ids.js';

function ids(seed: number): IpIds {
  const random = new Random(seed);
  return new IpIds(() => random.fraction());
}

describe('N43: identifications', () => {
  test('of one source, destination and protocol do not repeat before 65,536 datagrams', () => {
    const made = ids(1);
    const seen = new Set(Array.from({ length: 65_536 }, () => made.next(1, 2, 17, 1)));
    expect(seen.size).toBe(65_536);
  });

  test('a super-frame takes one for each segment, and they wrap', () => {
    const made = ids(1);
    const first = made.next(1, 2, 17, 45);
    expect(made.next(1, 2, 17, 1)).toBe((first + 45) & 0xffff);
    for (let turn = 0; turn < 2000; turn++) {
      const id = made.next(1, 2, 17, 45);
      expect(id).toBeGreaterThanOrEqual(0);
      expect(id).toBeLessThan(65_536);
    }
  });

  test('what one host sends tells little about another, and nobody starts at 0', () => {
    const made = ids(3);
    const first = new Set(Array.from({ length: 100 }, (_, host) => made.next(host, 2, 17, 1)));
    expect(first.size).toBeGreaterThan(90);
    expect(ids(4).next(1, 2, 17, 1)).not.toBe(ids(5).next(1, 2, 17, 1));
  });
});
