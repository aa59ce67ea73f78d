/**
 * A lent interface: a TAP made in the daemon's own namespace for a container engine, which moves it into its sandbox, gives it a name, addresses and
 * routes, and brings it back when the container ends (Docker: Join, Leave). It is down until then. What must be right before it is moved is set here.
 */
import type { Binding } from '../native/binding.js';
import { findLink, getLink, setLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { ControlError } from './control-error.js';
import { type OpenTap, openTap, QUEUE_FRAMES } from './tap.js';
import type { Undo } from './undo.js';

export interface LentPortSpec {
  name: string;
  mac: string;
  mtu: number;
  alias: string;
  /** Engine threads that are to read it. */
  threads: number;
}

export interface LentPort extends OpenTap {
  index: number;
}

/** @throws ControlError when an interface of that name exists, SystemError when the kernel refuses; what was made is then undone by `undo` */
export function makeLentPort(binding: Binding, netlink: Netlink, undo: Undo, spec: LentPortSpec): LentPort {
  const { name, mac, mtu, alias, threads } = spec;
  if (findLink(netlink, name) !== undefined) {
    throw new ControlError('conflict', `the host has an interface ${name} already`, `remove it: ip link delete ${name}`);
  }
  const tap = openTap(binding, name, threads);
  for (const each of [tap.descriptor, ...tap.queues]) undo.add(() => void binding.closeDescriptor(each));
  const { index } = getLink(netlink, name);
  setLink(netlink, index, { mac, mtu, txQueueLength: QUEUE_FRAMES, alias });
  return { ...tap, index };
}
