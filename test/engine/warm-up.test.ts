import { describe, expect, test } from 'vitest';
import { warmUpAtOnce } from '../../src/engine/warm-up.js';

describe.each([
  [false, true],
  [true, true],
  [true, false],
])('with shared tables: %s, through the gateway: %s', (shared, routes) => {
  test('the rehearsal forwards every frame it makes, and loses none', () => {
    const { received, sent, lost } = warmUpAtOnce(shared, routes);
    expect(received).toBeGreaterThan(50_000);
    expect(lost).toBe(0);
    // Requests for the known address are answered to the asker, those for the unknown one flooded to two ports: the second copy is the surplus. With the
    // gateway one of two such copies a round makes up for the router's answer, which ends there.
    const surplus = sent - received;
    expect(surplus).toBeGreaterThan(0);
    expect(surplus).toBeLessThan(received / 10);
  });
});
