/** Trials that are curves by themselves (loss against load): all of a driver thin, the one with the median value thick. */
import { scaleLinear } from 'd3-scale';
import { line as lineShape } from 'd3-shape';
import type { TrialResult } from '../result.js';
import { horizontalAxis, legend, marker, svg, verticalAxis, WIDTH } from './chart.js';
import { type Markup, markup } from './markup.js';
import { number, tickLabel } from './numbers.js';
import type { ReportedType, View } from './view.js';

const LEFT = 72;
const RIGHT = WIDTH - 24;
const HEIGHT = 280;
const AXIS = 46;

type Points = [number, number][];

interface Curve {
  driver: string;
  /** One a trial, by ascending value of the trial. */
  trials: Points[];
}

/** @returns null when no trial of the type kept a curve */
export function trialCurvePlot(view: View, id: string, type: ReportedType): Markup | null {
  const curves = view.entrants
    .map((driver) => ({ driver, trials: curvesOf(view.trials(type.name, driver)) }))
    .filter(({ trials }) => trials.length > 0);
  if (curves.length === 0) return null;
  const { x: xName, y: yName } = namesOf(view, type);
  const all = curves.flatMap(({ trials }) => trials.flat());
  const key = legend(
    view,
    curves.map(({ driver }) => driver),
    LEFT,
    12,
  );
  const area = { left: LEFT, right: RIGHT, top: key.height + 34, bottom: key.height + 34 + HEIGHT };
  const x = scaleLinear()
    .domain(extent(all.map(([at]) => at)))
    .range([LEFT, RIGHT]);
  const y = scaleLinear()
    .domain(extent(all.map(([, value]) => value)))
    .range([area.bottom, area.top]);

  const words = curves.map(
    ({ driver, trials }) =>
      `${driver}: ${median(trials)
        .map(([at, value]) => `${number(value)} at ${number(at)}`)
        .join(', ')}`,
  );
  const title = `${yName} against ${xName}, ${type.name}`;
  return svg({ id, height: area.bottom + AXIS, title, description: words.join('; ') }, [
    key.body,
    horizontalAxis(
      area,
      x.ticks(10).map((value) => ({ at: x(value), label: tickLabel(value) })),
      xName,
    ),
    verticalAxis(
      area,
      y.ticks(6).map((value) => ({ at: y(value), label: tickLabel(value) })),
      yName,
    ),
    curves.map((curve) => drawn(view, curve, x, y)),
  ]);
}

function curvesOf(trials: readonly TrialResult[]): Points[] {
  return [...trials]
    .sort((one, other) => one.value - other.value)
    .flatMap(({ curve }) => {
      const points = curve?.points.filter((point) => point.length === 2 && point.every(Number.isFinite)) ?? [];
      return points.length > 0 ? [points] : [];
    });
}

function namesOf(view: View, type: ReportedType): { x: string; y: string } {
  const named = view.campaign.trials.find((trial) => trial.type === type.name && trial.curve !== undefined)?.curve;
  return { x: String(named?.x), y: String(named?.y) };
}

function median(trials: readonly Points[]): Points {
  return trials[(trials.length - 1) >> 1];
}

/** Zero included, so that no small difference looks large. */
function extent(values: readonly number[]): [number, number] {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  return low === high ? [low, low + 1] : [low, low + (high - low) * 1.02];
}

function drawn(view: View, { driver, trials }: Curve, x: (value: number) => number, y: (value: number) => number): Markup {
  const look = view.look(driver);
  const line = lineShape<[number, number]>(
    ([at]) => x(at),
    ([, value]) => y(value),
  ).digits(1);
  const thin = trials.map((points) => markup`<path d="${line(points) ?? ''}" opacity="0.35" stroke-width="1"/>`);
  const chosen = median(trials);
  const markers = chosen.map(
    ([at, value]) =>
      markup`<g><title>${`${driver}: ${number(value)} at ${number(at)}`}</title>${marker(look, x(at), y(value))}</g>`,
  );
  return markup`<g fill="none" stroke="${look.color}">${thin}<path d="${line(chosen) ?? ''}" stroke-width="2.2" stroke-dasharray="${look.dash}"/></g>${markers}`;
}
