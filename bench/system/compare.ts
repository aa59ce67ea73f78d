/**
 * Two campaigns beside each other: what changed beyond noise.
 *
 * A change is real when the intervals do not touch, and both stand on enough rounds: of three rounds each, all of one lie beyond all of the other
 * in one of ten comparisons of the same thing. Judged are the ratios to the reference where both campaigns have the same one, because
 * they survive another machine and another hour; the reference itself, and what has no ratio, is judged by its values.
 */
import { columns } from '../../dist/demo/report.js';
import { CLAIM_CONFIDENCE, type Summary } from '../statistics.js';
import type { Campaign, Cell } from './result.js';
import { formatNumber, formatRatio } from './terminal-report.js';

export type Verdict = 'better' | 'worse' | 'same within noise' | 'too few rounds';

export interface Change {
  type: string;
  driver: string;
  unit: string;
  better: 'higher' | 'lower';
  value: { old: Summary; new: Summary; factor: number };
  /** Over the reference of its own campaign; null where one has none. */
  ratio: { old: Summary; new: Summary; factor: number } | null;
  judgedBy: 'ratio' | 'value';
  verdict: Verdict;
}

export interface Comparison {
  changes: Change[];
  /** Cells that only one of the two has. */
  onlyOld: { type: string; driver: string }[];
  onlyNew: { type: string; driver: string }[];
  /** What makes the comparison weaker than it looks. */
  warnings: string[];
}

export function compareCampaigns(before: Campaign, after: Campaign): Comparison {
  const sameReference = before.plan.reference === after.plan.reference;
  const changes: Change[] = [];
  for (const cell of after.summary) {
    const old = find(before, cell);
    const type = after.types.find(({ name }) => name === cell.type);
    if (old !== undefined && type !== undefined) {
      changes.push(change(old, cell, type.unit, type.better, sameReference && cell.driver !== after.plan.reference));
    }
  }
  const missingIn = (campaign: Campaign, cells: readonly Cell[]) =>
    cells.filter((cell) => find(campaign, cell) === undefined).map(({ type, driver }) => ({ type, driver }));
  return {
    changes,
    onlyOld: missingIn(after, before.summary),
    onlyNew: missingIn(before, after.summary),
    warnings: warnings(before, after),
  };
}

function find({ summary }: Campaign, { type, driver }: Cell): Cell | undefined {
  return summary.find((cell) => cell.type === type && cell.driver === driver);
}

function change(old: Cell, now: Cell, unit: string, better: 'higher' | 'lower', useRatio: boolean): Change {
  const value = { old: old.value, new: now.value, factor: now.value.median / old.value.median };
  const ratio =
    old.ratio === null || now.ratio === null
      ? null
      : { old: old.ratio, new: now.ratio, factor: now.ratio.median / old.ratio.median };
  const judgedBy = useRatio && ratio !== null ? 'ratio' : 'value';
  const judged = judgedBy === 'ratio' && ratio !== null ? ratio : value;
  return { type: now.type, driver: now.driver, unit, better, value, ratio, judgedBy, verdict: verdict(judged, better) };
}

function verdict({ old, new: now }: { old: Summary; new: Summary }, better: 'higher' | 'lower'): Verdict {
  if (now.low <= old.high && now.high >= old.low) return 'same within noise';
  if (!(Math.min(old.confidence, now.confidence) >= CLAIM_CONFIDENCE)) return 'too few rounds';
  return now.low > old.high === (better === 'higher') ? 'better' : 'worse';
}

function warnings(before: Campaign, after: Campaign): string[] {
  const found: string[] = [];
  const [one, other] = [before.machine, after.machine];
  const facts = [
    'cpu',
    'cores',
    'virtual',
    'kernel',
    'commandLine',
    'clockSource',
    'bridgeNetfilter',
    'congestionControl',
    'queueingDiscipline',
    'node',
  ] as const;
  for (const fact of facts) {
    if (one[fact] !== other[fact]) found.push(`the machines differ in ${fact}: ${one[fact]} and ${other[fact]}`);
  }
  const names = new Set([...Object.keys(one.mitigations), ...Object.keys(other.mitigations)]);
  const differing = [...names].filter((name) => one.mitigations[name] !== other.mitigations[name]);
  if (differing.length > 0) found.push(`the machines differ in mitigations: ${differing.join(', ')}`);
  const [plan, otherPlan] = [before.plan, after.plan];
  if (plan.seconds !== otherPlan.seconds) found.push(`trials took ${plan.seconds} s and ${otherPlan.seconds} s`);
  if (plan.reference !== otherPlan.reference)
    found.push(`the references differ (${plan.reference} and ${otherPlan.reference}): values are judged, not ratios`);
  for (const [which, { objections }] of [
    ['old', before],
    ['new', after],
  ] as const) {
    for (const objection of objections) found.push(`against the ${which} one: ${objection}`);
  }
  return found;
}

/** @param bold how to mark what changed; plain by default */
export function comparisonReport(comparison: Comparison, bold: (text: string) => string = (text) => text): string {
  const { changes, onlyOld, onlyNew, warnings } = comparison;
  const head = ['type', 'driver', 'old', 'new', 'unit', 'new ÷ old', 'ratio, old', 'ratio, new', 'new ÷ old', 'verdict'];
  const rows = changes.map(({ type, driver, unit, value, ratio, judgedBy, verdict }) => [
    type,
    driver,
    formatNumber(value.old.median),
    formatNumber(value.new.median),
    unit,
    factor(value.factor),
    judgedBy === 'ratio' && ratio !== null ? formatRatio(ratio.old) : '-',
    judgedBy === 'ratio' && ratio !== null ? formatRatio(ratio.new) : '-',
    judgedBy === 'ratio' && ratio !== null ? factor(ratio.factor) : '-',
    verdict,
  ]);
  const [first, ...lines] = columns([head, ...rows]);
  const table = lines.map((line, index) => (isClaim(changes[index].verdict) ? bold(line) : line));
  const count = (verdict: Verdict): number => changes.filter((each) => each.verdict === verdict).length;
  const undecided = count('too few rounds');
  const few = undecided === 0 ? '' : `, ${undecided} apart, but with fewer than 6 rounds`;
  const total = `${count('better')} better, ${count('worse')} worse, ${count('same within noise')} the same within noise${few}`;
  const listed = (cells: Comparison['onlyOld']): string => cells.map(({ type, driver }) => `${type} ${driver}`).join(', ');
  const only: string[] = [];
  if (onlyOld.length > 0) only.push(`only in the old one: ${listed(onlyOld)}`);
  if (onlyNew.length > 0) only.push(`only in the new one: ${listed(onlyNew)}`);
  return `${[bold(first), ...table, '', total, ...only, ...warnings.map((each) => `mind: ${each}`)].join('\n')}\n`;
}

function isClaim(verdict: Verdict): boolean {
  return verdict === 'better' || verdict === 'worse';
}

function factor(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)}×` : '-';
}
