/** Rates of a port on the command line: --rate-in 10mbit --burst-in 128k, or rate-in=10mbit burst-in=128k. */
import { defaultBurst } from '../control/default-burst.js';
import type { ChangePort, Rate, Rates } from '../control/model.js';
import { UsageError } from './failure.js';
import { bitRate, byteCount } from './values.js';

export const RATE_KEYS = ['rate-in', 'burst-in', 'rate-out', 'burst-out'] as const;
export type RateKey = (typeof RATE_KEYS)[number];

/**
 * @param given texts by key, 'off' for a rate that is lifted
 * @param prefix of the keys as the user writes them: '--' or ''
 * @returns undefined: none was given
 * @throws UsageError
 */
export function ratesGiven(given: { readonly [Key in RateKey]?: string | undefined }, prefix = ''): ChangePort['rates'] {
  const rates: { -readonly [Way in keyof Rates]?: Rate | null } = {};
  for (const way of ['in', 'out'] as const) {
    const [rate, burst] = [given[`rate-${way}`], given[`burst-${way}`]];
    if (rate === undefined && burst === undefined) continue;
    if (rate === undefined || (rate === 'off' && burst !== undefined)) {
      throw new UsageError(`${prefix}burst-${way} is of a rate`, `add ${prefix}rate-${way}, like 10mbit, or leave it out`);
    }
    rates[way] = rate === 'off' ? null : rateOf(`${prefix}rate-${way}`, rate, `${prefix}burst-${way}`, burst);
  }
  return Object.keys(rates).length === 0 ? undefined : rates;
}

function rateOf(what: string, text: string, burstWhat: string, burst: string | undefined): Rate {
  const bitsPerSecond = bitRate(what, text);
  return { bitsPerSecond, burstBytes: burst === undefined ? defaultBurst(bitsPerSecond) : byteCount(burstWhat, burst) };
}
