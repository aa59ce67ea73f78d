/**
 * The native addon as TypeScript sees it. `native/README.md` is the contract: who owns which memory, what is thread-safe, what each
 * number means. Calls return a result >= 0 or a negative errno; `system-error.ts` turns the latter into an error a person can act on.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A file descriptor of this process. */
export type Descriptor = number;
/** A result >= 0, or a negative errno. */
export type Result = number;

/** How the addon reads and writes a port's descriptor. */
export const Kind = { tap: 0, packet: 1 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Columns of `BurstIo.status`, written by `receive`. */
export const Status = {
  /** Monotonic clock in microseconds when `receive` returned. */
  now: 0,
  /** 1 when somebody called `wake` since the last `receive`. */
  woken: 1,
  /** Pairs waiting in `errors`. */
  errors: 2,
  /** Arena offset behind the last received frame, 64-byte aligned. */
  arenaEnd: 3,
  /** 1 when a port still had frames when its budget, the batch or the arena ran out. */
  more: 4,
  /** Sums since the start: calls, and those that left frames unread. */
  passes: 5,
  fullPasses: 6,
  /** Sums of microseconds: from finding something until the next call, looking without finding anything, asleep. */
  busy: 7,
  polled: 8,
  slept: 9,
  /** Microseconds of the longest pass since somebody wrote 0 here. */
  longest: 10,
} as const;

export interface BurstIoOptions {
  /** Bytes of the whole arena; a multiple of 4096, 1 MiB … 1 GiB. */
  arenaBytes: number;
  /** Bytes at the arena's start that `receive` may fill; the rest belongs to TypeScript. */
  receiveBytes: number;
  /** Frames of one batch. */
  batchFrames: number;
  /** Frames `receive` may put into it; the places behind them belong to TypeScript. */
  receiveFrames: number;
  /** Once a batch has so many bytes of frames, `receive` reads no further. */
  batchBytes: number;
  /** Frames one port may give to one batch. */
  burstFrames: number;
  /** Int32 words of the transmit ring. */
  transmitWords: number;
  /** Port numbers run from 0 to maxPorts - 1. */
  maxPorts: number;
}

/**
 * Burst receive and burst send of one engine. Belongs to the thread that made it, except for its waker.
 * All buffers are external ArrayBuffers over memory the addon owns; they are detached by `close`.
 */
export interface BurstIo {
  readonly arena: ArrayBuffer;
  /**
   * Int32, three columns of batchFrames each: port, offset of the frame in the arena, length of the frame. The offset is 2 mod 4 (IPv4
   * headers are aligned), and the frame's 12-byte virtio-net header lies directly before it, zeros for a port without. A frame has at
   * most 65,600 bytes, 65,604 with a VLAN tag the kernel had taken out; what is longer is cut.
   */
  readonly received: ArrayBuffer;
  /**
   * Int32 words: descriptor = port, segments (1 to 130), then (offset, length) per segment. The segments go out as they are, joined: for a
   * port with headerBytes 12 the first 12 bytes are the virtio-net header.
   */
  readonly transmit: ArrayBuffer;
  /**
   * Int32 pairs of failed sends: (word index of the descriptor, errno > 0), in order of the ring. Holds as many pairs as the ring can hold
   * descriptors. EINVAL: outside the arena, or refused by the kernel; ENODEV: no such port; EAGAIN, ENOBUFS: the port is full; EIO: a TAP
   * that is down; EMSGSIZE: beyond the MTU of a packet port; EBADFD (77): the TAP's interface is gone.
   */
  readonly failures: ArrayBuffer;
  /**
   * Int32 pairs of failed ports: (port, errno > 0), from `receive`; maxPorts pairs. A port is reported once and then read no more, until it
   * was removed and added again. EBADFD (77), EIO: its interface is gone; ENETDOWN: a packet port's interface went down or is gone.
   */
  readonly errors: ArrayBuffer;
  /** Float64, see `Status`. */
  readonly status: ArrayBuffer;

  /**
   * Takes a duplicate of the descriptor, sets it non-blocking and polls it. `headerBytes` is 12 with a vnet header, else 0.
   * -EEXIST: the port number is in use; -EINVAL: the descriptor is not of that kind or has another header; -EBADF.
   */
  add(port: number, descriptor: Descriptor, kind: Kind, headerBytes: 0 | 12): Result;
  /** Closes the duplicate. -ENODEV: no such port. */
  remove(port: number): Result;
  /**
   * Reads what is waiting, up to a burst per port, into the arena from offset 0. With nothing there it polls for spinMicros, then sleeps
   * until a frame, a failed port, a wake or sleepMicros (-1: for ever) have come. Returns the number of frames. Nothing else runs on the
   * thread meanwhile: a worker in an endless sleep can be terminated only after a wake.
   * @param yields whether the core is given away between two looks while it polls, to who wants it (sched_yield(2)); default: no
   */
  receive(spinMicros: number, sleepMicros: number, yields?: boolean): Result;
  /**
   * Sends the descriptors in transmit[0, words), in order. Returns the number of failures (the others were sent), or -EINVAL for a ring that
   * makes no sense: then nothing was sent.
   */
  send(words: number): Result;
  /** The eventfd that ends a sleep: hand the number to other threads for `wake`. After close `wake` answers -EBADF. */
  readonly waker: Descriptor;
  /** Closes everything and detaches the buffers; later calls answer -EBADF. The end of the environment does the same. */
  close(): void;
}

export interface TapOptions {
  /** Interface name, or a pattern with %d; at most 15 bytes. */
  name: string;
  /** Open inside this network namespace; -1: the caller's. */
  netns: Descriptor;
  /** Each frame carries a 12-byte virtio-net header. */
  vnetHeader: boolean;
  /** TUN_F_* bits for TUNSETOFFLOAD; 0 without vnet header. */
  offloads: number;
  /** TUNSETPERSIST: the interface outlives the descriptor. */
  persistent: boolean;
  /**
   * 'create': EEXIST when an interface of that name exists. 'attach': ENODEV when none does, EBUSY when it is open elsewhere, EINVAL when it is
   * not a TAP, or one of the other `multiQueue`. Attaching with `persistent: false` ends the persistence of an interface that had it.
   */
  mode: 'create' | 'attach';
  /**
   * IFF_MULTI_QUEUE: each descriptor opened for the interface ('attach', all else the same) is another queue. The kernel deals what the interface
   * sends by flow. Default: one descriptor, one queue.
   */
  multiQueue?: boolean;
}

export interface PacketOptions {
  /** Its name; ENODEV when there is none. It may be down: the socket hears as soon as it is up. */
  interface: string;
  /** Open inside this network namespace; -1: the caller's. */
  netns: Descriptor;
  /** A 12-byte virtio-net header per frame; ENOPROTOOPT before Linux 6.4. Without it, frames with unfinished checksums look finished. */
  vnetHeader: boolean;
  promiscuous: boolean;
  /** PACKET_IGNORE_OUTGOING: what this host sends there is not heard. */
  ignoreOutgoing: boolean;
  /**
   * A socket opened here for the same interface with the same options: the two and whoever joins them later share its frames, a flow always to the
   * same (PACKET_FANOUT). Nothing is heard twice meanwhile. EINVAL for another interface.
   */
  fanoutWith?: Descriptor;
}

/**
 * Options and arguments of a wrong type or range answer -EINVAL; only `new BurstIo` throws (TypeError, RangeError). What an `open` or `create`
 * call returns belongs to the environment that called: it closes with `closeDescriptor` or at the environment's end.
 */
export interface Binding {
  BurstIo: new (options: BurstIoOptions) => BurstIo;
  /** Opens a TAP; `nameOf` tells the name the kernel chose. */
  openTap(options: TapOptions): Result;
  /** Name of a TAP's interface (TUNGETIFF), or a negative errno. */
  tapName(descriptor: Descriptor): string | number;
  setTapPersistent(descriptor: Descriptor, persistent: boolean): Result;
  /** A descriptor of the network namespace a TAP's interface is in now (TUNGETDEVNETNS, Linux 5.2): it may have been moved. EBADFD: it is gone. */
  tapNetns(descriptor: Descriptor): Result;
  /** Opens an AF_PACKET socket bound to the interface. */
  openPacket(options: PacketOptions): Result;
  /** -EBADF for what this environment did not open. */
  closeDescriptor(descriptor: Descriptor): Result;
  /**
   * The same on a thread of its own. The close of a TAP's last descriptor removes the interface and waits for grace periods of the kernel (15 to 25 ms
   * measured, CONFIG_HZ=250); waits of several threads overlap. The number is not ours any more when this returns.
   */
  closeInBackground(descriptor: Descriptor): Promise<Result>;
  /**
   * A duplicate of another process's descriptor (pidfd_getfd, Linux 5.6; CAP_SYS_PTRACE, or the rights of a debugger). For Node's own sockets: it is
   * the caller's, and `closeDescriptor` does not know it.
   */
  processDescriptor(pid: number, descriptor: number): Result;

  /**
   * A new map of the guard, all bits clear: which frames from outside are the gateway's (src/nat/port-guard.ts has the layout). -EPERM, -ENOSYS: the
   * kernel refuses bpf(2); -EINVAL: it is older than 5.5.
   */
  openGuard(): Result;
  /**
   * The map's memory, shared with the kernel's programs and with all who map it: a write takes effect with the next frame, without a system call.
   * Any thread may map a descriptor another one opened. It outlives the descriptor, and is detached at the environment's end. Or a negative errno:
   * -EINVAL for what is no guard.
   */
  mapGuard(guard: Descriptor): ArrayBuffer | number;
  /**
   * Lets into a socket of `openPacket` only what is the gateway's, ARP, and fragments without ports. Each socket of a fanout group needs it. What was
   * heard before stays in its buffer.
   */
  filterPacket(packetSocket: Descriptor, guard: Descriptor): Result;
  /**
   * Keeps the gateway's frames from the host's stack at the ingress of an interface, before all other programs there (tcx). The descriptor is the
   * attachment: it ends with `closeDescriptor`, with the process and with the interface. -EINVAL before Linux 6.6; -ENODEV: no such interface.
   * @param netns of the interface; -1: the caller's
   */
  attachGuard(guard: Descriptor, interfaceIndex: number, netns: Descriptor): Result;
  /** The same program for a classifier with direct action (netlink/tc.ts), for kernels without tcx. A classifier keeps it loaded after the close. */
  guardProgram(guard: Descriptor): Result;
  /** Sets or replaces a filter of classic BPF: `struct sock_filter`, 8 bytes each, 1 to 4096 of them. -EINVAL for what the kernel's check refuses. */
  filterPacketClassic(packetSocket: Descriptor, program: Uint8Array): Result;

  /** Opens /run/netns/NAME, any path, or /proc/PID/ns/net; refuses (-EINVAL) what is not a network namespace. */
  openNetns(path: string): Result;
  /**
   * Makes a namespace and returns a descriptor of it; its loopback is down. With a path (whose folder may be missing) it is bound there, as
   * `ip netns add` does, and stays until `removeNetns`; without, it ends with its last descriptor, process and interface. -EEXIST.
   */
  createNetns(path: string | null): Result;
  /** Unbinds and removes what `createNetns(path)` made. -EINVAL for anything else; it stays. */
  removeNetns(path: string): Result;
  /** Moves the calling thread, and the threads it starts from now on, into the namespace. */
  enterNetns(descriptor: Descriptor): Result;

  /** A NETLINK_ROUTE socket of that namespace (-1: the caller's), joined to the groups (bit mask of RTMGRP_*). */
  openNetlink(netns: Descriptor, groups: number): Result;
  /**
   * Sends one request and gathers the answer (up to NLMSG_DONE, NLMSG_ERROR or one non-multi message) into `reply`.
   * Returns its bytes; -EMSGSIZE when `reply` is too small; -ETIMEDOUT after timeoutMillis. The nlmsghdr sequence number must be set, and differ
   * from the request before; messages with another one are passed over. With NLM_F_ACK the acknowledgement ends the answer. Refusals carry the
   * kernel's words (NETLINK_EXT_ACK).
   */
  netlinkRequest(descriptor: Descriptor, request: Uint8Array, reply: Uint8Array, timeoutMillis: number): Result;
  /**
   * Reads waiting notifications without blocking, each padded to 4 bytes; 0 when none wait, -ENOBUFS when the kernel lost some, -EMSGSIZE when
   * the first does not fit (it stays).
   */
  netlinkRead(descriptor: Descriptor, into: Uint8Array): Result;

  /**
   * Zeroed memory for a large table that is read in no order, aligned to huge pages and of them where the kernel has some: at least `bytes`, at most
   * 4 GiB. Belongs to the thread that asked. Or a negative errno.
   */
  tableMemory(bytes: number): ArrayBuffer | number;
  /**
   * The first `bytes` (at most 4 GiB) of a plain file open for reading and writing, shared with all who map it: what is written there outlives the process.
   * All of its blocks are reserved first. It outlives the descriptor, and is detached at the environment's end. Nobody may shorten the file meanwhile.
   * Or a negative errno: -EINVAL for what is no plain file, or a shorter one; -ENOSPC; -EOPNOTSUPP: its file system cannot reserve; -EACCES, -EBADF.
   */
  mapFile(descriptor: Descriptor, bytes: number): ArrayBuffer | number;

  /** Microseconds of CLOCK_MONOTONIC. */
  monotonicMicros(): number;
  /** Ends the sleep of the BurstIo whose waker this is, or the next one. Any thread may call it. -EBADF for what is no live waker. */
  wake(waker: Descriptor): Result;
  /**
   * One ICMP echo to an IPv4 address from the calling thread's namespace; blocks. Returns the nanoseconds from the send to the kernel's receive
   * stamp of the answer, -ETIMEDOUT, or another negative errno.
   * For labs and benches, not for the engine.
   */
  icmpEcho(address: string, sequence: number, payloadBytes: number, timeoutMillis: number): Result;

  /**
   * Replaces the process by the same program (its file, environment, process id, standard streams) with these arguments, the first its name. None of its
   * threads can have a capability beyond those of the bit mask, or gain one (no_new_privs). `group` (-1: none) becomes one of its groups where the
   * caller may say so. Returns only when it failed, a negative errno; the calling thread may have lost capabilities then.
   */
  restartLimited(capabilities: number, group: number, programArguments: readonly string[]): Result;
}

let loaded: Binding | undefined;

/**
 * Loads the addon that `npm install` built (or the one named by TAPBRIDGE_ADDON, for debug and sanitizer builds).
 * @throws Error with what to do when it is missing or was built for another machine.
 */
export function loadBinding(): Binding {
  if (loaded === undefined) {
    const path = process.env['TAPBRIDGE_ADDON'] ?? fileURLToPath(new URL('../../build/Release/tapbridge.node', import.meta.url));
    try {
      loaded = createRequire(import.meta.url)(path) as Binding;
    } catch (cause) {
      throw new Error(
        `cannot load the native addon ${path}: run "npm run build:native" (needs a C++ compiler, make and python3)`,
        {
          cause,
        },
      );
    }
  }
  return loaded;
}
