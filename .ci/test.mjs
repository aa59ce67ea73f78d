/**
 * What `npm test` runs: vitest, behind unshare(1) in a user namespace of its own where that takes the place of root. Where neither is to
 * be had, one line says what is missing, and the suites that need it leave themselves out.
 */
import { spawnSync } from 'node:child_process';
import { decide, situation } from '../dist/demo/rights.js';

const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)];
const rights = decide(situation());
if (rights.kind === 'lacking') {
  console.error(`tapbridge: tests on real interfaces are left out: ${rights.message}`);
}
const [command, ...args] = rights.kind === 'through' ? [rights.command, ...rights.args, ...vitest] : vitest;
process.exitCode = spawnSync(command, args, { stdio: 'inherit' }).status ?? 1;
