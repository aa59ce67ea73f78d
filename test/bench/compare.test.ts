/** What changed between two campaigns: by intervals that do not touch, of ratios where there is the same reference. */
import { expect, test } from 'vitest';
import { compareCampaigns, comparisonReport } from '../../bench/system/compare.js';
import type { Campaign } from '../../bench/system/result.js';
import { MACHINE, madeCampaign } from './made-campaign.js';

/** Six rounds around a middle; the noise of one driver is not that of the other. */
function around(middle: number, steps = [-1, 0.6, -0.3, 1, 0, 0.2]): number[] {
  return steps.map((step) => middle * (1 + step / 100));
}

const OTHER_NOISE = [0.4, -1, 0.8, -0.2, -0.7, 1];

function campaign(kernel: number, ours: number, type = 'udp-64'): Campaign {
  return madeCampaign({ [type]: { 'kernel-bridge': around(kernel), tapbridge: around(ours, OTHER_NOISE) } });
}

function verdicts(before: Campaign, after: Campaign): Record<string, string> {
  return Object.fromEntries(compareCampaigns(before, after).changes.map(({ driver, verdict }) => [driver, verdict]));
}

test('a machine twice as fast changes values, not ratios', () => {
  const comparison = compareCampaigns(campaign(100, 200), campaign(200, 400));
  expect(comparison.changes).toMatchObject([
    { driver: 'kernel-bridge', judgedBy: 'value', verdict: 'better' },
    { driver: 'tapbridge', judgedBy: 'ratio', verdict: 'same within noise' },
  ]);
  expect(comparison.changes[1].value.factor).toBeCloseTo(2);
  expect(comparison.changes[1].ratio?.factor).toBeCloseTo(1);
});

test.each([
  ['udp-64', 300, 'better'],
  ['udp-64', 150, 'worse'],
  ['udp-64', 200.5, 'same within noise'],
  ['ping-idle', 300, 'worse'],
  ['ping-idle', 150, 'better'],
])('%s from 200 to %d: %s', (type, now, verdict) => {
  expect(verdicts(campaign(100, 200, type), campaign(100, now, type))['tapbridge']).toBe(verdict);
});

test('three rounds each: apart, and yet no claim', () => {
  const three = (ours: number) => madeCampaign({ 'udp-64': { 'kernel-bridge': [100, 100, 100], tapbridge: [ours, ours, ours] } });
  expect(verdicts(three(200), three(300))).toEqual({ 'kernel-bridge': 'same within noise', tapbridge: 'too few rounds' });
  expect(comparisonReport(compareCampaigns(three(200), three(300)))).toContain(
    '0 better, 0 worse, 1 the same within noise, 1 apart, but with fewer than 6 rounds',
  );
});

test('without the same reference values are judged, with a word about it', () => {
  const before = madeCampaign({ 'udp-64': { tapbridge: around(200), 'kernel-bridge': around(100) } });
  const after = campaign(100, 300);
  const { changes, warnings } = compareCampaigns(before, after);
  expect(changes.map(({ driver, judgedBy, verdict }) => [driver, judgedBy, verdict])).toEqual([
    ['kernel-bridge', 'value', 'same within noise'],
    ['tapbridge', 'value', 'better'],
  ]);
  expect(warnings).toEqual(['the references differ (tapbridge and kernel-bridge): values are judged, not ratios']);
});

test('warns of other machines, other settings, and objections', () => {
  const before = { ...campaign(100, 200), objections: ['something'] };
  const after = madeCampaign({ 'udp-64': { 'kernel-bridge': [1, 2], tapbridge: [1, 2] } });
  after.machine = { ...MACHINE, kernel: '6.1.0', mitigations: { meltdown: 'Vulnerable' } };
  after.plan.seconds = 5;
  expect(compareCampaigns(before, after).warnings).toEqual([
    'the machines differ in kernel: 6.18.0 and 6.1.0',
    'the machines differ in mitigations: meltdown',
    'trials took 1 s and 5 s',
    'against the old one: something',
  ]);
});

test('cells that only one of them has', () => {
  const before = madeCampaign({ 'udp-64': { 'kernel-bridge': around(1), vde: around(1) } });
  const after = madeCampaign({ 'udp-64': { 'kernel-bridge': around(1) }, 'ping-idle': { 'kernel-bridge': around(1) } });
  expect(compareCampaigns(before, after)).toMatchObject({
    onlyOld: [{ type: 'udp-64', driver: 'vde' }],
    onlyNew: [{ type: 'ping-idle', driver: 'kernel-bridge' }],
  });
});

test('as text', () => {
  const text = comparisonReport(compareCampaigns(campaign(100, 200), campaign(100, 300)));
  expect(text).toMatch(/^udp-64 +tapbridge +200 +30[01] +kpps +1\.50× +2\.00× \[.*\] +3\.00× \[.*\] +1\.50× +better$/m);
  expect(text).toContain('1 better, 0 worse, 1 the same within noise');
});
