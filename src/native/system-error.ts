/**
 * Negative errnos as errors a person can act on: what failed, on what, why, and what to do.
 */
import { constants } from 'node:os';
import { getSystemErrorMap, getSystemErrorName } from 'node:util';

/** What to do, by errno name ('EPERM' ...). */
export type Hints = Readonly<Record<string, string>>;

/** A failed system call. */
export class SystemError extends Error {
  override name = 'SystemError';
  /** 'ENODEV' ... */
  readonly code: string;
  /** Positive. */
  readonly errno: number;
  /** The call of the addon or of the system. */
  readonly syscall: string;
  /** The interface, path or namespace it was about. */
  readonly device: string;

  constructor(errno: number, syscall: string, device: string, message: string) {
    super(message);
    this.errno = errno;
    this.code = errnoName(errno);
    this.syscall = syscall;
    this.device = device;
  }
}

/**
 * Passes a result on when it is one.
 * @param result A result >= 0 or a negative errno.
 * @param syscall The call that gave it; the calls of `Binding` have sentences and hints of their own.
 * @param device What it was about: an interface, a path, a namespace.
 * @param hints What to do, by errno name, where the caller knows better than this file.
 * @throws SystemError for a negative errno.
 */
export function check(result: number, syscall: string, device: string, hints?: Hints): number {
  if (result >= 0) return result;
  const errno = -result;
  const code = errnoName(errno);
  const what = DOES[syscall] === undefined ? syscall : `cannot ${DOES[syscall]}`;
  const hint = hints?.[code] ?? HINTS[syscall]?.[code] ?? COMMON[code];
  const sentence = `${what} ${device}`.trim();
  throw new SystemError(
    errno,
    syscall,
    device,
    `${sentence}: ${reason(errno)} (${code})${hint === undefined ? '' : `: ${hint}`}`,
  );
}

/** 'ENODEV' for 19. Numbers neither libuv nor Node know become 'E' and the number. */
export function errnoName(errno: number): string {
  if (errno === EBADFD) return 'EBADFD';
  // libuv's list lacks some that Node's own constants have.
  if (getSystemErrorMap().has(-errno)) return getSystemErrorName(-errno);
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
}

function reason(errno: number): string {
  if (errno === EBADFD) return 'its interface is gone';
  return getSystemErrorMap().get(-errno)?.[1] ?? 'the kernel refused';
}

/** Linux's errno.h; neither libuv nor Node name it. A TAP descriptor without its interface answers with it (drivers/net/tun.c). */
export const EBADFD = 77;

/** The object follows: "cannot open the TAP interface web0: ...". */
const DOES: Readonly<Record<string, string>> = {
  openTap: 'open the TAP interface',
  tapName: 'tell the name of TAP',
  setTapPersistent: 'change the persistence of TAP',
  tapNetns: 'find the namespace of TAP',
  openPacket: 'open a raw socket on',
  openNetns: 'open the network namespace',
  createNetns: 'make the network namespace',
  removeNetns: 'remove the network namespace',
  enterNetns: 'enter the network namespace',
  setns: 'enter the network namespace',
  openNetlink: 'open',
  icmpEcho: 'ping',
};

const NO_INTERFACE_NAME = 'a name of an interface has 1 to 15 bytes without "/", ":" and white space';
const NO_TUN =
  'the kernel offers no /dev/net/tun: "modprobe tun"; if it is still missing "mkdir -p /dev/net && mknod /dev/net/tun c 10 200"; ' +
  'for a container "--device /dev/net/tun"';

const HINTS: Readonly<Record<string, Hints>> = {
  openTap: {
    ENOENT: NO_TUN,
    ENXIO: NO_TUN,
    ENODEV: `no interface of that name is there; or, when it was to be made, ${NO_TUN}`,
    EACCES: 'this user may not open /dev/net/tun: run as root, or have its mode and the device rules of the container changed',
    EEXIST: 'an interface of that name exists: choose another name, or remove it with "ip link delete"',
    EBUSY: 'another process has it open: is another daemon running?',
    EINVAL: `no valid name (${NO_INTERFACE_NAME}), not a TAP, or an offload this kernel does not know`,
    ENAMETOOLONG: NO_INTERFACE_NAME,
  },
  openPacket: {
    ENODEV: 'no interface of that name in this network namespace',
    ENAMETOOLONG: NO_INTERFACE_NAME,
    EINVAL: NO_INTERFACE_NAME,
    ENOPROTOOPT: 'this kernel (before 6.4) has no virtio-net header of 12 bytes on raw sockets: open it without',
    EPERM: 'it needs CAP_NET_RAW: run as root, or inside "unshare --user --map-root-user --net"',
  },
  openNetns: {
    ENOENT: 'no such namespace',
    EINVAL: 'this is not a network namespace',
    EACCES: 'it belongs to another user: run as root',
  },
  createNetns: { EEXIST: 'a namespace of that name exists' },
  removeNetns: {
    ENOENT: 'no such namespace',
    EINVAL: 'this is not a namespace bound to a path',
  },
};

const COMMON: Hints = {
  EPERM:
    'it needs CAP_NET_ADMIN, for namespaces CAP_SYS_ADMIN too: run as root, or inside "unshare --user --map-root-user --net --mount"',
  EMFILE: 'this process has too many open files: raise "ulimit -n"',
  ENFILE: 'the system has too many open files: raise fs.file-max',
};
