/** Rates of a port: checked, and changed one way at a time. */
import { checkRange, RATE_BITS, RATE_BURST } from './limits.js';
import type { ChangePort, Rates } from './model.js';

const WAYS = ['in', 'out'] as const;

/** The rates with those given in place of what was. @throws ControlError */
export function changedRates(rates: Rates, change: NonNullable<ChangePort['rates']>): Rates {
  const changed = { ...rates };
  for (const way of WAYS) {
    const rate = change[way];
    if (rate === undefined) continue;
    if (rate !== null) {
      checkRange(`the rate ${way}, in bits a second,`, rate.bitsPerSecond, RATE_BITS);
      checkRange(`the burst ${way}, in bytes,`, rate.burstBytes, RATE_BURST);
    }
    changed[way] = rate;
  }
  return changed;
}
