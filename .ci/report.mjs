/**
 * What runs of one suite came to: node .ci/report.mjs FIRST [SECOND], reports of vitest's json reporter. SECOND is of the files that failed in FIRST,
 * run again one after the other: what it says of a file counts.
 *
 *     line 1      PASSED FAILED SKIPPED
 *     then        failed: FILE > TEST: REASON         flaky: FILE > TEST: REASON of the first time; it did not fail the second
 *
 * With --files the paths of the files that failed instead, a line each.
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [what, ...paths] =
  process.argv[2] === '--files' ? ['files', ...process.argv.slice(3)] : ['counts', ...process.argv.slice(2)];
const [first, second] = paths.map((path) => JSON.parse(readFileSync(path, 'utf8')));
const broken = first.testResults.filter((file) => file.status === 'failed');

if (what === 'files') {
  for (const file of broken) console.log(relative(process.cwd(), file.name));
} else {
  const again = new Map((second?.testResults ?? []).map((file) => [file.name, file]));
  const files = first.testResults.map((file) => again.get(file.name) ?? file);
  const failed = files.flatMap(failures);
  const count = (...statuses) =>
    files.flatMap((file) => file.assertionResults).filter((test) => statuses.includes(test.status)).length;
  console.log(count('passed'), failed.length, count('pending', 'todo', 'skipped', 'disabled'));
  for (const { what, why } of failed) console.log(`failed: ${what}: ${why}`);
  const stillFailed = new Set(failed.map(({ what }) => what));
  for (const { what, why } of broken.flatMap(failures)) if (!stillFailed.has(what)) console.log(`flaky: ${what}: ${why}`);
}

/** A file that does not load, or whose hooks fail, counts as one test. */
function failures(file) {
  const name = relative(process.cwd(), file.name);
  const tests = file.assertionResults.filter((test) => test.status === 'failed');
  if (tests.length === 0) return file.status === 'failed' ? [{ what: name, why: firstLine(file.message) }] : [];
  return tests.map((test) => ({ what: `${name} > ${test.fullName}`, why: firstLine(test.failureMessages[0]) }));
}

function firstLine(text = '') {
  return text.split('\n')[0];
}
