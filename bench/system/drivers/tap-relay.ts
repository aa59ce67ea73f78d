import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QUEUE_FRAMES } from '../../../dist/control/tap.js';
import type { Lab } from '../../../dist/lab/lab.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { getLink, moveLink, setLink } from '../../../dist/netlink/link.js';
import { A, B, type Driver } from '../driver.js';
import { KEPT_AWAKE } from '../kept-awake.js';
import { Program } from '../programs.js';

const PROBES = fileURLToPath(new URL('../../../bench/probes', import.meta.url));
const SOURCE = join(PROBES, 'tap-relay.cc');
const BINARY = fileURLToPath(new URL('../../../build/probes/tap-relay', import.meta.url));

/** As our engine has them: bursts, and idle cores that are kept awake where our daemon does so by itself. */
const AS_OURS = `--burst 512 --bytes 262144${KEPT_AWAKE ? ' --awake' : ''}`;

/** Options of the probe that try a mechanism, e.g. TAP_RELAY='--uring --pin 1'. */
export const RELAY_OPTIONS: readonly string[] = (process.env['TAP_RELAY'] ?? AS_OURS).split(' ').filter((word) => word !== '');

/** The ceiling of what we do: a C++ program that moves frames between two TAPs as our engine does, and decides nothing. */
export const tapRelay: Driver = {
  name: 'tap-relay',
  role: 'ceiling',
  what: `a C++ relay between two TAPs that decides nothing (bench/probes/tap-relay.cc ${RELAY_OPTIONS.join(' ')})`,
  needs: [{ command: 'g++', package: 'g++' }],
  layer: 2,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    const host = lab.namespace('relay');
    const program = startRelay(lab, host, ['t0', 't1']);
    await program.until('its TAPs', () => host.hasInterface('t0') && host.hasInterface('t1'));
    for (const [index, { namespace }] of [a, b].entries()) plugRelayTap(host, `t${index}`, namespace);
    a.namespace.configure('eth0', { address: A });
    b.namespace.configure('eth0', { address: B });
    return { addressOfA: A, addressOfB: B, processes: [program.pid] };
  },
};

/** Starts the probe between two ports: the name of a TAP, which it makes, or `packet:NAME`, an interface that is there. */
export function startRelay(lab: Lab, host: LabNamespace, ports: readonly [string, string]): Program {
  compile();
  return Program.start(lab, host, BINARY, [...ports, ...RELAY_OPTIONS]);
}

/** Gives a TAP of the probe to a host, as eth0, with the queue that one of ours has. */
export function plugRelayTap({ netlink }: LabNamespace, name: string, to: LabNamespace): void {
  const tap = getLink(netlink, name).index;
  setLink(netlink, tap, { txQueueLength: QUEUE_FRAMES });
  moveLink(netlink, tap, to.descriptor, 'eth0');
}

/** Once a source. @throws Error with what the compiler said */
function compile(): void {
  const compiled = statSync(BINARY, { throwIfNoEntry: false });
  const changed = Math.max(...readdirSync(PROBES).map((file) => statSync(join(PROBES, file)).mtimeMs));
  if (compiled !== undefined && compiled.mtimeMs >= changed) return;
  mkdirSync(dirname(BINARY), { recursive: true });
  // Under another name first: nobody starts half a program.
  const half = join(dirname(BINARY), `tap-relay.${process.pid}`);
  const { status, stderr } = spawnSync('g++', ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-o', half, SOURCE], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`g++ refused ${SOURCE}: ${stderr.trim()}`);
  renameSync(half, BINARY);
}
