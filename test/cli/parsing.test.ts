import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitStatus, failureLine, UsageError } from '../../src/cli/failure.js';
import { attachRequest } from '../../src/cli/port-commands.js';
import { bridgeChange, parsePairs, portChange } from '../../src/cli/set-command.js';
import { plainTable } from '../../src/cli/table.js';
import { terminalTable } from '../../src/cli/terminal-table.js';
import { bitRate, byteCount, factor, fraction, micros, onOff, wholeNumber } from '../../src/cli/values.js';
import { ClientError } from '../../src/client/client-error.js';

describe('values', () => {
  test('in the forms people write', () => {
    expect([wholeNumber('n', '1500'), wholeNumber('n', '0x4000'), wholeNumber('n', '-1')]).toEqual([1500, 0x4000, -1]);
    expect([onOff('x', 'on'), onOff('x', 'no')]).toEqual([true, false]);
    expect([fraction('x', '1%'), fraction('x', '0.25'), fraction('x', '0')]).toEqual([0.01, 0.25, 0]);
    expect([factor('x', '2'), factor('x', '0.5'), factor('x', '0')]).toEqual([2, 0.5, 0]);
    expect([micros('x', '200us'), micros('x', '1.5ms'), micros('x', '2s')]).toEqual([200, 1500, 2_000_000]);
    expect([bitRate('x', '64kbit'), bitRate('x', '1.5Gbit'), bitRate('x', '8000bit')]).toEqual([64_000, 1.5e9, 8000]);
    expect([byteCount('x', '128k'), byteCount('x', '1.5M'), byteCount('x', '70000')]).toEqual([131_072, 1_572_864, 70_000]);
  });

  test.each([
    () => wholeNumber('n', '1.5'),
    () => wholeNumber('n', ''),
    () => wholeNumber('n', '-0x10'),
    () => wholeNumber('n', '1e3'),
    () => onOff('x', 'maybe'),
    () => fraction('x', '101%'),
    () => fraction('x', ''),
    () => fraction('x', '-0.1'),
    () => micros('x', '5'),
    () => micros('x', '5min'),
    () => bitRate('x', '10'),
    () => bitRate('x', '10mbps'),
    () => bitRate('x', 'fast'),
    () => byteCount('x', '1kb'),
    () => byteCount('x', '-1'),
    () => portChange(parsePairs(['burst-in=128k'])),
    () => portChange(parsePairs(['rate-in=off', 'burst-in=128k'])),
    () => attachRequest('web', { netns: 'web', burstOut: '128k' }),
  ])('others are usage errors', (parse) => {
    expect(parse).toThrow(UsageError);
  });
});

describe('set', () => {
  test('of a bridge', () => {
    expect(bridgeChange(parsePairs(['ageing=60', 'arp-proxy=off', 'group-forward-mask=0x4000']))).toEqual({
      ageingSeconds: 60,
      arpProxy: false,
      groupForwardMask: 0x4000,
    });
  });

  test('of a port: flags, limits and faults', () => {
    expect(portChange(parsePairs(['isolated=on', 'flood-unicast=off', 'mtu=1400', 'loss=1%', 'delay=5ms', 'seed=7']))).toEqual({
      flags: { isolated: true, floodUnicast: false },
      mtu: 1400,
      faults: { loss: 0.01, delayMicros: 5000, seed: 7 },
    });
    expect(portChange(parsePairs(['faults=off']))).toEqual({ faults: null });
    expect(portChange(parsePairs(['rate-in=off', 'rate-out=1gbit', 'burst-out=256k']))).toEqual({
      rates: { in: null, out: { bitsPerSecond: 1e9, burstBytes: 262_144 } },
    });
    // 5 ms of the rate, but never less than two super-frames.
    expect(attachRequest('web', { netns: 'web', rateIn: '1gbit', rateOut: '10mbit' }).rates).toEqual({
      in: { bitsPerSecond: 1e9, burstBytes: 625_000 },
      out: { bitsPerSecond: 1e7, burstBytes: 131_072 },
    });
  });

  test.each([
    [() => parsePairs([]), 'nothing to set'],
    [() => parsePairs(['loss']), 'is not of the form key=value'],
    [() => bridgeChange([['isolated', 'on']]), 'a bridge has no setting isolated'],
    [() => bridgeChange([['constructor', '1']]), 'a bridge has no setting constructor'],
    [() => portChange([['ageing', '1']]), 'a port has no setting ageing'],
    [() => portChange([['toString', '1']]), 'a port has no setting toString'],
  ])('refused', (parse, why) => {
    expect(parse).toThrow(why);
  });
});

