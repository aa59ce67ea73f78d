import type { Lab } from '../../../dist/lab/lab.js';
import type { LabHost } from '../../../dist/lab/lab-host.js';
import { listAddresses } from '../../../dist/netlink/address.js';
import { createVeth, findLink } from '../../../dist/netlink/link.js';
import { lookUpRoute } from '../../../dist/netlink/route.js';
import { writeSysctl } from '../../../dist/netlink/sysctl.js';
import { B } from '../driver.js';

const ROUTER = '198.18.0.254';

/**
 * Gives a host an interface with the address B and a default route, as the machine has it on which a program opens sockets for its guest. Nobody
 * is at the other end: what is measured ends in the host itself.
 */
export function giveUplink(lab: Lab, b: LabHost): void {
  const outside = lab.namespace('outside');
  createVeth(b.namespace.netlink, { name: 'eth0' }, { name: 'eth0', netns: outside.descriptor });
  outside.configure('eth0', { address: ROUTER });
  b.namespace.configure('eth0', { address: B, gateway: ROUTER });
  // Echoes leave by ping sockets, which a new namespace allows to nobody: to root's group, which may be the only one of a user namespace.
  b.namespace.inside(() => writeSysctl('net/ipv4/ping_group_range', '0 0'));
}

/** Whether eth0 of a guest has its address and a way to B: a program sets one after the other. */
export function isConfigured({ namespace: { netlink } }: LabHost, address: string): boolean {
  const link = findLink(netlink, 'eth0');
  if (link?.up !== true) return false;
  const addressed = listAddresses(netlink, link.index).some((each) => each.address === address);
  return addressed && lookUpRoute(netlink, B) !== undefined;
}
