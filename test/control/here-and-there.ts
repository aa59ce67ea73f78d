/** Two anonymous network namespaces: `here`, a host's, which this thread is in until `close`, and `there`, a container's. */
import type { Descriptor } from '../../src/native/binding.js';
import { check } from '../../src/native/system-error.js';
import { Netlink } from '../../src/netlink/netlink.js';
import { Netns } from '../../src/netlink/netns.js';
import { binding } from '../native/lab.js';

export class HereAndThere {
  readonly here = Netns.create(binding, null);
  readonly there = Netns.create(binding, null);
  readonly netlink: Netlink;
  /** Of `there`. */
  readonly inside: Netlink;
  private readonly home: Descriptor;

  constructor() {
    this.home = check(binding.openNetns('/proc/thread-self/ns/net'), 'openNetns', 'home');
    check(binding.enterNetns(this.here.descriptor), 'enterNetns', 'here');
    this.netlink = Netlink.open(binding);
    this.inside = Netlink.open(binding, this.there.descriptor);
  }

  close(): void {
    this.netlink.close();
    this.inside.close();
    check(binding.enterNetns(this.home), 'enterNetns', 'home');
    binding.closeDescriptor(this.home);
    this.here.close();
    this.there.close();
  }
}
