/** From trials to cells: medians, intervals, and ratios, pair by pair of one round. */
import { type Summary, summarize } from '../statistics.js';
import type { Cell, TrialResult } from './result.js';

/**
 * One cell per type and driver that has at least one trial, in the order given.
 * @param reference driver of the ratios
 */
export function summarizeTrials(
  trials: readonly TrialResult[],
  types: readonly string[],
  drivers: readonly string[],
  reference: string,
): Cell[] {
  return types.flatMap((type) =>
    drivers.flatMap((driver): Cell[] => {
      const mine = trials.filter((trial) => trial.type === type && trial.driver === driver);
      if (mine.length === 0) return [];
      return [
        {
          type,
          driver,
          value: summarize(mine.map(({ value }) => value)),
          ratio: ratioTo(trials, type, driver, reference),
          cpuNanosPerUnit: summarize(mine.map(({ cpuNanosPerUnit }) => cpuNanosPerUnit)),
          busyCores: summarize(mine.map(({ busyCores }) => busyCores)).median,
          memoryMib: summarize(mine.map(({ memoryMib }) => memoryMib)).median,
        },
      ];
    }),
  );
}

/**
 * One driver over another, paired by round. Null without a round that has both, and when one of these has no ratio, e.g. because the other lost
 * nothing in it: the rounds that are left would be chosen by their values.
 * @param figure what of a trial is compared, its value by default; NaN: it has none
 */
export function ratioTo(
  trials: readonly TrialResult[],
  type: string,
  driver: string,
  base: string,
  figure: (trial: TrialResult) => number = ({ value }) => value,
): Summary | null {
  const ratios: number[] = [];
  for (const trial of trials.filter((each) => each.type === type && each.driver === driver)) {
    const other = trials.find((each) => each.type === type && each.driver === base && each.round === trial.round);
    if (other === undefined) continue;
    const ratio = figure(trial) / figure(other);
    if (!Number.isFinite(ratio)) return null;
    ratios.push(ratio);
  }
  return ratios.length === 0 ? null : summarize(ratios);
}
