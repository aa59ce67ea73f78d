/**
 * A conversation with the kernel's rtnetlink in one network namespace: links, addresses, routes, neighbors.
 *
 *     link.ts address.ts route.ts neighbor.ts      what to say, what was said
 *                      |
 *                  Netlink.get dump change         sequence numbers, dumps, errors
 *                      |
 *     Binding.openNetlink / netlinkRequest         one socket; send, gather the answer
 *
 * A socket stays in the namespace it was made in, whatever thread uses it later: that is how another namespace is configured without entering
 * it. Calls are synchronous. A round trip takes tens of microseconds, because the kernel does the work inside of the send and has the answer
 * ready when it returns; only removing a device or moving it to another namespace waits for readers of the old state (a move
 * of a TAP: rcu_barrier, median 15 ms, 12 to 32 ms of 200 measured; kernel 6.18, CONFIG_HZ=250, 2 cores). Nothing here is called per frame.
 *
 * Invariants: one request is under way at a time; an answer is matched by its sequence number, so that a late one to an abandoned
 * request is never taken for the next one's; a dump that the kernel marks as interrupted by a change is repeated.
 * Limits: an answer may have 64 MiB (a link takes about 1.5 KB); 8 repeats of an interrupted dump; 10 s for an answer.
 *
 * Why not a package: the one that speaks rtnetlink, npm `netlink` 0.3.0, has had no release for years, brings a native build of its own
 * and knows no namespaces. Why not `ip`: it is not installed everywhere, each call is a process, and its errors are text to be parsed.
 */
import { constants } from 'node:os';
import type { Binding, Descriptor } from '../native/binding.js';
import { check, errnoName, SystemError } from '../native/system-error.js';
import { NlmFlag, Nlmsg, NlmsgErrorAttribute } from './constants.js';
import {
  align,
  attributeString,
  HEADER_BYTES,
  type Message,
  type MessageWriter,
  readAttributes,
  readI32,
  readMessages,
  readU32,
} from './message.js';

const FIRST_REPLY_BYTES = 64 * 1024;
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
const MAX_INTERRUPTIONS = 8;
const TIMEOUT_MILLIS = 10_000;

/** What the kernel's numbers mean on rtnetlink, and what to do. */
const SENTENCES: Readonly<Record<string, string>> = {
  EPERM: 'no permission: it needs root (CAP_NET_ADMIN in that network namespace)',
  EACCES: 'no permission: it needs root (CAP_NET_ADMIN in that network namespace)',
  EEXIST: 'it exists already',
  ENODEV: 'there is no such interface',
  ENOENT: 'there is no such entry',
  ESRCH: 'there is no such entry',
  EADDRNOTAVAIL: 'the address is not there',
  // EOPNOTSUPP: the two are one number on Linux, and Node knows it by this name.
  ENOTSUP: 'this kernel does not support it (a module that is not loaded?)',
  ENETUNREACH: 'the network is unreachable: no route or interface reaches the gateway',
  EHOSTUNREACH: 'the host is unreachable',
  ENETDOWN: 'the interface is down',
  EBUSY: 'it is in use',
  ETIMEDOUT: 'the kernel did not answer in time',
};

export class Netlink {
  private readonly binding: Binding;
  private readonly descriptor: Descriptor;
  private reply: Uint8Array;
  private sequence = 0;
  private closed = false;

  private constructor(binding: Binding, descriptor: Descriptor, replyBytes: number) {
    this.binding = binding;
    this.descriptor = descriptor;
    this.reply = new Uint8Array(replyBytes);
  }

  /**
   * @param netns Descriptor of the namespace to talk about, -1 for the calling thread's. It may be closed afterwards.
   * @param replyBytes Room for an answer to begin with; a longer one is asked for again.
   * @throws SystemError EPERM without the rights to enter it.
   */
  static open(binding: Binding, netns: Descriptor | -1 = -1, replyBytes = FIRST_REPLY_BYTES): Netlink {
    return new Netlink(binding, check(binding.openNetlink(netns, 0), 'openNetlink', 'rtnetlink'), replyBytes);
  }

  /** Another conversation, about another namespace. @throws SystemError EPERM without the rights to enter it */
  elsewhere(netns: Descriptor): Netlink {
    return Netlink.open(this.binding, netns);
  }

  /**
   * Makes a change: sends `message` and waits for its acknowledgement.
   * @param what What is attempted, as the end of "cannot ...".
   * @param device The interface it is about, for the error.
   * @throws SystemError with the kernel's own reason where it gives one.
   */
  change(message: MessageWriter, what: string, device: string): void {
    this.exchange(message, what, device);
  }

