/** The host port: a TAP in the daemon's own namespace, named as the bridge, that holds the gateway address. */
import type { Binding } from '../native/binding.js';
import { addAddress } from '../netlink/address.js';
import { findLink, getLink, setLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import type { AddressPool } from './address-pool.js';
import { ControlError } from './control-error.js';
import { type OpenTap, openTap, QUEUE_FRAMES } from './tap.js';
import type { Undo } from './undo.js';

export interface HostPort extends OpenTap {
  index: number;
}

/** @throws ControlError when an interface of that name exists, SystemError when the kernel refuses */
export function makeHostPort(
  binding: Binding,
  netlink: Netlink,
  undo: Undo,
  spec: { name: string; mac: string; mtu: number; pool: AddressPool | null; threads: number },
): HostPort {
  if (findLink(netlink, spec.name) !== undefined) {
    throw new ControlError(
      'conflict',
      `the host has an interface ${spec.name} that is not ours`,
      'choose another name for the bridge',
    );
  }
  const tap = openTap(binding, spec.name, spec.threads);
  for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
  const { index } = getLink(netlink, spec.name);
  setLink(netlink, index, { mac: spec.mac, mtu: spec.mtu, txQueueLength: QUEUE_FRAMES });
  if (spec.pool !== null) addAddress(netlink, index, formatIpv4(spec.pool.gateway), spec.pool.subnet.prefix);
  setLink(netlink, index, { up: true });
  return { ...tap, index };
}
