/** From trials to a table: medians, intervals, and the ratio to the reference driver, pair by pair of one round. */
import { columns } from '../../dist/demo/report.js';
import { type Summary, summarize } from '../statistics.js';
import { TYPES } from './matrix.js';
import type { TrialResult } from './trial.js';

export interface Cell {
  type: string;
  driver: string;
  unit: string;
  value: Summary;
  /** This driver's value over the reference's in the same round; 1 for the reference itself. */
  ratio: Summary;
  busyCores: number;
}

/** @param rounds trials by round; each round has each driver and type once */
export function summarizeTrials(rounds: readonly TrialResult[][], drivers: readonly string[], types: readonly string[]): Cell[] {
  const reference = drivers[0];
  return types.flatMap((type) =>
    drivers.map((driver) => {
      const mine = rounds.map((round) => find(round, driver, type));
      const ratios = rounds.map((round, index) => mine[index].value / find(round, reference, type).value);
      return {
        type,
        driver,
        unit: mine[0].unit,
        value: summarize(mine.map(({ value }) => value)),
        ratio: summarize(ratios),
        busyCores: summarize(mine.map(({ busyCores }) => busyCores)).median,
      };
    }),
  );
}

/** The headline first: one line a type and driver, then the table. */
export function formatReport(cells: readonly Cell[], drivers: readonly string[]): string {
  const reference = drivers[0];
  const lines: string[] = [];
  for (const cell of cells) {
    if (cell.driver === reference) continue;
    const { median, low, high } = cell.ratio;
    const type = TYPES.find(({ name }) => name === cell.type);
    const direction = type?.better === 'lower' ? 'lower is better' : 'higher is better';
    lines.push(
      `${cell.type}: ${cell.driver} has ${ratio(median)} of ${reference} [${ratio(low)} … ${ratio(high)}], ${direction}`,
    );
  }
  const head = ['type', 'driver', 'median', 'interval', 'min … max', 'unit', `ratio to ${reference}`, 'cores busy'];
  const rows = cells.map((cell) => [
    cell.type,
    cell.driver,
    number(cell.value.median),
    `${number(cell.value.low)} … ${number(cell.value.high)}`,
    `${number(cell.value.min)} … ${number(cell.value.max)}`,
    cell.unit,
    cell.driver === reference ? '1' : `${ratio(cell.ratio.median)} [${ratio(cell.ratio.low)} … ${ratio(cell.ratio.high)}]`,
    cell.busyCores.toFixed(2),
  ]);
  return [...lines, '', ...columns([head, ...rows])].join('\n');
}

function find(round: readonly TrialResult[], driver: string, type: string): TrialResult {
  const result = round.find((trial) => trial.driver === driver && trial.type === type);
  if (result === undefined) throw new Error(`no trial of ${driver} ${type}`);
  return result;
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function ratio(value: number): string {
  return `${value.toFixed(2)}×`;
}