  /** Asks for one entry. The payload of the answer is valid until the next call. @throws SystemError, ENOENT for an empty answer. */
  get(message: MessageWriter, what: string, device: string): Message {
    const [answer] = this.exchange(message, what, device).messages;
    if (answer === undefined) throw failure(constants.errno.ENOENT, what, device, '');
    return answer;
  }

  /** Asks for one entry; undefined when the kernel says with one of `absent` (errnos) that there is none. @throws SystemError */
  find(message: MessageWriter, what: string, device: string, absent: readonly number[]): Message | undefined {
    try {
      return this.get(message, what, device);
    } catch (error) {
      if (error instanceof SystemError && absent.includes(error.errno)) return undefined;
      throw error;
    }
  }

  /** Asks for a whole table. @throws SystemError, also when it changed during each of several attempts (EINTR). */
  dump(message: MessageWriter, what: string): Message[] {
    for (let attempt = 0; attempt < MAX_INTERRUPTIONS; attempt++) {
      const { messages, interrupted } = this.exchange(message, what, 'rtnetlink');
      if (!interrupted) return messages;
    }
    throw failure(constants.errno.EINTR, what, 'rtnetlink', 'it kept changing while it was read');
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.binding.closeDescriptor(this.descriptor);
  }

  private exchange(message: MessageWriter, what: string, device: string): Answer {
    for (;;) {
      const sequence = this.nextSequence();
      const length = this.binding.netlinkRequest(this.descriptor, message.finish(sequence), this.reply, TIMEOUT_MILLIS);
      if (length === -constants.errno.EMSGSIZE && this.reply.length < MAX_REPLY_BYTES) {
        // Only dumps are longer than the first buffer, and asking again changes nothing.
        this.reply = new Uint8Array(this.reply.length * 4);
        continue;
      }
      if (length < 0) throw failure(-length, what, device, '');
      return answerTo(sequence, this.reply.subarray(0, length), what, device);
    }
  }

  private nextSequence(): number {
    this.sequence = (this.sequence + 1) >>> 0 || 1;
    return this.sequence;
  }
}

export interface Answer {
  /** Without the closing NLMSG_DONE and acknowledgements. */
  messages: Message[];
  /** What was dumped changed meanwhile. */
  interrupted: boolean;
}

/**
 * The messages that answer request `sequence`; others are passed over.
 * @throws SystemError when one of them is the kernel's refusal.
 */
export function answerTo(sequence: number, bytes: Uint8Array, what: string, device: string): Answer {
  const messages: Message[] = [];
  let interrupted = 0;
  for (const message of readMessages(bytes)) {
    if (message.sequence !== sequence) continue;
    interrupted |= message.flags & NlmFlag.dumpInterrupted;
    if (message.type === Nlmsg.error || message.type === Nlmsg.done) {
      const error = errorOf(message);
      if (error !== 0) throw failure(error, what, device, extendedAck(message));
    } else if (message.type !== Nlmsg.noop) {
      messages.push(message);
    }
  }
  return { messages, interrupted: interrupted !== 0 };
}

/** The positive errno of an NLMSG_ERROR or NLMSG_DONE; 0 for success. Some dumps end with an NLMSG_DONE without one. */
function errorOf(message: Message): number {
  return message.payload.length < 4 ? 0 : -readI32(message.payload, 0);
}

/**
 * The kernel's own sentence about a refused request, '' without one (NETLINK_EXT_ACK not set, or an older kernel).
 *
 *     error(4) | header of the request(16) | its payload, unless capped | attributes
 */
function extendedAck(message: Message): string {
  if (message.type !== Nlmsg.error || (message.flags & NlmFlag.ackAttributes) === 0) return '';
  const repeated = (message.flags & NlmFlag.capped) === 0 ? readU32(message.payload, 4) : HEADER_BYTES;
  const attributes = readAttributes(message.payload, Math.min(4 + align(repeated), message.payload.length));
  return attributeString(attributes, NlmsgErrorAttribute.message);
}

/** The error of an attempt: "cannot `what`: `reason`; the meaning of `errno`". */
export function failure(errno: number, what: string, device: string, reason: string): SystemError {
  const name = errnoName(errno);
  const why = [reason, SENTENCES[name] ?? name].filter((part) => part !== '').join('; ');
  return new SystemError(errno, 'netlink', device, `cannot ${what}: ${why}`);
}

/** Whether `error` is a system error of that (positive) errno. */
export function isErrno(error: unknown, errno: number): boolean {
  return error instanceof SystemError && error.errno === errno;
}
