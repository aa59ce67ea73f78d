/**
 * The port of a container: a TAP made in a namespace of ours (workshop.ts) as eth0 (or what the user says), moved into the container's, and
 * configured there. The descriptor stays here; when the namespace goes, the interface goes with it and the descriptor says EBADFD.
 */
import { existsSync } from 'node:fs';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';
import { findLink, getLink, moveLink, setLink } from '../netlink/link.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { ControlError, orRefuse } from './control-error.js';
import { configure, type InterfaceConfig } from './interface-config.js';
import { type OpenTap, openTap, QUEUE_FRAMES } from './tap.js';
import type { Undo } from './undo.js';
import type { Workshop } from './workshop.js';

export interface ContainerPortSpec extends InterfaceConfig {
  ifname: string;
  mac: string;
  mtu: number;
  alias: string;
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
export function makeContainerPort(
  binding: Binding,
  workshop: Workshop,
  target: Netns,
  undo: Undo,
  spec: ContainerPortSpec,
): OpenTap {
  // Closed before this returns: an open conversation would keep the namespace alive.
  const there = Netlink.open(binding, target.descriptor);
  try {
    if (findLink(there, spec.ifname) !== undefined) {
      throw new ControlError(
        'conflict',
        `interface ${spec.ifname} exists in namespace ${target.label}`,
        'choose another name with --ifname',
      );
    }
    const { netns, netlink } = workshop.open();
    const tap = openTap(binding, spec.ifname, spec.threads, netns.descriptor);
    for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
    const { index } = getLink(netlink, spec.ifname);
    setLink(netlink, index, { mac: spec.mac, mtu: spec.mtu, txQueueLength: QUEUE_FRAMES, alias: spec.alias });
    moveLink(netlink, index, target.descriptor, spec.ifname, there);
    configure(there, spec.ifname, spec);
    return tap;
  } finally {
    there.close();
  }
}

/** Of a TAP, wherever it was moved and whatever it is called there. @throws SystemError EBADFD when it is gone */
export function setInterfaceMtu(binding: Binding, tap: Descriptor, mtu: number): void {
  const name = binding.tapName(tap);
  if (typeof name === 'number') check(name, 'tapName', '');
  const netns = check(binding.tapNetns(tap), 'tapNetns', String(name));
  try {
    const there = Netlink.open(binding, netns);
    try {
      setLink(there, getLink(there, String(name)).index, { mtu });
    } finally {
      there.close();
    }
  } finally {
    binding.closeDescriptor(netns);
  }
}
