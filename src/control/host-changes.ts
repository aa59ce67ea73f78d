/**
 * What the daemon changes on the host that it did not make itself, and how to put it back. Each change is recorded in the state file before it is
 * done: after a crash the next start reverts what is recorded, and reverting a change that was not done yet does no harm.
 */
import { findLink, setLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { readSysctl, writeSysctl } from '../netlink/sysctl.js';
import { type Log, reasonOf } from './log.js';

/** `interface` was down, or had this value of the sysctl. */
export type HostChange = { kind: 'link-up'; interface: string } | { kind: 'arp-ignore'; interface: string; was: string };

/** Documentation/networking/ip-sysctl: "do not reply for all local addresses". */
const IGNORE_ALL = '8';

export class HostChanges {
  readonly list: HostChange[] = [];
  private readonly netlink: Netlink;
  private readonly log: Log;

  constructor(netlink: Netlink, log: Log) {
    this.netlink = netlink;
    this.log = log;
  }

  /**
   * Keeps the host's stack from answering ARP on an interface and brings it up.
   * @param record writes `list` to disk
   */
  hold(name: string, up: boolean, record: () => void): void {
    const sysctl = arpIgnore(name);
    this.list.push({ kind: 'arp-ignore', interface: name, was: readSysctl(sysctl) });
    if (!up) this.list.push({ kind: 'link-up', interface: name });
    record();
    writeSysctl(sysctl, IGNORE_ALL);
    if (!up) this.bring(name, true);
  }

  /** Puts back what was changed for this interface. */
  release(name: string): void {
    for (let at = this.list.length - 1; at >= 0; at--) {
      if (this.list[at].interface === name) this.revert(...(this.list.splice(at, 1) as [HostChange]));
    }
  }

  /** Puts back what a daemon before this one left behind. */
  mend(changes: readonly HostChange[]): void {
    for (const change of [...changes].reverse()) {
      this.log.info({ change }, `putting back ${change.kind} of ${change.interface} after a crash`);
      this.revert(change);
    }
  }

  private revert(change: HostChange): void {
    try {
      // An interface that is gone took its settings along.
      if (findLink(this.netlink, change.interface) === undefined) return;
      if (change.kind === 'arp-ignore') writeSysctl(arpIgnore(change.interface), change.was);
      else this.bring(change.interface, false);
    } catch (error) {
      this.log.warn({ change, reason: reasonOf(error) }, `cannot put back ${change.kind} of ${change.interface}`);
    }
  }

  private bring(name: string, up: boolean): void {
    const link = findLink(this.netlink, name);
    if (link !== undefined) setLink(this.netlink, link.index, { up });
  }
}

function arpIgnore(name: string): string {
  return `net/ipv4/conf/${name}/arp_ignore`;
}
