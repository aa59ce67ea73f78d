/**
 * A campaign: the trials of a plan one after the other, and what came of them.
 *
 * A trial that fails or that noise disturbed is repeated once, counted, and the second result stands whatever it is: nothing is dropped
 * because of its value. A trial whose repetition fails leaves a gap and is reported. Ending early leaves what was measured so far.
 */
import { release } from 'node:os';
import { cpuTimes, describeMachine, type Machine } from '../machine.js';
import { printable, toolVersion } from '../tool-version.js';
import { AGAIN, type Entrant, type Plan, planSeconds, trialLimit, trialSeconds, trialsOfRound } from './plan.js';
import type { ProgressState } from './progress.js';
import type { Campaign, TrialResult } from './result.js';
import { summarizeTrials } from './summary.js';
import { formatNumber } from './terminal-report.js';
import type { TrialReport } from './trial.js';
import { startTrial, type TrialProcess } from './trial-process.js';
import type { BenchType } from './type.js';

/** Above these a trial is repeated (bench/README.md, Noise). */
export const MAX_STEAL = 0.02;
export const MAX_FOREIGN_CORES = 0.05;
/** Of all trials: more repetitions than this make the campaign void. */
const MAX_REPEATED_SHARE = 0.2;
/** The interval of a median has 95 % from 6 rounds on. */
const MIN_ROUNDS = 6;
const LOOK_MILLIS = 500;
const MAX_BUSY_BEFORE = 0.1;

export interface Watcher {
  show(state: () => ProgressState): void;
  roundDone(state: ProgressState): void;
  say(line: string): void;
}

export type StartTrial = (driver: string, type: string, seconds: number, limitSeconds: number) => TrialProcess;

export class CampaignRun {
  private readonly plan: Plan;
  private readonly watcher: Watcher;
  private readonly start: StartTrial;
  private readonly trials: TrialResult[] = [];
  private readonly failures: Campaign['failures'] = [];
  private readonly offloads = new Map<string, { a: string; b: string }>();
  private readonly total: number;
  private readonly expectedSeconds: number;
  private startedAt = 0;
  private done = 0;
  private doneExpected = 0;
  private repeated = 0;
  private last = '';
  private current: TrialProcess | null = null;
  private stopped = false;
  private busyBefore = 0;

  constructor(plan: Plan, watcher: Watcher, start: StartTrial = startTrial) {
    this.plan = plan;
    this.watcher = watcher;
    this.start = start;
    this.total = trialsOfRound(plan, 1).length * plan.rounds;
    this.expectedSeconds = planSeconds(plan);
  }

  /** Runs to its end, or to `stop`. */
  async run(machine: Machine = describeMachine()): Promise<Campaign> {
    this.busyBefore = await busyCores();
    this.startedAt = performance.now();
    for (let round = 1; round <= this.plan.rounds && !this.stopped; round++) {
      for (const { entrant, type } of trialsOfRound(this.plan, round)) {
        if (this.stopped) break;
        this.watcher.show(() => this.state(round, `${type.name} ${entrant.label}`));
        await this.trial(entrant, type, round);
        this.done++;
        this.doneExpected += trialSeconds(type, this.plan.seconds);
      }
      if (!this.stopped) this.watcher.roundDone(this.state(round, ''));
    }
    return this.campaign(machine);
  }

  /** Ends the trial that runs and begins no other; `run` returns what there is. */
  stop(): void {
    this.stopped = true;
    this.current?.end();
  }

  private async trial(entrant: Entrant, type: BenchType, round: number): Promise<void> {
    let repeatedFor = '';
    for (;;) {
      let why: string;
      try {
        const { result, offloads } = await this.attempt(entrant, type);
        why = disturbance(result);
        if (repeatedFor !== '' || why === '' || this.stopped) {
          this.keep(entrant, type, { ...result, driver: entrant.label, round, ...(repeatedFor === '' ? {} : { repeatedFor }) });
          if (offloads !== null) this.offloads.set(entrant.label, offloads);
          return;
        }
      } catch (error) {
        if (this.stopped) return;
        why = printable((error as Error).message);
        if (repeatedFor !== '') {
          this.failures.push({ driver: entrant.label, type: type.name, round, error: why });
          this.watcher.say(`round ${round}, ${type.name} ${entrant.label} failed: ${why} (repeated for: ${repeatedFor})`);
          return;
        }
      }
      repeatedFor = why;
      this.repeated++;
    }
  }

  private async attempt({ driver }: Entrant, type: BenchType): Promise<TrialReport> {
    this.current = this.start(driver.name, type.name, this.plan.seconds, trialLimit(type, this.plan.seconds));
    try {
      return await this.current.report;
    } finally {
      this.current = null;
    }
  }

  private keep(entrant: Entrant, type: BenchType, result: TrialResult): void {
    this.trials.push(result);
    this.last = `${type.name} ${entrant.label} ${formatNumber(result.value)} ${type.unit}`;
  }

