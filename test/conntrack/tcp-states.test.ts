import { describe, expect, test } from 'vitest';
import {
  LEGAL_FLAGS,
  Outcome,
  SEGMENTS,
  Segment,
  type SegmentName,
  TCP_STATES,
  TcpState,
  TRANSITIONS,
  tcpStateName,
  transition,
} from '../../src/conntrack/tcp-states.js';
import { Flag } from '../../src/wire/tcp.js';
import { Rig, segment } from './rig.js';

const SHORT: Record<string, string> = {
  no: 'new',
  ss: 'syn_sent',
  s2: 'syn_sent2',
  sr: 'syn_recv',
  es: 'established',
  fw: 'fin_wait',
  cw: 'close_wait',
  la: 'last_ack',
  tw: 'time_wait',
  cl: 'close',
};

/** D.2 as the reference prints it. */
const TABLES = {
  original: `
    syn     ss ss s2 ~  ~  ~  ~  ~  ss ss
    synAck  !  !  sr ~  ~  ~  ~  ~  ~  ~
    fin     !  !  !  fw fw la la la tw cl
    ack     es !  !  es es cw cw tw tw cl
    rst     !  cl cl cl cl cl cl cl cl cl`,
  reply: `
    syn     !  s2 s2 !  !  !  !  !  ss !
    synAck  !  sr sr ~  ~  ~  ~  ~  ~  ~
    fin     !  !  !  fw fw la la la tw cl
    ack     !  ~  ~  sr es cw cw tw tw cl
    rst     !  cl cl cl cl cl cl cl cl cl`,
};
const FLAGS: Record<string, string> = { syn: 'S', synAck: 'SA', fin: 'FA', ack: 'A', rst: 'R' };

function outcome(value: number): string {
  if (value === Outcome.invalid) return '!';
  return value === Outcome.ignored ? '~' : tcpStateName(value);
}

const cells = Object.entries(TABLES).flatMap(([direction, text]) =>
  text
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [name, ...row] = line.trim().split(/\s+/);
      return row.map((cell, index) => ({
        direction,
        name: name as SegmentName,
        from: TCP_STATES[index],
        to: SHORT[cell] ?? cell,
      }));
    }),
);

describe('D.2: the table', () => {
  test('has 100 cells', () => expect(cells).toHaveLength(100));

  for (const { direction, name, from, to } of cells) {
    test(`${direction} ${from}: ${name} -> ${to}`, () => {
      const cell = transition(direction === 'reply' ? 1 : 0, Segment[name], TcpState[from]);
      expect(outcome(TRANSITIONS[cell])).toBe(to);
    });
  }
});

describe('D.2: what segments do to a flow', () => {
  // The corrections C11–C14 speak of what came before; a forced state remembers nothing, so the table alone decides.
  for (const { direction, name, from, to } of cells.filter((cell) => cell.from !== 'new')) {
    const reopens = name === 'syn' && to === 'syn_sent' && (from === 'time_wait' || from === 'close');
    const expected = to === '~' || reopens ? from : to === '!' ? from : to;
    test(`${direction} ${from}: ${name} -> ${to}`, () => {
      const rig = new Rig();
      rig.send(segment('client', 'S', { seq: 999 }));
      rig.force(from);
      const side = direction === 'reply' ? 'server' : 'client';
      const numbers = side === 'client' ? { seq: 1000, ack: 5000 } : { seq: 5000, ack: 1000 };
      expect(rig.send(segment(side, FLAGS[name], numbers))).toBe(to === '!' ? 'tcp_invalid' : 'pass');
      expect(rig.state).toBe(expected);
    });
  }

  test('a first segment: SYN opens, ACK is picked up, all others are refused', () => {
    for (const [flags, result, flows] of [
      ['S', 'pass', 1],
      ['A', 'pass', 1],
      ['SA', 'tcp_invalid', 0],
      ['FA', 'tcp_invalid', 0],
      ['R', 'tcp_invalid', 0],
    ] as const) {
      const rig = new Rig();
      expect([flags, rig.send(segment('client', flags)), rig.flows().length]).toEqual([flags, result, flows]);
    }
  });
});

describe('C4: flags', () => {
  test('nine combinations are legal, whatever PSH, ECE and CWR say', () => {
    expect(LEGAL_FLAGS.reduce((sum, legal) => sum + legal, 0)).toBe(9 * 8);
    expect(LEGAL_FLAGS[Flag.syn | Flag.ece | Flag.cwr]).toBe(1);
    expect(LEGAL_FLAGS[0]).toBe(0);
    expect(LEGAL_FLAGS[Flag.fin]).toBe(0);
    expect(LEGAL_FLAGS[Flag.syn | Flag.fin]).toBe(0);
    expect(LEGAL_FLAGS[Flag.syn | Flag.rst]).toBe(0);
    expect(LEGAL_FLAGS[0xff]).toBe(0);
  });

  test('the class is the first of RST, SYN+ACK, SYN, FIN, ACK, none', () => {
    expect(SEGMENTS[Flag.rst | Flag.syn | Flag.ack]).toBe(Segment.rst);
    expect(SEGMENTS[Flag.syn | Flag.ack | Flag.fin]).toBe(Segment.synAck);
    expect(SEGMENTS[Flag.syn | Flag.fin]).toBe(Segment.syn);
    expect(SEGMENTS[Flag.fin | Flag.ack]).toBe(Segment.fin);
    expect(SEGMENTS[Flag.ack | Flag.psh]).toBe(Segment.ack);
    expect(SEGMENTS[Flag.psh]).toBe(Segment.none);
  });
});
