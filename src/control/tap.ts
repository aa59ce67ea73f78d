/**
 * TAPs of the control plane: made with all offloads the kernel has, or opened again where the daemon before this one left them.
 */
import { constants } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check, EBADFD } from '../native/system-error.js';

/** include/uapi/linux/if_tun.h: TUN_F_*. USO came with Linux 6.2 and is only taken as a pair. */
const OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08;
const UDP_SEGMENTATION = 0x20 | 0x40;

/**
 * Frames that wait in a queue of a TAP while the engine has to wait for its core, a few milliseconds at most: 1,000, what the kernel gives, are lost
 * sooner at rates a bridge sustains otherwise (docs/performance.md). All of them super-frames, that is 256 MiB of the kernel's a queue; it comes to that only
 * when a host sends on and the engine does not run.
 */
export const QUEUE_FRAMES = 4096;

export interface OpenTap {
  descriptor: Descriptor;
  /** Further ones, for the engine threads behind the first. */
  queues: Descriptor[];
  /** The kernel takes super-frames of datagrams. */
  udpSegmentation: boolean;
}

/**
 * Never in a container's namespace: a descriptor of /dev/net/tun opened inside of it would keep it alive, and its end would never be seen. The interface is moved afterwards; its queues are all opened before.
 * @param threads that read it: with more than one it has a queue for each
 * @param netns -1: the daemon's own
 * @throws SystemError EEXIST, EPERM, ENOENT (no /dev/net/tun)
 */
export function openTap(binding: Binding, name: string, threads: number, netns: Descriptor | -1 = -1): OpenTap {
  const options = { name, netns, vnetHeader: true, persistent: false, multiQueue: threads > 1 } as const;
  let offloads = OFFLOADS | UDP_SEGMENTATION;
  let first = binding.openTap({ ...options, offloads, mode: 'create' });
  if (first === -constants.errno.EINVAL) {
    offloads = OFFLOADS;
    first = binding.openTap({ ...options, offloads, mode: 'create' });
  }
  const descriptor = check(first, 'openTap', name);
  const queues: Descriptor[] = [];
  try {
    while (queues.length < threads - 1) {
      queues.push(check(binding.openTap({ ...options, offloads, mode: 'attach' }), 'openTap', name));
    }
  } catch (error) {
    for (const each of [descriptor, ...queues]) binding.closeDescriptor(each);
    throw error;
  }
  return { descriptor, queues, udpSegmentation: offloads !== OFFLOADS };
}

/**
 * Opens a persistent TAP again, in its namespace: vnet header and offloads are set anew, name, MAC, addresses and routes stay. One that was made with
 * queues for several threads serves a single one, too.
 * @param netns -1: the daemon's own
 * @throws SystemError ENODEV; EBUSY (the process that had it still ends); EINVAL (it has a single queue and `threads` need more, or it is no TAP)
 */
export function reopenTap(binding: Binding, name: string, netns: Descriptor | -1, threads: number): OpenTap {
  const attempts = (threads > 1 ? [true] : [false, true]).flatMap((multiQueue) =>
    [OFFLOADS | UDP_SEGMENTATION, OFFLOADS].map((offloads) => ({ multiQueue, offloads })),
  );
  const open = (attempt: (typeof attempts)[number]) =>
    binding.openTap({ name, netns, vnetHeader: true, persistent: true, mode: 'attach', ...attempt });
  let first = -constants.errno.EINVAL;
  let used = attempts[0];
  for (const attempt of attempts) {
    used = attempt;
    first = open(attempt);
    if (first !== -constants.errno.EINVAL) break;
  }
  const descriptor = check(first, 'openTap', name);
  const queues: Descriptor[] = [];
  try {
    while (queues.length < threads - 1) queues.push(check(open(used), 'openTap', name));
  } catch (error) {
    for (const each of [descriptor, ...queues]) binding.closeDescriptor(each);
    throw error;
  }
  return { descriptor, queues, udpSegmentation: used.offloads !== OFFLOADS };
}

/** Whether the interface outlives its descriptors. One that is gone meanwhile is no error. @throws SystemError */
export function setPersistent(binding: Binding, descriptor: Descriptor, persistent: boolean): void {
  const result = binding.setTapPersistent(descriptor, persistent);
  if (result !== -EBADFD) check(result, 'setTapPersistent', '');
}
