/**
 * The TCP tracker: what a segment does to its flow. The table of states is in tcp-states.ts, the windows are in tcp-window.ts; here is what
 * neither can say (C10–C17), over the rows of the flow table.
 *
 *     segment ─▶ class ─▶ table ─┬─ invalid ─▶ refused
 *                                ├─ ignored ─▶ remembered, passes (C12)
 *                                └─ next state ─▶ reopened? (C11) ─▶ valid reset? (C14) ─▶ window (C17) ─▶ new state, timeout class
 *
 * A gateway sees segments neither end may have seen yet, and ends that lost their memory: so what it cannot explain passes without a change
 * as long as no one off the path could have made it.
 */
import * as tcp from '../wire/tcp.js';
import { COLD, COLD_WORDS, DirectionFlag, FLOW, FLOW_SHIFT, Status, WINDOW_WORDS } from './flow-layout.js';
import type { FlowTable } from './flow-table.js';
import { after, before } from './seqnum.js';
import { SynOption, synOptions } from './tcp-options.js';
import { Outcome, SEGMENTS, Segment, TcpState, TRANSITIONS, transition } from './tcp-states.js';
import { Fit, flagShift, segmentEnd, TcpWindow } from './tcp-window.js';
import { TimeoutClass } from './timeouts.js';

/** What becomes of a segment: `replaced` is a SYN that opens the flow anew (C11), `ended` passes as the last of its flow (C15). */
export const Verdict = { pass: 0, invalid: 1, replaced: 2, ended: 3 } as const;

const { status: STATUS } = FLOW;
const { end: END, lastEnd: LAST_END, last: LAST } = COLD;
const MAX_ACK = COLD.maxAck - COLD.end;
const MAX_END = COLD.maxEnd - COLD.end;
const { stateMask: STATE_MASK, seenReply: SEEN_REPLY, assured: ASSURED, pickedUp: PICKED_UP } = Status;
const { new: NEW, syn_sent: SYN_SENT, syn_sent2: SYN_SENT2, syn_recv: SYN_RECV, established: ESTABLISHED } = TcpState;
const { fin_wait: FIN_WAIT, last_ack: LAST_ACK, time_wait: TIME_WAIT, close: CLOSE } = TcpState;
const { rst: RST, syn: SYN, synAck: SYN_ACK, ack: ACK } = Segment;
const { invalid: INVALID, ignored: IGNORED } = Outcome;
const { maxAck: HAS_MAX_ACK, unacknowledged: UNACKNOWLEDGED } = DirectionFlag;

/**
 * The last word of a cold row: of the last segment that was not refused, and what else must be remembered.
 *
 *     0    15 16     21 22  24 25  26  27 28       29          30           31
 *     +------+---------+------+---+------+--------+------------+------------+----------+
 *     |window|SynOption|class |dir|repeat|resetter|challenge   |simultaneous|fin first |
 *     +------+---------+------+---+------+--------+------------+------------+----------+
 */
const WINDOW_MASK = 0xffff;
const OPTIONS_SHIFT = 16;
const OPTIONS_MASK = SynOption.scaleMask | SynOption.scaled | SynOption.sack;
const CLASS_SHIFT = 22;
const CLASS_MASK = 7 << CLASS_SHIFT;
const DIRECTION_SHIFT = 25;
const REPEATS_SHIFT = 26;
const REPEATS_MASK = 3 << REPEATS_SHIFT;
/** In close: the direction of the reset. */
const RESETTER_SHIFT = 28;
const RESETTER = 1 << RESETTER_SHIFT;
/** A SYN passed in last_ack: an ACK may be a challenge (RFC 5961, 4) and not the last one. */
const CHALLENGE = 1 << 29;
/** The open was simultaneous. */
const SIMULTANEOUS = 1 << 30;
/** Someone sent the first FIN: closed by intent. */
const FIN_FIRST = 1 << 31;
const KEPT = RESETTER | CHALLENGE | SIMULTANEOUS | FIN_FIRST;
/** No segment yet: no class has this number. */
const NO_SEGMENT = Segment.none << CLASS_SHIFT;
const REPEATS_MAX = 3;

