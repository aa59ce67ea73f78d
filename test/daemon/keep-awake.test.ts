import { describe, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import { SILENT } from '../../src/control/log.js';
import { resolveKeepAwake } from '../../src/daemon/keep-awake.js';

const allowed = () => {};
const refused = () => {
  throw Object.assign(new Error("EACCES: permission denied, open '/dev/cpu_dma_latency'"), { code: 'EACCES' });
};

describe('--keep-awake', () => {
  test.each([
    ['auto', 2, allowed, true],
    ['auto', 8, allowed, true],
    ['auto', 9, allowed, false],
    ['auto', 2, refused, false],
    ['on', 64, allowed, true],
    ['off', 2, allowed, false],
    ['off', 2, refused, false],
  ] as const)('%s with %d cores', (setting, cores, check, expected) => {
    expect(resolveKeepAwake(setting, SILENT, cores, check)).toBe(expected);
  });

  test('what was asked for and cannot be had ends the start', () => {
    expect(() => resolveKeepAwake('on', SILENT, 2, refused)).toThrow(ControlError);
    expect(() => resolveKeepAwake('on', SILENT, 2, refused)).toThrow(/cannot keep cores awake: .*permission denied/);
  });
});
