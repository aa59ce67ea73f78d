/** demo: the tour */
import { Command } from 'commander';
import { run } from './command.js';

export function demoCommand(): Command {
  return new Command('demo')
    .description('build a lab in namespaces of its own, show everything working, clean up')
    .option('--keep', 'leave the lab up and print how to enter it')
    .option('--json', 'print the results as JSON')
    .action((options: { keep?: boolean; json?: boolean }) =>
      run('demo', async () => {
        const { runDemo } = await import('./demo.js');
        process.exitCode = await runDemo(options);
      }),
    );
}
