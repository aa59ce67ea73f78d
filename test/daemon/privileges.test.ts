/** What is too much, and what is kept. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { dockerUnit } from '../../src/cli/units.js';
import { hasTooMuch, KEPT_CAPABILITIES, KEPT_MASK, privilegesOf } from '../../src/daemon/privileges.js';

const NAMES = Object.keys(KEPT_CAPABILITIES);
const ALL = 0x1ff_ffff_ffffn;

test('what /proc/PID/status says', () => {
  const status = 'Name:\tnode\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapBnd:\t0000000000283400\nNoNewPrivs:\t1\n';
  expect(privilegesOf(status)).toEqual({ permitted: ALL, bounding: KEPT_MASK, noNewPrivileges: true });
  expect(privilegesOf('NoNewPrivs:\t0\n')).toEqual({ permitted: 0n, bounding: 0n, noNewPrivileges: false });
});

describe('too much is', () => {
  const limited = { permitted: KEPT_MASK, bounding: KEPT_MASK, noNewPrivileges: true };

  test('a capability beyond those kept', () => {
    expect(hasTooMuch({ ...limited, permitted: KEPT_MASK | 1n }, true)).toBe(true);
  });

  test('a bounding set that could be smaller', () => {
    expect(hasTooMuch({ ...limited, bounding: ALL }, true)).toBe(true);
    expect(hasTooMuch({ ...limited, bounding: ALL }, false)).toBe(false);
  });

  test('a process that may gain more', () => {
    expect(hasTooMuch({ ...limited, noNewPrivileges: false }, true)).toBe(true);
  });

  test('not: what is kept, or less', () => {
    expect(hasTooMuch(limited, true)).toBe(false);
    expect(hasTooMuch({ ...limited, permitted: 1n << 12n }, true)).toBe(false);
  });
});

test('the document names what is kept, with a reason for each', () => {
  const text = readFileSync(new URL('../../docs/daemon.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(CAP_[A-Z_]+)` \| (.+) \| (.+) \|$/gm)];
  expect(rows.map(([, name]) => name).sort()).toEqual([...NAMES].sort());
  for (const [, name, reason] of rows) expect(reason.length, name).toBeGreaterThan(10);
});

test('the unit gives a service the same, so that it needs not start anew', () => {
  const unit = dockerUnit({ driver: 'tapbridge', command: ['/usr/bin/node', '/usr/lib/tapbridge/main.js'] });
  const line = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1];
  expect(line?.split(' ').sort()).toEqual([...NAMES].sort());
  expect(unit).toContain('\nNoNewPrivileges=yes\n');
});

test('the unit lets the addon make the system calls that are no service’s', () => {
  // Of systemd's @system-service: systemd-analyze syscall-filter lists it.
  const usual = ['capget', 'capset', 'epoll_pwait2', 'pidfd_open', 'setgroups'];
  const folder = new URL('../../native/', import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.endsWith('.cc'));
  const calls = sources.flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\bSYS_(\w+)/g)]);
  const unusual = new Set(calls.map(([, call]) => call).filter((call) => !usual.includes(call)));
  const unit = dockerUnit({ driver: 'tapbridge', command: ['/usr/bin/node', '/usr/lib/tapbridge/main.js'] });
  const allowed = /^SystemCallFilter=(.*)$/m.exec(unit)?.[1].split(' ') ?? [];
  expect(unusual.size).toBeGreaterThan(0);
  for (const call of unusual) expect(allowed).toContain(call);
});
