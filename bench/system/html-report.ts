/**
 * A campaign as one HTML file that needs nothing else: no script, no network, no fonts. Every figure is derived from the result, none is typed.
 *
 *     title, machine, date
 *     what speaks against quoting the run, what was not measured
 *     ratios of the subject to the reference: the headline
 *     a section a family: bars or growth curves, delay percentiles, curves of single trials
 *     CPU time per unit as ratios
 *     all cells as a table
 *     drivers, plan, machine, the command that repeats it
 */
import { barPlot } from './html/bar-plot.js';
import { growthPlot } from './html/growth-plot.js';
import { hasDelays, latencyPlot, percentileTable } from './html/latency-plot.js';
import { type Content, Markup, markup, NOTHING } from './html/markup.js';
import { type RatioSeries, ratioPlot } from './html/ratio-plot.js';
import { STYLE } from './html/style.js';
import { cellTable, detailTable, driverTable, machineList, offloadList } from './html/tables.js';
import { trialCurvePlot } from './html/trial-curve-plot.js';
import { type ReportedType, View } from './html/view.js';
import type { Campaign } from './result.js';
import { ratioTo, summarizeTrials } from './summary.js';

/** A family with more delay or trial curves than this folds them away. */
const OPEN_CURVES = 2;
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/** @returns the whole document */
export function renderHtml(campaign: Campaign): string {
  const view = new View(campaign);
  const families = [...new Set(campaign.types.map(({ family }) => family))];
  const { machine, plan } = campaign;
  const title = `tapbridge bench: ${machine.cpu}, ${dayOf(machine.started)}`;
  const contents = families.map((family, index) => markup`<a href="#family-${index}">${family}</a> `);
  const body = markup`
<h1>tapbridge bench</h1>
<p class="sub">${machine.cpu}, ${machine.cores} cores${machine.virtual ? ' (virtual)' : ''}, Linux ${machine.kernel}, Node.js ${machine.node}. ${minuteOf(machine.started)}</p>
<p class="sub">${plan.rounds} rounds, trials of ${plan.seconds} s, each in a fresh process and fresh namespaces, drivers interleaved.</p>
${objections(campaign)}${missing(campaign)}${failures(campaign)}
<nav aria-label="contents"><a href="#ratios">ratios</a> ${contents}<a href="#cpu">CPU time</a> <a href="#table">all numbers</a> <a href="#set-up">set-up</a></nav>
${ratios(view)}
${families.map((family, index) => familySection(view, family, index))}
${cpuTime(campaign)}
<h2 id="table">All numbers</h2>
<p class="sub">Ratios are to ${plan.reference}, pair by pair of one round. ✓ or ✗: the whole interval lies on the better or the worse side of 1.00, beyond what the reference against itself shows, with 6 rounds or more. CPU is the time of all cores together, interrupts included, for one unit delivered; cores are those of the whole machine that were busy; MiB is the memory of the driver's own processes (the kernel's is not counted).</p>
${cellTable(view)}
<h2 id="set-up">Set-up</h2>
<h3>Drivers</h3>
${driverTable(campaign)}
${folded('offloads of the hosts as the trials found them', offloadList(campaign))}
<h3>Machine</h3>
${machineList(machine)}
<h3>To repeat it</h3>
<pre>${plan.command}</pre>
<p class="sub">On another machine the rates differ; ratios are what to compare. bench/README.md of tapbridge says how each number is measured and what may be concluded from it.</p>
`;
  return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="${POLICY}"><meta name="color-scheme" content="light dark"><title>${title}</title><style>${new Markup(STYLE)}</style></head><body>${body}</body></html>
`.text;
}

function objections({ objections: list }: Campaign): Markup {
  return box(
    'warn',
    'Do not quote this run',
    list.map((text) => markup`<li>${text}</li>`),
  );
}

/** One line a driver and reason. */
function missing({ missing: list }: Campaign): Markup {
  const reasons = new Map<string, { driver: string; why: string; types: string[] }>();
  for (const { driver, type, why } of list) {
    const id = JSON.stringify([driver, why, type === undefined]);
    const entry = reasons.get(id) ?? { driver, why, types: [] };
    if (type !== undefined) entry.types.push(type);
    reasons.set(id, entry);
  }
  const lines = [...reasons.values()].map(
    ({ driver, why, types }) => markup`<li><b>${driver}</b> ${why}${types.length > 0 ? `: ${types.join(', ')}` : ''}</li>`,
  );
  return box('', 'Not measured', lines);
}

function failures({ failures: list, trials }: Campaign): Markup {
  const lines = list.map(
    ({ driver, type, round, error }) => markup`<li><b>${type}</b> with ${driver}, round ${round}: ${error}</li>`,
  );
  const repeated = trials.filter(({ repeatedFor }) => repeatedFor !== undefined).length + list.length;
  if (repeated > 0)
    lines.push(markup`<li>${repeated} of ${trials.length + list.length} trials were repeated once, for noise or an error</li>`);
  return box(list.length > 0 ? 'warn' : '', list.length > 0 ? 'Failed and repeated trials' : 'Repeated trials', lines);
}

function box(kind: '' | 'warn', title: string, lines: readonly Markup[]): Markup {
  return lines.length === 0 ? NOTHING : markup`<div class="box ${kind}"><strong>${title}</strong><ul>${lines}</ul></div>`;
}

/** The headline: each subject over the reference; then over every set-up of the kernel's; everybody else folded. */
function ratios(view: View): Markup {
  const { reference } = view.campaign.plan;
  const caption = ratioCaption(view);
  const bases = [reference, ...view.withRole('reference'), ...view.withRole('baseline')];
  const subjects = view.withRole('subject');
  const plots = subjects.map((name, index) => {
    const headline = ratioPlot(view, `ratio-${index}`, `${name} against ${reference}`, `${name} ÷ ${reference}`, [
      overReference(view, name),
    ]);
    const over = bases.map(
      (base): RatioSeries => ({
        driver: base,
        what: `${name} ÷ ${base}`,
        of: (type) => ratioTo(view.campaign.trials, type.name, name, base),
      }),
    );
    const each =
      bases.length < 2
        ? null
        : ratioPlot(
            view,
            `bases-${index}`,
            `${name} against each set-up of the kernel's bridge`,
            `${name} ÷ each of these`,
            over,
          );
    return [figure(headline, caption), folded(`${name} against each set-up of the kernel's bridge`, figure(each, caption))];
  });
  const all = view.compared.map((name) => overReference(view, name));
  const others =
    view.compared.length === subjects.length
      ? null
      : ratioPlot(view, 'ratio-all', `All drivers against ${reference}`, `driver ÷ ${reference}`, all);
  return markup`<h2 id="ratios">Ratio to ${reference}</h2>${plots}${folded(`all drivers against ${reference}`, figure(others, caption))}`;
}

