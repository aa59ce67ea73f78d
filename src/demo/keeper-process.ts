/** The process behind `tapbridge demo --keep`: see keep.ts. */
import { Demo } from './demo.js';
import { howToEnter } from './how-to.js';
import type { FromKeeper, KeepOptions } from './keep.js';

const options = JSON.parse(process.argv[2]) as KeepOptions;
let kept = false;
let ending = false;

function tell(message: FromKeeper): void {
  // The command may be gone: then nobody listens, and that is an end too (see 'disconnect').
  if (process.connected) process.send?.(message, () => undefined);
}

const demo = new Demo({ write: (line) => tell({ line }), terminal: options.terminal });

async function end(status: number): Promise<void> {
  if (ending) return;
  ending = true;
  await demo.close();
  process.exit(status);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void end(0));
process.on('disconnect', () => {
  if (!kept) void end(1);
});

const ok = await demo.run();
if (!ok) {
  // Taken down before the command hears of it: when it returns, nothing is left.
  await demo.close();
  tell({ finished: 'failed', results: demo.report.results });
  await end(1);
} else {
  for (const line of howToEnter(demo.stage, options.program, process.pid)) tell({ line });
  kept = true;
  tell({ finished: 'kept', results: demo.report.results });
  // Nothing else may keep the event loop turning once the channel is closed.
  setInterval(() => undefined, 2 ** 31 - 1);
}
