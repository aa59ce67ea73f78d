import { describe, expect, test } from 'vitest';
import { TIMEOUTS_KERNEL, TIMEOUTS_RFC } from '../../src/conntrack/timeouts.js';
import { Rig, type RigOptions, type SegmentOptions, segment } from './rig.js';

const SCALE_7 = [1, 3, 3, 7];
const SACK_OK = [1, 1, 4, 2];

function established(options: RigOptions = {}): Rig {
  const rig = new Rig(options);
  rig.establish();
  return rig;
}

/** Client and server in turn, each `flags`, ending in the state of the flow after each. */
function walk(rig: Rig, ...steps: [side: 'client' | 'server', flags: string, options: SegmentOptions][]): string[] {
  return steps.map(([side, flags, options]) => {
    const result = rig.send(segment(side, flags, options));
    return result === 'pass' ? rig.state : result;
  });
}

describe('an ordinary connection', () => {
  test('syn, syn+ack, ack -> established and assured; fin both ways -> time_wait', () => {
    const rig = new Rig();
    expect(
      walk(
        rig,
        ['client', 'S', { seq: 1000 }],
        ['server', 'SA', { seq: 5000, ack: 1001 }],
        ['client', 'A', { seq: 1001, ack: 5001 }],
        ['client', 'PA', { seq: 1001, ack: 5001, data: 100 }],
        ['server', 'A', { seq: 5001, ack: 1101 }],
        ['client', 'FA', { seq: 1101, ack: 5001 }],
        ['server', 'A', { seq: 5001, ack: 1102 }],
        ['server', 'FA', { seq: 5001, ack: 1102 }],
        ['client', 'A', { seq: 1102, ack: 5002 }],
      ),
    ).toEqual([
      'syn_sent',
      'syn_recv',
      'established',
      'established',
      'established',
      'fin_wait',
      'close_wait',
      'last_ack',
      'time_wait',
    ]);
    expect(rig.flow).toMatchObject({ assured: true, seenReply: true, pickedUp: false });
  });

  test('the server closes first: the same', () => {
    expect(
      walk(
        established(),
        ['server', 'FA', { seq: 5001, ack: 1001 }],
        ['client', 'A', { seq: 1001, ack: 5002 }],
        ['client', 'FA', { seq: 1001, ack: 5002 }],
        ['server', 'A', { seq: 5002, ack: 1002 }],
      ),
    ).toEqual(['fin_wait', 'close_wait', 'last_ack', 'time_wait']);
  });

  test('both FINs cross: last_ack, then time_wait', () => {
    expect(
      walk(
        established(),
        ['client', 'FA', { seq: 1001, ack: 5001 }],
        ['server', 'FA', { seq: 5001, ack: 1001 }],
        ['client', 'A', { seq: 1002, ack: 5002 }],
      ),
    ).toEqual(['fin_wait', 'last_ack', 'time_wait']);
  });

  test('the whole of it across the wrap-around of both sequence numbers', () => {
    const rig = new Rig();
    const c = -3;
    const s = -2;
    expect(
      walk(
        rig,
        ['client', 'S', { seq: c }],
        ['server', 'SA', { seq: s, ack: c + 1 }],
        ['client', 'A', { seq: c + 1, ack: s + 1 }],
        ['client', 'PA', { seq: c + 1, ack: s + 1, data: 500 }],
        ['server', 'PA', { seq: s + 1, ack: c + 501, data: 300 }],
        ['client', 'A', { seq: c + 501, ack: s + 301 }],
        ['client', 'A', { seq: c + 501 - 0x2000_0000, ack: s + 301 }],
        ['client', 'A', { seq: c + 501 + 0x2000_0000, ack: s + 301 }],
      ),
    ).toEqual(['syn_sent', 'syn_recv', 'established', 'established', 'established', 'established', 'established', 'tcp_invalid']);
    expect(rig.windowOf('client', 'end')).toBe(c + 501);
    expect(rig.windowOf('server', 'end')).toBe(s + 301);
  });
});

