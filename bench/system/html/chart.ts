/** What all plots share: the SVG element, axes with grid lines, the legend, markers. */
import { symbol } from 'd3-shape';
import type { Look } from './looks.js';
import { type Content, type Markup, markup } from './markup.js';
import { px, tickLabel } from './numbers.js';
import type { View } from './view.js';

/** Units of the viewBox, pixels where there is room for them. */
export const WIDTH = 860;
export const TEXT = 12;
/** Of a digit or small letter at that size, in common sans-serif fonts. */
const LETTER_WIDTH = 6.6;
const LEGEND_ROW = 20;
const MARKER_AREA = 46;
const LABEL_MAX = 26;

export interface Area {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Tick {
  at: number;
  label: string;
}

interface Frame {
  /** Unique in the page. */
  id: string;
  height: number;
  title: string;
  /** What is to be seen, in words. */
  description: string;
}

export function svg({ id, height, title, description }: Frame, body: Content): Markup {
  return markup`<svg role="img" aria-labelledby="${id}-title ${id}-desc" viewBox="0 0 ${WIDTH} ${px(height)}" width="${WIDTH}" height="${px(height)}" font-family="system-ui, sans-serif" font-size="${TEXT}" fill="currentColor" xmlns="http://www.w3.org/2000/svg"><title id="${id}-title">${title}</title><desc id="${id}-desc">${description}</desc>${body}</svg>`;
}

/** Grid lines across the area, labels below it, and what the axis is. */
export function horizontalAxis(area: Area, ticks: readonly Tick[], label: string): Markup {
  const { left, right, top, bottom } = area;
  const lines = ticks.map(
    ({ at }) =>
      markup`<line x1="${px(at)}" x2="${px(at)}" y1="${px(top)}" y2="${px(bottom)}" stroke="currentColor" opacity="0.13"/>`,
  );
  const labels = legible(ticks).map(
    ({ at, label: text }) => markup`<text x="${px(at)}" y="${px(bottom + 16)}" text-anchor="middle" opacity="0.8">${text}</text>`,
  );
  const name = markup`<text x="${px((left + right) / 2)}" y="${px(bottom + 34)}" text-anchor="middle" opacity="0.8">${label}</text>`;
  return markup`${lines}${labels}${name}`;
}

/** Grid lines, labels left of them, and above them what the axis is. */
export function verticalAxis(area: Area, ticks: readonly Tick[], label: string): Markup {
  const { left, right, top } = area;
  const lines = ticks.map(
    ({ at, label: text }) =>
      markup`<line x1="${px(left)}" x2="${px(right)}" y1="${px(at)}" y2="${px(at)}" stroke="currentColor" opacity="0.13"/><text x="${px(left - 8)}" y="${px(at + 4)}" text-anchor="end" opacity="0.8">${text}</text>`,
  );
  return markup`${lines}<text x="${px(left - 8)}" y="${px(top - 12)}" opacity="0.8">${label}</text>`;
}

/** Labels that would touch the one before are left out; their lines stay. */
function legible(ticks: readonly Tick[]): Tick[] {
  const kept: Tick[] = [];
  let free = Number.NEGATIVE_INFINITY;
  for (const tick of [...ticks].sort((one, other) => one.at - other.at)) {
    const half = textWidth(tick.label) / 2;
    if (tick.at - half < free) continue;
    kept.push(tick);
    free = tick.at + half + 4;
  }
  return kept;
}

export function textWidth(text: string): number {
  return text.length * LETTER_WIDTH;
}

/** A name short enough for its place. */
export function clipped(name: string, letters = LABEL_MAX): string {
  return name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
}

/** Which line is whose: as many rows as it needs from `top` down. */
export function legend(view: View, drivers: readonly string[], left: number, top: number): { body: Markup; height: number } {
  let x = left;
  let y = top;
  const entries = drivers.map((driver) => {
    const label = clipped(driver);
    const width = 34 + textWidth(label) + 16;
    if (x > left && x + width > WIDTH) {
      x = left;
      y += LEGEND_ROW;
    }
    const look = view.look(driver);
    const entry = markup`<line x1="${px(x)}" x2="${px(x + 26)}" y1="${px(y)}" y2="${px(y)}" stroke="${look.color}" stroke-width="2" stroke-dasharray="${look.dash}"/>${marker(look, x + 13, y)}<text x="${px(x + 32)}" y="${px(y + 4)}">${label}</text>`;
    x += width;
    return entry;
  });
  return { body: markup`${entries}`, height: y - top + LEGEND_ROW };
}

export function marker(look: Look, x: number, y: number, hollow = false): Markup {
  const path = symbol(look.shape, MARKER_AREA)() ?? '';
  const fill = hollow ? 'var(--page, #ffffff)' : look.color;
  return markup`<path d="${path}" transform="translate(${px(x)} ${px(y)})" fill="${fill}" stroke="${look.color}" stroke-width="1.5"/>`;
}

/** Ticks of a logarithmic axis: 1, 2, 5 of each decade, only the powers of ten where there are many. */
export function decadeTicks(low: number, high: number, position: (value: number) => number): Tick[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const steps = last - first > 3 ? [1] : [1, 2, 5];
  const ticks: Tick[] = [];
  for (let decade = first; decade <= last; decade++) {
    for (const step of steps) {
      const value = step * 10 ** decade;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push({ at: position(value), label: tickLabel(value) });
    }
  }
  return ticks;
}
