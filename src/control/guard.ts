/**
 * What keeps the gateway's frames and the host's apart on the uplinks, attached by the best means the kernel offers:
 *
 *     ebpf      the map's program by a tcx link (Linux 6.6): ends with the daemon, however that ends
 *     ebpf-tc   the same program as a classifier in clsact: recorded in HostChanges, removed at the end or by the next start
 *     classic   bpf(2) is refused: classic BPF with the ranges of ports written into it (classic-guard.ts), recorded likewise
 *
 * The first two know single flows: the engine sets and clears bits in the map. The third knows ranges: `setRules` says which.
 *
 * Where flows outlive the daemon (`lasting`) the second goes before the first: between a crash and the next daemon nobody but the classifier keeps the host's
 * stack from the segments of connections it knows nothing of, and from resetting them. The next daemon puts its own program in that one's place
 * (host-changes.ts), and only when its map has the ports of the flows it took over and of what is published.
 *
 * Invariants: the socket is filtered before the ingress is, so that no frame is lost to both; an uplink whose ingress cannot be guarded is refused,
 * because the host's stack would reset each translated connection (N60).
 */
import type { Binding, Descriptor } from '../native/binding.js';
import { errnoName } from '../native/system-error.js';
import { getLink } from '../netlink/link.js';
import type { Netlink } from '../netlink/netlink.js';
import { ClassicPlace, type ClassicRules, classicGuard } from './classic-guard.js';
import { ControlError, orRefuse } from './control-error.js';
import type { HostChanges } from './host-changes.js';
import { type Log, reasonOf } from './log.js';
import type { UplinkInfo } from './model.js';

/** 'auto': eBPF where the kernel takes it, else classic. */
export type GuardSetting = 'auto' | 'ebpf' | 'classic';
export const GUARD_SETTINGS = ['auto', 'ebpf', 'classic'] as const satisfies readonly GuardSetting[];

export interface GuardParts {
  binding: Binding;
  /** Of the namespace the uplinks are in. */
  netlink: Netlink;
  changes: HostChanges;
  log: Log;
  /** What is attached stays in force when the daemon is killed. */
  lasting: boolean;
  /** Writes the record of changes to disk. */
  record(): void;
}

interface Attached {
  sockets: readonly Descriptor[];
  kind: UplinkInfo['guard'];
  /** Of a tcx link; -1 for classifiers. */
  link: Descriptor | -1;
}

const KERNEL_HINT = 'the kernel needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF ("modprobe sch_ingress cls_bpf")';

export class UplinkGuard {
  /** Descriptor of the map, for the engine to map; -1: classic. */
  readonly map: Descriptor | -1;
  private readonly parts: GuardParts;
  private readonly attached = new Map<string, Attached>();
  private rules: ClassicRules = { addresses: [], ranges: [] };

  private constructor(parts: GuardParts, map: Descriptor | -1) {
    this.parts = parts;
    this.map = map;
  }

  /**
   * Makes the map, or finds out that there can be none.
   * @throws ControlError when `setting` is 'ebpf' and the kernel refuses it
   */
  static open(parts: GuardParts, setting: GuardSetting): UplinkGuard {
    if (setting === 'classic') return new UplinkGuard(parts, -1);
    const { binding } = parts;
    const map = binding.openGuard();
    // Some hosts grant maps and refuse programs.
    const program = map < 0 ? map : binding.guardProgram(map);
    if (program >= 0) {
      binding.closeDescriptor(program);
      return new UplinkGuard(parts, map);
    }
    if (map >= 0) binding.closeDescriptor(map);
    const refusal = `the kernel refuses eBPF to this process (${errnoName(-program)}: ${REASONS[errnoName(-program)] ?? 'bpf(2) failed'})`;
    if (setting === 'ebpf')
      throw new ControlError('forbidden', refusal, 'choose "guard: auto" or "guard: classic" in the settings');
    parts.log.warn(
      { errno: errnoName(-program) },
      `${refusal}: uplinks are guarded by a classic classifier, which keeps whole ranges of ports from the host and ` +
        'translates TCP, UDP and ICMP only; "guard: classic" chooses it without asking',
    );
    return new UplinkGuard(parts, -1);
  }

