/** A campaign over trials that are made up: what is repeated, what is kept, what is said. */
import { expect, test } from 'vitest';
import { CampaignRun, type StartTrial, type Watcher } from '../../bench/system/campaign.js';
import { makePlan } from '../../bench/system/plan.js';
import type { TrialReport } from '../../bench/system/trial.js';
import { MACHINE, trial } from './made-campaign.js';

const silent: Watcher = { show: () => {}, roundDone: () => {}, say: () => {} };
const plan = makePlan({ drivers: 'kernel-bridge,tapbridge', types: 'udp-64', rounds: 2 });

type Outcome = Partial<TrialReport['result']> | Error;

/** Trials that end as told, in turn; when nothing is left, well. */
function outcomes(...list: Outcome[]): { start: StartTrial; started: string[] } {
  const started: string[] = [];
  return {
    started,
    start: (driver, type) => {
      started.push(driver);
      const outcome = list.shift() ?? {};
      const result = { ...trial(driver, type, 1, 100), ...outcome };
      const report =
        outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve({ result, offloads: { a: 'tso on', b: '' } });
      return { report, end: () => {} };
    },
  };
}

test('each trial once, drivers forth and back, offloads beside the driver', async () => {
  const { start, started } = outcomes({ value: 100 }, { value: 200 }, { value: 220 }, { value: 100 });
  const campaign = await new CampaignRun(plan, silent, start).run(MACHINE);
  expect(started).toEqual(['kernel-bridge', 'tapbridge', 'tapbridge', 'kernel-bridge']);
  expect(campaign.trials.map(({ driver, round }) => `${driver} ${round}`)).toEqual([
    'kernel-bridge 1',
    'tapbridge 1',
    'tapbridge 2',
    'kernel-bridge 2',
  ]);
  expect(campaign.summary.find(({ driver }) => driver === 'tapbridge')?.ratio).toMatchObject({ min: 2, max: 2.2, n: 2 });
  expect(campaign.drivers[0]).toMatchObject({ name: 'kernel-bridge', role: 'baseline', offloads: { a: 'tso on' } });
  expect(campaign.failures).toEqual([]);
});

test.each<[string, Outcome, RegExp]>([
  ['stolen time', { steal: 0.1 }, /hypervisor took 10\.0 % of a core/],
  ['other work', { foreignCores: 0.3 }, /kept 0\.30 cores busy/],
  ['an error', new Error('no route'), /no route/],
])('%s: repeated once and counted, the second result stands', async (_what, outcome, why) => {
  const { start, started } = outcomes(outcome, { value: 7 });
  const campaign = await new CampaignRun(plan, silent, start).run(MACHINE);
  expect(started).toHaveLength(5);
  expect(campaign.trials[0]).toMatchObject({ driver: 'kernel-bridge', round: 1, value: 7 });
  expect(campaign.trials[0].repeatedFor).toMatch(why);
  expect(campaign.objections.join()).toContain('void: 1 of 4 trials had to be repeated');
});

test('noise twice: the value stays, with an objection', async () => {
  const { start } = outcomes({ steal: 0.1 }, { steal: 0.2, value: 9 });
  const campaign = await new CampaignRun(plan, silent, start).run(MACHINE);
  expect(campaign.trials[0].value).toBe(9);
  expect(campaign.objections.join()).toMatch(/more than 2 % of a core in 1 of 4 trials/);
});

test('failed twice: a gap, reported, and the campaign goes on', async () => {
  const { start } = outcomes(new Error('one'), new Error('two'));
  const campaign = await new CampaignRun(plan, silent, start).run(MACHINE);
  expect(campaign.failures).toEqual([{ driver: 'kernel-bridge', type: 'udp-64', round: 1, error: 'two' }]);
  expect(campaign.trials).toHaveLength(3);
  expect(campaign.objections.join()).toContain('1 trial failed');
  expect(campaign.summary.find(({ driver }) => driver === 'tapbridge')?.ratio?.n).toBe(1);
});

test('ended early: what was measured so far', async () => {
  let run: CampaignRun;
  const start: StartTrial = (driver, type) => {
    if (driver === 'tapbridge') {
      run.stop();
      return { report: Promise.reject(new Error('ended')), end: () => {} };
    }
    return { report: Promise.resolve({ result: trial(driver, type, 1, 5), offloads: null }), end: () => {} };
  };
  run = new CampaignRun(plan, silent, start);
  const campaign = await run.run(MACHINE);
  expect(campaign.trials.map(({ driver }) => driver)).toEqual(['kernel-bridge']);
  expect(campaign.failures).toEqual([]);
  expect(campaign.objections[0]).toBe('it was ended after 1 of 4 trials');
});
