/** npm run bench: the system bench. See bench/README.md for what each number means. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuTimes, describeMachine, type Machine } from '../machine.js';
import { DEFAULT_DRIVERS, DEFAULT_TYPES, DRIVERS, TYPES } from './matrix.js';
import { formatReport, summarizeTrials } from './report.js';
import type { TrialResult } from './trial.js';

const USAGE = `usage: npm run bench -- [--rounds N] [--seconds S] [--drivers A,B] [--types A,B] [--json FILE]

  --rounds N    trials of each kind, interleaved; default 6
  --seconds S   length of a trial without its warm-up; default 1
  --drivers     the first one is the reference; default ${DEFAULT_DRIVERS.join(',')}
${DRIVERS.map(({ name, what }) => `                ${name.padEnd(14)} ${what}`).join('\n')}
  --types       default ${DEFAULT_TYPES.join(',')}
${TYPES.map(({ name, what, unit }) => `                ${name.padEnd(14)} ${what} (${unit})`).join('\n')}
  --json FILE   everything measured: machine, each trial in order, summary
`;

interface Plan {
  rounds: number;
  seconds: number;
  drivers: string[];
  types: string[];
  json: string | undefined;
}

function parsePlan(args: string[]): Plan | null {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '6' },
      seconds: { type: 'string', default: '1' },
      drivers: { type: 'string', default: DEFAULT_DRIVERS.join(',') },
      types: { type: 'string', default: DEFAULT_TYPES.join(',') },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: give a whole number of at least 1`);
  if (!(seconds > 0 && seconds <= 600)) throw new Error(`--seconds ${values.seconds}: give a number up to 600`);
  return {
    rounds,
    seconds,
    drivers: withoutMissing(chosen('--drivers', values.drivers, DRIVERS)),
    types: chosen('--types', values.types, TYPES),
    json: values.json,
  };
}

/** Drops the drivers whose program is not installed, and says so. */
function withoutMissing(drivers: readonly string[]): string[] {
  const present = drivers.filter((name) => {
    const needs = DRIVERS.find((driver) => driver.name === name)?.needs;
    const missing = needs !== undefined && spawnSync(needs.command, ['--version'], { stdio: 'ignore' }).error !== undefined;
    if (missing) process.stdout.write(`${name} is left out: there is no ${needs.command} (Debian package ${needs.package})\n`);
    return !missing;
  });
  if (present.length === 0) throw new Error('no driver is left to measure');
  return present;
}

function chosen(option: string, list: string, known: readonly { name: string }[]): string[] {
  const names = list.split(',');
  const unknown = names.find((name) => !known.some((each) => each.name === name));
  if (unknown === undefined) return names;
  throw new Error(`${option} ${unknown}: there are ${known.map(({ name }) => name).join(', ')}`);
}

/** A trial in a fresh process. @throws Error with what the process said */
function runTrial(driver: string, type: string, seconds: number): Promise<TrialResult> {
  const script = fileURLToPath(new URL('./trial.js', import.meta.url));
  const child = spawn(process.execPath, [script, driver, type, String(seconds)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve(JSON.parse(output) as TrialResult);
      else reject(new Error(complaint.trim() || `trial ${driver} ${type} ended with status ${status}`));
    });
  });
}

/** A B, B A, A B …: whatever drifts during the run meets both alike. */
function inOrder(drivers: readonly string[], round: number): readonly string[] {
  return round % 2 === 0 ? drivers : [...drivers].reverse();
}

async function run(plan: Plan): Promise<TrialResult[][]> {
  const total = plan.rounds * plan.types.length * plan.drivers.length;
  const start = performance.now();
  const rounds: TrialResult[][] = [];
  let done = 0;
  for (let round = 0; round < plan.rounds; round++) {
    const trials: TrialResult[] = [];
    for (const type of plan.types) {
      for (const driver of inOrder(plan.drivers, round)) {
        progress(`round ${round + 1}/${plan.rounds}  ${type} ${driver}  ${done}/${total} trials, ${seconds(start)} s`);
        trials.push(await runTrial(driver, type, plan.seconds));
        done++;
      }
    }
    rounds.push(trials);
  }
  progress('');
  return rounds;
}

/** One line that is written over, on a terminal only. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(0);
}

function machineLine({ cpu, cores, kernel, node, virtual, bridgeNetfilter }: Machine): string {
  return `${cpu}, ${cores} cores${virtual ? ' (virtual)' : ''}, Linux ${kernel}, Node ${node}, bridge netfilter ${bridgeNetfilter}`;
}

/** Busy cores of foreign work, and stolen time of a trial, above which a run is void (bench/README.md, Noise). */
const MAX_FOREIGN_CORES = 0.1;
const MAX_STEAL = 0.02;
const LOOK_MILLIS = 500;

/** Cores at work while this process does nothing. */
async function foreignCores(): Promise<number> {
  const before = cpuTimes();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MILLIS));
  const after = cpuTimes();
  return (after.busy - before.busy) / (after.at - before.at);
}

/** What speaks against quoting this run. */
function objections(foreign: number, trials: readonly TrialResult[], confidence: number): string[] {
  const found: string[] = [];
  if (foreign > MAX_FOREIGN_CORES) found.push(`${foreign.toFixed(1)} cores were busy with other work before it began`);
  const stolen = trials.filter(({ steal }) => steal > MAX_STEAL).length;
  if (stolen > 0)
    found.push(`the hypervisor took more than ${MAX_STEAL * 100} % of the time in ${stolen} of ${trials.length} trials`);
  if (confidence < 0.95)
    found.push(`its intervals cover the median with ${(confidence * 100).toFixed(0)} % only: use --rounds 6 or more`);
  return found;
}

async function main(): Promise<void> {
  const plan = parsePlan(process.argv.slice(2));
  if (plan === null) {
    process.stdout.write(USAGE);
    return;
  }
  const machine = describeMachine();
  const start = performance.now();
  process.stdout.write(`${machineLine(machine)}\n`);
  process.stdout.write(`${plan.rounds} rounds, trials of ${plan.seconds} s, each in a fresh process, interleaved\n\n`);
  const foreign = await foreignCores();
  const rounds = await run(plan);
  const cells = summarizeTrials(rounds, plan.drivers, plan.types);
  process.stdout.write(`${formatReport(cells, plan.drivers)}\n\n${seconds(start)} s\n`);
  const against = objections(foreign, rounds.flat(), cells[0].ratio.confidence);
  for (const objection of against) process.stdout.write(`do not quote this run: ${objection}\n`);
  if (plan.json !== undefined) {
    const trials = rounds.flatMap((round, index) => round.map((trial) => ({ round: index + 1, ...trial })));
    writeFileSync(plan.json, `${JSON.stringify({ machine, plan, objections: against, trials, summary: cells }, null, 1)}\n`);
  }
}

try {
  await main();
} catch (error) {
  progress('');
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