/** The same campaign with the processor time of a unit for its value: what the ratios are computed and drawn from once more. */
function ofCpuTime(campaign: Campaign): Campaign {
  const trials = campaign.trials.map((trial) => ({ ...trial, value: trial.cpuNanosPerUnit }));
  const types = campaign.types.map((type) => ({ ...type, unit: 'ns', better: 'lower' as const }));
  const names = campaign.drivers.map(({ name }) => name);
  const cells = summarizeTrials(
    trials,
    types.map(({ name }) => name),
    names,
    campaign.plan.reference,
  );
  return { ...campaign, types, trials, summary: cells };
}

function cpuTime(campaign: Campaign): Markup {
  const view = new View(ofCpuTime(campaign));
  const { reference } = campaign.plan;
  const plots = view.withRole('subject').map((name, index) => {
    const title = `CPU time per unit, ${name} against ${reference}`;
    return figure(
      ratioPlot(view, `cpu-${index}`, title, `${name} ÷ ${reference}`, [overReference(view, name)]),
      ratioCaption(view),
    );
  });
  return markup`<h2 id="cpu">CPU time per unit</h2><p class="sub">What one unit delivered costs all cores together: generator, stacks, bridge and interrupts. It survives noise better than rates do.</p>${plots}`;
}

function overReference(view: View, driver: string): RatioSeries {
  return { driver, what: `${driver} ÷ ${view.campaign.plan.reference}`, of: (type) => view.cell(type.name, driver)?.ratio };
}

