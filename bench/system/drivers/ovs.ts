import { join } from 'node:path';
import type { Lab } from '../../../dist/lab/lab.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { getLink, moveLink } from '../../../dist/netlink/link.js';
import { A, B, type Driver, type Wiring } from '../driver.js';
import { ask, Program } from '../programs.js';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const BRIDGE = 'br0';

interface Switch {
  host: LabNamespace;
  processes: number[];
  /** Runs ovs-vsctl, which returns when the switch has done what the database says. */
  control(...args: string[]): string;
}

/** Database and switch, all their files in the lab's folder. */
async function startSwitch(lab: Lab): Promise<Switch> {
  const host = lab.namespace('ovs');
  const { folder } = lab;
  const env = { OVS_RUNDIR: folder, OVS_DBDIR: folder, OVS_LOGDIR: folder, OVS_SYSCONFDIR: folder };
  const socket = `unix:${join(folder, 'db.sock')}`;
  const control = (...args: string[]): string => ask(host, 'ovs-vsctl', [`--db=${socket}`, '--timeout=20', ...args], { env });

  ask(host, 'ovsdb-tool', ['create', join(folder, 'conf.db'), SCHEMA], { env });
  const quiet = ['-vsyslog:off', '-vconsole:warn'];
  const files = (name: string): string[] => [`--unixctl=${join(folder, `${name}.ctl`)}`, ...quiet];
  const database = Program.start(lab, host, 'ovsdb-server', [join(folder, 'conf.db'), `--remote=p${socket}`, ...files('ovsdb')], {
    env,
  });
  await database.until('its socket', () => control('--no-wait', 'init') === '');
  const forwarder = Program.start(lab, host, 'ovs-vswitchd', [socket, ...files('vswitchd')], { env });
  await forwarder.until('its start', () => control('get', 'Open_vSwitch', '.', 'cur_cfg') !== '');
  return { host, processes: [database.pid, forwarder.pid], control };
}

function addPorts({ host, control }: Switch, { a, b, spare }: Wiring): void {
  const targets = [{ namespace: a.namespace, ifname: 'eth0' }, { namespace: b.namespace, ifname: 'eth0' }, ...spare];
  // One transaction: the switch goes over all its ports after each.
  const commands = targets.flatMap((_, index) => {
    const port = `t${index}`;
    return ['--', 'add-port', BRIDGE, port, '--', 'set', 'interface', port, 'type=internal'];
  });
  control('add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE, 'datapath_type=netdev', ...commands);
  for (const [index, { namespace, ifname }] of targets.entries()) {
    moveLink(host.netlink, getLink(host.netlink, `t${index}`).index, namespace.descriptor, ifname);
  }
}

/** Open vSwitch without its kernel module: one process reads and writes a TAP per host, as ours does. Its defaults. */
export const ovs: Driver = {
  name: 'ovs',
  role: 'peer',
  what: 'Open vSwitch, userspace datapath, a TAP per host',
  needs: [{ command: 'ovs-vswitchd', package: 'openvswitch-switch' }],
  layer: 2,
  ping: true,
  // As far as it was tried: a port takes 20 ms to make.
  maxPorts: 256,
  async connect(lab, wiring) {
    const ovs = await startSwitch(lab);
    addPorts(ovs, wiring);
    wiring.a.namespace.configure('eth0', { address: A });
    wiring.b.namespace.configure('eth0', { address: B });
    for (const { namespace, ifname } of wiring.spare) namespace.configure(ifname, {});
    return { addressOfA: A, addressOfB: B, processes: ovs.processes };
  },
};
