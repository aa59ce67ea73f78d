import { makeKernelBridge, plugIntoKernelBridge } from '../../../dist/lab/connect-hosts.js';
import { A, B, type Driver } from '../driver.js';

/**
 * What a container engine makes: a bridge and a veth pair per container, with the kernel's defaults (offloads on, snooping on, no RPS). The
 * bridge has a namespace of its own, whose bridge netfilter settings stay what a new namespace gets.
 */
export const kernelBridge: Driver = {
  name: 'kernel-bridge',
  what: "the kernel's bridge and two veth pairs, defaults",
  async connect(lab, a, b) {
    const host = await lab.host('bridge');
    await host.sysctl('net/ipv6/conf/default/disable_ipv6', 1);
    makeKernelBridge(host.namespace, 'br0');
    plugIntoKernelBridge(a, A, host.namespace, 'br0');
    plugIntoKernelBridge(b, B, host.namespace, 'br0');
  },
};
