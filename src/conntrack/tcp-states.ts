/**
 * The TCP states a gateway between the two ends can tell apart, and how segments move a flow from one to the next (D.2): data, one load
 * per segment. What the table alone cannot say (C10–C17) is in tcp-tracker.ts.
 */
import { Flag } from '../wire/tcp.js';

export const TCP_STATES = [
  'new',
  'syn_sent',
  'syn_sent2',
  'syn_recv',
  'established',
  'fin_wait',
  'close_wait',
  'last_ack',
  'time_wait',
  'close',
] as const;
export type TcpStateName = (typeof TCP_STATES)[number];

/** Number of each state; `syn_sent2` is a simultaneous open (RFC 9293, 3.5). */
export const TcpState = {
  new: 0,
  syn_sent: 1,
  syn_sent2: 2,
  syn_recv: 3,
  established: 4,
  fin_wait: 5,
  close_wait: 6,
  last_ack: 7,
  time_wait: 8,
  close: 9,
} as const satisfies Record<TcpStateName, number>;

/** What else a cell may say: no segment of this connection, or one to let pass without a change. */
export const Outcome = { invalid: 14, ignored: 15 } as const;

/** Class of a segment: the first of these that its flags match. */
export const Segment = { rst: 0, synAck: 1, syn: 2, fin: 3, ack: 4, none: 5 } as const;
export type SegmentName = keyof typeof Segment;

const STATE_BITS = 4;
const SEGMENT_BITS = 3;

/** Next state by `transition` index. */
export const TRANSITIONS = new Uint8Array(1 << (1 + SEGMENT_BITS + STATE_BITS)).fill(Outcome.invalid);

/** Direction 0 is the original one. */
export function transition(direction: number, segment: number, state: number): number {
  return (direction << (SEGMENT_BITS + STATE_BITS)) | (segment << STATE_BITS) | state;
}

type Cell = (typeof TcpState)[TcpStateName] | (typeof Outcome)[keyof typeof Outcome];
/** One cell per state, in the order of `TCP_STATES`. */
type Row = readonly [Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell];

function original(segment: SegmentName, row: Row): void {
  TRANSITIONS.set(row, transition(0, Segment[segment], 0));
}

function reply(segment: SegmentName, row: Row): void {
  TRANSITIONS.set(row, transition(1, Segment[segment], 0));
}

const { syn_sent: ss, syn_sent2: s2, syn_recv: sr, established: es } = TcpState;
const { fin_wait: fw, close_wait: cw, last_ack: la, time_wait: tw, close: cl } = TcpState;
const { invalid: no, ignored: ig } = Outcome;

//    from:           new ss  s2  sr  es  fw  cw  la  tw  cl
original('syn', [ss, ss, s2, ig, ig, ig, ig, ig, ss, ss]);
original('synAck', [no, no, sr, ig, ig, ig, ig, ig, ig, ig]);
original('fin', [no, no, no, fw, fw, la, la, la, tw, cl]);
original('ack', [es, no, no, es, es, cw, cw, tw, tw, cl]);
original('rst', [no, cl, cl, cl, cl, cl, cl, cl, cl, cl]);

reply('syn', [no, s2, s2, no, no, no, no, no, ss, no]);
reply('synAck', [no, sr, sr, ig, ig, ig, ig, ig, ig, ig]);
reply('fin', [no, no, no, fw, fw, la, la, la, tw, cl]);
reply('ack', [no, ig, ig, sr, es, cw, cw, tw, tw, cl]);
reply('rst', [no, cl, cl, cl, cl, cl, cl, cl, cl, cl]);

function classify(flags: number): number {
  if ((flags & Flag.rst) !== 0) {
    return Segment.rst;
  }
  if ((flags & Flag.syn) !== 0) {
    return (flags & Flag.ack) !== 0 ? Segment.synAck : Segment.syn;
  }
  if ((flags & Flag.fin) !== 0) {
    return Segment.fin;
  }
  return (flags & Flag.ack) !== 0 ? Segment.ack : Segment.none;
}

/** Class of each of the 256 flag bytes. */
export const SEGMENTS = Uint8Array.from({ length: 256 }, (_, flags) => classify(flags));

const { fin: FIN, syn: SYN, rst: RST, ack: ACK, urg: URG } = Flag;
const IN_ANY = Flag.psh | Flag.ece | Flag.cwr;
const LEGAL = [SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG];

/** 1 for the flag bytes TCP may send (C4), whatever their PSH, ECE and CWR say. */
export const LEGAL_FLAGS = Uint8Array.from({ length: 256 }, (_, flags) => (LEGAL.includes(flags & ~IN_ANY) ? 1 : 0));

/** Of a state as the table of flows keeps it. */
export function tcpStateName(state: number): TcpStateName {
  return TCP_STATES[state];
}
