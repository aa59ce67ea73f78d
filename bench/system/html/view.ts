/** A campaign with its look-ups made, as the parts of the report read it. */
import { CLAIM_CONFIDENCE, type Summary } from '../../statistics.js';
import type { Campaign, Cell, TrialResult } from '../result.js';
import { type Look, looksOf } from './looks.js';
import { isDrawable } from './numbers.js';

export type Verdict = 'better' | 'worse' | 'open';
export type ReportedType = Campaign['types'][number];

export class View {
  readonly campaign: Campaign;
  readonly drivers: readonly string[];
  /** Those that are compared with the reference: all but itself, and itself once more. */
  readonly compared: readonly string[];
  /** All but the reference's second turn: a curve twice would only hide the first one. */
  readonly entrants: readonly string[];
  /** The reference's second turn in each round, where there is one: how far from 1.00 the same thing comes out. */
  readonly again: string;
  readonly #looks: Map<string, Look>;
  readonly #cells = new Map<string, Cell>();
  readonly #trials = new Map<string, TrialResult[]>();

  constructor(campaign: Campaign) {
    this.campaign = campaign;
    this.drivers = campaign.drivers.map(({ name }) => name);
    this.again = `${campaign.plan.reference}-again`;
    this.entrants = this.drivers.filter((name) => name !== this.again);
    this.compared = this.drivers.filter((name) => name !== campaign.plan.reference && name !== this.again);
    this.#looks = looksOf(campaign.drivers, this.again);
    for (const cell of campaign.summary) this.#cells.set(key(cell.type, cell.driver), cell);
    for (const trial of campaign.trials) {
      const list = this.#trials.get(key(trial.type, trial.driver));
      if (list === undefined) this.#trials.set(key(trial.type, trial.driver), [trial]);
      else list.push(trial);
    }
  }

  /** @param driver one of `drivers` */
  look(driver: string): Look {
    return this.#looks.get(driver) as Look;
  }

  cell(type: string, driver: string): Cell | undefined {
    return this.#cells.get(key(type, driver));
  }

  trials(type: string, driver: string): readonly TrialResult[] {
    return this.#trials.get(key(type, driver)) ?? [];
  }

  /** Compared drivers of one role, in the order of the report. */
  withRole(role: string): string[] {
    return this.campaign.drivers
      .filter((driver) => driver.role === role && this.compared.includes(driver.name))
      .map(({ name }) => name);
  }

  /** Around 1.00: what the reference's ratio to itself covers. Without a second turn 1.00 alone. */
  resolution(type: string): { low: number; high: number } {
    const ratio = this.cell(type, this.again)?.ratio;
    return isDrawable(ratio) ? { low: Math.min(1, ratio.low), high: Math.max(1, ratio.high) } : { low: 1, high: 1 };
  }

  /** Beyond 1.00 and beyond the resolution with its whole 95 % interval, to one side or the other; 'open' when it is not, or of too few rounds. */
  verdict({ name, better }: ReportedType, { low, high, confidence }: Summary): Verdict {
    if (!(confidence >= CLAIM_CONFIDENCE)) return 'open';
    const band = this.resolution(name);
    if (!(low > band.high || high < band.low)) return 'open';
    return low > band.high === (better !== 'lower') ? 'better' : 'worse';
  }
}

function key(type: string, driver: string): string {
  return JSON.stringify([type, driver]);
}

/** 'higher is better', said the same way everywhere. */
export function direction({ better }: Pick<ReportedType, 'better'>): string {
  return better === 'lower' ? 'lower is better' : 'higher is better';
}