  private state(round: number, current: string): ProgressState {
    const elapsed = (performance.now() - this.startedAt) / 1000;
    // What is left, at the pace of what is done; before anything is, at the pace of the estimate.
    const pace = this.done === 0 ? 1 : Math.max(0.2, elapsed / this.doneExpected);
    const { done, total, last } = this;
    const restSeconds = Math.max(0, this.expectedSeconds - this.doneExpected) * pace;
    return { done, total, elapsedSeconds: elapsed, restSeconds, round, rounds: this.plan.rounds, current, last };
  }

  private campaign(machine: Machine): Campaign {
    const { plan, trials } = this;
    const types = plan.types.filter(({ name }) => trials.some((trial) => trial.type === name));
    const labels = plan.entrants.map(({ label }) => label);
    return {
      format: 1,
      machine,
      plan: { rounds: plan.rounds, seconds: plan.seconds, reference: plan.reference, command: plan.command },
      drivers: plan.entrants.map(({ label, driver }) => {
        const { role, what, needs = [] } = driver;
        const offloads = this.offloads.get(label);
        const version = driverVersion(role, needs, machine);
        return {
          name: label,
          role,
          what: label.endsWith(AGAIN) ? `${what}, once more` : what,
          version,
          ...(offloads ? { offloads } : {}),
        };
      }),
      types: types.map(({ name, family, at, what, unit, better }) => ({
        name,
        family,
        what,
        unit,
        better,
        ...(at ? { at } : {}),
      })),
      missing: [...plan.missing],
      failures: this.failures,
      objections: this.objections(),
      trials,
      summary: summarizeTrials(
        trials,
        types.map(({ name }) => name),
        labels,
        plan.reference,
      ),
    };
  }

  /** What speaks against quoting this campaign. */
  private objections(): string[] {
    const { trials, total, repeated, failures } = this;
    const done = trials.length + failures.length;
    const found: string[] = [];
    const count = (what: (trial: TrialResult) => boolean): number => trials.filter(what).length;
    const percent = (share: number): string => `${Math.round(share * 100)} %`;
    if (this.stopped) found.push(`it was ended after ${done} of ${total} trials`);
    if (this.plan.rounds < MIN_ROUNDS)
      found.push(
        `with ${this.plan.rounds} ${this.plan.rounds === 1 ? 'round' : 'rounds'} its intervals say little: use --rounds ${MIN_ROUNDS} or more`,
      );
    if (this.busyBefore > MAX_BUSY_BEFORE)
      found.push(`${this.busyBefore.toFixed(1)} cores were busy with other work before it began`);
    const stolen = count(({ steal }) => steal > MAX_STEAL);
    if (stolen > 0)
      found.push(
        `the hypervisor took more than ${percent(MAX_STEAL)} of a core in ${stolen} of ${trials.length} trials, also when repeated`,
      );
    const foreign = count(({ foreignCores }) => foreignCores > MAX_FOREIGN_CORES);
    if (foreign > 0)
      found.push(
        `other processes used more than ${percent(MAX_FOREIGN_CORES)} of a core in ${foreign} of ${trials.length} trials, also when repeated`,
      );
    if (repeated > MAX_REPEATED_SHARE * done)
      found.push(`void: ${repeated} of ${done} trials had to be repeated, ${percent(MAX_REPEATED_SHARE)} are allowed`);
    if (failures.length > 0)
      found.push(`${failures.length} ${failures.length === 1 ? 'trial' : 'trials'} failed, also when repeated`);
    return found;
  }
}

/** Why a trial has to be repeated; '' when nothing disturbed it. */
function disturbance({ steal, foreignCores }: Pick<TrialResult, 'steal' | 'foreignCores'>): string {
  if (steal > MAX_STEAL) return `the hypervisor took ${(steal * 100).toFixed(1)} % of a core`;
  if (foreignCores > MAX_FOREIGN_CORES) return `other processes kept ${foreignCores.toFixed(2)} cores busy`;
  return '';
}

/** Cores at work while this process does nothing. */
async function busyCores(): Promise<number> {
  const before = cpuTimes();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MILLIS));
  const after = cpuTimes();
  return (after.busy - before.busy) / (after.at - before.at);
}

function driverVersion(role: string, needs: readonly { command: string }[], { tapbridge }: Machine): string {
  if (role === 'subject')
    return `tapbridge ${tapbridge.version}${tapbridge.commit === 'none' ? '' : ` (${tapbridge.commit.slice(0, 12)}${tapbridge.dirty ? ', changed' : ''})`}`;
  const programs = needs.map(({ command }) => toolVersion(command)).filter((version) => version !== null);
  return role === 'peer' ? programs.join('; ') : [`Linux ${release()}`, ...programs].join('; ');
}