describe('C10: pick-up', () => {
  test('an ACK opens a flow, at most 300 s until the other side answers; its answer makes it assured', () => {
    const rig = new Rig();
    expect(rig.send(segment('client', 'A', { seq: 77, ack: 88, data: 10 }))).toBe('pass');
    expect(rig.flow).toMatchObject({ pickedUp: true, assured: false, state: 'established', timeLeft: 300 });
    expect(rig.send(segment('server', 'A', { seq: 88, ack: 87 }))).toBe('pass');
    expect(rig.flow).toMatchObject({ assured: true, timeLeft: 432_000 });
  });

  test('the windows are unknown, and so no reason to refuse', () => {
    const rig = new Rig();
    rig.send(segment('client', 'A', { seq: 77, ack: 88 }));
    rig.send(segment('server', 'A', { seq: 88, ack: 77 }));
    expect(rig.send(segment('server', 'A', { seq: 500_000, ack: 77, data: 1000 }))).toBe('pass');
    expect(rig.send(segment('client', 'A', { seq: 77, ack: 501_000 }))).toBe('pass');
  });

  test('a reset with the number asked for closes it too', () => {
    const rig = new Rig();
    rig.send(segment('client', 'A', { seq: 77, ack: 88 }));
    rig.send(segment('server', 'A', { seq: 88, ack: 77, data: 100_000 % 1400 }));
    rig.send(segment('client', 'A', { seq: 77, ack: 300_000 }));
    expect(walk(rig, ['server', 'R', { seq: 300_000 }])).toEqual(['close']);
  });

  test('without `loose` it is refused', () => {
    const rig = new Rig({ loose: false });
    expect(rig.send(segment('client', 'A', { seq: 77, ack: 88 }))).toBe('tcp_invalid');
    expect(rig.send(segment('client', 'S', { seq: 77 }))).toBe('pass');
  });
});

describe('C11: a SYN in time_wait or close', () => {
  test('after a FIN: a new flow', () => {
    const rig = established();
    rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
    rig.send(segment('server', 'FA', { seq: 5001, ack: 1002 }));
    rig.send(segment('client', 'A', { seq: 1002, ack: 5002 }));
    expect(rig.state).toBe('time_wait');
    expect(rig.send(segment('client', 'S', { seq: 900_000 }))).toBe('pass');
    expect(rig.removed).toEqual(['replaced']);
    expect(rig.flow).toMatchObject({ state: 'syn_sent', seenReply: false, age: 0 });
  });

  test('after a reset of its own: a new flow', () => {
    const rig = established();
    rig.send(segment('client', 'R', { seq: 1001 }));
    expect(rig.state).toBe('close');
    expect(rig.send(segment('client', 'S', { seq: 900_000 }))).toBe('pass');
    expect(rig.removed).toEqual(['replaced']);
  });

  test('after a reset of the other side: passes, and the answer opens the flow anew', () => {
    const rig = established();
    rig.send(segment('server', 'R', { seq: 5001 }));
    expect(
      walk(
        rig,
        ['client', 'S', { seq: 900_000 }],
        ['server', 'SA', { seq: 70_000, ack: 900_001 }],
        ['client', 'A', { seq: 900_001, ack: 70_001 }],
      ),
    ).toEqual(['close', 'syn_recv', 'established']);
    expect(rig.removed).toEqual([]);
  });
});

