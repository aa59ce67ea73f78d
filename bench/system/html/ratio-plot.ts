/** Ratios: for each type a point with its interval, around the line 1.00, on a log2 axis. */
import { scaleLog } from 'd3-scale';
import type { Summary } from '../../statistics.js';
import { clipped, legend, marker, svg, WIDTH } from './chart.js';
import { cssColor } from './looks.js';
import { type Content, type Markup, markup, NOTHING } from './markup.js';
import { isDrawable, px, ratioWithInterval } from './numbers.js';
import type { ReportedType, View } from './view.js';

const LEFT = 190;
const NUMBERS_WIDTH = 170;
const HEAD = 30;
const GAP = 10;
const ROW = 24;
const SERIES_ROW = 11;
const PADDING = 8;
/** The axis covers at least a factor of two both ways, and at most this many powers of two. */
const POWERS_MAX = 8;
const AXIS = 44;

/** Points of one look, at most one a type. */
export interface RatioSeries {
  /** A driver, whose look they have. */
  driver: string;
  /** For a reader: 'tapbridge ÷ docker-bridge'. */
  what: string;
  of(type: ReportedType): Summary | null | undefined;
}

interface Row {
  type: ReportedType;
  points: { series: RatioSeries; slot: number; value: Summary }[];
}

/** @param axis what the ratio is to @returns null when there is nothing to compare */
export function ratioPlot(view: View, id: string, title: string, axis: string, series: readonly RatioSeries[]): Markup | null {
  const rows = view.campaign.types.map((type) => rowOf(type, series)).filter(({ points }) => points.length > 0);
  if (rows.length === 0) return null;
  const single = series.length === 1;
  const right = single ? WIDTH - NUMBERS_WIDTH : WIDTH - 24;
  const powers = powersOf(rows);
  const x = scaleLog()
    .base(2)
    .domain([2 ** powers.low, 2 ** powers.high])
    .range([LEFT, right])
    .clamp(true);
  const place = (value: number) => x(Math.max(value, Number.MIN_VALUE));
  const height = single ? ROW : Math.max(ROW, series.length * SERIES_ROW + PADDING);
  const key = single
    ? { body: NOTHING, height: 0 }
    : legend(
        view,
        series.map(({ driver }) => driver),
        LEFT,
        12,
      );

  const top = key.height + 4;
  let y = top;
  const body: Content[] = [];
  for (const better of ['higher', 'lower'] as const) {
    const group = rows.filter(({ type }) => (type.better === 'lower') === (better === 'lower'));
    if (group.length === 0) continue;
    body.push(
      betterSide(
        better,
        better === 'lower' ? LEFT : place(1),
        better === 'lower' ? place(1) : right,
        y,
        HEAD + group.length * height,
      ),
    );
    y += HEAD;
    for (const row of group) {
      body.push(drawnRow(view, row, series.length, { y, height, right }, place));
      y += height;
    }
    y += GAP;
  }
  const bottom = y - GAP;
  const words = rows.flatMap(({ type, points }) =>
    points.map((point) => `${type.name}: ${point.series.what} ${ratioWithInterval(point.value)}`),
  );
  return svg({ id, height: bottom + AXIS, title, description: words.join('; ') }, [
    key.body,
    grid(x, powers.high - powers.low, top, bottom),
    markup`<text x="${px((LEFT + right) / 2)}" y="${px(bottom + 34)}" text-anchor="middle" opacity="0.8">${axis}, logarithmic</text>`,
    body,
  ]);
}

function rowOf(type: ReportedType, series: readonly RatioSeries[]): Row {
  const points = series.flatMap((each, slot) => {
    const value = each.of(type);
    return isDrawable(value) ? [{ series: each, slot, value }] : [];
  });
  return { type, points };
}

function powersOf(rows: readonly Row[]): { low: number; high: number } {
  const bounds = rows.flatMap(({ points }) => points.flatMap(({ value }) => [value.low, value.high])).map(Math.log2);
  return {
    low: Math.max(-POWERS_MAX, Math.min(-1, Math.floor(Math.min(...bounds)))),
    high: Math.min(POWERS_MAX, Math.max(1, Math.ceil(Math.max(...bounds)))),
  };
}

function betterSide(better: 'higher' | 'lower', from: number, to: number, y: number, height: number): Markup {
  const shade = markup`<rect x="${px(from)}" y="${px(y)}" width="${px(to - from)}" height="${px(height)}" fill="${cssColor('green')}" opacity="0.1"/>`;
  const label =
    better === 'lower'
      ? markup`<text x="${px(to - 8)}" y="${px(y + 19)}" text-anchor="end" font-weight="600">← lower is better</text>`
      : markup`<text x="${px(from + 8)}" y="${px(y + 19)}" font-weight="600">higher is better →</text>`;
  return markup`${shade}${label}`;
}

function drawnRow(
  view: View,
  { type, points }: Row,
  slots: number,
  { y, height, right }: { y: number; height: number; right: number },
  place: (value: number) => number,
): Markup {
  const band = view.resolution(type.name);
  const resolution = markup`<rect x="${px(place(band.low))}" y="${px(y)}" width="${px(place(band.high) - place(band.low))}" height="${px(height)}" fill="currentColor" opacity="0.16"/>`;
  const drawn = points.map(({ series, slot, value }) => {
    const center = slots === 1 ? y + height / 2 : y + PADDING / 2 + (slot + 0.5) * ((height - PADDING) / slots);
    const look = view.look(series.driver);
    const bar = markup`<line x1="${px(place(value.low))}" x2="${px(place(value.high))}" y1="${px(center)}" y2="${px(center)}" stroke="${look.color}" stroke-width="2.5"/>`;
    const point = marker(look, place(value.median), center, view.verdict(type, value) === 'open');
    const numbers =
      slots === 1 ? markup`<text x="${px(right + 16)}" y="${px(center + 4)}">${ratioWithInterval(value)}</text>` : NOTHING;
    return markup`<g><title>${`${type.name}, ${series.what}: ${ratioWithInterval(value)}, n = ${value.n}`}</title>${bar}${point}</g>${numbers}`;
  });
  return markup`<text x="${LEFT - 12}" y="${px(y + height / 2 + 4)}" text-anchor="end">${clipped(type.name)}<title>${type.what}</title></text><line x1="${LEFT}" x2="${px(right)}" y1="${px(y + height)}" y2="${px(y + height)}" stroke="currentColor" opacity="0.08"/>${resolution}${drawn}`;
}

function grid(
  x: { (value: number): number; ticks(count: number): number[] },
  powers: number,
  top: number,
  bottom: number,
): Markup[] {
  return x.ticks(powers).map((value) => {
    const at = px(x(value));
    const label = value >= 1 ? `${value}×` : `1/${Math.round(1 / value)}×`;
    return value === 1
      ? markup`<line x1="${at}" x2="${at}" y1="${px(top)}" y2="${px(bottom)}" stroke="currentColor" stroke-width="1.5"/><text x="${at}" y="${px(bottom + 16)}" text-anchor="middle" font-weight="600">1.00×</text>`
      : markup`<line x1="${at}" x2="${at}" y1="${px(top)}" y2="${px(bottom)}" stroke="currentColor" opacity="0.13"/><text x="${at}" y="${px(bottom + 16)}" text-anchor="middle">${label}</text>`;
  });
}
