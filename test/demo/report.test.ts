import { afterEach, describe, expect, test, vi } from 'vitest';
import { columns, duration, Report } from '../../src/demo/report.js';

function recorded(terminal: boolean): { lines: string[]; report: Report } {
  const lines: string[] = [];
  return { lines, report: new Report((line) => lines.push(line), terminal) };
}

afterEach(() => void vi.unstubAllEnvs());

describe('report', () => {
  test('in a pipe: words, no colours, no check marks', () => {
    const { lines, report } = recorded(false);
    report.title('a demo');
    report.ok('first', 12.4, { figure: '12 pings', evidence: ['all answered'] });
    report.failed('second', 5, 'nobody answered', ['the daemon said last:']);
    report.table();
    expect(lines[0]).toBe('a demo');
    expect(lines[1]).toMatch(/^ok first +12 ms$/);
    expect(lines.slice(2, 5)).toEqual(['    all answered', 'FAILED second: nobody answered', '    the daemon said last:']);
    expect(lines.slice(-3)).toEqual(['step    result  figure', 'first   ok      12 pings', 'second  FAILED  nobody answered']);
    expect(lines.join('')).not.toMatch(/[✔✘]/);
    expect(lines.join('')).not.toContain('\x1b');
  });

  test.each([
    ['', true],
    ['1', false],
  ])('in a terminal, NO_COLOR=%j: check marks; colours: %s', (noColor, coloured) => {
    vi.stubEnv('NO_COLOR', noColor);
    const { lines, report } = recorded(true);
    report.ok('first', 1, { figure: '' });
    report.failed('second', 1, 'nobody answered', []);
    expect(lines[0]).toContain('✔');
    expect(lines[1]).toContain('✘');
    expect(lines[0].includes('\x1b[')).toBe(coloured);
  });

  test('results: what happened, in order', () => {
    const { report } = recorded(false);
    report.ok('first', 1, { figure: '3 µs', evidence: ['x'] });
    report.failed('second', 2, 'why', []);
    expect(report.results).toEqual([
      { step: 'first', ok: true, millis: 1, figure: '3 µs', evidence: ['x'] },
      { step: 'second', ok: false, millis: 2, figure: 'why', evidence: [] },
    ]);
  });
});

test('columns are aligned and end without blanks', () => {
  expect(
    columns([
      ['a', 'bb'],
      ['ccc', 'd'],
    ]),
  ).toEqual(['a    bb', 'ccc  d']);
});

test.each([
  [0.04, '0.0 ms'],
  [9.94, '9.9 ms'],
  [10, '10 ms'],
  [999.4, '999 ms'],
  [1000, '1.00 s'],
])('%d ms is %s', (millis, text) => {
  expect(duration(millis)).toBe(text);
});