/** Class of a flow in each state. */
const CLASS_OF_STATE = Uint8Array.of(
  TimeoutClass.tcpSynSent,
  TimeoutClass.tcpSynSent,
  TimeoutClass.tcpSynSent2,
  TimeoutClass.tcpSynRecv,
  TimeoutClass.tcpEstablished,
  TimeoutClass.tcpFinWait,
  TimeoutClass.tcpCloseWait,
  TimeoutClass.tcpLastAck,
  TimeoutClass.tcpTimeWait,
  TimeoutClass.tcpClose,
);
const PICKED_UP_CLASS = TimeoutClass.tcpPickedUp;
const { tcpRetransmitted: RETRANSMITTED_CLASS, tcpUnacknowledged: UNACKNOWLEDGED_CLASS } = TimeoutClass;
const ZERO_WINDOW_CLASS = TimeoutClass.tcpZeroWindow;

export class TcpTracker {
  /** Pick connections up in their middle (C10). */
  loose: boolean;
  /** Refuse no segment for its numbers (C17). */
  liberal: boolean;
  /** Status word after the last `track` that passed, its timeout class as before. */
  status = 0;
  /** Timeout class after the last `track` that passed; -1 when the segment renews nothing. */
  timeoutClass = -1;
  private readonly words: Int32Array;
  private readonly cold: Int32Array;
  private readonly timeouts: Int32Array;
  private readonly window: TcpWindow;
  /** The segment being tracked: its flow's cold row, its direction and class, the state and last word before it. */
  private row = 0;
  private direction = 0;
  private segment = 0;
  private state = 0;
  private last = 0;

  /** @param timeouts column of seconds, read anew for each segment */
  constructor(flows: FlowTable, timeouts: Int32Array, loose: boolean, liberal: boolean) {
    this.words = flows.words;
    this.cold = flows.cold;
    this.timeouts = timeouts;
    this.loose = loose;
    this.liberal = liberal;
    this.window = new TcpWindow(flows.cold);
  }

  /** Whether a segment with these flags may open a flow. */
  mayOpen(flags: number): boolean {
    const next = TRANSITIONS[transition(0, SEGMENTS[flags], NEW)];
    return next === SYN_SENT || (next === ESTABLISHED && this.loose);
  }

  /** A number of `Verdict`, for a segment behind `tcp.check` with legal flags (C4). A refused one changes nothing. */
  track(flow: number, direction: number, bytes: Uint8Array, l4: number, l4Length: number): number {
    const row = flow * COLD_WORDS;
    const segment = SEGMENTS[tcp.flags(bytes, l4)];
    const status = this.words[(flow << FLOW_SHIFT) + STATUS];
    const state = status & STATE_MASK;
    const last = state === NEW ? NO_SEGMENT : this.cold[row + LAST];
    const next = TRANSITIONS[transition(direction, segment, state)];
    this.row = row;
    this.direction = direction;
    this.segment = segment;
    this.state = state;
    this.last = last;
    this.status = status;
    this.timeoutClass = -1;
    if (next === INVALID) {
      return Verdict.invalid;
    }
    if (next === SYN_SENT && state >= TIME_WAIT) {
      // C11: who closed it, or gave it up, may open it anew.
      const aborted = lastDirection(last) === direction && lastClass(last) === RST;
      return (last & FIN_FIRST) !== 0 || aborted ? Verdict.replaced : this.ignore(bytes, l4, l4Length);
    }
    if (next === IGNORED) {
      if (!this.acknowledgesIgnoredSyn(bytes, l4)) {
        return this.ignore(bytes, l4, l4Length);
      }
      this.resynchronize();
      return this.accept(SYN_RECV, bytes, l4, l4Length);
    }
    if (state === LAST_ACK && segment === ACK && (last & CHALLENGE) !== 0 && lastDirection(last) !== direction) {
      this.cold[row + LAST] = last & ~CHALLENGE;
      return this.passUnchanged();
    }
    return this.accept(next, bytes, l4, l4Length);
  }

