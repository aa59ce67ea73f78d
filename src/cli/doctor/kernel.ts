/**
 * What the kernel can do, found out by doing it in a network namespace made for that: nothing of it is seen outside, and it is gone with its last
 * descriptor.
 */
import { constants, release } from 'node:os';
import { type Machine, thisMachine } from '../../daemon/keep-awake.js';
import type { Binding, Descriptor } from '../../native/binding.js';
import { errnoName } from '../../native/system-error.js';
import { getLink } from '../../netlink/link.js';
import { Netlink } from '../../netlink/netlink.js';
import { addClsact } from '../../netlink/tc.js';
import { type Finding, fail, ok, warn } from './finding.js';

const AREA = 'kernel';
const { EINVAL, ENOPROTOOPT, EPERM } = constants.errno;
/** include/uapi/linux/if_tun.h: TUN_F_CSUM, TSO4, TSO6, TSO_ECN; USO4, USO6. */
const OFFLOADS = 0x0f;
const UDP_SEGMENTATION = 0x60;

export function checkKernel(binding: Binding): Finding[] {
  const netns = binding.createNetns(null);
  if (netns < 0) {
    const found = `no network namespace can be made (${errnoName(-netns)})`;
    if (netns === -EPERM) return [warn(AREA, found, 'what this kernel can do is not looked at', 'sudo tapbridge doctor')];
    return [fail(AREA, found, 'containers need namespaces', 'a kernel with CONFIG_NET_NS')];
  }
  const opened: Descriptor[] = [netns];
  const keep = (descriptor: Descriptor | number) => {
    if (descriptor >= 0) opened.push(descriptor);
    return descriptor;
  };
  try {
    return [
      ok(AREA, `Linux ${release()}, network namespaces`),
      ...taps(binding, netns, keep),
      packets(binding, netns, keep),
      guard(binding, netns, keep),
      idleCores(thisMachine()),
    ];
  } finally {
    for (const each of opened.reverse()) binding.closeDescriptor(each);
  }
}

/** Whether they poll when they are asked to (engine/awake.ts). */
export function idleCores({ virtual, refusal }: Machine): Finding {
  const reason = refusal();
  if (reason === null) return ok(AREA, 'idle cores can be kept awake while there is traffic');
  const found = `idle cores cannot be kept awake while there is traffic: ${reason}`;
  const effect = 'in a virtual machine waking a core takes long: requests and connections are slower';
  // Elsewhere nobody misses it, unless he asks for it.
  return virtual ? warn(AREA, found, effect, 'root of the machine, and a kernel with CONFIG_CPU_IDLE') : ok(AREA, found);
}

type Keep = (descriptor: number) => number;

function taps(binding: Binding, netns: Descriptor, keep: Keep): Finding[] {
  const tap = (name: string, offloads: number, multiQueue = false) =>
    keep(binding.openTap({ name, netns, vnetHeader: true, offloads, persistent: false, mode: 'create', multiQueue }));
  const first = tap('probe0', OFFLOADS | UDP_SEGMENTATION);
  if (first >= 0) return [ok(AREA, 'TAPs with vnet header, TCP and UDP segmentation')];
  const second = first === -EINVAL ? tap('probe0', OFFLOADS) : first;
  if (second >= 0) {
    return [warn(AREA, 'TAPs without UDP segmentation', 'datagrams pass one by one: UDP is slower', 'Linux 6.2 or newer')];
  }
  const found = `no TAP can be made (${errnoName(-second)})`;
  return [fail(AREA, found, 'no container can be attached', 'modprobe tun; a kernel with CONFIG_TUN')];
}

function packets(binding: Binding, netns: Descriptor, keep: Keep): Finding {
  const open = (vnetHeader: boolean) =>
    keep(binding.openPacket({ interface: 'lo', netns, vnetHeader, promiscuous: false, ignoreOutgoing: true }));
  const first = open(true);
  if (first >= 0) return ok(AREA, 'packet sockets with a vnet header of 12 bytes');
  const second = first === -ENOPROTOOPT ? open(false) : first;
  if (second >= 0) {
    return warn(
      AREA,
      'packet sockets without vnet header',
      'uplinks and interfaces as ports pass no super-frames: they are slower',
      'Linux 6.4 or newer',
    );
  }
  const found = `no packet socket can be opened (${errnoName(-second)})`;
  return fail(AREA, found, 'no container reaches the outside', 'a kernel with CONFIG_PACKET, and CAP_NET_RAW');
}

/** The better guards first, as control/guard.ts chooses. */
function guard(binding: Binding, netns: Descriptor, keep: Keep): Finding {
  const map = keep(binding.openGuard());
  const program = map < 0 ? map : keep(binding.guardProgram(map));
  if (program < 0) {
    const queue = clsactProblem(binding, netns);
    if (queue !== null) return withoutQueue(queue);
    const found = `bpf(2) is refused (${errnoName(-program)})`;
    const meaning = 'uplinks get a classic classifier, which keeps whole ranges of ports from the host';
    return warn(AREA, found, meaning, 'run on the machine itself with CAP_BPF, without a seccomp profile against bpf(2)');
  }
  const link = keep(binding.attachGuard(map, 1, netns));
  if (link >= 0) return ok(AREA, 'eBPF with tcx links, which end with the daemon');
  const queue = clsactProblem(binding, netns);
  if (queue !== null) return withoutQueue(queue);
  return ok(AREA, `eBPF in a clsact queue (no tcx links before Linux 6.6: ${errnoName(-link)})`);
}

function withoutQueue(reason: string): Finding {
  const found = `no classifier can be put at an interface: ${reason}`;
  return fail(AREA, found, 'an uplink cannot be guarded: no container reaches the outside', 'modprobe sch_ingress cls_bpf');
}

/** Why the loopback of that namespace cannot have a clsact queue, null: it can. */
function clsactProblem(binding: Binding, netns: Descriptor): string | null {
  const there = Netlink.open(binding, netns);
  try {
    addClsact(there, getLink(there, 'lo').index);
    return null;
  } catch (error) {
    return (error as Error).message;
  } finally {
    there.close();
  }
}
