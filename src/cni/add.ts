/**
 * ADD: addresses from the IPAM, a bridge when there is none yet, the port, what it publishes.
 *
 * Whatever fails, all that was made for this attachment is unmade; the bridge stays, since a parallel call may have a port on it by then (the reference
 * plugin leaves its bridge, too).
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddPublish, BridgeInfo, PortInfo, Reservation } from '../control/model.js';
import { allOrNothing, type Undo } from '../control/undo.js';
import { type AddressPlan, planAddresses, portRoutes, resultRoutes } from './addresses.js';
import { ensureBridge, findBridge } from './bridge.js';
import type { Call } from './call.js';
import { CniError, Code } from './cni-error.js';
import { ask, find } from './daemon-error.js';
import { releaseAddresses } from './del.js';
import { checkNetns, isNetns } from './environment.js';
import { portNameOf } from './names.js';
import { removeNote } from './note.js';
import { candidates } from './own-pool.js';
import { type Result, resultDocument } from './result.js';
import { readSettings, type Settings } from './settings.js';
import { type PortMapping, readWishes, type Wishes } from './wishes.js';

/** The daemon looks every second which namespaces ended. */
const NAMESPACE_END_MILLIS = 1500;

/** @returns the document to print @throws CniError */
export async function add(call: Call): Promise<object> {
  const { environment, network, client } = call;
  const settings = readSettings(network.fields);
  const wishes = readWishes(network.fields, environment);
  if ((network.fields['prevResult'] ?? undefined) !== undefined) {
    throw new CniError(
      Code.invalidConfig,
      'tapbridge makes the interface, so it is the first plugin of a list',
      'prevResult was given',
    );
  }
  if (wishes.portMappings.length > 0 && (!settings.ipMasq || settings.internal)) {
    const key = settings.internal ? 'internal' : 'ipMasq';
    throw new CniError(Code.invalidConfig, `portMappings need the gateway: ${key} is ${settings.internal}`, `leave ${key} out`);
  }
  checkNetns(environment);
  const port = portNameOf(network.name, environment.containerId, environment.ifname);
  const [ended, there] = await Promise.all([endsBefore(call, port), findBridge(call)]);
  if (ended) await releaseAddresses(call);
  const onError = (error: unknown) => process.stderr.write(`tapbridge-cni: cannot undo: ${(error as Error).message}\n`);
  return allOrNothing(onError, async (undo) => {
    const plan = await planAddresses(call, settings, wishes, undo);
    const bridge = await ensureBridge(call, settings, plan, ended ? await findBridge(call) : there);
    const attached = await attach(call, settings, wishes, plan, bridge, port, undo);
    const reservation = reservationOf();
    for (const publish of publishesOf(wishes.portMappings, port)) {
      await ask(`publish ${publish.hostPort}`, client.publish(network.bridge, { ...publish, reservation }), {
        conflict: Code.portInUse,
      });
    }
    removeNote(network.state, port);
    const ips = plan.own === null ? plan.ips : ownAddress(attached, bridge.gateway);
    const result: Result = {
      interfaces: [{ name: environment.ifname, mac: attached.mac ?? '', mtu: attached.mtu, sandbox: environment.netns }],
      ips: ips.map((ip) => ({ ...ip, interface: 0 })),
      routes: resultRoutes(plan, settings, bridge),
      dns: { ...plan.dns, ...settings.dns, ...wishes.dns },
    };
    return resultDocument(result, network.version);
  });
}

/**
 * Whether there was an attachment of this name that ended: its namespace is gone, and no DEL came. The daemon sees that by itself, or it is
 * detached here.
 * @throws CniError 102 when it has not ended
 */
async function endsBefore({ client, network, environment }: Call, port: string): Promise<boolean> {
  const look = () => find('look for the attachment', client.getPort(network.bridge, port));
  let there = await look();
  if (there === undefined) return false;
  // The same path may lead to another namespace by now.
  for (
    const until = Date.now() + NAMESPACE_END_MILLIS;
    there?.netns === environment.netns && Date.now() < until;
    await sleep(100)
  ) {
    there = await look();
  }
  if (there === undefined) return true;
  if (there.netns !== null && isNetns(there.netns)) {
    const what = `container ${environment.containerId} has its interface ${there.interface} in ${there.netns} already`;
    throw new CniError(Code.exists, what, 'call DEL first');
  }
  await find('detach what is left of the attachment', client.detach(network.bridge, port));
  return true;
}

async function attach(
  { client, network, environment }: Call,
  settings: Settings,
  wishes: Wishes,
  plan: AddressPlan,
  made: BridgeInfo,
  port: string,
  undo: Undo,
): Promise<PortInfo> {
  const { bridge } = network;
  const request = {
    port,
    netns: environment.netns,
    ifname: environment.ifname,
    addresses: plan.addresses,
    routes: plan.own !== null && plan.own.routes === undefined ? undefined : portRoutes(plan, settings, made),
    mac: wishes.mac,
    mtu: settings.mtu,
    rates: wishes.rates,
    flags: { hairpin: settings.hairpin, isolated: settings.isolated, locked: settings.locked },
    container: { engine: 'cni' as const, id: environment.containerId, name: wishes.name },
  };
  const tries = await addressesToTry({ client, network, environment }, plan, made, port);
  for (let each = 0; ; each++) {
    try {
      const otherwise = { failed: Code.moveFailed, notFound: Code.badEnvironment };
      const attached = await ask('attach', client.attach(bridge, { ...request, ip: tries[each] }), otherwise);
      undo.add(() => client.detach(bridge, port));
      return attached;
    } catch (error) {
      const taken = error instanceof CniError && error.code === Code.addressInUse;
      if (!taken || each + 1 >= tries.length) throw error;
    }
  }
}

/** undefined: no address. */
async function addressesToTry(
  { client, network }: Call,
  plan: AddressPlan,
  bridge: BridgeInfo,
  port: string,
): Promise<(string | undefined)[]> {
  if (plan.own === null || plan.ip !== undefined) return [plan.ip];
  if (plan.own.range === undefined) return ['auto'];
  const ports = await ask(`look at bridge ${network.bridge}`, client.listPorts(network.bridge));
  return candidates(plan.own.range, bridge, ports, port);
}

function ownAddress({ ip }: PortInfo, gateway: string | null): Result['ips'] {
  return ip === null ? [] : [{ address: ip, gateway: gateway ?? undefined, interface: 0 }];
}

/** podman binds the ports by itself once the container is set up, and fails where somebody has them. */
function reservationOf(): Reservation {
  try {
    return readFileSync(`/proc/${process.ppid}/comm`, 'utf8').trim() === 'podman' ? 'runtime' : 'daemon';
  } catch {
    return 'daemon';
  }
}

/** Runtimes send one entry for each port; those in a row are one publish. */
export function publishesOf(mappings: readonly PortMapping[], portName: string): AddPublish[] {
  const publishes: (AddPublish & { hostPortEnd: number })[] = [];
  for (const { protocol, hostAddress, hostPort, containerPort } of mappings) {
    const last = publishes.at(-1);
    const goesOn =
      last !== undefined &&
      last.protocol === protocol &&
      last.hostAddress === hostAddress &&
      last.hostPortEnd + 1 === hostPort &&
      last.port + (hostPort - last.hostPort) === containerPort;
    if (goesOn) last.hostPortEnd = hostPort;
    else publishes.push({ protocol, hostAddress, hostPort, hostPortEnd: hostPort, port: containerPort, portName });
  }
  return publishes;
}
