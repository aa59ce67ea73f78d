/**
 * The host port: a TAP in the daemon's own namespace, named as the bridge, that holds the gateway address. One that a daemon before this one left is
 * taken over: the host's routes and neighbors on it stay.
 */
import { constants } from 'node:os';
import type { Binding } from '../native/binding.js';
import { addAddress, listAddresses } from '../netlink/address.js';
import { deleteLink, findLink, getLink, type Link, setLink } from '../netlink/link.js';
import { isErrno, type Netlink } from '../netlink/netlink.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import type { AddressPool } from './address-pool.js';
import { ControlError } from './control-error.js';
import { type OpenTap, openTap, QUEUE_FRAMES, reopenTap } from './tap.js';
import type { Undo } from './undo.js';

export interface HostPort extends OpenTap {
  index: number;
}

export interface HostPortSpec {
  name: string;
  mac: string;
  mtu: number;
  alias: string;
  pool: AddressPool | null;
  threads: number;
  /** The daemon had this bridge before: its interface may have lost its alias, not its MAC. */
  restored: boolean;
}

/** @throws ControlError when an interface of that name exists that is not ours, SystemError when the kernel refuses (EBUSY: see reopenTap) */
export function makeHostPort(binding: Binding, netlink: Netlink, undo: Undo, spec: HostPortSpec): HostPort {
  const { name, mac, mtu, alias } = spec;
  const before = findLink(netlink, name);
  if (before !== undefined && !isOurs(before, spec)) {
    throw new ControlError(
      'conflict',
      `the host has an interface ${name} that is not ours`,
      'choose another name for the bridge',
    );
  }
  const tap =
    (before === undefined ? undefined : reopen(binding, netlink, before, spec.threads)) ?? openTap(binding, name, spec.threads);
  for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
  const link = getLink(netlink, name);
  const { index } = link;
  setLink(netlink, index, { mtu, txQueueLength: QUEUE_FRAMES, alias, ...(link.mac !== mac && { mac }) });
  if (spec.pool !== null) giveAddress(netlink, index, spec.pool);
  if (!link.up) setLink(netlink, index, { up: true });
  return { ...tap, index };
}

function isOurs(link: Link, spec: HostPortSpec): boolean {
  return link.kind === 'tun' && (link.alias === spec.alias || (spec.restored && link.mac === spec.mac));
}

/** @returns undefined when it has other queues than are needed now: then it is removed */
function reopen(binding: Binding, netlink: Netlink, link: Link, threads: number): OpenTap | undefined {
  try {
    return reopenTap(binding, link.name, -1, threads);
  } catch (error) {
    if (!isErrno(error, constants.errno.EINVAL)) throw error;
    deleteLink(netlink, link.index);
    return undefined;
  }
}

function giveAddress(netlink: Netlink, index: number, { gateway, subnet }: AddressPool): void {
  const address = formatIpv4(gateway);
  const has = listAddresses(netlink, index).some((each) => each.address === address && each.prefix === subnet.prefix);
  if (!has) addAddress(netlink, index, address, subnet.prefix);
}
