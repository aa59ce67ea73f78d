import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../../dist/client/client.js';
import type { Lab } from '../../../dist/lab/lab.js';
import { A, B, type Connection, type Driver, SUBNET, type Wiring } from '../driver.js';
import { KEPT_AWAKE } from '../kept-awake.js';
import { Program } from '../programs.js';

/** Port numbers of the engine, one of which is the host port's. */
export const TAPBRIDGE_PORTS = 1023;
const BRIDGE = 'tb0';
const GATEWAY = '198.18.0.254';

/** Starts a daemon on a host that is a namespace of the lab, makes a bridge, attaches everybody. @param options of `tapbridge daemon` */
export async function connectByDaemon(lab: Lab, { a, b, spare }: Wiring, options: readonly string[] = []): Promise<Connection> {
  const script = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
  const client = connect(join(lab.folder, 'socket'));
  const args = ['--socket', client.socketPath, '--state', join(lab.folder, 'state'), '--log-level', 'warn', ...options];
  const daemon = Program.start(lab, lab.namespace('daemon'), process.execPath, [script, 'daemon', ...args]);
  await daemon.until('its answer', async () => (await client.version()) !== undefined);
  await client.createBridge({ name: BRIDGE, subnet: SUBNET, gateway: GATEWAY });
  // The generator's flows differ by their source addresses.
  const flags = { sourceGuard: false };
  await client.attach(BRIDGE, { port: 'a', netns: a.netnsPath, ip: A, flags });
  await client.attach(BRIDGE, { port: 'b', netns: b.netnsPath, ip: B, flags });
  for (const [index, { namespace, ifname }] of spare.entries()) {
    await client.attach(BRIDGE, { port: `s${index}`, netns: namespace.path, ifname });
  }
  await daemon.untilIdle();
  return { addressOfA: A, addressOfB: B, processes: [daemon.pid] };
}

/** Our bridge as delivered: the daemon, a bridge, two containers attached. */
export const tapbridge: Driver = {
  name: 'tapbridge',
  role: 'subject',
  what: `tapbridge daemon, a TAP per host, defaults${KEPT_AWAKE ? ': idle cores are kept awake while there is traffic (with docker-bridge-awake the kernel has that, too)' : ''}`,
  layer: 2,
  ping: true,
  maxPorts: TAPBRIDGE_PORTS,
  connect: (lab, wiring) => connectByDaemon(lab, wiring),
};