describe('C12: a SYN in the middle of a connection', () => {
  test('established: passes; a SYN+ACK that acknowledges exactly it resynchronizes', () => {
    const rig = established();
    expect(
      walk(
        rig,
        ['client', 'S', { seq: 900_000, window: 400, options: SCALE_7 }],
        ['server', 'SA', { seq: 70_000, ack: 900_001, options: SCALE_7 }],
        ['client', 'A', { seq: 900_001, ack: 70_001, window: 10 }],
        ['server', 'A', { seq: 70_001, ack: 900_001, data: 1000 }],
      ),
    ).toEqual(['established', 'syn_recv', 'established', 'established']);
    expect(rig.windowOf('server', 'maxEnd')).toBe(70_001 + (10 << 7));
  });

  test('a SYN+ACK of anything else passes and changes nothing', () => {
    const rig = established();
    expect(walk(rig, ['client', 'S', { seq: 900_000 }], ['server', 'SA', { seq: 70_000, ack: 900_002 }])).toEqual([
      'established',
      'established',
    ]);
    expect(rig.windowOf('server', 'end')).toBe(5001);
  });

  test('the server knows no connection: its reset of that SYN closes the flow', () => {
    const rig = established();
    expect(walk(rig, ['client', 'S', { seq: 900_000 }], ['server', 'RA', { seq: 0, ack: 900_001 }])).toEqual([
      'established',
      'close',
    ]);
  });

  test('the server challenges the SYN: the reset that answers the challenge closes the flow', () => {
    const rig = established();
    expect(
      walk(rig, ['client', 'S', { seq: 900_000 }], ['server', 'A', { seq: 5001, ack: 1001 }], ['client', 'R', { seq: 1001 }]),
    ).toEqual(['established', 'established', 'close']);
  });

  test('syn_sent: an ACK of an older connection passes, so does the reset it causes', () => {
    const rig = new Rig();
    expect(rig.send(segment('client', 'S', { seq: 1000 }))).toBe('pass');
    expect(rig.send(segment('server', 'A', { seq: 70_000, ack: 888_888 }))).toBe('pass');
    expect(rig.state).toBe('syn_sent');
    expect(rig.send(segment('client', 'R', { seq: 888_888 }))).toBe('pass');
  });

  test('last_ack: the ACK after a SYN is a challenge, the next one is the last', () => {
    const rig = established();
    rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
    rig.send(segment('server', 'FA', { seq: 5001, ack: 1002 }));
    expect(
      walk(
        rig,
        ['client', 'S', { seq: 900_000 }],
        ['server', 'A', { seq: 5002, ack: 1002 }],
        ['server', 'A', { seq: 5002, ack: 1002 }],
      ),
    ).toEqual(['last_ack', 'last_ack', 'time_wait']);
  });
});

describe('C13: simultaneous open', () => {
  test('both SYNs cross, each is answered: established', () => {
    const rig = new Rig();
    expect(
      walk(
        rig,
        ['client', 'S', { seq: 1000 }],
        ['server', 'S', { seq: 5000 }],
        ['client', 'SA', { seq: 1000, ack: 5001 }],
        ['server', 'SA', { seq: 5000, ack: 1001 }],
        ['server', 'A', { seq: 5001, ack: 1001 }],
      ),
    ).toEqual(['syn_sent', 'syn_sent2', 'syn_recv', 'syn_recv', 'established']);
    expect(rig.flow.assured).toBe(true);
  });

  test('without it, an ACK of the server in syn_recv completes nothing', () => {
    const rig = new Rig();
    rig.send(segment('client', 'S', { seq: 1000 }));
    rig.send(segment('server', 'SA', { seq: 5000, ack: 1001 }));
    expect(walk(rig, ['server', 'A', { seq: 5001, ack: 1001 }])).toEqual(['syn_recv']);
  });
});

