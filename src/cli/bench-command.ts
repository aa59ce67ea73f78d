/** bench: the measuring bench, which is a program of its own (bench/, compiled to dist-bench/) and loaded when it is asked for. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { run } from './command.js';
import { UsageError } from './failure.js';
import { print } from './output.js';
import { positiveNumber, wholeNumber } from './values.js';

interface RunOptions {
  set?: string;
  drivers?: string;
  types?: string;
  rounds?: number;
  seconds?: number;
  quick?: boolean;
  full?: boolean;
  aa?: boolean;
  json?: string;
  html?: string;
}

/** What bench/system/main.ts exports. */
interface Bench {
  runBench(options: RunOptions): Promise<number>;
  listBench(): string;
  compareFiles(before: string, after: string, options: { json?: boolean }): string;
}

type Options = Omit<RunOptions, 'rounds' | 'seconds'> & { rounds?: string; seconds?: string; list?: boolean };

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure tapbridge beside the kernel bridge and others, in namespaces of its own')
    .option(
      '--set <name>',
      'what to compare: bridge, nat (a container, a gateway that translates, a host outside), docker or docker-nat (the same in containers of a real engine); bridge unless said',
    )
    .option('--drivers <names>', 'what to measure, with commas between, or all; the first is the reference of all ratios')
    .option('--types <names>', 'what about it: types or families of types, with commas between, or all')
    .option('--rounds <n>', 'trials of each driver and type, interleaved (6; --quick 3)')
    .option('--seconds <s>', 'length of a measurement, or of one step of a search (0.5; --full 1)')
    .option('--quick', 'three types in under 45 seconds, with wide intervals')
    .option('--full', 'every driver and every type; says first how long it will take')
    .option('--aa', 'the reference twice in every round: what the set-up can tell apart (always with --full)')
    .option('--json <file>', 'write everything measured; - is standard output')
    .option('--html <file>', 'write a report with plots, one file')
    .option('--list', 'print drivers and types and end')
    .addHelpText(
      'after',
      `
Without options: three drivers, the most important types, under three minutes. Exit status 1 when a trial failed.

  tapbridge bench --quick
  tapbridge bench --types udp-size,tcp-1 --drivers kernel-bridge,tapbridge,veth --rounds 12
  tapbridge bench --set nat
  tapbridge bench --set docker-nat --types requests
  tapbridge bench --full --json now.json --html now.html
  tapbridge bench compare before.json now.json`,
    )
    .action((options: Options) => run('bench', () => measure(options)))
    .enablePositionalOptions()
    .addCommand(compareCommand());
}

function compareCommand(): Command {
  return new Command('compare')
    .description('say what changed between two results beyond noise')
    .argument('<old>', 'a file that bench --json wrote')
    .argument('<new>', 'another one')
    .option('--json', 'print JSON')
    .action((before: string, after: string, options: { json?: boolean }) =>
      run('bench compare', async () => {
        const bench = await loadBench();
        await print(bench.compareFiles(before, after, options));
      }),
    );
}

async function measure({ list, ...given }: Options): Promise<void> {
  if (list) return listAll(given);
  const { rounds, seconds, ...options } = given;
  if (options.quick && options.full) throw new UsageError('--quick and --full exclude each other');
  const numbers = {
    ...(rounds === undefined ? {} : { rounds: wholeNumber('--rounds', rounds) }),
    ...(seconds === undefined ? {} : { seconds: positiveNumber('--seconds', seconds) }),
  };
  const bench = await loadBench();
  const { decide, situation } = await import('../demo/rights.js');
  const rights = decide(situation(), 'npm run bench');
  if (rights.kind === 'lacking') throw new Error(rights.message);
  if (rights.kind === 'through') {
    const { runThrough } = await import('./run-through.js');
    process.exitCode = await runThrough('bench', rights.command, rights.args);
  } else {
    process.exitCode = await bench.runBench({ ...options, ...numbers });
  }
}

async function listAll(others: object): Promise<void> {
  if (Object.keys(others).length > 0) throw new UsageError('--list stands alone: it measures nothing');
  const bench = await loadBench();
  await print(bench.listBench());
}

/** @throws Error when the bench was not built */
async function loadBench(): Promise<Bench> {
  const main = new URL('../../dist-bench/system/main.js', import.meta.url);
  if (!existsSync(fileURLToPath(main))) throw new Error('the bench is not built; run "npm run build"');
  return (await import(main.href)) as Bench;
}
