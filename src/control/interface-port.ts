/**
 * A port on an interface of the host (a veth end, a NIC), through a raw socket. The host's own stack still hears every frame there: it is kept from
 * answering ARP (net.ipv4.conf.IFACE.arp_ignore = 8, "reply for no local address", Documentation/networking/ip-sysctl), or it would
 * answer for the gateway with the wrong MAC. What is changed on the host is recorded first and put back when the port goes (host-changes).
 */
import { constants, release } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';
import { LinkFlag } from '../netlink/constants.js';
import { findLink, type Link, listLinks } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { ControlError } from './control-error.js';

const SHOWN_NAMES = 10;

export interface OpenInterface {
  descriptor: Descriptor;
  /** Further ones, for the engine threads behind the first. */
  queues: Descriptor[];
  vnetHeader: boolean;
  udpSegmentation: boolean;
}

/**
 * The interface, if it may become a port.
 * @param used why an interface is in use already, by index
 * @throws ControlError
 */
export function findUsableInterface(netlink: Netlink, name: string, used: (index: number) => string | undefined): Link {
  const link = findLink(netlink, name);
  if (link === undefined) {
    const names = listLinks(netlink).map((each) => each.name);
    const shown = `${names.slice(0, SHOWN_NAMES).join(', ')}${names.length > SHOWN_NAMES ? ', ...' : ''}`;
    throw new ControlError('not-found', `the host has no interface ${name}`, `there are: ${shown}`);
  }
  if ((link.flags & LinkFlag.loopback) !== 0) {
    throw new ControlError('invalid', `${name} is the loopback, which no bridge can use`, 'choose a veth end or a network card');
  }
  if (link.mac.length !== 'aa:bb:cc:dd:ee:ff'.length) {
    throw new ControlError('invalid', `${name} is no Ethernet interface`, 'choose a veth end or a network card');
  }
  const usedBy = used(link.index);
  if (usedBy !== undefined) throw new ControlError('conflict', `${name} is ${usedBy}`);
  if (link.master >= 0) {
    const master = findLink(netlink, link.master)?.name ?? `interface ${link.master}`;
    throw new ControlError('conflict', `${name} belongs to ${master}`, `take it out first: ip link set ${name} nomaster`);
  }
  return link;
}

/** @throws SystemError */
export function openInterface(
  binding: Binding,
  name: string,
  { threads, promiscuous }: { threads: number; promiscuous: boolean },
): OpenInterface {
  const options = { interface: name, netns: -1, promiscuous, ignoreOutgoing: true };
  let vnetHeader = true;
  let first = binding.openPacket({ ...options, vnetHeader });
  // Kernels before 6.4 have no PACKET_VNET_HDR_SZ: such a port gets plain frames.
  if (first === -constants.errno.ENOPROTOOPT || first === -constants.errno.EINVAL) {
    vnetHeader = false;
    first = binding.openPacket({ ...options, vnetHeader });
  }
  const descriptor = check(first, 'openPacket', name);
  const queues: Descriptor[] = [];
  try {
    while (queues.length < threads - 1) {
      queues.push(check(binding.openPacket({ ...options, vnetHeader, fanoutWith: descriptor }), 'openPacket', name));
    }
  } catch (error) {
    for (const each of [descriptor, ...queues]) binding.closeDescriptor(each);
    throw error;
  }
  return { descriptor, queues, vnetHeader, udpSegmentation: vnetHeader && kernelAtLeast(6, 2) };
}

/** VIRTIO_NET_HDR_GSO_UDP_L4 is understood since Linux 6.2. */
function kernelAtLeast(major: number, minor: number): boolean {
  const [a, b] = release().split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