test('attach: exactly one source', () => {
  expect(attachRequest('web', { pid: '42', ip: 'auto' })).toMatchObject({ port: 'web', pid: 42, ip: 'auto', flags: undefined });
  expect(attachRequest('web', { netns: 'web', isolated: true })).toMatchObject({ netns: 'web', flags: { isolated: true } });
  expect(() => attachRequest('web', {})).toThrow(UsageError);
  expect(() => attachRequest('web', { netns: 'web', iface: 'eth0' })).toThrow(UsageError);
  expect(() => attachRequest('web', { netns: 'web', replay: 'in.pcap' })).toThrow(UsageError);
});

describe('attach: files', () => {
  test('a capture is pcap when its file is named so; the daemon gets an absolute path', () => {
    expect(attachRequest('log', { capture: '/tmp/x.pcap' }).capture).toEqual({ path: '/tmp/x.pcap', format: 'pcap' });
    expect(attachRequest('log', { capture: 'x.cap' }).capture).toEqual({ path: resolve('x.cap'), format: 'pcapng' });
  });

  test('a replay goes as recorded, once, unless told otherwise', () => {
    expect(attachRequest('tape', { replay: '/tmp/x' }).replay).toEqual({ path: '/tmp/x', speed: 1, loop: false });
    expect(attachRequest('tape', { replay: '/tmp/x', speed: '0.5', loop: true }).replay).toEqual({
      path: '/tmp/x',
      speed: 0.5,
      loop: true,
    });
  });

  test.each([{ speed: 'fast' }, { speed: '-1' }, { speed: '' }])('%j is no speed', (options) => {
    expect(() => attachRequest('tape', { replay: 'x', ...options })).toThrow('--speed is a factor');
  });

  test.each([{ speed: '1' }, { loop: true }])('%j without a replay', (options) => {
    expect(() => attachRequest('log', { capture: 'x', ...options })).toThrow('--speed and --loop are of a replay');
  });
});

test('an error is one line: what, why, what to do', () => {
  const error = new ClientError('conflict', 'bridge tb0 exists', 'choose another name', 409);
  expect(failureLine('create tb0', error)).toBe('tapbridge: create tb0: bridge tb0 exists; choose another name\n');
  expect(failureLine('', new Error('two\n  lines'))).toBe('tapbridge: two lines\n');
  expect([exitStatus(error), exitStatus(new UsageError('x')), exitStatus('x')]).toEqual([1, 2, 1]);
});

describe('tables', () => {
  const columns = [{ title: 'PORT' }, { title: 'FRAMES', align: 'right' as const }];
  const rows = [
    ['web', '7'],
    ['database', '1234567'],
  ];

  test('plain: columns by spaces, numbers to the right, no trailing spaces, no colours', () => {
    expect(plainTable(columns, rows)).toBe('PORT       FRAMES\nweb             7\ndatabase  1234567\n');
    expect(plainTable(columns, [])).toBe('PORT  FRAMES\n');
  });

  test('terminal: the same without borders; bold heads only with colours', () => {
    expect(terminalTable(columns, rows, false)).toBe('PORT       FRAMES\nweb             7\ndatabase  1234567\n');
    expect(terminalTable(columns, rows, true)).toContain('\x1b[1mPORT');
  });
});
