/** Numbers as the report writes them. What is not a finite number (JSON has null for it) is a dash. */
import type { Summary } from '../../statistics.js';

const NONE = '–';
const THREE_DIGITS = new Intl.NumberFormat('en', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** Three digits, or all of a whole number. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return WHOLE.format(value);
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return Math.abs(value) >= 100 ? WHOLE.format(value) : THREE_DIGITS.format(value);
}

/** Of an axis: 0.5 and not 0.500. */
export function tickLabel(value: number): string {
  return number(value)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}

/** 2.61×; three digits below 0.1, so that a small ratio is not 0.00. */
export function ratio(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  return `${factor(value)}×`;
}

/** 2.61× [2.48 … 2.75] */
export function ratioWithInterval(summary: Summary): string {
  return `${ratio(summary.median)} ${ratioInterval(summary)}`.trim();
}

export function ratioInterval(summary: Summary): string {
  return interval(summary, factor);
}

function factor(value: number): string {
  return value !== 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
}

export function interval({ low, high }: Summary, write: (value: number) => string = number): string {
  return low === high ? '' : `[${write(low)} … ${write(high)}]`;
}

/** Whether a summary can be drawn. */
export function isDrawable(summary: Summary | null | undefined): summary is Summary {
  return summary !== undefined && summary !== null && [summary.median, summary.low, summary.high].every(Number.isFinite);
}

/** A coordinate: a tenth of a pixel is enough. */
export function px(value: number): number {
  return Math.round(value * 10) / 10;
}