function ratioCaption({ campaign: { summary, plan }, drivers, again }: View): string {
  // One round alone has no interval to speak of.
  const confidence = Math.min(...summary.flatMap(({ ratio }) => (ratio === null || ratio.n < 2 ? [] : [ratio.confidence])));
  const sure = Number.isFinite(confidence)
    ? `, which cover the true median with at least ${(confidence * 100).toFixed(0)} %`
    : '';
  const band = drivers.includes(again) ? ` Grey band: ${plan.reference} against itself, the resolution of this run.` : '';
  return `Points are medians of the rounds' ratios, bars their intervals${sure}. Green: the better side.${band} Hollow: no difference is shown, the interval reaches ${band === '' ? '1.00' : 'the band'} or stands on fewer than 6 rounds.`;
}

function familySection(view: View, family: string, index: number): Markup {
  const types = view.campaign.types.filter((type) => type.family === family);
  const lines = types.map(({ name, what }) => markup`<dt>${name}</dt><dd>${what}</dd>`);
  return markup`<h2 id="family-${index}">${family}</h2><dl>${lines}</dl>${medianPlots(view, types, index)}${delays(view, types, index)}${trialCurves(view, types, index)}${folded('further figures of the trials, medians', detailTable(view, types))}`;
}

/** What is on one axis together becomes growth curves, what is not becomes bars; never two units in one plot. */
function medianPlots(view: View, types: readonly ReportedType[], family: number): Content[] {
  const groups = new Map<string, ReportedType[]>();
  for (const type of types) {
    const group = JSON.stringify([type.at?.axis ?? null, type.unit, type.better]);
    groups.set(group, [...(groups.get(group) ?? []), type]);
  }
  return [...groups.values()].map((group, index) => {
    const id = `family-${family}-${index}`;
    const growth = group[0].at === undefined ? null : growthPlot(view, id, group);
    if (growth !== null) return figure(growth, 'Lines join the medians of the rounds, bands and bars are their intervals.');
    return figure(barPlot(view, id, group), 'Bars are medians, whiskers their intervals, dots single trials.');
  });
}

function delays(view: View, types: readonly ReportedType[], family: number): Markup {
  const shown = types.filter((type) => hasDelays(view, type));
  const plots = shown.map(
    (type, index) =>
      markup`<h3>Delays of ${type.name}</h3>${figure(latencyPlot(view, `delays-${family}-${index}`, type), 'All trials merged into one distribution a driver. Dotted: fewer than 100 samples lie beyond.')}${percentileTable(view, type) ?? ''}`,
  );
  return some(plots, 'delay percentiles');
}

function trialCurves(view: View, types: readonly ReportedType[], family: number): Markup {
  const plots = types.flatMap((type, index) => {
    const plot = trialCurvePlot(view, `trials-${family}-${index}`, type);
    return plot === null
      ? []
      : [
          markup`<h3>Curves of ${type.name}</h3>${figure(plot, 'Every trial a thin line; thick: the trial with the median result.')}`,
        ];
  });
  return some(plots, 'curves of single trials');
}

/** A few as they are, many behind a line to click. */
function some(plots: readonly Markup[], what: string): Markup {
  const all = markup`${plots}`;
  return plots.length <= OPEN_CURVES ? all : folded(what, all);
}

function folded(what: string, content: Markup | null): Markup {
  return content === null || content === NOTHING ? NOTHING : markup`<details><summary>${what}</summary>${content}</details>`;
}

function figure(plot: Markup | null, caption: string): Markup {
  return plot === null ? NOTHING : markup`<figure>${plot}<figcaption>${caption}</figcaption></figure>`;
}

/** 2026-11-20 */
function dayOf(started: string): string {
  return String(started).slice(0, 10);
}

/** 2026-11-20 23:02 UTC */
function minuteOf(started: string): string {
  const time = new Date(started);
  return Number.isNaN(time.getTime()) ? String(started) : `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