describe('C14: resets', () => {
  test('below what the other side acknowledged: refused', () => {
    const rig = established();
    expect(rig.send(segment('server', 'R', { seq: 5000 }))).toBe('tcp_invalid');
    expect(rig.state).toBe('established');
  });

  test('exactly that: close', () => {
    expect(walk(established(), ['server', 'R', { seq: 5001 }])).toEqual(['close']);
  });

  test('elsewhere in the window: passes, stays established, changes and renews nothing', () => {
    const rig = established();
    rig.seconds += 100;
    expect(walk(rig, ['server', 'R', { seq: 5300 }])).toEqual(['established']);
    expect(rig.windowOf('server', 'end')).toBe(5001);
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished - 100);
  });

  test('outside of the window: refused', () => {
    expect(established().send(segment('server', 'R', { seq: 5001 + 1001 }))).toBe('tcp_invalid');
  });

  test('behind the last segment of its sender: close', () => {
    const rig = established();
    rig.send(segment('server', 'PA', { seq: 5001, ack: 1001, data: 19 }));
    expect(walk(rig, ['server', 'R', { seq: 5020 }])).toEqual(['close']);
  });

  test('fin_wait, close_wait, last_ack: not asked for the exact number', () => {
    const rig = established();
    rig.send(segment('client', 'FA', { seq: 1001, ack: 5001 }));
    expect(walk(rig, ['server', 'R', { seq: 5300 }])).toEqual(['close']);
  });

  test('a reset renews nothing but begins the time of close; a second one does not (RFC 7857, 7.1)', () => {
    const rig = established();
    rig.seconds += 10;
    rig.send(segment('server', 'R', { seq: 5001 }));
    expect(rig.flow.timeLeft).toBe(240);
    rig.seconds += 100;
    expect(rig.send(segment('server', 'R', { seq: 5001 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(140);
  });

  test('RFC 7857, 2.2: data after a reset that its receiver never saw still passes', () => {
    const rig = established();
    rig.send(segment('server', 'R', { seq: 5001 }));
    rig.seconds += 200;
    expect(rig.send(segment('client', 'PA', { seq: 1001, ack: 5001, data: 10 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(240);
  });
});

describe('C15: a reset as the first answer', () => {
  test('it passes, and the flow is gone', () => {
    const rig = new Rig();
    rig.send(segment('client', 'S', { seq: 1000 }));
    expect(rig.send(segment('server', 'RA', { seq: 0, ack: 1001 }))).toBe('pass');
    expect(rig.timeoutClass).toBe('ended');
    expect(rig.conntrack.expired(0, rig.seconds)).toBe(true);
    rig.conntrack.expire(rig.seconds, 10);
    expect(rig.removed).toEqual(['reset']);
  });

  test('the next SYN in the same second opens a new flow', () => {
    const rig = new Rig();
    rig.send(segment('client', 'S', { seq: 1000 }));
    rig.send(segment('server', 'RA', { seq: 0, ack: 1001 }));
    expect(rig.send(segment('client', 'S', { seq: 2000 }))).toBe('pass');
    expect(rig.removed).toEqual(['reset']);
    expect(rig.flow.state).toBe('syn_sent');
  });

  test('one that acknowledges bytes never sent is refused, and speaks for nobody', () => {
    const rig = new Rig();
    rig.send(segment('client', 'S', { seq: 1000 }));
    expect(rig.send(segment('server', 'RA', { seq: 0x3000_0000, ack: 999_999 }))).toBe('tcp_invalid');
    expect(walk(rig, ['server', 'SA', { seq: 5000, ack: 1001 }])).toEqual(['syn_recv']);
  });
});

describe('C16: a repeated SYN', () => {
  test('passes without more time', () => {
    const rig = new Rig();
    rig.send(segment('client', 'S', { seq: 1000 }));
    rig.seconds += 100;
    expect(rig.send(segment('client', 'S', { seq: 1000 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(140);
    rig.seconds += 141;
    expect(rig.send(segment('client', 'S', { seq: 1000 }))).toBe('pass');
    expect(rig.removed).toEqual(['expired']);
  });
});

describe('C17: windows', () => {
  test('I: beyond what the receiver offered: refused; at its edge: passes', () => {
    const rig = established();
    expect(rig.send(segment('client', 'A', { seq: 2002, ack: 5001, data: 1100 }))).toBe('tcp_invalid');
    expect(rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 1000 }))).toBe('pass');
  });

  test('repair: beyond it by less than a window passes, and its acknowledgment too', () => {
    const rig = established();
    rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 1000 }));
    expect(rig.send(segment('client', 'A', { seq: 2002, ack: 5001, data: 900 }))).toBe('pass');
    expect(rig.windowOf('client', 'end')).toBe(2902);
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 2902 }))).toBe('pass');
  });

  test('II: old data, sent again, passes and changes nothing', () => {
    const rig = established();
    rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 1000 }));
    rig.send(segment('server', 'A', { seq: 5001, ack: 2001 }));
    rig.send(segment('client', 'A', { seq: 2001, ack: 5001, data: 1000 }));
    rig.seconds += 50;
    expect(rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 100 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished - 50);
    expect(rig.windowOf('client', 'end')).toBe(3001);
  });

  test('III: an acknowledgment of bytes never sent: refused, and its timer stays', () => {
    const rig = established();
    rig.seconds += 50;
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 1002 }))).toBe('tcp_invalid');
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished - 50);
    expect(rig.flow.reply.packets).toBe(1);
  });

  test('IV: an acknowledgment older than 66,000 bytes passes and changes nothing', () => {
    const rig = established();
    rig.force('established', { client: 200_000, server: 5001 });
    rig.seconds += 50;
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 133_999 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished - 50);
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 134_001 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished);
  });

  test('scaling counts only if both SYNs carried it, and at most by 14', () => {
    const both = new Rig();
    both.establish(SCALE_7, [1, 3, 3, 200]);
    expect(both.windowOf('server', 'maxEnd')).toBe(5001 + (1000 << 7));
    both.send(segment('server', 'A', { seq: 5001, ack: 1001, window: 1 }));
    expect(both.windowOf('server', 'maxWindow')).toBe(1 << 14);
    const one = new Rig();
    one.establish(SCALE_7);
    expect(one.windowOf('server', 'maxEnd')).toBe(5001 + 1000);
  });

  test('selective acknowledgments count as acknowledgments: of bytes never sent they are refused', () => {
    const blocks = (left: number, right: number) => [1, 1, 5, 10, 0, 0, left >> 8, left & 255, 0, 0, right >> 8, right & 255];
    const rig = new Rig();
    rig.establish(SACK_OK, SACK_OK);
    rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 900 }));
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 1001, options: blocks(1501, 1901) }))).toBe('pass');
    expect(rig.windowOf('client', 'maxEnd')).toBe(1901 + 1000);
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 1001, options: blocks(1501, 1902) }))).toBe('tcp_invalid');
  });

  test('a super-frame is one long segment', () => {
    const rig = new Rig();
    rig.establish([], [], 60_000);
    const made = segment('client', 'A', { seq: 1001, ack: 5001, data: 50_000, gsoSize: 1448, window: 60_000 });
    expect(rig.send(made, 35)).toBe('pass');
    expect(rig.windowOf('client', 'end')).toBe(51_001);
    expect(rig.flow.original).toMatchObject({ packets: 37, bytes: 50_040 + 2 * 40 });
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 51_001, window: 60_000 }))).toBe('pass');
  });

  test('a keep-alive and its answer pass and renew', () => {
    const rig = established();
    rig.seconds += 100;
    expect(rig.send(segment('client', 'A', { seq: 1000, ack: 5001 }))).toBe('pass');
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 1001 }))).toBe('pass');
    expect(rig.flow.timeLeft).toBe(TIMEOUTS_RFC.tcpEstablished);
  });

  test('`liberal` refuses nothing for its numbers', () => {
    const rig = established({ liberal: true });
    expect(rig.send(segment('client', 'A', { seq: 700_000, ack: 5001, data: 10 }))).toBe('pass');
    expect(rig.send(segment('server', 'A', { seq: 5001, ack: 999_999 }))).toBe('pass');
  });

  test('no window grows without end, whatever the numbers say', () => {
    const rig = established({ liberal: true });
    for (let turn = 0; turn < 40; turn++) {
      rig.send(segment('client', 'A', { seq: turn * 0x1fff_0000, ack: turn * 0x1777_0000, data: 10, window: 65_535 }));
      rig.send(segment('server', 'A', { seq: turn * 0x1abc_0000, ack: turn * 0x1fff_0000, data: 10, window: 65_535 }));
      for (const side of ['client', 'server'] as const) {
        const window = rig.windowOf(side, 'maxWindow');
        expect(window > 0 && window <= 0x4000_0000).toBe(true);
      }
    }
  });
});

