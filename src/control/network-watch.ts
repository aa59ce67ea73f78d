/**
 * Tells that links, addresses or routes of the daemon's own namespace changed, at most once in each look.
 *
 * The kernel queues notifications at a socket; they are looked for by a timer, because Node's event loop takes no netlink descriptor. A look
 * costs one system call. What happened between two looks is told as one change, so that a burst (an address and its routes, a hundred
 * routes of a routing daemon) is one reading of the tables. What a notification says is not used: the tables are.
 */
import type { Binding } from '../native/binding.js';
import { NetworkMonitor } from '../netlink/monitor.js';
import { type Log, reasonOf } from './log.js';

const LOOK_MILLIS = 100;

export class NetworkWatch {
  private readonly binding: Binding;
  private readonly log: Log;
  private readonly changed: () => void;
  private monitor: NetworkMonitor | null = null;
  private timer: NodeJS.Timeout | undefined;
  /** No look before (performance.now()). */
  private next = 0;

  constructor(binding: Binding, log: Log, changed: () => void) {
    this.binding = binding;
    this.log = log;
    this.changed = changed;
  }

  /** To be called before the tables are read for the first time: then nothing is missed. @throws SystemError */
  start(): void {
    if (this.monitor !== null) return;
    this.monitor = NetworkMonitor.open(this.binding);
    this.timer = setInterval(() => this.look(), LOOK_MILLIS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.monitor?.close();
    this.monitor = null;
  }

  /** What comes within so many milliseconds is told afterwards. */
  pause(millis: number): void {
    this.next = performance.now() + millis;
  }

  private look(): void {
    if (performance.now() < this.next) return;
    try {
      if (this.monitor !== null && this.monitor.drain().length > 0) this.changed();
    } catch (error) {
      // A message nobody understands still says that something changed.
      this.log.debug({ reason: reasonOf(error) }, 'a notification of the kernel is not understood');
      this.changed();
    }
  }
}
