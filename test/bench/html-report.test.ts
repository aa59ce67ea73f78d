/** The HTML report: one file that loads nothing, holds what was measured, and lets no text of a result become markup. */
import { expect, test } from 'vitest';
import { looksOf } from '../../bench/system/html/looks.js';
import { isSupported, mergeDelays, quantile } from '../../bench/system/html/percentile-curve.js';
import { View } from '../../bench/system/html/view.js';
import { renderHtml } from '../../bench/system/html-report.js';
import type { Campaign } from '../../bench/system/result.js';
import { summarizeTrials } from '../../bench/system/summary.js';
import { madeCampaign } from './made-campaign.js';

const HOSTILE = `"'><script>alert(1)</script>&amp;`;

/** Bars, growth curves, delays and a trial's own curve. */
function everyPlot(): Campaign {
  const campaign = madeCampaign({
    'udp-64': { 'docker-bridge': [400, 410, 420], 'kernel-bridge': [500, 500, 500], tapbridge: [800, 820, 840] },
    'ping-idle': { 'docker-bridge': [20, 20, 20], 'kernel-bridge': [10, 10, 10], tapbridge: [30, 30, 30] },
  });
  const [small, ping] = campaign.types;
  const large = { ...small, name: 'udp-1518', at: { axis: 'frame size, bytes', value: 1518 } };
  const trials = campaign.trials.flatMap((trial) =>
    trial.type === ping.name
      ? [
          {
            ...trial,
            delays: [
              [20_000, 990],
              [90_000, 10],
            ] as [number, number][],
            curve: {
              x: 'load, %',
              y: 'loss, %',
              points: [
                [50, 0],
                [100, 3],
              ] as [number, number][],
            },
          },
        ]
      : [trial, { ...trial, type: large.name, value: trial.value / 2 }],
  );
  const types = [small, large, ping];
  return { ...campaign, types, trials, summary: summarized(trials, types, campaign) };
}

function summarized(trials: Campaign['trials'], types: Campaign['types'], { drivers, plan }: Campaign): Campaign['summary'] {
  return summarizeTrials(
    trials,
    types.map(({ name }) => name),
    drivers.map(({ name }) => name),
    plan.reference,
  );
}

/** The same value with every text in it replaced but what the report decides by, and more names in its records. */
function poisoned<T>(value: T): T {
  if (typeof value === 'string') return `${HOSTILE}${value}` as T;
  if (Array.isArray(value)) return value.map(poisoned) as T;
  if (typeof value !== 'object' || value === null) return value;
  const known = Object.entries(value).map(([key, each]) => [key, key === 'role' || key === 'better' ? each : poisoned(each)]);
  return Object.fromEntries([...known, [HOSTILE, 1]]) as T;
}

/** Start tags that a reader of HTML would see. */
function tags(html: string): Set<string> {
  return new Set([...html.matchAll(/<([a-z][a-z0-9]*)/gi)].map(([, name]) => name.toLowerCase()));
}

