/** The system bench as `tapbridge bench` calls it. See bench/README.md for what each number means. */
import { constants } from 'node:os';
import { UsageError } from '../../dist/cli/failure.js';
import { describeMachine } from '../machine.js';
import { CampaignRun } from './campaign.js';
import { campaignJson, checkWritable, readCampaign, writeWhole } from './campaign-file.js';
import { compareCampaigns, comparisonReport } from './compare.js';
import { listing } from './listing.js';
import { type BenchOptions, makePlan, type Plan, planSeconds, trialsOfRound } from './plan.js';
import { clock, Progress } from './progress.js';
import type { Campaign } from './result.js';
import { machineLines, terminalReport } from './terminal-report.js';

export interface RunOptions extends BenchOptions {
  /** '-' is standard output. */
  json?: string;
  html?: string;
}

const STDOUT = '-';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const OK = 0;
const FAILED = 1;
/** Shells call a death by signal n 128 + n. */
const BY_SIGNAL = 128;

/** Measures, prints, writes. @returns the exit status. @throws UsageError, Error */
export async function runBench(options: RunOptions): Promise<number> {
  const { json, html } = options;
  if (html === STDOUT) throw new UsageError('--html needs a file');
  for (const file of [json, html]) if (file !== undefined && file !== STDOUT) checkWritable(file);
  // With --json - standard output belongs to the result.
  const stream = json === STDOUT ? process.stderr : process.stdout;
  const bold = boldOf(stream);
  const plan = makePlan(options);
  const machine = describeMachine();
  stream.write(`${[...machineLines(machine), ...planLines(plan)].join('\n')}\n\n`);
  const { campaign, signal } = await measure(plan, machine);
  if (campaign.trials.length > 0) stream.write(terminalReport(campaign, bold));
  // Nothing measured: the reasons are all there is to say.
  else for (const reason of [...campaign.failures.map(({ error }) => error), ...campaign.objections]) stream.write(`${reason}\n`);
  if (json === STDOUT) process.stdout.write(campaignJson(campaign));
  else if (json !== undefined) writeWhole(json, campaignJson(campaign));
  if (html !== undefined) {
    const { renderHtml } = await import('./html-report.js');
    writeWhole(html, renderHtml(campaign));
  }
  if (signal !== null) return BY_SIGNAL + constants.signals[signal];
  return campaign.failures.length > 0 || campaign.trials.length === 0 ? FAILED : OK;
}

/** What there is to choose from. */
export function listBench(): string {
  return listing(boldOf(process.stdout));
}

/** @throws Error when a file is no campaign */
export function compareFiles(before: string, after: string, { json = false }: { json?: boolean } = {}): string {
  const comparison = compareCampaigns(readCampaign(before), readCampaign(after));
  return json ? `${JSON.stringify(comparison, null, 2)}\n` : comparisonReport(comparison, boldOf(process.stdout));
}

/** Runs the campaign; the first signal ends it in order, with what was measured so far. */
async function measure(plan: Plan, machine: Campaign['machine']): Promise<{ campaign: Campaign; signal: NodeJS.Signals | null }> {
  const progress = new Progress(process.stderr);
  const run = new CampaignRun(plan, progress);
  let signal: NodeJS.Signals | null = null;
  const interrupt = (received: NodeJS.Signals): void => {
    signal ??= received;
    run.stop();
  };
  for (const each of SIGNALS) process.on(each, interrupt);
  try {
    return { campaign: await run.run(machine), signal };
  } finally {
    progress.end();
    for (const each of SIGNALS) process.off(each, interrupt);
  }
}

function planLines(plan: Plan): string[] {
  const trials = trialsOfRound(plan, 1).length * plan.rounds;
  const rounds = `${plan.rounds} ${plan.rounds === 1 ? 'round' : 'rounds'}`;
  const lines = [
    `${trials} trials in ${rounds}, ${plan.seconds} s each, in fresh processes, interleaved; the reference is ${plan.reference}; about ${clock(planSeconds(plan))}`,
  ];
  for (const { driver, type, why } of plan.missing) if (type === undefined) lines.push(`${driver} is left out: ${why}`);
  if (plan.rounds < 6) lines.push('fewer than 6 rounds: the intervals are wide; good for a look, not for a claim');
  return lines;
}

function boldOf(stream: NodeJS.WriteStream): (text: string) => string {
  const plain = stream.isTTY !== true || process.env['NO_COLOR'] || process.env['TERM'] === 'dumb';
  return (text) => (plain ? text : `\x1b[1m${text}\x1b[0m`);
}
