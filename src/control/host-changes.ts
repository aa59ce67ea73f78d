/**
 * What the daemon changes on the host that it did not make itself, and how to put it back. Each change is recorded in the state file before it is
 * done: after a crash the next start reverts what is recorded (for interfaces that become ports again it goes on with it), and reverting a change that was
 * not done yet does no harm.
 *
 * Classifiers are the exception: what they keep from the host's stack belongs to connections that go on, and the host would reset each whose segment it
 * sees. So they stay in force after a crash (`mend`), until another program takes their place (`classify`) or nobody has wanted it (`disinherit`).
 */
import { findLink, getLink, listLinks, setLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { readSysctl, writeSysctl } from '../netlink/sysctl.js';
import {
  addClsact,
  type Classifier,
  type ClassifierSpec,
  ingressQueue,
  listClassifiers,
  removeClassifier,
  removeClsact,
  setClassifier,
} from '../netlink/tc.js';
import { type Log, reasonOf } from './log.js';

/** `interface` was down, or had this value of the sysctl, or no classifier of ours at its ingress (and no queue for one: `clsact`). */
export type HostChange =
  | { kind: 'link-up'; interface: string }
  | { kind: 'arp-ignore'; interface: string; was: string }
  | { kind: 'classifier'; interface: string; priority: number; clsact: boolean };

/** Documentation/networking/ip-sysctl: "do not reply for all local addresses". */
const IGNORE_ALL = '8';

/** Of our classifiers: "tapb". Only eBPF programs have names, so those of classic BPF go by this alone. */
export const CLASSIFIER_HANDLE = 0x74617062;

export class HostChanges {
  readonly list: HostChange[] = [];
  /** Name of our eBPF classifiers: those of another state directory are another daemon's. */
  readonly classifierName: string;
  /** Interfaces whose classifier is still that of a daemon before this one. */
  private readonly inherited = new Set<string>();
  private readonly netlink: Netlink;
  private readonly log: Log;

  /** @param instance of the state directory */
  constructor(netlink: Netlink, log: Log, instance: string) {
    this.classifierName = `tapbridge:${instance}`;
    this.netlink = netlink;
    this.log = log;
  }

  /**
   * Keeps the host's stack from answering ARP on an interface and brings it up.
   * @param record writes `list` to disk
   */
  hold(name: string, up: boolean, record: () => void): void {
    const sysctl = arpIgnore(name);
    // Of what was taken over, the older one knows what there was before.
    if (!this.has('arp-ignore', name)) this.list.push({ kind: 'arp-ignore', interface: name, was: readSysctl(sysctl) });
    if (!up && !this.has('link-up', name)) this.list.push({ kind: 'link-up', interface: name });
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

  /**
   * Puts a classifier before all that stand at the interface's ingress, or another program in the place of the one from before. The queue for it is
   * added where there is none.
   * @param record writes `list` to disk
   * @throws SystemError; what was changed until then is put back
   */
  classify(name: string, program: ClassifierSpec['program'], record: () => void): void {
    const { index } = getLink(this.netlink, name);
    const before = this.list.find((change) => change.kind === 'classifier' && change.interface === name);
    if (before?.kind === 'classifier' && this.stands(name, index, before.priority)) {
      setClassifier(this.netlink, index, { priority: before.priority, handle: CLASSIFIER_HANDLE, program });
      this.inherited.delete(name);
      return;
    }
    this.declassify(name);
    const taken = listClassifiers(this.netlink, index).map((each) => each.priority);
    let priority = 1;
    while (taken.includes(priority)) priority++;
    const clsact = ingressQueue(this.netlink, index) === '';
    this.list.push({ kind: 'classifier', interface: name, priority, clsact });
    record();
    try {
      if (clsact) addClsact(this.netlink, index);
      setClassifier(this.netlink, index, { priority, handle: CLASSIFIER_HANDLE, program });
    } catch (error) {
      this.declassify(name);
      record();
      throw error;
    }
  }

  /** Removes the classifier of this interface, and the queue when it was made for it and holds nothing else. */
  declassify(name: string): void {
    const at = this.list.findIndex((change) => change.kind === 'classifier' && change.interface === name);
    this.inherited.delete(name);
    if (at >= 0) this.revert(...(this.list.splice(at, 1) as [HostChange]));
  }

  /** Whether an interface is still guarded by what a daemon before this one left there. */
  inherits(name: string): boolean {
    return this.inherited.has(name);
  }

  /** Removes the classifiers a daemon before this one left and that were not replaced. */
  disinherit(): void {
    for (const name of [...this.inherited]) this.declassify(name);
  }

  /**
   * Puts back what a daemon before this one left behind, but for the classifiers.
   * @param kept interfaces that become ports again: what was changed for them stays, or a network card would lose its carrier for seconds
   */
  mend(changes: readonly HostChange[], kept: ReadonlySet<string>): void {
    const goesOn = (change: HostChange) => change.kind !== 'classifier' && kept.has(change.interface);
    this.list.push(...changes.filter(goesOn));
    for (const change of [...changes].reverse()) {
      if (goesOn(change)) continue;
      if (change.kind === 'classifier') {
        this.list.push(change);
        this.inherited.add(change.interface);
        continue;
      }
      this.log.info({ change }, `putting back ${change.kind} of ${change.interface} after a crash`);
      this.revert(change);
    }
    this.findForgotten();
  }

  /** Classifiers with our name that no record has, as after one that was damaged: taken over like the others. */
  private findForgotten(): void {
    for (const link of listLinks(this.netlink)) {
      if (this.has('classifier', link.name)) continue;
      const ours = listClassifiers(this.netlink, link.index).find(
        (each) => this.isOurs(each) && each.name === this.classifierName,
      );
      if (ours === undefined) continue;
      this.list.push({ kind: 'classifier', interface: link.name, priority: ours.priority, clsact: true });
      this.inherited.add(link.name);
    }
  }

  private isOurs({ kind, handle }: Classifier): boolean {
    return kind === 'bpf' && handle === CLASSIFIER_HANDLE;
  }

  private revert(change: HostChange): void {
    try {
      // An interface that is gone took its settings along.
      const link = findLink(this.netlink, change.interface);
      if (link === undefined) return;
      if (change.kind === 'arp-ignore') writeSysctl(arpIgnore(change.interface), change.was);
      else if (change.kind === 'classifier') this.removeClassifier(link.index, change.priority, change.clsact);
      else this.bring(change.interface, false);
    } catch (error) {
      this.log.warn({ change, reason: reasonOf(error) }, `cannot put back ${change.kind} of ${change.interface}`);
    }
  }

  private has(kind: HostChange['kind'], name: string): boolean {
    return this.list.some((change) => change.kind === kind && change.interface === name);
  }

  /** An interface that was removed and made again has lost its classifier. */
  private stands(name: string, index: number, priority: number): boolean {
    if (!this.inherited.has(name)) return true;
    return listClassifiers(this.netlink, index).some((each) => this.isOurs(each) && each.priority === priority);
  }

  private removeClassifier(index: number, priority: number, clsact: boolean): void {
    const ours = listClassifiers(this.netlink, index).find((each) => this.isOurs(each) && each.priority === priority);
    if (ours !== undefined) removeClassifier(this.netlink, index, ours);
    if (!clsact || ingressQueue(this.netlink, index) !== 'clsact') return;
    const empty = (['ingress', 'egress'] as const).every((way) => listClassifiers(this.netlink, index, way).length === 0);
    if (empty) removeClsact(this.netlink, index);
  }

  private bring(name: string, up: boolean): void {
    const link = findLink(this.netlink, name);
    if (link !== undefined) setLink(this.netlink, link.index, { up });
  }
}

function arpIgnore(name: string): string {
  return `net/ipv4/conf/${name}/arp_ignore`;
}
