/** `tapbridge demo`: sees to the rights, runs the demo here or in a process that stays, ends it on signals. */
import { constants } from 'node:os';
import { relative } from 'node:path';
import { Demo } from '../demo/demo.js';
import { whatNext } from '../demo/how-to.js';
import { startKeeper } from '../demo/keep.js';
import type { StepResult } from '../demo/report.js';
import { decide, situation } from '../demo/rights.js';
import { BY_SIGNAL, runThrough } from './run-through.js';

export interface DemoCommandOptions {
  keep?: boolean;
  json?: boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const OK = 0;
const FAILED = 1;

/** Runs the demo. Returns the exit status. */
export async function runDemo({ keep = false, json = false }: DemoCommandOptions): Promise<number> {
  const rights = decide(situation());
  switch (rights.kind) {
    case 'lacking':
      process.stderr.write(`tapbridge: demo: ${rights.message}\n`);
      return FAILED;
    case 'through':
      return runThrough('demo', rights.command, rights.args);
    case 'enough':
      return keep ? runKept(json) : runHere(json);
  }
}

async function runHere(json: boolean): Promise<number> {
  const { write, terminal } = output(json);
  const demo = new Demo({ write, terminal });
  const interruption = onSignal(() => demo.close());
  try {
    const ok = await demo.run();
    if (interruption.status !== 0) return await interruption.ended;
    await demo.close();
    if (interruption.status !== 0) return await interruption.ended;
    if (json) printResults(demo.report.results);
    if (ok) for (const line of whatNext(program())) write(line);
    return ok ? OK : FAILED;
  } finally {
    interruption.off();
  }
}

async function runKept(json: boolean): Promise<number> {
  const { write, terminal } = output(json);
  const keeper = startKeeper({ terminal, program: program() }, write);
  const interruption = onSignal(() => keeper.stop());
  const { ok, results } = await keeper.finished;
  if (interruption.status !== 0) return interruption.ended;
  interruption.off();
  if (ok) keeper.release();
  else await keeper.stop();
  if (json) printResults(results);
  return ok ? OK : FAILED;
}

/** Ends what runs on the first signal; `status` is 0 until then, `ended` settles when everything is down. */
function onSignal(end: () => Promise<void>) {
  const interruption = {
    status: 0,
    ended: Promise.resolve(0),
    off: () => {
      for (const signal of SIGNALS) process.off(signal, handle);
    },
  };
  function handle(signal: NodeJS.Signals): void {
    if (interruption.status !== 0) return;
    interruption.status = BY_SIGNAL + constants.signals[signal];
    interruption.ended = end().then(() => interruption.status);
  }
  for (const signal of SIGNALS) process.on(signal, handle);
  return interruption;
}

/** With --json standard output belongs to the results. */
function output(json: boolean): { write(line: string): void; terminal: boolean } {
  const stream = json ? process.stderr : process.stdout;
  return { write: (line) => void stream.write(`${line}\n`), terminal: stream.isTTY === true };
}

function printResults(results: readonly StepResult[] | unknown): void {
  process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
}

/** How this command line was called, for lines to copy. */
function program(): string {
  const script = process.argv[1];
  if (!script.endsWith('main.js')) return 'tapbridge';
  const near = relative(process.cwd(), script);
  return `node ${near.startsWith('..') ? script : near}`;
}
