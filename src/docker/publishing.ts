/**
 * The ports Docker wants published for an endpoint: read from its port map, and published. dockerd allocates nothing for a remote driver, so a port it leaves
 * open (`-p 80`, `-p 8000-8010:80`) is chosen here, and `tapbridge show NETWORK publishes` says which one it is.
 */
import { ControlError } from '../control/control-error.js';
import { ephemeralPorts, reservedPorts } from '../control/host-sockets.js';
import type { AddPublish } from '../control/model.js';
import type { Undo } from '../control/undo.js';
import type { DockerControl } from './docker-control.js';
import type { Publishing } from './docker-record.js';
import type { PortMapEntry } from './messages.js';
import { hostAddress } from './options.js';

/** IANA's numbers. */
const PROTOCOLS: Readonly<Record<number, 'tcp' | 'udp'>> = { 6: 'tcp', 17: 'udp' };
const SCTP = 132;
/** Ports something takes between the look at them and the publish, one after the other. */
const MAX_TRIES = 16;

export type Wanted = Omit<Publishing, 'chosen'>;

/**
 * @param hostBinding where entries are published that name no address; null: everywhere
 * @throws ControlError invalid, which names what cannot be published
 */
export function wantedOf(entries: readonly PortMapEntry[], hostBinding: string | null): Wanted[] {
  const wanted = entries.map(({ Proto, Port: port, HostIP, HostPort: hostPort, HostPortEnd }) => {
    const protocol = PROTOCOLS[Proto];
    if (protocol === undefined) {
      const name = Proto === SCTP ? 'sctp' : `protocol ${Proto}`;
      throw new ControlError('invalid', `port ${port} cannot be published: ${name} is not translated`, 'publish tcp and udp');
    }
    const hostPortEnd = Math.max(hostPort, HostPortEnd);
    return {
      protocol,
      port,
      hostAddress: HostIP === '' ? hostBinding : hostAddress('the address of the host', HostIP),
      hostPort,
      hostPortEnd,
    };
  });
  // Docker says some twice: one for IPv4 and one for IPv6.
  return [...new Map(wanted.map((each) => [JSON.stringify(each), each])).values()];
}

/**
 * Publishes all of them, or none (by `undo`).
 * @throws ControlError conflict, which says who has a port
 */
export async function publishAll(
  control: DockerControl,
  bridge: string,
  portName: string,
  wanted: readonly Wanted[],
  undo: Undo,
): Promise<Publishing[]> {
  const publish = async (request: AddPublish) => {
    const { protocol, hostAddress: address, hostPort, hostPortEnd } = await control.publish(bridge, request);
    undo.add(() => control.unpublish(bridge, { protocol, hostAddress: address, hostPort, hostPortEnd }));
  };
  const done: Publishing[] = [];
  for (const run of runsOf(wanted.filter(isFixed))) {
    const [{ protocol, hostAddress: address, port, hostPort }] = run;
    const hostPortEnd = hostPort + run.length - 1;
    await publish({ protocol, hostAddress: address, hostPort, hostPortEnd, port, portName });
    done.push(...run.map((each) => ({ ...each, chosen: each.hostPort })));
  }
  for (const each of wanted.filter((one) => !isFixed(one))) {
    const { protocol, hostAddress: address, port } = each;
    const chosen = await firstFree(control, each, (hostPort) =>
      publish({ protocol, hostAddress: address, hostPort, port, portName }),
    );
    done.push({ ...each, chosen });
  }
  return done;
}

/** Ends what leads to a port, as control has it: whatever the record says. */
export async function unpublishAll(control: DockerControl, bridge: string, portName: string): Promise<void> {
  const there = control.listBridges().some(({ name }) => name === bridge);
  for (const each of there ? control.listPublishes(bridge) : []) {
    if (each.portName !== portName) continue;
    const { protocol, hostAddress: address, hostPort, hostPortEnd } = each;
    await control.unpublish(bridge, { protocol, hostAddress: address, hostPort, hostPortEnd });
  }
}

function isFixed({ hostPort, hostPortEnd }: Wanted): boolean {
  return hostPort > 0 && hostPort === hostPortEnd;
}

/** Neighbours together: a range of ports is one publish. */
function runsOf(wanted: readonly Wanted[]): Wanted[][] {
  const sorted = wanted.toSorted(
    (a, b) =>
      a.protocol.localeCompare(b.protocol) ||
      (a.hostAddress ?? '').localeCompare(b.hostAddress ?? '') ||
      a.hostPort - b.hostPort ||
      a.port - b.port,
  );
  const runs: Wanted[][] = [];
  for (const each of sorted) {
    const last = runs.at(-1)?.at(-1);
    const next =
      last !== undefined &&
      last.protocol === each.protocol &&
      last.hostAddress === each.hostAddress &&
      last.hostPort + 1 === each.hostPort &&
      last.port + 1 === each.port;
    if (next) runs.at(-1)?.push(each);
    else runs.push([each]);
  }
  return runs;
}

/** Tries the ports a request leaves open, beginning anywhere among the ephemeral ones, at the first of a range the user gave. */
async function firstFree(
  control: DockerControl,
  { protocol, hostPort, hostPortEnd }: Wanted,
  publish: (hostPort: number) => Promise<void>,
): Promise<number> {
  const any = hostPort === 0;
  const [first, last] = any ? ephemeralPorts() : [hostPort, hostPortEnd];
  const size = last - first + 1;
  const start = any ? Math.floor(Math.random() * size) : 0;
  const taken = new Set<number>(reservedPorts(protocol));
  for (const each of control.listPublishes()) {
    if (each.protocol !== protocol) continue;
    for (let port = each.hostPort; port <= each.hostPortEnd; port++) taken.add(port);
  }
  let tries = 0;
  let refusal: unknown;
  for (let step = 0; step < size && tries < MAX_TRIES; step++) {
    const port = first + ((start + step) % size);
    if (taken.has(port)) continue;
    tries++;
    try {
      await publish(port);
      return port;
    } catch (error) {
      if (!(error instanceof ControlError && error.code === 'conflict')) throw error;
      refusal = error;
    }
  }
  if (refusal !== undefined) throw refusal;
  throw new ControlError('conflict', `no ${protocol} port from ${first} to ${last} of the host is free`, 'publish others');
}
