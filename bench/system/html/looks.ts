/**
 * How a driver looks in every plot. Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any colour vision
 * tell apart; shape and dash say it once more, for print.
 */
import {
  type SymbolType,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
} from 'd3-shape';
import type { Campaign } from '../result.js';

export interface Look {
  /** A CSS colour: of the dark scheme where the page sets its variable, else of the light one, so that a plot can be taken out of the page. */
  color: string;
  shape: SymbolType;
  /** Of stroke-dasharray. */
  dash: string;
}

interface Paint {
  /** On white, and on near-black: there black turns white and both blues are lighter. Yellow is darker than the original on white. */
  light: string;
  dark: string;
  shape: SymbolType;
  dash: string;
}

const PAINTS = {
  black: { light: '#000000', dark: '#f0f0f0', shape: symbolCircle, dash: 'none' },
  grey: { light: '#8a8a8a', dark: '#8a8a8a', shape: symbolCross, dash: '2 2' },
  blue: { light: '#0072b2', dark: '#3d9fe0', shape: symbolSquare, dash: 'none' },
  vermilion: { light: '#d55e00', dark: '#e8762a', shape: symbolTriangle, dash: '6 3' },
  purple: { light: '#cc79a7', dark: '#cc79a7', shape: symbolDiamond, dash: '8 3 2 3' },
  orange: { light: '#e69f00', dark: '#e69f00', shape: symbolStar, dash: '4 2' },
  green: { light: '#009e73', dark: '#14b88a', shape: symbolWye, dash: '6 3' },
  sky: { light: '#56b4e9', dark: '#9bd7fb', shape: symbolCircle, dash: '2 2' },
  yellow: { light: '#b0a100', dark: '#f0e442', shape: symbolSquare, dash: '8 3 2 3' },
} as const satisfies Record<string, Paint>;
type Color = keyof typeof PAINTS;

/** What a role takes first: the same driver keeps its colour while others come and go. */
const PREFERRED: Record<string, readonly Color[]> = {
  reference: ['black'],
  ceiling: ['grey'],
  subject: ['blue', 'sky'],
  baseline: ['vermilion', 'purple'],
  peer: ['orange', 'green', 'sky', 'yellow', 'purple'],
};
const ALL = Object.keys(PAINTS) as Color[];

/** Variables of the dark scheme. */
export const DARK_COLORS = ALL.map((color) => `--${color}:${PAINTS[color].dark}`).join(';');

export function cssColor(color: Color): string {
  return `var(--${color}, ${PAINTS[color].light})`;
}

/**
 * Look by driver name: first what the roles prefer, then what is left. With more drivers than colours the colours come again.
 * @param again the reference once more, which looks like it
 */
export function looksOf(drivers: Campaign['drivers'], again: string): Map<string, Look> {
  const colors = new Map<string, Color>();
  const used = new Set<Color>();
  const rest: string[] = [];
  for (const { name, role } of drivers) {
    const preferred = Object.hasOwn(PREFERRED, role) ? PREFERRED[role] : [];
    const color = preferred.find((each) => !used.has(each));
    if (name === again) colors.set(name, 'black');
    else if (color === undefined) rest.push(name);
    else colors.set(name, color);
    if (color !== undefined && name !== again) used.add(color);
  }
  for (const name of rest) {
    if (used.size === ALL.length) used.clear();
    const color = ALL.find((each) => !used.has(each)) as Color;
    colors.set(name, color);
    used.add(color);
  }
  const look = (color: Color): Look => ({ color: cssColor(color), shape: PAINTS[color].shape, dash: PAINTS[color].dash });
  return new Map([...colors].map(([name, color]) => [name, look(color)]));
}
