import { describe, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import { defaultBurst } from '../../src/control/default-burst.js';
import { RATE_BITS, RATE_BURST } from '../../src/control/limits.js';
import type { Rate } from '../../src/control/model.js';
import { changedRates } from '../../src/control/rates.js';
import { NO_RATES } from '../../src/control/records.js';

const SLOW: Rate = { bitsPerSecond: 1_000_000, burstBytes: 131_072 };
const FAST: Rate = { bitsPerSecond: 1_000_000_000, burstBytes: 625_000 };

describe('rates of a port', () => {
  test('one way changes, the other stays; null lifts', () => {
    const rates = changedRates(NO_RATES, { in: SLOW });
    expect(rates).toEqual({ in: SLOW, out: null });
    expect(changedRates(rates, { out: FAST })).toEqual({ in: SLOW, out: FAST });
    expect(changedRates(rates, { in: null, out: undefined })).toEqual(NO_RATES);
    expect(NO_RATES).toEqual({ in: null, out: null });
  });

  test.each([
    { ...SLOW, bitsPerSecond: 0 },
    { ...SLOW, bitsPerSecond: Number.NaN },
    { ...SLOW, bitsPerSecond: RATE_BITS.max + 1 },
    { ...SLOW, burstBytes: RATE_BURST.min - 1 },
    { ...SLOW, burstBytes: Number.POSITIVE_INFINITY },
  ])('%o is refused, in words', (rate) => {
    expect(() => changedRates(NO_RATES, { out: rate })).toThrow(ControlError);
    expect(() => changedRates(NO_RATES, { out: rate })).toThrow(/the (rate|burst) out, in .* must be a whole number from/);
  });

  test('the burst nobody names is one that may be given', () => {
    for (const bitsPerSecond of [RATE_BITS.min, 10_000_000, 1_000_000_000, RATE_BITS.max]) {
      const burstBytes = defaultBurst(bitsPerSecond);
      expect(changedRates(NO_RATES, { in: { bitsPerSecond, burstBytes } }).in).toEqual({ bitsPerSecond, burstBytes });
    }
  });
});
