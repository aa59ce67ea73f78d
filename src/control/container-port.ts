/**
 * The port of a container: a TAP made here under a name of its own, moved into the container's namespace as eth0 (or what the user says) in
 * one message, and configured there. The descriptor stays here; when the namespace goes, the interface goes with it and the descriptor says EBADFD.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Binding } from '../native/binding.js';
import { addAddress } from '../netlink/address.js';
import { findLink, getLink, moveLink, setLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { addRoute, listRoutes } from '../netlink/route.js';
import { formatIpv4 } from '../wire/ipv4-address.js';
import { ControlError, orRefuse } from './control-error.js';
import { type OpenTap, openTap, QUEUE_FRAMES } from './tap.js';
import type { Undo } from './undo.js';

export interface ContainerPortSpec {
  ifname: string;
  mac: string;
  mtu: number;
  ip: { address: number; prefix: number } | null;
  /** int32, or null for no default route. */
  gateway: number | null;
  /** Engine threads that are to read it. */
  threads: number;
}

/** @throws ControlError not-found, saying which namespaces there are */
export function openNetns(binding: Binding, source: { netns?: string | undefined; pid?: number | undefined }): Netns {
  const { netns, pid } = source;
  if (pid !== undefined) {
    return orRefuse('not-found', () => Netns.ofProcess(binding, pid), 'give the id of a running process, as the host sees it');
  }
  const name = netns as string;
  const hint =
    !name.includes('/') && existsSync(`/run/docker/netns/${name}`)
      ? `write /run/docker/netns/${name}`
      : 'give a name in /run/netns, a path with a "/", or --pid';
  return orRefuse('not-found', () => Netns.open(binding, name), hint);
}

/** @throws ControlError when the interface exists there, SystemError when the kernel refuses; what was made is then undone by `undo` */
export function makeContainerPort(binding: Binding, here: Netlink, netns: Netns, undo: Undo, spec: ContainerPortSpec): OpenTap {
  // Closed before this returns: an open conversation would keep the namespace alive.
  const there = Netlink.open(binding, netns.descriptor);
  try {
    if (findLink(there, spec.ifname) !== undefined) {
      throw new ControlError(
        'conflict',
        `interface ${spec.ifname} exists in namespace ${netns.label}`,
        'choose another name with --ifname',
      );
    }
    const temporary = `tb${randomBytes(4).toString('hex')}`;
    const tap = openTap(binding, temporary, spec.threads);
    for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
    const { index } = getLink(here, temporary);
    setLink(here, index, { mac: spec.mac, mtu: spec.mtu, txQueueLength: QUEUE_FRAMES });
    moveLink(here, index, netns.descriptor, spec.ifname, there);
    configure(there, spec);
    return tap;
  } finally {
    there.close();
  }
}

/** @throws SystemError ENODEV when it was renamed or removed there */
export function setInterfaceMtu(binding: Binding, netns: Netns, name: string, mtu: number): void {
  const there = Netlink.open(binding, netns.descriptor);
  try {
    setLink(there, getLink(there, name).index, { mtu });
  } finally {
    there.close();
  }
}

function configure(there: Netlink, spec: ContainerPortSpec): void {
  const { index } = getLink(there, spec.ifname);
  if (spec.ip !== null) addAddress(there, index, formatIpv4(spec.ip.address), spec.ip.prefix);
  setLink(there, index, { up: true });
  if (spec.gateway === null || spec.ip === null) return;
  // A container may have a way out already (a second network): that one stays.
  const hasDefault = listRoutes(there).some((route) => route.prefix === 0 && route.destination === '0.0.0.0');
  if (!hasDefault) addRoute(there, { destination: 'default', gateway: formatIpv4(spec.gateway), index });
}
