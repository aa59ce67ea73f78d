/** Types along an axis (frame size, flows, ports …): for each driver the medians a line, their intervals a band. */
import { scaleLinear, scaleLog } from 'd3-scale';
import { area as areaShape, line as lineShape } from 'd3-shape';
import type { Cell } from '../result.js';
import { decadeTicks, horizontalAxis, legend, marker, svg, verticalAxis, WIDTH } from './chart.js';
import { type Markup, markup } from './markup.js';
import { interval, isDrawable, number, px, tickLabel } from './numbers.js';
import { direction, type ReportedType, type View } from './view.js';

const LEFT = 72;
const RIGHT = WIDTH - 24;
const HEIGHT = 280;
const AXIS = 46;
/** Values further apart than this are put on a logarithmic axis. */
const LINEAR_RANGE = 8;
const LINEAR_RATES = 40;

interface Point {
  at: number;
  cell: Cell;
}

/** @param types of one axis and unit @returns null when there are not two points to join */
export function growthPlot(view: View, id: string, types: readonly ReportedType[]): Markup | null {
  const curves = view.entrants
    .map((driver) => ({ driver, points: pointsOf(view, driver, types) }))
    .filter(({ points }) => points.length > 0);
  const places = [...new Set(curves.flatMap(({ points }) => points.map(({ at }) => at)))].sort((one, other) => one - other);
  if (places.length < 2) return null;

  const { unit, at } = types[0];
  const values = curves.flatMap(({ points }) => points.flatMap(({ cell }) => [cell.value.low, cell.value.high]));
  const key = legend(
    view,
    curves.map(({ driver }) => driver),
    LEFT,
    12,
  );
  const area = { left: LEFT, right: RIGHT, top: key.height + 34, bottom: key.height + 34 + HEIGHT };

  const first = places[0];
  const last = places[places.length - 1];
  const wide = first > 0 && last / first >= LINEAR_RANGE;
  const x = (wide ? scaleLog() : scaleLinear()).domain([first, last]).range([LEFT + 16, RIGHT - 16]);
  const { y, ticks, logarithmic } = vertical(values, area.bottom, area.top);

  const name = `${unit}, ${direction(types[0])}${logarithmic ? ', logarithmic' : ''}`;
  const body = curves.map(({ driver, points }) => curve(view, driver, points, unit, (value) => x(value), y));
  const words = curves.map(
    ({ driver, points }) =>
      `${driver}: ${points.map((point) => `${number(point.cell.value.median)} at ${tickLabel(point.at)}`).join(', ')}`,
  );
  const title = `${unit} by ${at?.axis ?? ''}`;
  return svg({ id, height: area.bottom + AXIS, title, description: words.join('; ') }, [
    key.body,
    horizontalAxis(
      area,
      places.map((place) => ({ at: x(place), label: tickLabel(place) })),
      `${at?.axis ?? ''}${wide ? ', logarithmic' : ''}`,
    ),
    verticalAxis(area, ticks, name),
    body,
  ]);
}

function pointsOf(view: View, driver: string, types: readonly ReportedType[]): Point[] {
  const points = types.flatMap((type) => {
    const cell = view.cell(type.name, driver);
    return cell !== undefined && type.at !== undefined && isDrawable(cell.value) ? [{ at: type.at.value, cell }] : [];
  });
  return points.sort((one, other) => one.at - other.at);
}

/** From zero, so that heights compare; logarithmic only where a linear axis would flatten the lower half. */
function vertical(values: readonly number[], bottom: number, top: number) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (low > 0 && high / low > LINEAR_RATES) {
    const y = scaleLog()
      .domain([low / 1.15, high * 1.15])
      .range([bottom, top]);
    return { y: (value: number) => y(value), ticks: decadeTicks(low / 1.15, high * 1.15, y), logarithmic: true };
  }
  const y = scaleLinear()
    .domain([Math.min(0, low), high > 0 ? high * 1.05 : 1])
    .range([bottom, top]);
  return {
    y: (value: number) => y(value),
    ticks: y.ticks(6).map((value) => ({ at: y(value), label: tickLabel(value) })),
    logarithmic: false,
  };
}

function curve(
  view: View,
  driver: string,
  points: readonly Point[],
  unit: string,
  x: (value: number) => number,
  y: (value: number) => number,
): Markup {
  const look = view.look(driver);
  const band = areaShape<Point>(
    ({ at }) => x(at),
    ({ cell }) => y(cell.value.low),
    ({ cell }) => y(cell.value.high),
  ).digits(1);
  const line = lineShape<Point>(
    ({ at }) => x(at),
    ({ cell }) => y(cell.value.median),
  ).digits(1);
  const markers = points.map(({ at, cell }) => {
    const text = `${driver} at ${tickLabel(at)}: ${number(cell.value.median)} ${interval(cell.value)}`.trim();
    return markup`<g><title>${`${text} ${unit}, n = ${cell.value.n}`}</title><line x1="${px(x(at))}" x2="${px(x(at))}" y1="${px(y(cell.value.low))}" y2="${px(y(cell.value.high))}" stroke="${look.color}" stroke-width="1.2"/>${marker(look, x(at), y(cell.value.median))}</g>`;
  });
  return markup`<path d="${band([...points]) ?? ''}" fill="${look.color}" opacity="0.18"/><path d="${line([...points]) ?? ''}" fill="none" stroke="${look.color}" stroke-width="2" stroke-dasharray="${look.dash}"/>${markers}`;
}
