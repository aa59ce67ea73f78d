import { describe, expect, test } from 'vitest';
import { decide, mayBuildLabs, type Situation } from '../../src/demo/rights.js';

function situation(capable: boolean, tun: Situation['tun'], unshare?: ReturnType<Situation['unshare']>): Situation {
  return {
    capable,
    tun,
    unshare: () => {
      if (unshare === undefined) throw new Error('unshare was tried though nothing depends on it');
      return unshare;
    },
  };
}

describe('what the demo may do', () => {
  test('root with /dev/net/tun: runs', () => {
    expect(decide(situation(true, 'usable'))).toEqual({ kind: 'enough' });
  });

  test('no root, /dev/net/tun open to others, user namespaces allowed: runs behind unshare', () => {
    expect(decide(situation(false, 'usable', 'works'))).toMatchObject({ kind: 'through', command: 'unshare' });
  });

  test.each([
    ['no root, /dev/net/tun closed', situation(false, 'forbidden'), /needs root.*sudo npm start.*chmod 666 \/dev\/net\/tun/],
    ['no root, no unshare', situation(false, 'usable', 'missing'), /needs root.*util-linux/],
    ['no root, user namespaces refused', situation(false, 'usable', 'refused'), /needs root.*user namespaces/],
    ['root, no driver', situation(true, 'missing'), /there is no \/dev\/net\/tun.*modprobe tun/],
    ['no root, no driver', situation(false, 'missing'), /there is no \/dev\/net\/tun/],
    ['capabilities, but a closed /dev/net/tun', situation(true, 'forbidden'), /chmod 666 \/dev\/net\/tun/],
  ])('%s: one line that says what is missing and how to get it', (_, given, expected) => {
    const rights = decide(given);
    expect(rights.kind).toBe('lacking');
    const { message } = rights as { message: string };
    expect(message).toMatch(expected);
    expect(message).not.toContain('\n');
  });
});

test.each([
  ['CapEff:\t000001ffffffffff', true],
  ['CapEff:\t0000000000201000', true],
  ['CapEff:\t0000000000001000', false],
  ['CapEff:\t0000000000200000', false],
  ['CapEff:\t0000000000000000', false],
  ['Name:\tnode', false],
])('%s: may make interfaces and namespaces: %s', (status, expected) => {
  expect(mayBuildLabs(`Name:\tnode\n${status}\n`)).toBe(expected);
});
