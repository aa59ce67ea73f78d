/** Node, the addon, the rights: what the program itself needs. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { TUN } from '../../daemon/host-check.js';
import { KEPT_CAPABILITIES } from '../../daemon/privileges.js';
import { type Binding, loadBinding } from '../../native/binding.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'program';
/** package.json, engines. */
const OLDEST_NODE = [20, 19] as const;

/** @param version as process.versions.node has it */
export function checkNode(version: string): Finding {
  const [major, minor] = version.split('.').map(Number);
  const fits = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (fits) return ok(AREA, `Node ${version}`);
  const wanted = OLDEST_NODE.join('.');
  return fail(
    AREA,
    `Node ${version} is too old`,
    `tapbridge needs ${wanted} or newer`,
    `install Node ${wanted} or newer, and tapbridge with it`,
  );
}

export function checkAddon(): { finding: Finding; binding: Binding | null } {
  try {
    return { binding: loadBinding(), finding: ok(AREA, 'the native addon loads') };
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = cause instanceof Error ? `: ${cause.message.split('\n')[0]}` : '';
    return {
      binding: null,
      finding: fail(
        AREA,
        `the native addon does not load${reason}`,
        'nothing can be bridged without it',
        message.split(': run ')[1] ?? 'npm run build:native',
      ),
    };
  }
}

/** @param status the text of /proc/self/status */
export function checkCapabilities(status: string): Finding {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const missing = Object.entries(KEPT_CAPABILITIES).flatMap(([name, bit]) => ((effective >> BigInt(bit)) & 1n ? [] : [name]));
  if (missing.length === 0) return ok(AREA, 'it has all capabilities the daemon needs');
  return warn(
    AREA,
    `this shell lacks ${missing.join(', ')}`,
    'a daemon started from here would not work, and what needs them is not looked at here',
    'sudo tapbridge doctor',
  );
}

export function checkTun(path = TUN): Finding {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return ok(AREA, `${path} can be opened`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      return fail(AREA, `${path} may not be opened`, 'no port can be made', `run as root; in a container, add --device ${path}`);
    }
    return fail(AREA, `there is no ${path}`, 'no port can be made', `modprobe tun; in a container, add --device ${path}`);
  }
}

export function checkProgram(): { findings: Finding[]; binding: Binding | null } {
  const { finding, binding } = checkAddon();
  const status = readFileSync('/proc/self/status', 'latin1');
  return { binding, findings: [checkNode(process.versions.node), finding, checkCapabilities(status), checkTun()] };
}
