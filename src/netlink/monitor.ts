/**
 * Notifications: what changes about the links, addresses and routes of one namespace, in the order it happened.
 *
 * Poll-driven: the kernel queues notifications in the socket's buffer until `drain` takes them, so the caller chooses when to look. When the
 * buffer overflows the kernel drops and says so; that is the event `lost`, upon which the caller reads the tables again (list...). A socket
 * opened before the first list therefore misses nothing.
 */
import { constants } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check } from '../native/system-error.js';
import { type InterfaceAddress, parseAddress } from './address.js';
import { Family, Group, ROUTE_CLONED, Rtm } from './constants.js';
import { type Link, parseLink } from './link.js';
import { type Message, readMessages, readU8, readU32 } from './message.js';
import { parseRoute, type Route } from './route.js';

export type NetworkEvent =
  | { kind: 'link' | 'link-removed'; link: Link }
  | { kind: 'address' | 'address-removed'; address: InterfaceAddress }
  | { kind: 'route' | 'route-removed'; route: Route }
  | { kind: 'lost' };

const GROUPS = Group.link | Group.ipv4Address | Group.ipv6Address | Group.ipv4Route;
/** Many datagrams of notifications: one about a link takes 1.5 KB. Longer ones exist (hardware with many virtual functions). */
const READ_BYTES = 64 * 1024;
const MAX_READ_BYTES = 4 * 1024 * 1024;
const RTMSG_FLAGS = 8;

export class NetworkMonitor {
  private readonly binding: Binding;
  private readonly descriptor: Descriptor;
  private buffer = new Uint8Array(READ_BYTES);
  private closed = false;

  private constructor(binding: Binding, descriptor: Descriptor) {
    this.binding = binding;
    this.descriptor = descriptor;
  }

  /** @param netns Descriptor of the namespace to watch, -1 for the calling thread's. It may be closed afterwards. @throws SystemError */
  static open(binding: Binding, netns: Descriptor | -1 = -1): NetworkMonitor {
    return new NetworkMonitor(binding, check(binding.openNetlink(netns, GROUPS), 'openNetlink', 'rtnetlink'));
  }

  /** What happened since the last call; does not wait. @throws SystemError when the socket is broken */
  drain(): NetworkEvent[] {
    const events: NetworkEvent[] = [];
    for (;;) {
      const length = this.binding.netlinkRead(this.descriptor, this.buffer);
      if (length === -constants.errno.ENOBUFS) {
        events.push({ kind: 'lost' });
        continue;
      }
      if (length === -constants.errno.EMSGSIZE && this.buffer.length < MAX_READ_BYTES) {
        this.buffer = new Uint8Array(this.buffer.length * 4);
        continue;
      }
      if (check(length, 'netlinkRead', 'rtnetlink') === 0) return events;
      for (const message of readMessages(this.buffer.subarray(0, length))) {
        const event = eventOf(message);
        if (event !== undefined) events.push(event);
      }
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.binding.closeDescriptor(this.descriptor);
  }
}

/** What a notification says; undefined for what is not of interest. @throws MalformedMessage */
export function eventOf(message: Message): NetworkEvent | undefined {
  switch (message.type) {
    case Rtm.newLink:
    case Rtm.deleteLink:
      // A bridge announces its ports a second time under a family of its own; leaving a bridge looks like a removal there.
      if (readU8(message.payload, 0) === Family.bridge) return undefined;
      return { kind: message.type === Rtm.newLink ? 'link' : 'link-removed', link: parseLink(message) };
    case Rtm.newAddress:
    case Rtm.deleteAddress:
      return { kind: message.type === Rtm.newAddress ? 'address' : 'address-removed', address: parseAddress(message) };
    case Rtm.newRoute:
    case Rtm.deleteRoute:
      if ((readU32(message.payload, RTMSG_FLAGS) & ROUTE_CLONED) !== 0) return undefined;
      return { kind: message.type === Rtm.newRoute ? 'route' : 'route-removed', route: parseRoute(message) };
    default:
      return undefined;
  }
}
