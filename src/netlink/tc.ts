/**
 * Traffic control at an interface's ingress, as far as the guard needs it: the clsact queue, and BPF classifiers in it, as `tc qdisc` and
 * `tc filter ... ingress bpf direct-action` show and change them.
 *
 *     interface ── clsact (or the older "ingress") ── ingress ── priority 1 ── handle 0x..   classifier, asked in order of priorities,
 *                                                             priority 2 ── ...              until one says something else than
 *                                               └─── egress                                   TC_ACT_UNSPEC
 *
 * A classifier's program stays loaded as long as the classifier is there. Nothing here ends with the process: what was added is removed by name or
 * handle (eBPF programs have both, classic ones a handle only).
 */
import { constants } from 'node:os';
import type { Descriptor } from '../native/binding.js';
import {
  BPF_DIRECT_ACTION,
  Family,
  NlmFlag,
  Rtm,
  TC_CLSACT,
  TC_CLSACT_HANDLE,
  TC_EGRESS,
  TC_INGRESS,
  Tca,
  TcaBpf,
} from './constants.js';
import { attributeString, type Message, MessageWriter, readAttributes, readI32, readU32 } from './message.js';
import { isErrno, type Netlink } from './netlink.js';

/** tcmsg: family, three bytes of padding, interface, handle, parent, info (include/uapi/linux/rtnetlink.h). */
const TCMSG_BYTES = 20;
const TCMSG_INDEX = 4;
const TCMSG_HANDLE = 8;
const TCMSG_PARENT = 12;
const TCMSG_INFO = 16;

/** Of every protocol: ETH_P_ALL in network byte order, the lower half of tcmsg's info. The upper half is the priority. */
const ALL_PROTOCOLS = 0x0300;
const KIND = 'bpf';

export interface Classifier {
  /** 1 is asked first. */
  priority: number;
  handle: number;
  /** 'bpf', 'flower' ... */
  kind: string;
  /** Of an eBPF program; '' for others. */
  name: string;
}

export interface ClassifierSpec {
  priority: number;
  handle: number;
  /** A loaded eBPF program with the name to show, or classic BPF: `struct sock_filter`, 8 bytes each. Both return TC_ACT_*. */
  program: { descriptor: Descriptor; name: string } | { classic: Uint8Array };
}

/** Kind of the queue at the ingress, 'clsact' or 'ingress'; '' for none. @throws SystemError */
export function ingressQueue(netlink: Netlink, index: number): string {
  const request = header(new MessageWriter(Rtm.getQdisc, NlmFlag.request | NlmFlag.dump), index, 0, 0, 0);
  for (const { payload } of netlink.dump(request, 'list the queues')) {
    // The kernel tells those of all interfaces.
    if (readI32(payload, TCMSG_INDEX) !== index || readU32(payload, TCMSG_PARENT) !== TC_CLSACT) continue;
    return attributeString(readAttributes(payload, TCMSG_BYTES), Tca.kind);
  }
  return '';
}

/** @throws SystemError EEXIST when there is one, or an ingress queue; ENOENT: the kernel has no such queue (CONFIG_NET_SCH_INGRESS) */
export function addClsact(netlink: Netlink, index: number): void {
  const flags = NlmFlag.request | NlmFlag.ack | NlmFlag.create | NlmFlag.exclusive;
  const request = header(new MessageWriter(Rtm.newQdisc, flags), index, TC_CLSACT_HANDLE, TC_CLSACT, 0);
  netlink.change(request.attributeString(Tca.kind, 'clsact'), `add a clsact queue to interface ${index}`, String(index));
}

/** Removes the queue with all that is in it. @throws SystemError ENOENT, EINVAL: there is none */
export function removeClsact(netlink: Netlink, index: number): void {
  const request = header(
    new MessageWriter(Rtm.deleteQdisc, NlmFlag.request | NlmFlag.ack),
    index,
    TC_CLSACT_HANDLE,
    TC_CLSACT,
    0,
  );
  netlink.change(request, `remove the clsact queue of interface ${index}`, String(index));
}

/** What is asked about frames that come in, or go out; empty without a queue. @throws SystemError */
export function listClassifiers(netlink: Netlink, index: number, direction: 'ingress' | 'egress' = 'ingress'): Classifier[] {
  const parent = direction === 'ingress' ? TC_INGRESS : TC_EGRESS;
  const request = header(new MessageWriter(Rtm.getFilter, NlmFlag.request | NlmFlag.dump), index, 0, parent, 0);
  let messages: Message[];
  try {
    messages = netlink.dump(request, `list the classifiers of interface ${index}`);
  } catch (error) {
    // An ingress queue has no egress; a kernel without classifiers has none.
    if (isErrno(error, constants.errno.EINVAL) || isErrno(error, constants.errno.EOPNOTSUPP)) return [];
    throw error;
  }
  // A priority is told once by itself, with handle 0, before its classifiers.
  return messages.map(parseClassifier).filter(({ handle }) => handle !== 0);
}

/** Adds a classifier at the ingress, or takes the place of the one with that priority and handle at once. @throws SystemError */
export function setClassifier(netlink: Netlink, index: number, spec: ClassifierSpec): void {
  const info = spec.priority * 0x10000 + ALL_PROTOCOLS;
  const flags = NlmFlag.request | NlmFlag.ack | NlmFlag.create;
  const request = header(new MessageWriter(Rtm.newFilter, flags), index, spec.handle, TC_INGRESS, info);
  request.attributeString(Tca.kind, KIND).nested(Tca.options, () => {
    const { program } = spec;
    if ('classic' in program) {
      request.attribute(TcaBpf.opsLength, new Uint8Array(Uint16Array.of(program.classic.length / 8).buffer));
      request.attribute(TcaBpf.ops, program.classic);
    } else {
      request.attributeU32(TcaBpf.descriptor, program.descriptor).attributeString(TcaBpf.name, program.name);
    }
    request.attributeU32(TcaBpf.flags, BPF_DIRECT_ACTION);
  });
  netlink.change(request, `add a classifier to interface ${index}`, String(index));
}

/** @throws SystemError ENOENT, EINVAL: there is none */
export function removeClassifier(
  netlink: Netlink,
  index: number,
  classifier: Pick<Classifier, 'priority' | 'handle' | 'kind'>,
): void {
  const info = classifier.priority * 0x10000 + ALL_PROTOCOLS;
  const request = header(
    new MessageWriter(Rtm.deleteFilter, NlmFlag.request | NlmFlag.ack),
    index,
    classifier.handle,
    TC_INGRESS,
    info,
  );
  request.attributeString(Tca.kind, classifier.kind);
  netlink.change(request, `remove a classifier of interface ${index}`, String(index));
}

function parseClassifier({ payload }: Message): Classifier {
  const attributes = readAttributes(payload, TCMSG_BYTES);
  const kind = attributeString(attributes, Tca.kind);
  const options = attributes.get(Tca.options);
  return {
    priority: readU32(payload, TCMSG_INFO) >>> 16,
    handle: readU32(payload, TCMSG_HANDLE),
    kind,
    name: kind === KIND && options !== undefined ? attributeString(readAttributes(options, 0), TcaBpf.name) : '',
  };
}

function header(request: MessageWriter, index: number, handle: number, parent: number, info: number): MessageWriter {
  return request.u8(Family.unspecified).u8(0).u16(0).u32(index).u32(handle).u32(parent).u32(info);
}
