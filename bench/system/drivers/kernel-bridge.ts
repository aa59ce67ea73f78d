import { setTimeout as sleep } from 'node:timers/promises';
import { makeKernelBridge, makeKernelPort, plugIntoKernelBridge } from '../../../dist/lab/connect-hosts.js';
import type { Lab } from '../../../dist/lab/lab.js';
import type { LabNamespace } from '../../../dist/lab/lab-namespace.js';
import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import { A, B, type Connection, type Driver, type Wiring } from '../driver.js';

/** BR_MAX_PORTS (net/bridge/br_private.h). */
export const KERNEL_BRIDGE_PORTS = 1024;
export const BRIDGE = 'br0';
const READY_MILLIS = 10_000;
const LOOK_MILLIS = 5;

/** The namespace that stands for the machine the containers run on. */
export function makeBridgeHost(lab: Lab): LabNamespace {
  const host = lab.namespace('bridge');
  host.inside(() => writeSysctl('net/ipv6/conf/default/disable_ipv6', 1));
  return host;
}

/** Makes the bridge and plugs in everybody. */
export async function plugAll(host: LabNamespace, { a, b, spare }: Wiring): Promise<Connection> {
  makeKernelBridge(host, BRIDGE);
  plugIntoKernelBridge(a, A, host, BRIDGE);
  plugIntoKernelBridge(b, B, host, BRIDGE);
  for (const [index, { namespace, ifname }] of spare.entries()) {
    makeKernelPort(host, BRIDGE, `s${index}`, namespace, ifname);
    namespace.configure(ifname, {});
  }
  await allForwarding(host);
  return { addressOfA: A, addressOfB: B, processes: [] };
}

/** The kernel tells a bridge of new carriers at most once a second (net/core/link_watch.c); until then a port forwards nothing. */
async function allForwarding(host: LabNamespace): Promise<void> {
  const deadline = performance.now() + READY_MILLIS;
  while (host.interfaces().some(({ kind, operState }) => kind === 'veth' && operState !== 'up')) {
    if (performance.now() > deadline) throw new Error("a port of the kernel's bridge has no carrier");
    await sleep(LOOK_MILLIS);
  }
}

/**
 * What a container engine makes: a bridge and a veth pair per container, with the kernel's defaults (offloads on, snooping on, no RPS). The
 * bridge has a namespace of its own, whose bridge netfilter settings stay what a new namespace gets.
 */
export const kernelBridge: Driver = {
  name: 'kernel-bridge',
  role: 'baseline',
  what: "the kernel's bridge and two veth pairs, defaults",
  layer: 2,
  ping: true,
  maxPorts: KERNEL_BRIDGE_PORTS,
  async connect(lab, wiring) {
    return plugAll(makeBridgeHost(lab), wiring);
  },
};
