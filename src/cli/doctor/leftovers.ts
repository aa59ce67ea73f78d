/** What daemons that are gone have left: interfaces, classifiers, sockets, records that were set aside. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from '../../control/control-error.js';
import { CLASSIFIER_HANDLE } from '../../control/host-changes.js';
import { instanceOf } from '../../control/interface-alias.js';
import { checkOwnDirectory, readOwned } from '../../control/ownership.js';
import { lockHolder } from '../../control/state-lock.js';
import type { Link } from '../../netlink/link.js';
import type { Netlink } from '../../netlink/netlink.js';
import { listClassifiers } from '../../netlink/tc.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'leftovers';
const SHOWN = 5;
/** What the daemon reads of its state directory when it starts. */
const RECORDS = ['state.json', 'docker.json'];
/** As record-file takes. */
const MAX_BYTES = 256 << 20;

/** What of a state directory tells whose things are whose. */
export interface StateFacts {
  directory: string;
  /** Whose aliases its interfaces have; null: no daemon has used it yet. */
  instance: string | null;
  /** Process id of the daemon that uses it. */
  holder: number | undefined;
}

export function stateFacts(directory: string): StateFacts {
  const path = join(directory, 'instance');
  let instance: string | null = null;
  try {
    instance = readFileSync(path, 'latin1').trim();
  } catch {
    // No daemon has been here, or only root may look.
  }
  return { directory, instance, holder: lockHolder(directory) };
}

/** @param guarded uplinks whose classifier belongs to the daemon that runs */
export function checkLeftovers(
  netlink: Netlink,
  links: readonly Link[],
  state: StateFacts,
  guarded: ReadonlySet<string>,
): Finding[] {
  const findings = [...checkInterfaces(links, state), ...checkClassifiers(netlink, links, state, guarded), ...checkState(state)];
  return findings.length > 0 ? findings : [ok(AREA, 'nothing is left over')];
}

/** A TAP nobody has open has no carrier. */
export function checkInterfaces(links: readonly Pick<Link, 'name' | 'alias' | 'lowerUp'>[], state: StateFacts): Finding[] {
  const made = links.flatMap((link) => {
    const instance = instanceOf(link.alias);
    return instance === undefined || link.lowerUp ? [] : [{ ...link, instance }];
  });
  const own = made.filter(({ instance }) => instance === state.instance);
  const foreign = made.filter(({ instance }) => instance !== state.instance);
  return [
    ...(own.length > 0 && state.holder === undefined
      ? [
          warn(
            AREA,
            `${listed(own)} wait for the next start of the daemon on ${state.directory}`,
            'containers behind it have no network until then',
            `tapbridge daemon --state ${state.directory}; with "--on-stop remove" it takes them away when it ends`,
          ),
        ]
      : []),
    ...(foreign.length > 0
      ? [
          warn(
            AREA,
            `${listed(foreign)} were made by a daemon with another state directory, and no daemon has them open`,
            'if that daemon does not come back they are of no use',
            foreign.map(({ name }) => `ip link del ${name}`).join('; '),
          ),
        ]
      : []),
  ];
}

/** A classifier outlives the daemon on purpose: it keeps the host from resetting connections that wait for the next one. */
function checkClassifiers(netlink: Netlink, links: readonly Link[], state: StateFacts, guarded: ReadonlySet<string>): Finding[] {
  return links.flatMap((link) =>
    listClassifiers(netlink, link.index)
      .filter(({ handle, kind }) => kind === 'bpf' && handle === CLASSIFIER_HANDLE && !guarded.has(link.name))
      .map(({ priority }) => {
        const remove = `tc filter del dev ${link.name} ingress pref ${priority}`;
        const meaning = 'it keeps ports of translated connections from the host';
        return state.holder === undefined
          ? warn(
              AREA,
              `the guard at ${link.name} waits for the next start of the daemon`,
              meaning,
              `tapbridge daemon; for good: ${remove}`,
            )
          : fail(AREA, `a guard is left at ${link.name}, which is no uplink of the daemon`, meaning, remove);
      }),
  );
}

/** Whether the daemon would start with this state directory, and what of it nobody reads any more. */
export function checkState({ directory, holder }: StateFacts): Finding[] {
  if (!existsSync(directory)) return [];
  const findings: Finding[] = [];
  try {
    checkOwnDirectory(directory);
  } catch (error) {
    const { message, hint } = error as Error & { hint?: string };
    findings.push(fail(AREA, message, 'the daemon refuses to start: others could tell it what to do', hint));
  }
  const names = namesIn(directory);
  for (const name of RECORDS.filter((each) => names.includes(each))) findings.push(...checkRecord(join(directory, name)));
  const aside = names.filter((name) => /\.broken-\d+$/.test(name));
  if (aside.length > 0) {
    const what = `${directory} has ${aside.length} records that could not be read: ${aside.slice(0, SHOWN).join(', ')}`;
    findings.push(
      warn(AREA, what, 'bridges and ports of theirs were not restored', `look at them; then rm ${join(directory, '*.broken-*')}`),
    );
  }
  if (holder === undefined && existsSync(join(directory, 'daemon.lock'))) {
    findings.push(ok(AREA, `the lock in ${directory} is that of a daemon that is gone: the next one takes it over`));
  }
  return findings;
}

function checkRecord(path: string): Finding[] {
  try {
    readOwned(path, MAX_BYTES);
    return [];
  } catch (error) {
    // Only what the daemon would refuse it for: this program may have fewer rights.
    if (!(error instanceof ControlError)) return [];
    return [fail(AREA, error.message, 'the daemon refuses to start: others could tell it what to do', error.hint)];
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function listed(links: readonly { name: string }[]): string {
  const names = links.slice(0, SHOWN).map(({ name }) => name);
  return `${links.length} interfaces (${names.join(', ')}${links.length > SHOWN ? ', ...' : ''})`;
}