describe('D.3: an established connection in the profile `kernel`', () => {
  const kernel: RigOptions = { timeouts: TIMEOUTS_KERNEL };

  test('data not acknowledged: 300 s, until it is', () => {
    const rig = established(kernel);
    rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 10 }));
    expect([rig.timeoutClass, rig.flow.timeLeft]).toEqual(['tcpUnacknowledged', 300]);
    rig.send(segment('server', 'A', { seq: 5001, ack: 1011 }));
    expect(rig.flow.timeLeft).toBe(432_000);
  });

  test('sent again three times: 300 s', () => {
    const rig = established(kernel);
    for (let turn = 0; turn < 4; turn++) rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 10 }));
    expect([rig.timeoutClass, rig.flow.timeLeft]).toEqual(['tcpRetransmitted', 300]);
  });

  test('a window of zero: 300 s', () => {
    const rig = established(kernel);
    rig.send(segment('server', 'A', { seq: 5001, ack: 1001, window: 0 }));
    expect([rig.timeoutClass, rig.flow.timeLeft]).toEqual(['tcpZeroWindow', 300]);
  });

  test('none of it in the profile `rfc`', () => {
    const rig = established();
    for (let turn = 0; turn < 4; turn++) rig.send(segment('client', 'A', { seq: 1001, ack: 5001, data: 10, window: 0 }));
    expect(rig.timeoutClass).toBe('tcpEstablished');
  });
});
