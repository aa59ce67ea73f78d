/**
 * A reporter of vitest's that writes down how many errors there were outside of tests, into the file TAPBRIDGE_UNHANDLED names: a worker that died, a
 * promise nobody waited for. The json reporter knows none of them.
 */
import { writeFileSync } from 'node:fs';

export default class Unhandled {
  onTestRunEnd(_modules, errors) {
    writeFileSync(process.env['TAPBRIDGE_UNHANDLED'], `${errors.length}\n`);
  }
}
