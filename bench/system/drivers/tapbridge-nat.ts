import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../../dist/client/client.js';
import type { Lab } from '../../../dist/lab/lab.js';
import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import { A, type Connection, type Driver, SUBNET, type Wiring } from '../driver.js';
import { KEPT_AWAKE } from '../kept-awake.js';
import { Program } from '../programs.js';
import { connectByUplink, GATEWAY, NAT_PORTS, OUTSIDE, OUTSIDE_OF_HOST, UPLINK } from './nat-uplink.js';

const BRIDGE = 'tb0';

/** Starts a daemon on a host with an uplink, makes a bridge with a gateway, attaches a. @param options of `tapbridge daemon` */
export async function connectByGateway(lab: Lab, { a, b }: Wiring, options: readonly string[] = []): Promise<Connection> {
  const host = lab.namespace('daemon');
  // The kernel of the host forwards nothing itself.
  host.inside(() => {
    writeSysctl('net/ipv6/conf/default/disable_ipv6', 1);
    writeSysctl('net/ipv4/ip_forward', 0);
  });
  connectByUplink(host, b);
  const script = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
  const client = connect(join(lab.folder, 'socket'));
  // One container may fill the table: the kernel has no shares.
  const config = join(lab.folder, 'nat.yaml');
  writeFileSync(config, 'nat:\n  flowShare: 1\n');
  const paths = ['--socket', client.socketPath, '--state', join(lab.folder, 'state'), '--config', config];
  const args = [...paths, '--log-level', 'warn', ...options];
  const daemon = Program.start(lab, host, process.execPath, [script, 'daemon', ...args]);
  await daemon.until('its answer', async () => (await client.version()) !== undefined);
  await client.createBridge({ name: BRIDGE, subnet: SUBNET, gateway: GATEWAY, uplink: UPLINK });
  await client.attach(BRIDGE, { port: 'a', netns: a.netnsPath, ip: A });
  for (const port of NAT_PORTS) await client.publish(BRIDGE, { protocol: 'tcp', hostPort: port, port, portName: 'a' });
  await daemon.untilIdle();
  return { addressOfA: OUTSIDE_OF_HOST, addressOfB: OUTSIDE, processes: [daemon.pid] };
}

/** Our gateway as delivered: the daemon, a bridge with an uplink, a container attached; b is outside. */
export const tapbridgeNat: Driver = {
  name: 'tapbridge-nat',
  role: 'subject',
  what: `tapbridge daemon, a TAP for a, its gateway with NAT, a raw socket on the uplink; b is outside${KEPT_AWAKE ? '; idle cores are kept awake while there is traffic (with docker-nat-awake the kernel has that, too)' : ''}`,
  layer: 3,
  nat: true,
  ping: true,
  maxPorts: 2,
  connect: (lab, wiring) => connectByGateway(lab, wiring),
};
