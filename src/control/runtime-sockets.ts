/**
 * Published ports that a container runtime keeps reserved.
 *
 * podman binds (and for TCP listens at) every host port of a container itself, after CNI has set up the network, and leaves the sockets to `conmon`, the
 * container's monitor, which never accepts. So the daemon must not have the port; and a program of the host that connects would wait for ever. The
 * daemon therefore takes a duplicate of conmon's socket and serves the host by it. What comes from outside never sees a socket of the host.
 *
 * Only sockets of a process named conmon that root runs are taken: another program's connections are its own.
 */
import { closeSync } from 'node:fs';
import type { Binding, Descriptor } from '../native/binding.js';
import type { ListenerSpec } from './host-listener.js';
import { descriptorsOf, hostSockets } from './host-sockets.js';

const MONITOR = 'conmon';

/** One for each port of the range at that very address, or null while one is not there; the caller's to close. */
export function takeRuntimeSockets(
  binding: Binding,
  { protocol, hostAddress, hostPort, count }: Pick<ListenerSpec, 'protocol' | 'hostAddress' | 'hostPort' | 'count'>,
): Descriptor[] | null {
  const inodes = new Map<string, number>();
  for (const { address, port, inode } of hostSockets(protocol)) {
    if (address === hostAddress && port >= hostPort && port < hostPort + count) inodes.set(inode, port);
  }
  if (inodes.size < count) return null;
  const taken = new Map<number, Descriptor>();
  for (const [inode, { pid, descriptor }] of descriptorsOf(MONITOR, new Set(inodes.keys()))) {
    const own = binding.processDescriptor(pid, descriptor);
    const port = inodes.get(inode) as number;
    if (own >= 0 && !taken.has(port)) taken.set(port, own as Descriptor);
    else if (own >= 0) closeSync(own);
  }
  const sockets = Array.from({ length: count }, (_, offset) => taken.get(hostPort + offset));
  if (sockets.every((socket) => socket !== undefined)) return sockets as Descriptor[];
  for (const socket of taken.values()) closeSync(socket);
  return null;
}
