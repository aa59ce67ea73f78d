import { cpus } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import { SILENT } from '../../src/control/log.js';
import { countCores, resolveKeepAwake, thisMachine } from '../../src/daemon/keep-awake.js';

const allowed = () => null;
const refused = () => "EACCES: permission denied, open '/dev/cpu_dma_latency'";

describe('--keep-awake', () => {
  test.each([
    ['auto', { cores: 2, virtual: true, refusal: allowed }, true],
    ['auto', { cores: 4, virtual: true, refusal: allowed }, true],
    ['auto', { cores: 5, virtual: true, refusal: allowed }, false],
    ['auto', { cores: 2, virtual: false, refusal: allowed }, false],
    ['auto', { cores: 2, virtual: true, refusal: refused }, false],
    ['on', { cores: 64, virtual: false, refusal: allowed }, true],
    ['off', { cores: 2, virtual: true, refusal: allowed }, false],
    ['off', { cores: 2, virtual: true, refusal: refused }, false],
  ] as const)('%s with %o', (setting, machine, expected) => {
    expect(resolveKeepAwake(setting, SILENT, machine)).toBe(expected);
  });

  test('what was asked for and cannot be had ends the start', () => {
    const machine = { cores: 2, virtual: true, refusal: refused };
    expect(() => resolveKeepAwake('on', SILENT, machine)).toThrow(ControlError);
    expect(() => resolveKeepAwake('on', SILENT, machine)).toThrow(/cannot keep cores awake: .*permission denied/);
  });

  test.each([
    ['0\n', 1],
    ['0-1\n', 2],
    ['0-3,8,10-11\n', 7],
    ['', Number.POSITIVE_INFINITY],
  ])('cores in %j', (list, expected) => {
    expect(countCores(list)).toBe(expected);
  });

  test('this machine', () => {
    const { cores } = thisMachine();
    expect(cores).toBe(cpus().length);
  });
});
