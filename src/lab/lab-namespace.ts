/** A network namespace of a lab, configured from outside over its own netlink conversation. */
import { constants } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';
import { addAddress } from '../netlink/address.js';
import { findLink, getLink, type Link, listLinks, setLink } from '../netlink/link.js';
import { listNeighbors, type Neighbor, setPermanentNeighbor } from '../netlink/neighbor.js';
import { Netlink } from '../netlink/netlink.js';
import { Netns } from '../netlink/netns.js';
import { addRoute } from '../netlink/route.js';

export interface InterfaceSettings {
  mac?: string;
  mtu?: number;
  /** '10.0.0.1' */
  address?: string;
  /** Default 24. */
  prefix?: number;
  /** Becomes the default route. */
  gateway?: string;
}

/** Errors that say: this process may make namespaces, but not bind them to a path (an unprivileged user namespace). */
const NOT_BINDABLE = new Set(['EPERM', 'EACCES', 'EROFS', 'ENOENT']);

export class LabNamespace {
  /** Unique on the machine: `<prefix>-<pid>-<name>`. */
  readonly id: string;
  readonly netns: Netns;
  readonly netlink: Netlink;
  /** Opens the namespace from any process that may: /run/netns/ID, or this process's descriptor where nothing can be mounted. */
  readonly path: string;
  private readonly binding: Binding;
  private readonly bound: boolean;
  private closed = false;

  /**
   * @param existing opens a namespace that is somebody else's, a container's for example, instead of making one
   * @throws SystemError EPERM without the rights to make a namespace
   */
  constructor(binding: Binding, id: string, existing?: string) {
    this.binding = binding;
    this.id = id;
    const { netns, bound } =
      existing === undefined ? create(binding, id) : { netns: Netns.open(binding, existing), bound: false };
    this.netns = netns;
    this.bound = bound;
    this.path = bound ? `/run/netns/${id}` : (existing ?? `/proc/${process.pid}/fd/${netns.descriptor}`);
    try {
      this.netlink = Netlink.open(binding, netns.descriptor);
      setLink(this.netlink, getLink(this.netlink, 'lo').index, { up: true });
    } catch (error) {
      this.removeNamespace();
      throw error;
    }
  }

  get descriptor(): Descriptor {
    return this.netns.descriptor;
  }

  interfaces(): Link[] {
    return listLinks(this.netlink);
  }

  hasInterface(name: string): boolean {
    return findLink(this.netlink, name) !== undefined;
  }

  /** The kernel's ARP table, of one interface or all. */
  neighbors(name?: string): Neighbor[] {
    return listNeighbors(this.netlink, name === undefined ? -1 : getLink(this.netlink, name).index);
  }

  /** Sets what is given and brings the interface up. @throws SystemError ENODEV */
  configure(name: string, { mac, mtu, address, prefix = 24, gateway }: InterfaceSettings): void {
    const { index } = getLink(this.netlink, name);
    if (mac !== undefined) setLink(this.netlink, index, { mac });
    if (mtu !== undefined) setLink(this.netlink, index, { mtu });
    if (address !== undefined) addAddress(this.netlink, index, address, prefix);
    setLink(this.netlink, index, { up: true });
    if (gateway !== undefined) addRoute(this.netlink, { destination: 'default', gateway, index });
  }

  /** A static ARP entry, so that resolution is no part of a measurement. */
  pinNeighbor(name: string, address: string, mac: string): void {
    setPermanentNeighbor(this.netlink, getLink(this.netlink, name).index, address, mac);
  }

  /**
   * Calls `work` with this thread inside the namespace and goes back: sockets it opens, sysctls it writes and programs it starts are the
   * namespace's. Nothing in it may be asynchronous, because what runs later runs outside.
   * @throws SystemError EPERM; what `work` throws
   */
  inside<Result>(work: () => Result): Result {
    const home = Netns.current(this.binding);
    try {
      check(this.binding.enterNetns(this.descriptor), 'setns', this.id);
      try {
        return work();
      } finally {
        check(this.binding.enterNetns(home.descriptor), 'setns', home.label);
      }
    } finally {
      home.close();
    }
  }

  /** Removes the namespace. Its interfaces go with the last process in it. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.netlink.close();
    this.removeNamespace();
  }

  private removeNamespace(): void {
    this.netns.close();
    if (this.bound) Netns.remove(this.binding, this.id);
  }
}

function create(binding: Binding, id: string): { netns: Netns; bound: boolean } {
  try {
    return { netns: Netns.create(binding, id), bound: true };
  } catch (error) {
    if (!NOT_BINDABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return { netns: unbound(binding, error), bound: false };
  }
}

/** @param refusal Why it could not be bound: the better explanation when it cannot be made at all for the same reason. */
function unbound(binding: Binding, refusal: unknown): Netns {
  try {
    return Netns.create(binding, null);
  } catch (error) {
    throw (error as { errno?: number }).errno === constants.errno.EPERM ? refusal : error;
  }
}
