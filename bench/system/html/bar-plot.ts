/** Types of one unit as bars: the median a bar, its interval a whisker, the trials dots; one group of bars a type, one bar a driver. */
import { scaleLinear } from 'd3-scale';
import type { Cell } from '../result.js';
import { clipped, horizontalAxis, svg, WIDTH } from './chart.js';
import { type Markup, markup } from './markup.js';
import { interval, isDrawable, number, px, tickLabel } from './numbers.js';
import { direction, type ReportedType, type View } from './view.js';

const LEFT = 150;
const RIGHT = WIDTH - 190;
const GROUP_HEAD = 26;
const ROW = 21;
const BAR = 14;
const GROUP_GAP = 8;
const AXIS = 44;

/** @param types all of one unit @returns null when none of them was measured */
export function barPlot(view: View, id: string, types: readonly ReportedType[]): Markup | null {
  const groups = types.map((type) => ({ type, cells: cellsOf(view, type) })).filter(({ cells }) => cells.length > 0);
  if (groups.length === 0) return null;
  const { unit } = groups[0].type;
  const highest = Math.max(...groups.flatMap(({ cells }) => cells.map(({ value }) => value.high)));
  const x = scaleLinear()
    .domain([0, highest > 0 ? highest * 1.04 : 1])
    .range([LEFT, RIGHT])
    .clamp(true);

  const body: Markup[] = [];
  const words: string[] = [];
  let y = 4;
  for (const { type, cells } of groups) {
    body.push(markup`<text x="${LEFT}" y="${px(y + 16)}" font-weight="600">${clipped(type.name, 60)}</text>`);
    y += GROUP_HEAD;
    for (const cell of cells) {
      const text = `${number(cell.value.median)} ${interval(cell.value)}`.trim();
      words.push(`${type.name}, ${cell.driver}: ${text} ${unit}`);
      body.push(bar(view, type, cell, text, x, y));
      y += ROW;
    }
    y += GROUP_GAP;
  }
  const area = { left: LEFT, right: RIGHT, top: 4, bottom: y - GROUP_GAP + 2 };
  const ticks = x.ticks(6).map((value) => ({ at: x(value), label: tickLabel(value) }));
  const axis = horizontalAxis(area, ticks, `${unit}, ${direction(groups[0].type)}`);
  const title = `${groups.map(({ type }) => type.name).join(', ')} in ${unit}`;
  return svg({ id, height: area.bottom + AXIS, title, description: words.join('; ') }, [axis, ...body]);
}

function cellsOf(view: View, type: ReportedType): Cell[] {
  return view.drivers.flatMap((driver) => {
    const cell = view.cell(type.name, driver);
    return cell !== undefined && isDrawable(cell.value) ? [cell] : [];
  });
}

function bar(view: View, type: ReportedType, cell: Cell, text: string, x: (value: number) => number, y: number): Markup {
  const { color } = view.look(cell.driver);
  const { median, low, high, n } = cell.value;
  const middle = px(y + ROW / 2);
  const cap = (value: number) =>
    markup`<line x1="${px(x(value))}" x2="${px(x(value))}" y1="${middle - 4}" y2="${middle + 4}" stroke="currentColor" stroke-width="1.5"/>`;
  return markup`<g><title>${`${type.name}, ${cell.driver}: ${text} ${type.unit}, n = ${n}`}</title><text x="${LEFT - 10}" y="${middle + 4}" text-anchor="end">${clipped(cell.driver, 20)}</text><rect x="${LEFT}" y="${px(y + (ROW - BAR) / 2)}" width="${px(Math.max(0, x(median) - LEFT))}" height="${BAR}" fill="${color}" opacity="0.55"/><line x1="${px(x(low))}" x2="${px(x(high))}" y1="${middle}" y2="${middle}" stroke="currentColor" stroke-width="1.5"/>${cap(low)}${cap(high)}${dots(view, cell, x, y)}<text x="${RIGHT + 14}" y="${middle + 4}">${text}</text></g>`;
}

/** One dot a trial, in their order from the bar's upper to its lower edge. What lies beyond the axis is an arrow at its end. */
function dots(view: View, { type, driver }: Cell, x: (value: number) => number, y: number): Markup[] {
  const trials = view.trials(type, driver).filter(({ value }) => Number.isFinite(value));
  return trials.map(({ value }, index) => {
    const at = px(x(value));
    const down = px(y + (ROW - BAR) / 2 + ((index + 0.5) / trials.length) * BAR);
    const beyond = at >= RIGHT;
    return beyond
      ? markup`<text x="${RIGHT + 1}" y="${down + 4}" font-size="11">›</text>`
      : markup`<circle cx="${at}" cy="${down}" r="1.9" fill="var(--page, #ffffff)" stroke="currentColor" stroke-width="0.9"/>`;
  });
}
