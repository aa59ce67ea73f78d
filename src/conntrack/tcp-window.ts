/**
 * Whether a segment fits what both ends have told each other so far (C17), after Guido van Rooij, "Real Stateful TCP Packet Filtering in IP
 * Filter" (2001), as Linux does it too. Per side: the end of what it sent, the end of what it may send, the largest window it offered, the
 * highest byte it acknowledged.
 *
 *     I    first byte       <= max end of the sender                          else above
 *     II   end of segment   >= end of the sender - max window of the receiver else below: old data, sent again
 *     III  acknowledgment   <= end of the receiver                            else above: of bytes never sent
 *     IV   acknowledgment   >= end of the receiver - max(66000, max window of the sender)    else below: late
 *
 * "Below" is harmless and passes without a change of state; "above" is what someone off the path would have to send.
 *
 * A super-frame is one long segment. A side of which nothing is known yet (max window 0) is taken at its word. Data beyond the window by less
 * than one window passes, and counts as sent: some senders do that, and the acknowledgment that follows must not look like a forgery.
 */

import * as tcp from '../wire/tcp.js';
import { Flag } from '../wire/tcp.js';
import { COLD, DirectionFlag, Status } from './flow-layout.js';
import { add, after, before, distance, max } from './seqnum.js';
import { highestAcknowledged, SynOption, synOptions } from './tcp-options.js';
import { TcpState } from './tcp-states.js';

export const Fit = { inside: 0, below: 1, above: 2 } as const;

const END = 0;
const MAX_END = COLD.maxEnd - COLD.end;
const MAX_WINDOW = COLD.maxWindow - COLD.end;
const MAX_ACK = COLD.maxAck - COLD.end;
const { syn: SYN, fin: FIN, rst: RST, ack: ACK } = Flag;
const { maxAck: HAS_MAX_ACK, unacknowledged: UNACKNOWLEDGED } = DirectionFlag;
const { scaleMask: SCALE, scaled: SCALED, sack: SACK } = SynOption;
const { syn_sent: SYN_SENT, syn_recv: SYN_RECV } = TcpState;
const SCALING_BOTH = (SCALE | SCALED) * 0x101;
const ALL_FLAGS = 0xff;
/** Older acknowledgments than this many bytes are late, however small the windows. */
const ACK_WINDOW_MIN = 66_000;
/** No window is larger: 65,535 shifted by 14 (RFC 7323, 2.3). */
const WINDOW_MAX = 0x4000_0000;

/** Bits to shift the flags of a direction by in the status word. */
export function flagShift(direction: number): number {
  return Status.directionShift + direction * Status.directionBits;
}

/** Sequence number behind a segment of `l4Length` bytes: SYN and FIN count as one byte each. */
export function segmentEnd(bytes: Uint8Array, l4: number, l4Length: number): number {
  const flags = tcp.flags(bytes, l4);
  const counted = ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
  return add(tcp.sequence(bytes, l4), l4Length - tcp.headerBytes(bytes, l4) + counted);
}

export class TcpWindow {
  /** Status word of the flow: set before `check`, with the new direction flags behind it. */
  status = 0;
  /** Whether the last segment `check` saw carried data its receiver had been sent before. */
  repeated = false;
  /** Highest byte acknowledged by the segment, selectively too. */
  private sack = 0;
  private acknowledgment = 0;
  private first = 0;
  private end = 0;
  private readonly cold: Int32Array;

  constructor(cold: Int32Array) {
    this.cold = cold;
  }

  /**
   * Checks a segment, and takes note of it unless it is refused.
   *
   * @param sender word of the sender's `end` in the cold rows; `receiver` likewise
   * @param state of the flow before the segment
   * @param liberal refuse nothing
   */
  check(
    bytes: Uint8Array,
    l4: number,
    l4Length: number,
    direction: number,
    sender: number,
    receiver: number,
    state: number,
    liberal: boolean,
  ): number {
    const { cold } = this;
    const flags = tcp.flags(bytes, l4);
    const window = tcp.window(bytes, l4);
    this.read(bytes, l4, l4Length, direction);
    this.repeated = false;
    if (this.begin(bytes, l4, direction, sender, receiver, state, window)) {
      return Fit.inside;
    }
    const receiverEnd = cold[receiver + END];
    if ((flags & ACK) === 0 || ((flags & RST) !== 0 && this.acknowledgment === 0)) {
      // None, or that of a stack which sets the flag in resets without meaning it.
      this.sack = receiverEnd;
      this.acknowledgment = receiverEnd;
    }
    const fit = this.place(sender, receiver);
    if (fit !== Fit.inside && !liberal) {
      return fit;
    }
    this.note(flags, window, direction, sender, receiver);
    return Fit.inside;
  }

  /** Starts a side anew from a SYN. */
  init(sender: number, direction: number, end: number, window: number, options: number): void {
    const { cold } = this;
    cold[sender + END] = end;
    cold[sender + MAX_END] = end;
    cold[sender + MAX_WINDOW] = window === 0 ? 1 : window;
    const shift = flagShift(direction);
    this.status = (this.status & ~(ALL_FLAGS << shift)) | (options << shift);
  }

  /** Forgets a side; the next segment of it is taken at its word. */
  forget(sender: number, direction: number): void {
    const { cold } = this;
    cold[sender + END] = 0;
    cold[sender + MAX_END] = 0;
    cold[sender + MAX_WINDOW] = 0;
    cold[sender + MAX_ACK] = 0;
    this.status &= ~(ALL_FLAGS << flagShift(direction));
  }

