/** The loop allocates nothing: a million frames leave the heap as it was, and no collection is needed. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./forward-a-million.mjs', import.meta.url));

interface Report {
  frames: number;
  growth: number;
  collections: number;
  sent: number[];
  /** Frames the gateway had from bridge and uplink, and those it dropped. */
  through: [number, number];
  dropped: number;
}

function run(...args: string[]): Report {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', '--trace-gc', SCRIPT, ...args], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const between = /^begin\n(.*)^end ([^\n]*)\n/ms.exec(stdout);
  expect(between, stdout).not.toBeNull();
  const [, trace, report] = between as RegExpExecArray;
  return { ...JSON.parse(report), collections: trace.match(/Scavenge|Mark-Compact|Mark-sweep/g)?.length ?? 0 };
}

/** A million frames with less than a byte each. */
function allocatesNothing({ frames, growth, collections }: Report): boolean {
  return collections === 0 && growth < frames;
}

test('a million frames of every kind in steady state', () => {
  const report = run();
  expect(report.frames).toBeGreaterThanOrEqual(1_000_000);
  expect(Math.min(...report.sent)).toBeGreaterThan(10_000);
  expect(report).toMatchObject({ collections: 0 });
  expect(allocatesNothing(report), JSON.stringify(report)).toBe(true);
});

test('the same over the tables of several threads', () => {
  const report = run('shared');
  expect(Math.min(...report.sent)).toBeGreaterThan(10_000);
  expect(allocatesNothing(report), JSON.stringify(report)).toBe(true);
});

describe('through the gateway', () => {
  test('a million frames of known flows, out and back, datagrams and super-frames', () => {
    const report = run('gateway');
    expect(report.frames).toBeGreaterThanOrEqual(1_000_000);
    expect(Math.min(...report.through)).toBeGreaterThan(100_000);
    expect(report).toMatchObject({ dropped: 0, collections: 0 });
    expect(allocatesNothing(report), JSON.stringify(report)).toBe(true);
  });

  test('the same where another thread receives them', () => {
    const report = run('gateway', 'handover');
    expect(Math.min(...report.through)).toBeGreaterThan(100_000);
    expect(report).toMatchObject({ dropped: 0, collections: 0 });
    expect(allocatesNothing(report), JSON.stringify(report)).toBe(true);
  });
});

test.each([{ args: ['allocate'] }, { args: ['gateway', 'allocate'] }])(
  'one object a frame would be noticed: $args',
  ({ args }) => {
    const report = run(...args);
    expect(allocatesNothing(report), JSON.stringify(report)).toBe(false);
  },
);
