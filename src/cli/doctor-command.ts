/** doctor: looks at everything the daemon, Docker and CNI need, and says how to mend what is wrong */
import { Command } from 'commander';
import type { HealthState } from '../control/model.js';
import { DEFAULT_STATE } from '../control/paths.js';
import { run } from './command.js';
import type { Finding } from './doctor/finding.js';
import { Exit } from './failure.js';
import { colours, print, printJson } from './output.js';

interface Options {
  socket?: string;
  state: string;
  config?: string;
  driver: string;
  json?: boolean;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check kernel, permissions, networks, leftovers, Docker and CNI wiring, and say how to mend what is wrong')
    .option('--socket <path>', 'socket of the daemon (or TAPBRIDGE_SOCKET)')
    .option('--state <dir>', 'its state directory', DEFAULT_STATE)
    .option('--config <file>', 'its configuration, to check the ranges of nat.ranges')
    .option('--driver <name>', 'the name Docker knows the driver by', 'tapbridge')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExit status: 0 nothing fails, 1 something fails.')
    .action((options: Options) =>
      run('doctor', async () => {
        const { examine } = await import('./doctor/examine.js');
        const findings = await examine(options);
        const status = worst(findings);
        if (options.json === true) await printJson({ status, findings });
        else await print(report(findings, colours()));
        if (status === 'fail') process.exitCode = Exit.failure;
      }),
    );
}

const COLOUR: Record<HealthState, number> = { ok: 32, warn: 33, fail: 31 };
const WIDTH = { status: 5, area: 10 } as const;

/** A line for each finding; what is not well goes on with what it means and what mends it. */
export function report(findings: readonly Finding[], colour: boolean): string {
  const lines = findings.flatMap(({ area, status, found, meaning, remedy }) => {
    const mark = status.padEnd(WIDTH.status);
    const head = `${colour ? `\x1b[${COLOUR[status]}m${mark}\x1b[0m` : mark} ${area.padEnd(WIDTH.area)} ${found}`;
    const margin = ' '.repeat(WIDTH.status + WIDTH.area + 2);
    return [
      head,
      ...(meaning === undefined ? [] : [`${margin}${meaning}`]),
      ...(remedy === undefined ? [] : [`${margin}mend: ${remedy}`]),
    ];
  });
  const count = (state: HealthState) => findings.filter(({ status }) => status === state).length;
  return `${[...lines, '', `${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed`].join('\n')}\n`;
}

function worst(findings: readonly Finding[]): HealthState {
  return findings.some(({ status }) => status === 'fail')
    ? 'fail'
    : findings.some(({ status }) => status === 'warn')
      ? 'warn'
      : 'ok';
}