  /**
   * Guards an uplink; one that is guarded already is guarded anew, as after its interface came back.
   * @param sockets all packet sockets that hear the interface, before the engine has them
   * @throws ControlError when its ingress cannot be guarded; nothing is left behind then
   */
  attach(name: string, sockets: readonly Descriptor[]): UplinkInfo['guard'] {
    this.release(name);
    const what = `cannot keep translated traffic on ${name} from the host's own stack`;
    this.filter(name, sockets, what);
    const { index } = orRefuse('not-found', () => getLink(this.parts.netlink, name));
    const attached = this.parts.lasting && this.map >= 0 ? this.last(name) : null;
    if (attached !== null) return this.keep(name, sockets, attached);
    const link = this.map < 0 ? -1 : this.parts.binding.attachGuard(this.map, index, -1);
    if (link >= 0) return this.keep(name, sockets, 'ebpf', link);
    try {
      this.classify(name, link);
    } catch (error) {
      throw new ControlError('failed', `${what}: ${error instanceof Error ? error.message : String(error)}`, KERNEL_HINT, error);
    }
    return this.keep(name, sockets, this.map < 0 ? 'classic' : 'ebpf-tc');
  }

  /** Lets only the gateway's frames into the sockets of an uplink whose ingress is still guarded by an earlier daemon; `attach` follows. @throws ControlError */
  filterOnly(name: string, sockets: readonly Descriptor[]): void {
    this.filter(name, sockets, `cannot use ${name} as an uplink`);
  }

  /** Gives the uplink back to the host whole. */
  release(name: string): void {
    const attached = this.attached.get(name);
    if (attached === undefined) return;
    this.attached.delete(name);
    if (attached.link >= 0) this.parts.binding.closeDescriptor(attached.link);
    else {
      this.parts.changes.declassify(name);
      this.parts.record();
    }
  }

  /**
   * Addresses and ranges of ports that are the gateway's, for the classic guard; the others have their map.
   * @throws ControlError when there are more ranges than a program holds; what was in force stays
   */
  setRules(rules: ClassicRules): void {
    if (this.map >= 0) return;
    for (const place of Object.values(ClassicPlace)) classicGuard(rules, place);
    this.rules = rules;
    for (const [name, { sockets }] of this.attached) {
      this.filter(name, sockets, `cannot change the filter of ${name}`);
      this.classify(name, -1);
    }
  }

  close(): void {
    for (const name of [...this.attached.keys()]) this.release(name);
    if (this.map >= 0) this.parts.binding.closeDescriptor(this.map);
  }

  private filter(name: string, sockets: readonly Descriptor[], what: string): void {
    const { binding } = this.parts;
    const classic = this.map < 0 ? classicGuard(this.rules, ClassicPlace.socket) : null;
    for (const socket of sockets) {
      const result = classic === null ? binding.filterPacket(socket, this.map) : binding.filterPacketClassic(socket, classic);
      if (result < 0)
        throw new ControlError('failed', `${what}: the filter of a socket of ${name} was refused (${errnoName(-result)})`);
    }
  }

  private keep(name: string, sockets: readonly Descriptor[], kind: UplinkInfo['guard'], link: Descriptor | -1 = -1) {
    this.attached.set(name, { sockets, kind, link });
    return kind;
  }

  /** By a classifier, which outlives the daemon; null: the kernel has none. */
  private last(name: string): 'ebpf-tc' | null {
    try {
      this.classify(name, 0);
      return 'ebpf-tc';
    } catch (error) {
      const reason = reasonOf(error);
      this.parts.log.warn(
        { interface: name, reason },
        `connections through ${name} will not survive a crash: no classifier (${reason})`,
      );
      return null;
    }
  }

  /** @param refused why there is no tcx link, a negative errno; 0: none was tried */
  private classify(name: string, refused: number): void {
    const { binding, changes, log, record } = this.parts;
    if (this.map < 0) {
      // Until the rules are known, those of the daemon before hold: the ranges are the same.
      if (changes.inherits(name) && this.rules.addresses.length === 0) return;
      changes.classify(name, { classic: classicGuard(this.rules, ClassicPlace.ingress) }, record);
      return;
    }
    if (refused !== 0)
      log.info(
        { interface: name, errno: errnoName(-refused) },
        `no tcx link on ${name} (Linux 6.6): a classifier in clsact instead`,
      );
    const descriptor = binding.guardProgram(this.map);
    if (descriptor < 0) throw new Error(`its program was refused (${errnoName(-descriptor)})`);
    try {
      changes.classify(name, { descriptor, name: changes.classifierName }, record);
    } finally {
      binding.closeDescriptor(descriptor);
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EPERM: 'it needs CAP_BPF and CAP_NET_ADMIN on the host, not in a user namespace, and no seccomp profile against it',
  ENOSYS: 'a kernel without bpf(2), or a seccomp profile against it',
  EINVAL: 'it needs Linux 5.11',
};
