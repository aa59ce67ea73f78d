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
} as const;

export interface BurstIoOptions {
  /** Bytes of the whole arena; a multiple of 4096, 1 MiB … 1 GiB. */
  arenaBytes: number;
  /** Bytes at the arena's start that `receive` may fill; the rest belongs to TypeScript. */
  receiveBytes: number;
  /** Frames of one batch. */
  batchFrames: number;
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
  /** Int32, three columns of batchFrames each: port, offset of the frame in the arena, length of the frame. */
  readonly received: ArrayBuffer;
  /** Int32 words: descriptor = port, segments, then (offset, length) per segment. */
  readonly transmit: ArrayBuffer;
  /** Int32 pairs of failed sends: (word index of the descriptor, errno > 0). Holds as many pairs as the ring can hold descriptors. */
  readonly failures: ArrayBuffer;
  /** Int32 pairs of failed ports: (port, errno > 0), from `receive`; maxPorts pairs. */
  readonly errors: ArrayBuffer;
  /** Float64, see `Status`. */
  readonly status: ArrayBuffer;

  /** Takes a duplicate of the descriptor, sets it non-blocking and polls it. `headerBytes` is 12 with a vnet header, else 0. */
  add(port: number, descriptor: Descriptor, kind: Kind, headerBytes: 0 | 12): Result;
  /** Closes the duplicate. */
  remove(port: number): Result;
  /**
   * Reads what is waiting, up to a burst per port, into the arena from offset 0. With nothing there it polls for spinMicros, then sleeps
   * until a frame, a wake or sleepMicros (-1: for ever) have come. Returns the number of frames.
   */
  receive(spinMicros: number, sleepMicros: number): Result;
  /** Sends the descriptors in transmit[0, words). Returns the number of failures, or -EINVAL for a ring that makes no sense. */
  send(words: number): Result;
  /** The eventfd that ends a sleep: hand it to other threads for `wake`. Valid until close. */
  readonly waker: Descriptor;
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
  /** 'create': EEXIST when an interface of that name exists. 'attach': ENODEV when none does. */
  mode: 'create' | 'attach';
}

export interface PacketOptions {
  interface: string;
  netns: Descriptor;
  vnetHeader: boolean;
  promiscuous: boolean;
  ignoreOutgoing: boolean;
}

export interface Binding {
  BurstIo: new (options: BurstIoOptions) => BurstIo;
  /** Opens a TAP; `nameOf` tells the name the kernel chose. */
  openTap(options: TapOptions): Result;
  /** Name of a TAP's interface (TUNGETIFF), or a negative errno. */
  tapName(descriptor: Descriptor): string | number;
  setTapPersistent(descriptor: Descriptor, persistent: boolean): Result;
  /** Opens an AF_PACKET socket bound to the interface. */
  openPacket(options: PacketOptions): Result;
  closeDescriptor(descriptor: Descriptor): Result;

  /** Opens /run/netns/NAME, any path, or /proc/PID/ns/net; refuses (-EINVAL) what is not a network namespace. */
  openNetns(path: string): Result;
  /** Makes a namespace. With a path it is bound there (as `ip netns add` does) and stays until `removeNetns`. */
  createNetns(path: string | null): Result;
  /** Unbinds and removes what `createNetns(path)` made. */
  removeNetns(path: string): Result;
  /** Moves the calling thread, and the threads it starts from now on, into the namespace. */
  enterNetns(descriptor: Descriptor): Result;

  /** A NETLINK_ROUTE socket of that namespace (-1: the caller's), joined to the groups (bit mask of RTMGRP_*). */
  openNetlink(netns: Descriptor, groups: number): Result;
  /**
   * Sends one request and gathers the answer (up to NLMSG_DONE, NLMSG_ERROR or one non-multi message) into `reply`.
   * Returns its bytes; -EMSGSIZE when `reply` is too small; -ETIMEDOUT after timeoutMillis. The nlmsghdr sequence number must be set.
   */
  netlinkRequest(descriptor: Descriptor, request: Uint8Array, reply: Uint8Array, timeoutMillis: number): Result;
  /** Reads waiting notifications without blocking; 0 when none wait, -ENOBUFS when the kernel lost some. */
  netlinkRead(descriptor: Descriptor, into: Uint8Array): Result;

  /** Microseconds of CLOCK_MONOTONIC. */
  monotonicMicros(): number;
  /** Ends the sleep of the BurstIo whose waker this is. Any thread may call it. */
  wake(waker: Descriptor): Result;
  /**
   * One ICMP echo from the calling thread's namespace; blocks. Returns the round trip in nanoseconds, -ETIMEDOUT, or another negative errno.
   * For labs and benches, not for the engine.
   */
  icmpEcho(address: string, sequence: number, payloadBytes: number, timeoutMillis: number): Result;
}

let loaded: Binding | undefined;

/**
 * Loads the addon that `npm install` built (or the one named by TAPBRIDGE_ADDON, for debug and sanitizer builds).
 * @throws Error with what to do when it is missing or was built for another machine.
 */
export function loadBinding(): Binding {
  if (loaded === undefined) {
    const path =
      process.env['TAPBRIDGE_ADDON'] ?? fileURLToPath(new URL('../../build/Release/tapbridge.node', import.meta.url));
    try {
      loaded = createRequire(import.meta.url)(path) as Binding;
    } catch (cause) {
      throw new Error(`cannot load the native addon ${path}: run "npm run build:native" (needs a C++ compiler, make and python3)`, {
        cause,
      });
    }
  }
  return loaded;
}
