/**
 * What a run of a suite came to: node .ci/report.mjs REPORT, of vitest's json reporter.
 *
 *     line 1      PASSED FAILED SKIPPED
 *     then        failed: FILE > TEST: REASON
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const files = JSON.parse(readFileSync(process.argv[2], 'utf8')).testResults;
const failed = files.flatMap(failures);
const count = (...statuses) =>
  files.flatMap((file) => file.assertionResults).filter((test) => statuses.includes(test.status)).length;
console.log(count('passed'), failed.length, count('pending', 'todo', 'skipped', 'disabled'));
for (const each of failed) console.log(`failed: ${each}`);

/** A file that does not load, or whose hooks fail, counts as one test. */
function failures(file) {
  const name = relative(process.cwd(), file.name);
  const tests = file.assertionResults.filter((test) => test.status === 'failed');
  if (tests.length === 0) return file.status === 'failed' ? [`${name}: ${firstLine(file.message)}`] : [];
  return tests.map((test) => `${name} > ${test.fullName}: ${firstLine(test.failureMessages[0])}`);
}

function firstLine(text = '') {
  return text.split('\n')[0];
}