  /** A segment the table has a next state for. */
  private accept(target: number, bytes: Uint8Array, l4: number, l4Length: number): number {
    const { window, direction, state, segment } = this;
    let next = target;
    if (state === NEW && next === ESTABLISHED) {
      this.status |= PICKED_UP;
    } else if (state === SYN_RECV && direction === 1 && segment === ACK && (this.last & SIMULTANEOUS) !== 0) {
      // C13.
      next = ESTABLISHED;
    } else if (segment === RST && state <= ESTABLISHED) {
      if (this.answersIgnored(bytes, l4)) {
        return this.enter(CLOSE, 0);
      }
      const reset = this.reset(bytes, l4);
      if (reset !== CLOSE) {
        return reset === INVALID ? Verdict.invalid : this.passUnchanged();
      }
    }
    const sender = this.row + END + direction * WINDOW_WORDS;
    const receiver = this.row + END + (1 - direction) * WINDOW_WORDS;
    const liberal = this.liberal || (this.status & PICKED_UP) !== 0;
    if (
      state === CLOSE &&
      segment === ACK &&
      this.resetter === direction &&
      after(segmentEnd(bytes, l4, l4Length), this.cold[sender])
    ) {
      // Who has sent a reset sends nothing new: it was somebody else's, and the connection lives (RFC 7857, 2.2).
      next = ESTABLISHED;
    }
    window.status = this.status;
    const fit = window.check(bytes, l4, l4Length, direction, sender, receiver, state, liberal);
    if (fit !== Fit.inside) {
      return fit === Fit.above ? Verdict.invalid : this.passUnchanged();
    }
    this.status = window.status;
    return this.enter(next, tcp.window(bytes, l4));
  }

  /** Puts the flow into its new state, and finds its timeout. */
  private enter(next: number, offered: number): number {
    const { direction, segment, state, last } = this;
    const before = this.status;
    const repeats = this.window.repeated && lastDirection(last) === direction ? repeatsOf(last) + 1 : 0;
    let remembered = (last & KEPT) | offered | (segment << CLASS_SHIFT) | (direction << DIRECTION_SHIFT);
    remembered |= (repeats > REPEATS_MAX ? REPEATS_MAX : repeats) << REPEATS_SHIFT;
    if (next === CLOSE && state !== CLOSE) {
      remembered = (remembered & ~RESETTER) | (direction << RESETTER_SHIFT);
    } else if (next === SYN_SENT2) {
      remembered |= SIMULTANEOUS;
    } else if (next === FIN_WAIT && state !== FIN_WAIT) {
      remembered |= FIN_FIRST;
    }
    this.cold[this.row + LAST] = remembered;
    const answered = (before & SEEN_REPLY) !== 0 || direction === 1;
    let status = (before & ~STATE_MASK) | next | (answered ? SEEN_REPLY : 0);
    if (answered && next === ESTABLISHED && (state === SYN_RECV || state === ESTABLISHED)) {
      status |= ASSURED;
    }
    this.status = status;
    if (segment === RST) {
      if ((before & SEEN_REPLY) === 0) {
        // C15: there never was a connection.
        return Verdict.ended;
      }
      // A reset renews nothing (RFC 7857, 7.1): it begins the time in which one may still be wrong about it.
      this.timeoutClass = state === CLOSE ? -1 : CLASS_OF_STATE[CLOSE];
    } else if (segment !== SYN || state !== SYN_SENT || next !== SYN_SENT) {
      // C16: a client that goes on trying must not keep a dead mapping.
      this.timeoutClass = this.classFor(next, status, remembered);
    }
    return Verdict.pass;
  }

  private classFor(state: number, status: number, last: number): number {
    const ofState = CLASS_OF_STATE[state];
    if (state !== ESTABLISHED) {
      return ofState;
    }
    if ((status & SEEN_REPLY) === 0) {
      return PICKED_UP_CLASS;
    }
    const { timeouts } = this;
    if (repeatsOf(last) === REPEATS_MAX && timeouts[RETRANSMITTED_CLASS] > 0) {
      return RETRANSMITTED_CLASS;
    }
    if ((last & WINDOW_MASK) === 0 && timeouts[ZERO_WINDOW_CLASS] > 0) {
      return ZERO_WINDOW_CLASS;
    }
    const waiting = ((status >>> flagShift(0)) | (status >>> flagShift(1))) & UNACKNOWLEDGED;
    return waiting !== 0 && timeouts[UNACKNOWLEDGED_CLASS] > 0 ? UNACKNOWLEDGED_CLASS : ofState;
  }

  /** Lets a segment pass that neither changes nor renews anything. */
  private passUnchanged(): number {
    this.status |= this.direction === 1 ? SEEN_REPLY : 0;
    return Verdict.pass;
  }

