/** How hosts of a lab meet without tapbridge: the bare pair and the kernel's bridge. */
import { createBridge, createVeth, getLink, setLink } from '../netlink/link.js';
import type { LabHost } from './lab-host.js';
import type { LabNamespace } from './lab-namespace.js';

/** A veth pair between two hosts, an end in each, addressed and up. */
export function connectHosts(a: LabHost, aAddress: string, b: LabHost, bAddress: string, name = 'eth0'): void {
  createVeth(a.namespace.netlink, { name }, { name, netns: b.namespace.descriptor });
  a.namespace.configure(name, { address: aAddress });
  b.namespace.configure(name, { address: bAddress });
}

/** A kernel bridge in a namespace: as docker0, with the kernel's defaults. */
export function makeKernelBridge(namespace: LabNamespace, name: string): void {
  createBridge(namespace.netlink, name);
  setLink(namespace.netlink, getLink(namespace.netlink, name).index, { up: true });
}

/** A veth pair from a host to a kernel bridge: eth0 inside, a port outside, as container engines do it. */
export function plugIntoKernelBridge(
  host: LabHost,
  address: string,
  bridge: LabNamespace,
  bridgeName: string,
  mac?: string,
): void {
  makeKernelPort(bridge, bridgeName, `p-${host.name}`, host.namespace, 'eth0', mac);
  host.namespace.configure('eth0', { address });
}

/** A port of a kernel bridge, up, and the other end of its veth pair in another namespace, down. */
export function makeKernelPort(
  bridge: LabNamespace,
  bridgeName: string,
  port: string,
  inside: LabNamespace,
  ifname: string,
  mac?: string,
): void {
  createVeth(bridge.netlink, { name: port }, { name: ifname, netns: inside.descriptor, ...(mac === undefined ? {} : { mac }) });
  setLink(bridge.netlink, getLink(bridge.netlink, port).index, {
    master: getLink(bridge.netlink, bridgeName).index,
    up: true,
  });
}
