/** Delays beyond the median as text: percentiles of all trials of a driver merged, for the types whose value is a delay or a loss. */
import { columns } from '../../dist/demo/report.js';
import { isTold } from '../statistics.js';
import { mergeDelays, quantile } from './html/percentile-curve.js';
import type { Campaign, TrialResult } from './result.js';
import { ratioTo } from './summary.js';
import { formatNumber, formatRatio } from './terminal-report.js';

const SHARES = [
  { title: 'p50', share: 0.5 },
  { title: 'p90', share: 0.9 },
  { title: 'p99', share: 0.99 },
  { title: 'p99.9', share: 0.999 },
  { title: 'p99.99', share: 0.9999 },
];
const TAIL_SHARE = 0.99;
const NANOS_PER_MICRO = 1000;

/** Empty without such delays. */
export function delayTable({ types, drivers, trials, plan }: Campaign, bold: (text: string) => string): string[] {
  // Under more than a driver can carry, delays are the length of its queues.
  const names = types.filter(({ better }) => better === 'lower').map(({ name }) => name);
  const rows = names.flatMap((type) =>
    drivers.flatMap(({ name }) => {
      const merged = mergeDelays(
        trials.filter((trial) => trial.type === type && trial.driver === name).flatMap(({ delays }) => (delays ? [delays] : [])),
      );
      if (merged === null) return [];
      const cells = SHARES.map(({ share }) =>
        isTold(merged.total, share) ? formatNumber(quantile(merged, share) / NANOS_PER_MICRO) : '-',
      );
      const tail = name === plan.reference ? '1' : formatRatio(ratioTo(trials, type, name, plan.reference, tailOf));
      return [[type, name, ...cells, String(merged.total), tail]];
    }),
  );
  if (rows.length === 0) return [];
  const head = ['type', 'driver', ...SHARES.map(({ title }) => title), 'samples', `p99 ÷ ${plan.reference}`];
  return [bold('delays in µs, all trials together'), ...columns([head, ...rows])];
}

/** The 99th percentile of one trial; NaN when it has too few samples for one. */
function tailOf({ delays }: TrialResult): number {
  const merged = delays === undefined ? null : mergeDelays([delays]);
  return merged !== null && isTold(merged.total, TAIL_SHARE) ? quantile(merged, TAIL_SHARE) : Number.NaN;
}
