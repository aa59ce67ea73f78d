import { describe, expect, test } from 'vitest';
import { readSysctl, writeSysctl } from '../../src/netlink/sysctl.js';

describe('sysctls', () => {
  test('a value is read without its newline', () => {
    expect(readSysctl('net/ipv4/ip_forward')).toMatch(/^[01]$/);
  });

  test.each([
    'net.ipv4.ip_forward',
    'kernel/hostname',
    'net',
    'net/',
    'net/../kernel/hostname',
    'net//ipv4',
    '/net/ipv4/ip_forward',
  ])('%s is not a network sysctl', (path) => {
    expect(() => readSysctl(path)).toThrow('is not a network sysctl');
    expect(() => writeSysctl(path, 1)).toThrow('is not a network sysctl');
  });

  test('one that does not exist says so, and is not made', () => {
    expect(() => readSysctl('net/ipv4/conf/no-such-if/forwarding')).toThrow('has no such sysctl');
    expect(() => writeSysctl('net/ipv4/conf/no-such-if/forwarding', 1)).toThrow('has no such sysctl');
  });
});