test('each plot is an image with a title and a description, by ids that are there once', () => {
  const html = renderHtml(everyPlot());
  const images = [...html.matchAll(/<svg role="img" aria-labelledby="(\S+) (\S+)"/g)];
  expect(images.length).toBeGreaterThanOrEqual(6);
  for (const [, title, description] of images) {
    expect(html.split(`<title id="${title}">`)).toHaveLength(2);
    expect(html.split(`<desc id="${description}">`)).toHaveLength(2);
  }
  for (const title of [
    'tapbridge against docker-bridge',
    'kpps by frame size, bytes',
    'ping-idle in µs',
    'Delay percentiles of ping-idle',
    'loss, % against load, %, ping-idle',
  ])
    expect(html).toContain(`>${title}</title>`);
  expect(html).not.toMatch(/NaN|undefined|Infinity|\[object/);
});

test('the headline: median and interval of the ratio', () => {
  const html = renderHtml(everyPlot());
  expect(html).toMatch(/<desc id="ratio-0-desc">udp-64: tapbridge ÷ docker-bridge 2\.00×;/);
  expect(html).toContain('ping-idle: tapbridge ÷ docker-bridge 1.50×');
});

test('nothing is loaded: no script, no link, no address outside', () => {
  const html = renderHtml(everyPlot());
  expect(tags(html)).not.toContain('script');
  expect(html).not.toMatch(/<link|<img|@import|url\(|\ssrc=/);
  expect(html.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:/);
});

test('no text of a result becomes markup, wherever it stands', () => {
  const campaign: Campaign = {
    ...everyPlot(),
    objections: ['x'],
    missing: [{ driver: 'd', type: 't', why: 'w' }],
    failures: [{ driver: 'd', type: 't', round: 1, error: 'e' }],
  };
  const html = renderHtml(poisoned(campaign));
  expect(html.includes('alert(1)')).toBe(true);
  expect(tags(html)).toEqual(tags(renderHtml(campaign)));
  expect(html.includes(`"'`)).toBe(false);
  expect(/="[^"]*[<>]/.test(html)).toBe(false);
});

test('what speaks against the run, is missing or failed stands before the first figure', () => {
  const html = renderHtml({
    ...everyPlot(),
    objections: ['2 trials failed'],
    missing: [{ driver: 'vde', why: 'needs vde_switch (Debian package vde2)' }],
    failures: [{ driver: 'ovs', type: 'udp-64', round: 2, error: 'no result after 60 s' }],
  });
  const before = html.slice(0, html.indexOf('<svg'));
  for (const text of ['2 trials failed', 'needs vde_switch (Debian package vde2)', 'no result after 60 s'])
    expect(before).toContain(text);
});

test('a run that measured nothing is a page still', () => {
  const campaign = everyPlot();
  const html = renderHtml({ ...campaign, trials: [], summary: [], types: [], drivers: [] });
  expect(html).toContain('Test CPU');
  expect(html).not.toContain('<svg');
});

test('delays are merged before percentiles are read', () => {
  const merged = mergeDelays([
    [
      [10, 90],
      [20, 10],
    ],
    [
      [10, 10],
      [1000, 90],
    ],
  ]);
  expect(merged).not.toBeNull();
  if (merged === null) return;
  expect(merged.total).toBe(200);
  expect([0, 0.5, 0.55, 0.551, 1].map((share) => quantile(merged, share))).toEqual([10, 10, 20, 1000, 1000]);
  expect(
    mergeDelays([
      [
        [0, 5],
        [Number.NaN, 1],
        [10, -1],
      ],
    ]),
  ).toBeNull();
});

test('a percentile stands on 100 samples beyond it', () => {
  const distribution = (total: number) => ({ edges: [1], upTo: [total], total });
  expect(isSupported(distribution(1_000_000), 0.9999)).toBe(true);
  expect(isSupported(distribution(999_000), 0.9999)).toBe(false);
});

test('better or worse only beyond what the reference shows against itself, and never with few rounds', () => {
  const six = (...values: number[]) => [0, 1, 2, 3, 4, 5].map((round) => values[round % values.length]);
  const campaign = madeCampaign({
    'udp-64': {
      'docker-bridge': six(400),
      'docker-bridge-again': six(440, 400),
      tapbridge: six(436, 420),
      vde: six(500, 480),
      ovs: six(300, 200),
      pasta: [500, 500, 500, 500, 500],
    },
  });
  const view = new View(campaign);
  const [type] = campaign.types;
  const verdicts = ['tapbridge', 'vde', 'ovs', 'pasta'].map((driver) => {
    const ratio = view.cell(type.name, driver)?.ratio;
    return ratio === undefined || ratio === null ? null : view.verdict(type, ratio);
  });
  expect(verdicts).toEqual(['open', 'better', 'worse', 'open']);
  expect(view.resolution('udp-64')).toEqual({ low: 1, high: 1.1 });
});

test('a driver keeps its colour whoever else is there, and no two share one while there are enough', () => {
  const driver = (name: string, role: string) => ({ name, role, what: '', version: '' });
  const few = looksOf([driver('docker-bridge', 'reference'), driver('tapbridge', 'subject')], '');
  const many = looksOf(
    [
      driver('docker-bridge', 'reference'),
      driver('docker-bridge-again', 'reference'),
      driver('kernel-bridge', 'baseline'),
      driver('veth', 'ceiling'),
      driver('ovs', 'peer'),
      driver('tapbridge', 'subject'),
      driver('tapbridge-2', 'subject'),
    ],
    'docker-bridge-again',
  );
  for (const name of few.keys()) expect(many.get(name)?.color).toBe(few.get(name)?.color);
  expect(many.get('docker-bridge-again')?.color).toBe(many.get('docker-bridge')?.color);
  expect(new Set([...many.values()].map(({ color }) => color)).size).toBe(6);
});