  private read(bytes: Uint8Array, l4: number, l4Length: number, direction: number): void {
    this.first = tcp.sequence(bytes, l4);
    this.end = segmentEnd(bytes, l4, l4Length);
    this.acknowledgment = tcp.acknowledgment(bytes, l4);
    const mayBeSelective = ((this.status >>> flagShift(1 - direction)) & SACK) !== 0;
    this.sack = mayBeSelective ? highestAcknowledged(bytes, l4, this.acknowledgment) : this.acknowledgment;
  }

  /** The first segment of a side. Returns true when there is nothing to check it against. */
  private begin(
    bytes: Uint8Array,
    l4: number,
    direction: number,
    sender: number,
    receiver: number,
    state: number,
    window: number,
  ): boolean {
    const { cold } = this;
    const flags = tcp.flags(bytes, l4);
    const known = cold[sender + MAX_WINDOW] !== 0;
    if ((flags & SYN) !== 0) {
      const anew = (state === SYN_SENT || state === SYN_RECV) && after(this.end, cold[sender + END]);
      if (known && !anew) {
        return false;
      }
      this.init(sender, direction, this.end, window, synOptions(bytes, l4));
      if (direction === 1 && ((this.status >>> flagShift(0)) & (this.status >>> flagShift(1)) & SCALED) === 0) {
        // Both sides or none (RFC 7323, 1.3).
        this.status &= ~(SCALING_BOTH << flagShift(0));
      }
      return (flags & ACK) === 0;
    }
    if (!known && (flags & RST) !== 0) {
      // The answer to a SYN has nothing to number, and a forged one must not speak for this side.
      this.first = cold[sender + END];
      this.end = this.first;
    } else if (!known) {
      const scaled = window << ((this.status >>> flagShift(direction)) & SCALE);
      cold[sender + END] = this.end;
      cold[sender + MAX_WINDOW] = scaled === 0 ? 1 : scaled;
      cold[sender + MAX_END] = add(this.end, cold[sender + MAX_WINDOW]);
      if (cold[receiver + MAX_WINDOW] === 0) {
        cold[receiver + END] = this.sack;
        cold[receiver + MAX_END] = this.sack;
      } else if (this.sack === add(cold[receiver + END], 1)) {
        // The answer to a keep-alive, most likely.
        cold[receiver + END] = this.sack;
      }
    }
    return false;
  }

  /** Rules I to IV. */
  private place(sender: number, receiver: number): number {
    const { cold } = this;
    const senderEnd = cold[sender + END];
    const maxEnd = cold[sender + MAX_END];
    const receiverEnd = cold[receiver + END];
    const receiverWindow = cold[receiver + MAX_WINDOW];
    const senderWindow = cold[sender + MAX_WINDOW];
    const late = add(receiverEnd, -(senderWindow > ACK_WINDOW_MIN ? senderWindow : ACK_WINDOW_MIN));
    const old = receiverWindow !== 0 && before(this.end, add(senderEnd, -receiverWindow));
    if (after(this.sack, receiverEnd)) {
      return Fit.above;
    }
    if (after(this.first, maxEnd)) {
      const over = distance(maxEnd, this.end);
      const repairable = !old && over > 0 && over < receiverWindow && !before(this.sack, late);
      return repairable ? Fit.inside : Fit.above;
    }
    return old || before(this.sack, late) ? Fit.below : Fit.inside;
  }

  private note(flags: number, window: number, direction: number, sender: number, receiver: number): void {
    const { cold } = this;
    const shift = flagShift(direction);
    let mine = (this.status >>> shift) & ALL_FLAGS;
    const offered = (flags & SYN) !== 0 ? window : window << (mine & SCALE);
    const reach = add(offered, distance(this.acknowledgment, this.sack));
    if (reach > cold[sender + MAX_WINDOW]) {
      cold[sender + MAX_WINDOW] = reach > WINDOW_MAX ? WINDOW_MAX : reach;
    }
    if (after(this.end, cold[sender + END])) {
      cold[sender + END] = this.end;
      mine |= UNACKNOWLEDGED;
    } else {
      this.repeated = this.end !== this.first;
    }
    if ((flags & ACK) !== 0) {
      const known = (mine & HAS_MAX_ACK) !== 0;
      cold[sender + MAX_ACK] = known ? max(cold[sender + MAX_ACK], this.acknowledgment) : this.acknowledgment;
      mine |= HAS_MAX_ACK;
    }
    if (cold[receiver + MAX_WINDOW] !== 0 && after(this.end, cold[sender + MAX_END])) {
      const grown = cold[receiver + MAX_WINDOW] + distance(cold[sender + MAX_END], this.end);
      cold[receiver + MAX_WINDOW] = grown > WINDOW_MAX ? WINDOW_MAX : grown;
    }
    const maxEnd = add(this.sack, offered === 0 ? 1 : offered);
    if (!before(maxEnd, cold[receiver + MAX_END])) {
      cold[receiver + MAX_END] = maxEnd;
    }
    let status = (this.status & ~(ALL_FLAGS << shift)) | (mine << shift);
    if (this.acknowledgment === cold[receiver + END]) {
      status &= ~(UNACKNOWLEDGED << flagShift(1 - direction));
    }
    this.status = status;
  }
}
