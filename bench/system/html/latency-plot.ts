/** Delay percentiles of one type: x is the percentile on the logarithmic axis of HDR histograms (0, 90, 99, 99.9 …), y microseconds. */
import { scaleLinear, scaleLog } from 'd3-scale';
import { curveStepBefore, line as lineShape } from 'd3-shape';
import { isTold } from '../../statistics.js';
import { decadeTicks, horizontalAxis, legend, marker, svg, verticalAxis, WIDTH } from './chart.js';
import { type Markup, markup } from './markup.js';
import { number } from './numbers.js';
import { type Distribution, isSupported, mergeDelays, quantile, TAIL_SAMPLES } from './percentile-curve.js';
import type { ReportedType, View } from './view.js';

const LEFT = 72;
const RIGHT = WIDTH - 24;
const HEIGHT = 300;
const AXIS = 46;
const NINES_MAX = 6;
/** The axis ends where this many samples lie beyond; what they were is drawn at its end. */
const TAIL_SHOWN = 10;
/** Where a point is less than this many pixels from the last one drawn it is not drawn. */
const STEP = 0.7;
const SHARES = [0.5, 0.9, 0.99, 0.999, 0.9999];
const MICRO = 1000;

interface Curve {
  driver: string;
  delays: Distribution;
}

export function hasDelays(view: View, type: ReportedType): boolean {
  return curvesOf(view, type).length > 0;
}

function curvesOf(view: View, type: ReportedType): Curve[] {
  return view.entrants.flatMap((driver) => {
    const delays = mergeDelays(
      view.trials(type.name, driver).flatMap((trial) => (trial.delays === undefined ? [] : [trial.delays])),
    );
    return delays === null ? [] : [{ driver, delays }];
  });
}

/** Distance along the axis of a share 0 … 1, in nines: 0.9 is 1, 0.99 is 2. */
function nines(share: number): number {
  return -Math.log10(Math.max(1 - share, 10 ** -NINES_MAX));
}

/** @returns null when no trial kept its delays */
export function latencyPlot(view: View, id: string, type: ReportedType): Markup | null {
  const curves = curvesOf(view, type);
  if (curves.length === 0) return null;
  const key = legend(
    view,
    curves.map(({ driver }) => driver),
    LEFT,
    12,
  );
  const area = { left: LEFT, right: RIGHT, top: key.height + 34, bottom: key.height + 34 + HEIGHT };
  const most = Math.max(...curves.map(({ delays }) => delays.total));
  const end = Math.min(NINES_MAX, Math.max(1, Math.log10(most / TAIL_SHOWN)));
  const x = scaleLinear().domain([0, end]).range([LEFT, RIGHT]).clamp(true);
  const low = Math.min(...curves.map(({ delays }) => delays.edges[0])) / MICRO;
  const high = Math.max(...curves.map(({ delays }) => delays.edges[delays.edges.length - 1])) / MICRO;
  const domain: [number, number] = [low / 1.1, high * 1.1];
  const y = scaleLog().domain(domain).range([area.bottom, area.top]);

  const ticks = [0, 0.5, ...Array.from({ length: Math.floor(end) }, (_, index) => 1 - 10 ** -(index + 1))].map((share) => ({
    at: x(nines(share)),
    label: percent(share),
  }));
  const words = curves.map(
    ({ driver, delays }) =>
      `${driver}: ${SHARES.filter((share) => isSupported(delays, share))
        .map((share) => `p${percent(share)} ${number(quantile(delays, share) / MICRO)} µs`)
        .join(', ')}`,
  );
  const title = `Delay percentiles of ${type.name}`;
  return svg({ id, height: area.bottom + AXIS, title, description: words.join('; ') }, [
    key.body,
    horizontalAxis(area, ticks, 'percentile'),
    verticalAxis(area, decadeTicks(...domain, y), 'µs, lower is better, logarithmic'),
    curves.map((curve) =>
      drawn(
        view,
        curve,
        (share) => x(nines(share)),
        (nanos) => y(nanos / MICRO),
      ),
    ),
  ]);
}

/** A solid line as far as percentiles mean something, then a dotted one to the largest delay. */
function drawn(view: View, { driver, delays }: Curve, x: (share: number) => number, y: (nanos: number) => number): Markup {
  const { edges, upTo, total } = delays;
  const solid: [number, number][] = [[x(0), y(edges[0])]];
  const tail: [number, number][] = [];
  const limit = 1 - TAIL_SAMPLES / total;
  edges.forEach((edge, index) => {
    const share = upTo[index] / total;
    const point: [number, number] = [x(share), y(edge)];
    if (share <= limit) {
      const [lastX, lastY] = solid[solid.length - 1];
      if (Math.abs(point[0] - lastX) >= STEP || Math.abs(point[1] - lastY) >= STEP) solid.push(point);
    } else {
      if (tail.length === 0) {
        solid.push([x(Math.max(0, limit)), point[1]]);
        tail.push(solid[solid.length - 1]);
      }
      tail.push(point);
    }
  });
  const line = lineShape<[number, number]>().curve(curveStepBefore).digits(1);
  const look = view.look(driver);
  const markers = SHARES.filter((share) => isSupported(delays, share)).map((share) => {
    const nanos = quantile(delays, share);
    return markup`<g><title>${`${driver}, p${percent(share)}: ${number(nanos / MICRO)} µs`}</title>${marker(look, x(share), y(nanos))}</g>`;
  });
  return markup`<g fill="none" stroke="${look.color}"><path d="${line(solid) ?? ''}" stroke-width="2.2" stroke-dasharray="${look.dash}"/><path d="${line(tail) ?? ''}" stroke-width="1.2" stroke-dasharray="1 3"/></g>${markers}`;
}

/** 99.9 and not 99.90000000000001. */
function percent(share: number): string {
  return String(Number((share * 100).toPrecision(8)));
}

/** The same as numbers. @returns null when no trial kept its delays */
export function percentileTable(view: View, type: ReportedType): Markup | null {
  const curves = curvesOf(view, type);
  if (curves.length === 0) return null;
  const heads = SHARES.map((share) => markup`<th scope="col">${`p${percent(share)}`}</th>`);
  const rows = curves.map(({ driver, delays }) => {
    const values = SHARES.map((share) => {
      const text = number(quantile(delays, share) / MICRO);
      if (isSupported(delays, share)) return markup`<td>${text}</td>`;
      return isTold(delays.total, share) ? markup`<td>(${text})</td>` : markup`<td>–</td>`;
    });
    const largest = number(delays.edges[delays.edges.length - 1] / MICRO);
    return markup`<tr><th scope="row">${driver}</th>${values}<td>${largest}</td><td>${number(delays.total)}</td></tr>`;
  });
  return markup`<div class="scroll"><table><caption>${type.name}, µs. In parentheses: fewer than ${TAIL_SAMPLES} samples lie beyond that percentile; a dash: fewer than 10.</caption><thead><tr><th scope="col" class="left">driver</th>${heads}<th scope="col">largest</th><th scope="col">samples</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}
