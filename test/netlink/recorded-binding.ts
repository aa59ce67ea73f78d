import { constants } from 'node:os';
import type { Binding } from '../../src/native/binding.js';

export interface RecordedBinding {
  binding: Binding;
  /** Requests sent, in order. */
  sent: Uint8Array[];
  /** Bytes of the reply buffers offered, in order. */
  offered: number[];
  closed: number[];
}

const SEQUENCE = 8;

/**
 * The netlink part of the addon with a kernel that gives the answers in order. Their sequence numbers are set to the request's; a number
 * is returned as the call's result.
 */
export function recordedBinding(answers: (Uint8Array | number)[], notifications: (Uint8Array | number)[] = []): RecordedBinding {
  const sent: Uint8Array[] = [];
  const offered: number[] = [];
  const closed: number[] = [];
  const give = (answer: Uint8Array | number, into: Uint8Array, sequence: Uint8Array | undefined): number => {
    if (typeof answer === 'number') return answer;
    if (answer.length > into.length) return -constants.errno.EMSGSIZE;
    into.set(answer);
    if (sequence !== undefined) {
      const view = new DataView(into.buffer, into.byteOffset);
      for (let at = 0; at < answer.length; at += (view.getUint32(at, true) + 3) & ~3) into.set(sequence, at + SEQUENCE);
    }
    return answer.length;
  };
  const binding: Partial<Binding> = {
    openNetlink: () => 5,
    closeDescriptor: (descriptor) => {
      closed.push(descriptor);
      return 0;
    },
    netlinkRequest: (_descriptor, request, reply) => {
      sent.push(request.slice());
      offered.push(reply.length);
      const answer = answers[0];
      if (answer === undefined) throw new Error('no answer left');
      const length = give(answer, reply, request.subarray(SEQUENCE, SEQUENCE + 4));
      if (length !== -constants.errno.EMSGSIZE || typeof answer === 'number') answers.shift();
      return length;
    },
    netlinkRead: (_descriptor, into) => give(notifications.shift() ?? 0, into, undefined),
  };
  return { binding: binding as Binding, sent, offered, closed };
}
