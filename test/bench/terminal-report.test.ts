/** What a campaign looks like in a terminal. */
import { expect, test } from 'vitest';
import { progressLine } from '../../bench/system/progress.js';
import type { TrialResult } from '../../bench/system/result.js';
import { formatNumber, formatRatio, terminalReport } from '../../bench/system/terminal-report.js';
import { madeCampaign } from './made-campaign.js';

const campaign = madeCampaign({
  'udp-64': { 'docker-bridge': [400, 410, 420], 'kernel-bridge': [500, 500, 500], tapbridge: [800, 820, 840] },
  'ping-idle': { 'docker-bridge': [20, 20, 20], 'kernel-bridge': [10, 10, 10], tapbridge: [30, 30, 30] },
});

test('headline first: ratios to each of the kernel bridges', () => {
  const lines = terminalReport(campaign).split('\n');
  expect(lines[0]).toMatch(/^type +driver +÷ docker-bridge +÷ kernel-bridge$/);
  expect(lines[1]).toMatch(/^udp-64 +tapbridge +2\.00× \[2\.00 … 2\.00\] +1\.64× \[1\.60 … 1\.68\] +higher is better$/);
  expect(lines[2]).toMatch(/^ping-idle +tapbridge +1\.50× \[1\.50 … 1\.50\] +3\.00× .*lower is better$/);
});

test('each set-up of the kernel bridge is in the headline, whichever is the reference', () => {
  const values = { 'kernel-bridge': [500, 500], 'docker-bridge': [400, 400], tapbridge: [800, 800] };
  const [head, line] = terminalReport(madeCampaign({ 'udp-64': values })).split('\n');
  expect(head).toMatch(/^type +driver +÷ kernel-bridge +÷ docker-bridge$/);
  expect(line).toMatch(/1\.60×.*2\.00×/);
});

test('then a table per family', () => {
  const text = terminalReport(campaign);
  expect(text).toMatch(/^udp-64: small datagrams\n/m);
  expect(text).toMatch(/^udp-64 +kernel-bridge +500 +500 … 500 +500 … 500 +kpps +1\.22× .* 1000 +1\.50$/m);
});

test('then percentiles of delays, where there are enough samples', () => {
  const trials = campaign.trials.map((trial): TrialResult => {
    const slow = trial.driver === 'tapbridge' ? 2 : 1;
    return trial.type === 'ping-idle'
      ? {
          ...trial,
          delays: [
            [10_000 * slow, 980],
            [50_000 * slow, 20],
          ],
        }
      : trial;
  });
  const text = terminalReport({ ...campaign, trials });
  expect(text).toMatch(/^ping-idle +docker-bridge +10\.0 +10\.0 +50\.0 +- +- +3000 +1$/m);
  expect(text).toMatch(/^ping-idle +tapbridge +20\.0 +20\.0 +100 +- +- +3000 +2\.00× \[2\.00 … 2\.00\]$/m);
});

test('then what is missing, failed, and speaks against it', () => {
  const text = terminalReport({
    ...campaign,
    missing: [
      { driver: 'vde', why: 'needs vde_switch (Debian package vde2)' },
      { driver: 'pasta', type: 'broadcast-2', why: 'passes IP only, no frames' },
      { driver: 'pasta', type: 'learning-rate', why: 'passes IP only, no frames' },
    ],
    failures: [{ driver: 'ovs', type: 'udp-64', round: 2, error: 'no result after 60 s' }],
    objections: ['2 trials failed'],
  });
  expect(text.split('\n').slice(-7)).toEqual([
    '',
    'missing: vde needs vde_switch (Debian package vde2)',
    'missing: pasta passes IP only, no frames: broadcast-2, learning-rate',
    'failed: udp-64 ovs, round 2: no result after 60 s',
    'repeated: 1 of 19 trials',
    'do not quote this run: 2 trials failed',
    '',
  ]);
});

test('numbers: three digits that mean something', () => {
  expect([0, 0.0123456, 1.5, 12.345, 123.4, 123456].map(formatNumber)).toEqual(['0', '0.0123', '1.50', '12.3', '123', '123456']);
  expect(formatRatio(null)).toBe('-');
});

test('the progress line', () => {
  const state = {
    done: 8,
    total: 16,
    elapsedSeconds: 61,
    restSeconds: 3700,
    round: 2,
    rounds: 6,
    current: 'tcp-1 vde',
    last: '',
  };
  expect(progressLine(state)).toBe('████████░░░░░░░░ 8/16  1:01, 1:01:40 left  round 2/6: tcp-1 vde');
  expect(progressLine({ ...state, last: 'udp-64 vde 3.10 kpps' })).toMatch(/last: udp-64 vde 3\.10 kpps$/);
});
