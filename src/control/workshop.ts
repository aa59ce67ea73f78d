/**
 * A network namespace of our own, without a name, in which the interfaces of containers are made before they are moved to them. They have their final name
 * from the start, which the host may have itself (eth0), and nobody who watches the host's interfaces (udev, NetworkManager, we ourselves) hears of them.
 *
 * Made when it is needed first. A descriptor of /dev/net/tun keeps the namespace alive in which it was opened: here that is this one, and no
 * container's. It ends with the process; an interface that was not moved ends with its descriptor.
 */
import type { Binding } from '../native/binding.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';

export class Workshop {
  private readonly binding: Binding;
  private opened: { netns: Netns; netlink: Netlink } | null = null;

  constructor(binding: Binding) {
    this.binding = binding;
  }

  /** @throws SystemError EPERM without the right to make namespaces */
  open(): { netns: Netns; netlink: Netlink } {
    if (this.opened === null) {
      const netns = Netns.create(this.binding, null);
      try {
        this.opened = { netns, netlink: Netlink.open(this.binding, netns.descriptor) };
      } catch (error) {
        netns.close();
        throw error;
      }
    }
    return this.opened;
  }

  close(): void {
    this.opened?.netlink.close();
    this.opened?.netns.close();
    this.opened = null;
  }
}
