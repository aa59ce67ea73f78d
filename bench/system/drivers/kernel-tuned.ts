import { existsSync } from 'node:fs';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import type { Driver } from '../driver.js';
import { ask } from '../programs.js';
import { BRIDGE, KERNEL_BRIDGE_PORTS, makeBridgeHost, plugAll } from './kernel-bridge.js';

/** sysfs shows the interfaces of the namespace it was mounted in: a mount of its own, seen by nobody else. */
const WRITE_SYSFS = `
set -e
mount -t sysfs sysfs /sys
while [ $# -gt 0 ]; do
  echo "$2" >"/sys/class/net/$1"
  shift 2
done`;

/** The first ones are on by default: said, not assumed. */
const OFFLOADS = ['tso', 'on', 'gso', 'on', 'tx-udp-segmentation', 'on', 'gro', 'on'];

/** @param values By path below /sys/class/net. */
function writeSysfs(namespace: LabNamespace, values: Readonly<Record<string, string | number>>): void {
  const pairs = Object.entries(values).flatMap(([path, value]) => [path, String(value)]);
  ask(namespace, 'unshare', ['--mount', 'sh', '-c', WRITE_SYSFS, 'sh', ...pairs]);
}

/** Bridged frames pass no netfilter hook. Only where the module is loaded there is something to switch off. */
function switchNetfilterOff(host: LabNamespace): void {
  host.inside(() => {
    if (!existsSync('/proc/sys/net/bridge')) return;
    for (const family of ['iptables', 'ip6tables', 'arptables']) writeSysctl(`net/bridge/bridge-nf-call-${family}`, 0);
  });
}

/**
 * The best the kernel's bridge can do between two hosts without a program of its own in the path. Kept is what paid on two cores (kernel 6.18,
 * two interleaved rounds; one flow of UDP with 18 and 1,400 bytes in kpps, one TCP stream in Gbit/s, idle echo in µs):
 *
 *                                                             UDP 18   UDP 1400    TCP    echo
 *     defaults                                                   585        469   17.1     2.5
 *     netfilter hooks and multicast snooping off                 627        497   17.3     2.2
 *     + GRO, that is NAPI, at all four ends                      613        522   18.1     2.1    kept
 *     + GRO, and UDP GRO forwarding                              510        452   17.7     2.7
 *     RPS, each port to the other core, backlog 10,000           610        500    9.4      47
 *     RPS, each port to both cores, backlog 10,000           at most 589    528    9.8     2.2
 *     RPS at the hosts' ends, each to the other core             605        485   11.2      25
 *     + GRO, NAPI of the ports in threads                        627        524   17.8     2.3
 *
 * The same with 16 flows (488 kpps; 454 with RPS on both ports) and 8 streams (28 Gbit/s; 14 with it). RPS gives a frame to another core by an
 * interrupt of that core, which costs more than forwarding it, while generator and sink keep both busy already: no RPS. netdev_max_backlog is
 * left alone: it belongs to the whole machine, and without RPS a veth with NAPI does not use it.
 */
export const kernelTuned: Driver = {
  name: 'kernel-tuned',
  role: 'baseline',
  what: "the kernel's bridge and two veth pairs, tuned: no netfilter hooks, no multicast snooping, GRO",
  needs: [
    { command: 'ethtool', package: 'ethtool' },
    { command: 'unshare', package: 'util-linux' },
  ],
  layer: 2,
  ping: true,
  maxPorts: KERNEL_BRIDGE_PORTS,
  async connect(lab, wiring) {
    const host = makeBridgeHost(lab);
    switchNetfilterOff(host);
    const connection = await plugAll(host, wiring);
    writeSysfs(host, { [`${BRIDGE}/bridge/multicast_snooping`]: 0, [`${BRIDGE}/bridge/stp_state`]: 0 });
    const ends = [wiring.a.namespace, wiring.b.namespace].map((namespace) => ({ namespace, ifname: 'eth0' }));
    for (const { name } of host.interfaces().filter(({ kind }) => kind === 'veth')) ends.push({ namespace: host, ifname: name });
    for (const { namespace, ifname } of [...ends, ...wiring.spare]) ask(namespace, 'ethtool', ['-K', ifname, ...OFFLOADS]);
    return connection;
  },
};
