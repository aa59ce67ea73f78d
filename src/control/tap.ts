/** TAPs of the control plane: made in the daemon's own namespace with all offloads the kernel has. */
import { constants } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';

/** include/uapi/linux/if_tun.h: TUN_F_*. USO came with Linux 6.2 and is only taken as a pair. */
const OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08;
const UDP_SEGMENTATION = 0x20 | 0x40;

export interface OpenTap {
  descriptor: Descriptor;
  /** The kernel takes super-frames of datagrams. */
  udpSegmentation: boolean;
}

/**
 * In the daemon's namespace on purpose: a descriptor of /dev/net/tun opened inside a container's namespace would keep that namespace alive, and
 * its end would never be seen. The interface is moved afterwards.
 * @throws SystemError EEXIST, EPERM, ENOENT (no /dev/net/tun)
 */
export function openTap(binding: Binding, name: string): OpenTap {
  const options = { name, netns: -1, vnetHeader: true, persistent: false, mode: 'create' } as const;
  const full = binding.openTap({ ...options, offloads: OFFLOADS | UDP_SEGMENTATION });
  if (full !== -constants.errno.EINVAL) return { descriptor: check(full, 'openTap', name), udpSegmentation: true };
  const descriptor = check(binding.openTap({ ...options, offloads: OFFLOADS }), 'openTap', name);
  return { descriptor, udpSegmentation: false };
}
