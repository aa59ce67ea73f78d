import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QUEUE_FRAMES } from '../../../dist/control/tap.js';
import { getLink, moveLink, setLink } from '../../../dist/netlink/link.js';
import { A, B, type Driver } from '../driver.js';
import { Program } from '../programs.js';

const SOURCE = fileURLToPath(new URL('../../../bench/probes/tap-relay.cc', import.meta.url));
const BINARY = fileURLToPath(new URL('../../../build/probes/tap-relay', import.meta.url));

/**
 * Options of the probe that try a mechanism, e.g. TAP_RELAY='--uring --pin 1'. Without any: bursts as our engine has them.
 */
const options = (process.env['TAP_RELAY'] ?? '--burst 512 --bytes 262144').split(' ').filter((word) => word !== '');

/** The ceiling of what we do: a C++ program that moves frames between two TAPs as our engine does, and decides nothing. */
export const tapRelay: Driver = {
  name: 'tap-relay',
  role: 'ceiling',
  what: `a C++ relay between two TAPs that decides nothing (bench/probes/tap-relay.cc ${options.join(' ')})`,
  needs: [{ command: 'g++', package: 'g++' }],
  layer: 2,
  ping: true,
  maxPorts: 2,
  async connect(lab, { a, b }) {
    compile();
    const host = lab.namespace('relay');
    const program = Program.start(lab, host, BINARY, ['t0', 't1', ...options]);
    await program.until('its TAPs', () => host.hasInterface('t0') && host.hasInterface('t1'));
    for (const [index, { namespace }] of [a, b].entries()) {
      const tap = getLink(host.netlink, `t${index}`).index;
      setLink(host.netlink, tap, { txQueueLength: QUEUE_FRAMES });
      moveLink(host.netlink, tap, namespace.descriptor, 'eth0');
    }
    a.namespace.configure('eth0', { address: A });
    b.namespace.configure('eth0', { address: B });
    return { addressOfA: A, addressOfB: B, processes: [program.pid] };
  },
};

/** Once a source. @throws Error with what the compiler said */
function compile(): void {
  const compiled = statSync(BINARY, { throwIfNoEntry: false });
  if (compiled !== undefined && compiled.mtimeMs >= statSync(SOURCE).mtimeMs) return;
  mkdirSync(dirname(BINARY), { recursive: true });
  // Under another name first: nobody starts half a program.
  const half = join(dirname(BINARY), `tap-relay.${process.pid}`);
  const { status, stderr } = spawnSync('g++', ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-o', half, SOURCE], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`g++ refused ${SOURCE}: ${stderr.trim()}`);
  renameSync(half, BINARY);
}