  /** Lets a segment pass that may tell of a connection the table does not know, and remembers what its answer will be known by (C12). */
  private ignore(bytes: Uint8Array, l4: number, l4Length: number): number {
    const { segment, row } = this;
    const kept = this.last & KEPT & ~CHALLENGE;
    let remembered = kept | tcp.window(bytes, l4) | (segment << CLASS_SHIFT) | (this.direction << DIRECTION_SHIFT);
    if (segment === SYN) {
      remembered |= synOptions(bytes, l4) << OPTIONS_SHIFT;
      remembered |= this.state === LAST_ACK ? CHALLENGE : 0;
    }
    // A reset that answers an ACK has the number the ACK asked for (RFC 9293, 3.10.7.3).
    this.cold[row + LAST_END] = segment === ACK ? tcp.acknowledgment(bytes, l4) : segmentEnd(bytes, l4, l4Length);
    this.cold[row + LAST] = remembered;
    return this.passUnchanged();
  }

  /** C12: a SYN+ACK that acknowledges exactly the SYN that was let pass. */
  private acknowledgesIgnoredSyn(bytes: Uint8Array, l4: number): boolean {
    const { last } = this;
    return (
      this.segment === SYN_ACK &&
      lastClass(last) === SYN &&
      lastDirection(last) !== this.direction &&
      tcp.acknowledgment(bytes, l4) === this.cold[this.row + LAST_END]
    );
  }

  /** C12: the flow becomes what that SYN opened, as if it had just been sent. */
  private resynchronize(): void {
    const { cold, window, row, direction, last } = this;
    const other = 1 - direction;
    const opener = row + END + other * WINDOW_WORDS;
    window.status = this.status;
    window.forget(opener, other);
    window.init(opener, other, cold[row + LAST_END], last & WINDOW_MASK, (last >>> OPTIONS_SHIFT) & OPTIONS_MASK);
    window.forget(row + END + direction * WINDOW_WORDS, direction);
    this.status = window.status;
    this.state = SYN_SENT;
    this.last = last & ~KEPT;
  }

  /** The direction of the reset that closed the flow. */
  private get resetter(): number {
    return (this.last >>> RESETTER_SHIFT) & 1;
  }

  /** Whether a reset answers the SYN, or in syn_sent the ACK, that was let pass just before: its sender knows a connection we do not. */
  private answersIgnored(bytes: Uint8Array, l4: number): boolean {
    const { last } = this;
    if (lastDirection(last) === this.direction) {
      return false;
    }
    const asked = this.cold[this.row + LAST_END];
    if (lastClass(last) === SYN && this.state !== SYN_SENT) {
      return (tcp.flags(bytes, l4) & tcp.Flag.ack) !== 0 && tcp.acknowledgment(bytes, l4) === asked;
    }
    return lastClass(last) === ACK && this.state === SYN_SENT && tcp.sequence(bytes, l4) === asked;
  }

  /** C14: CLOSE, ESTABLISHED or INVALID. Someone off the path would have to guess the one number that closes the flow. */
  private reset(bytes: Uint8Array, l4: number): number {
    const { cold, row, direction, last } = this;
    if (((this.status >>> flagShift(1 - direction)) & HAS_MAX_ACK) === 0) {
      return CLOSE;
    }
    const sender = row + END + direction * WINDOW_WORDS;
    const sequence = tcp.sequence(bytes, l4);
    const acknowledged = cold[row + END + (1 - direction) * WINDOW_WORDS + MAX_ACK];
    if (before(sequence, acknowledged)) {
      return INVALID;
    }
    if (this.state !== ESTABLISHED || sequence === acknowledged) {
      return CLOSE;
    }
    if (lastDirection(last) === direction && lastClass(last) === ACK && sequence === cold[sender]) {
      return CLOSE;
    }
    const liberal = this.liberal || (this.status & PICKED_UP) !== 0;
    return after(sequence, cold[sender + MAX_END]) && !liberal ? INVALID : ESTABLISHED;
  }
}

function lastClass(last: number): number {
  return (last & CLASS_MASK) >>> CLASS_SHIFT;
}

function lastDirection(last: number): number {
  return (last >>> DIRECTION_SHIFT) & 1;
}

function repeatsOf(last: number): number {
  return (last & REPEATS_MASK) >>> REPEATS_SHIFT;
}
