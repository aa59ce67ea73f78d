import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { check, errnoName, SystemError } from '../../src/native/system-error.js';

const { EACCES, EBUSY, EEXIST, EMFILE, ENAMETOOLONG, ENODEV, ENOENT, ENOPROTOOPT, EPERM } = constants.errno;

function failure(result: number, syscall: string, device: string, hints?: Record<string, string>): SystemError {
  try {
    check(result, syscall, device, hints);
  } catch (error) {
    if (error instanceof SystemError) return error;
  }
  throw new Error('no SystemError');
}

describe('check', () => {
  test('a result that is none of the negative ones passes', () => {
    expect(check(0, 'openTap', 'web0')).toBe(0);
    expect(check(17, 'openTap', 'web0')).toBe(17);
  });

  test('the error carries code, errno, syscall and device, and is one line', () => {
    const error = failure(-ENODEV, 'openPacket', 'eth9');
    expect(error).toMatchObject({ name: 'SystemError', code: 'ENODEV', errno: ENODEV, syscall: 'openPacket', device: 'eth9' });
    expect(error.message).toBe(
      'cannot open a raw socket on eth9: no such device (ENODEV): no interface of that name in this network namespace',
    );
  });

  test.each([
    [EPERM, 'openTap', /run as root.*unshare/],
    [EPERM, 'anything', /CAP_NET_ADMIN/],
    [ENOENT, 'openTap', /modprobe tun.*mknod \/dev\/net\/tun c 10 200.*--device \/dev\/net\/tun/],
    [EACCES, 'openTap', /\/dev\/net\/tun/],
    [EBUSY, 'openTap', /another process/],
    [EEXIST, 'openTap', /another name/],
    [ENAMETOOLONG, 'openTap', /1 to 15 bytes/],
    [ENOPROTOOPT, 'openPacket', /6\.4/],
    [ENOENT, 'openNetns', /no such namespace/],
    [EMFILE, 'openNetlink', /ulimit -n/],
  ])('errno %i of %s says what to do', (errno, syscall, advice) => {
    const { message } = failure(-errno, syscall, 'x');
    expect(message).toMatch(advice);
    expect(message).not.toContain('\n');
  });

  test("the caller's advice goes before the general one", () => {
    expect(failure(-EBUSY, 'openTap', 'tb0', { EBUSY: 'stop it first' }).message).toMatch(/\(EBUSY\): stop it first$/);
  });

  test('a call without a sentence of its own is named as it is', () => {
    expect(failure(-EBUSY, 'ioctl', 'tb0').message).toBe('ioctl tb0: resource busy or locked (EBUSY)');
  });

  test('errors libuv has no name for', () => {
    expect(errnoName(77)).toBe('EBADFD');
    expect(errnoName(ENOPROTOOPT)).toBe('ENOPROTOOPT');
    expect(errnoName(4000)).toBe('E4000');
    expect(failure(-77, 'send', 'web0').message).toContain('its interface is gone');
    expect(failure(-4000, 'send', 'web0').code).toBe('E4000');
  });
});
