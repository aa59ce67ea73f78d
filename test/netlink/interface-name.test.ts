import { describe, expect, test } from 'vitest';
import { checkInterfaceName, interfaceNameProblem } from '../../src/netlink/interface-name.js';

describe('interface names', () => {
  test.each(['eth0', 'tb0', 'a', 'br-0123456789ab', 'eth0.100', 'wlan0@x', 'grün', '-x'])('%s is one', (name) => {
    expect(checkInterfaceName(name)).toBe(name);
  });

  test.each([
    ['', 'it is empty'],
    ['sixteen-bytes-16', 'it has 16 bytes, the kernel allows 15'],
    ['brücke-brücke-1', 'it has 17 bytes'],
    ['.', 'reserves'],
    ['..', 'reserves'],
    ['all', 'reserves'],
    ['default', 'reserves'],
    ['a/b', '"/"'],
    ['eth0:1', '":"'],
    ['eth%d', '"%"'],
    ['eth 0', 'white space'],
    ['eth\t0', 'white space'],
    ['eth\0', 'control character'],
    ['\x1b[31m', 'control character'],
    ['à', 'takes as white space'],
  ])('%j is none: %s', (name, problem) => {
    expect(interfaceNameProblem(name)).toContain(problem);
    expect(() => checkInterfaceName(name)).toThrow(problem);
  });
});
