/** All checks, in an order in which the first that is not well is the one to mend first. */
import { connect } from '../../client/client.js';
import { loadConfig } from '../../daemon/config.js';
import { DOCKER_SOCKET, engineSocket } from '../../docker/engine-api.js';
import type { Binding } from '../../native/binding.js';
import { listLinks } from '../../netlink/link.js';
import { Netlink } from '../../netlink/netlink.js';
import { listRoutes } from '../../netlink/route.js';
import { checkCni, cniPlaces } from './cni-wiring.js';
import { askDaemon, type DaemonFacts } from './daemon-health.js';
import { checkDocker, DOCKER_PLACES } from './docker-wiring.js';
import { type Finding, fail } from './finding.js';
import { checkKernel } from './kernel.js';
import { checkLeftovers, stateFacts } from './leftovers.js';
import { checkSubnets } from './networks.js';
import { checkProgram } from './program.js';
import { checkSysctls } from './sysctls.js';

/** A daemon that hangs is a finding. */
const ANSWER_MILLIS = 5000;

export interface Examined {
  socket?: string;
  state: string;
  config?: string;
  driver: string;
}

export async function examine({ socket, state, config, driver }: Examined): Promise<Finding[]> {
  const program = checkProgram();
  const { ranges, findings: configured } = await configuration(config);
  const daemon = await askDaemon(connect(socket, ANSWER_MILLIS));
  const host = program.binding === null ? { findings: [], links: [] } : lookAtHost(program.binding, daemon, state);
  const named = process.env['DOCKER_HOST'];
  const api = named ? engineSocket('DOCKER_HOST', named) : DOCKER_SOCKET;
  return [
    ...program.findings,
    ...(program.binding === null ? [] : checkKernel(program.binding)),
    ...configured,
    ...checkSysctls('/proc/sys', ranges),
    ...host.findings,
    ...daemon.findings,
    ...(await checkDocker({ ...DOCKER_PLACES, api }, driver, { links: host.links, bridges: daemon.bridges })),
    ...checkCni(cniPlaces()),
  ];
}

function lookAtHost(binding: Binding, daemon: DaemonFacts, state: string): { findings: Finding[]; links: string[] } {
  const netlink = Netlink.open(binding);
  try {
    const links = listLinks(netlink);
    const guarded = new Set(daemon.uplinks.map(({ interface: name }) => name));
    return {
      findings: [
        ...checkSubnets(daemon.bridges, { links, routes: listRoutes(netlink) }),
        ...checkLeftovers(
          netlink,
          // Those of a daemon that answers are none, whatever state directory it has.
          links.filter(({ name }) => !daemon.interfaces.has(name)),
          stateFacts(state),
          guarded,
        ),
      ],
      links: links.map(({ name }) => name),
    };
  } finally {
    netlink.close();
  }
}

/** What is configured of NAT's ports; null: the default. */
async function configuration(path: string | undefined): Promise<{ ranges: [number, number][] | null; findings: Finding[] }> {
  if (path === undefined) return { ranges: null, findings: [] };
  try {
    return { ranges: (await loadConfig(path)).nat?.ranges ?? null, findings: [] };
  } catch (error) {
    const { message, hint } = error as Error & { hint?: string };
    return { ranges: null, findings: [fail('program', message, 'the daemon refuses to start with it', hint)] };
  }
}
