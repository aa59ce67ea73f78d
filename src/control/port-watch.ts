/**
 * What becomes of a port the engine can no longer read.
 *
 *     TAP gone (EBADFD: its namespace ended, or somebody deleted it)   removed, with its FDB and neighbor entries
 *     host port gone                                                   made again: a bridge without it has no gateway
 *     interface gone                                                   removed
 *     interface down (a raw socket says ENETDOWN)                      kept as 'down'; looked at every second, added again once it is up
 *     all there, yet not read (no descriptors left)                    the same
 *
 * The engine tells once: what cannot be done at the first attempt is tried again every second.
 */
import { findLink } from '../netlink/link.js';
import { closePort, detachPort, engineSettings, keepInterface } from './attach.js';
import { addHostPort } from './bridges.js';
import { type ControlContext, save } from './context.js';
import { newInterface } from './interface-status.js';
import { reasonOf } from './log.js';
import type { BridgeRecord, PortRecord } from './records.js';
import type { Serial } from './serial.js';
import { restoreTables } from './tables.js';
import { allOrNothing } from './undo.js';

const POLL_MILLIS = 1000;

export class PortWatch {
  private readonly context: ControlContext;
  private readonly serial: Serial;
  /** Ports that are looked at every second, each with why the last attempt failed; '' before there was one. */
  private readonly down = new Map<PortRecord, string>();
  private timer: NodeJS.Timeout | undefined;
  private looking = false;
  private closed = false;

  constructor(context: ControlContext, serial: Serial) {
    this.context = context;
    this.serial = serial;
  }

  /** The engine gave up on a port. */
  failed(number: number, errno: number): void {
    void this.serial.run(async () => {
      const found = this.context.ports.get(number);
      if (this.closed || found === undefined) return;
      const { bridge, port } = found;
      try {
        await this.decide(bridge, port, errno);
      } catch (error) {
        this.report(bridge, port, error, `cannot clean up after port ${port.name}`);
      }
    });
  }

  /** What waits for its turn ends there: after this, descriptors are closed and the record is not to change. */
  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    this.down.clear();
  }

  private async decide(bridge: BridgeRecord, port: PortRecord, errno: number): Promise<void> {
    const { log } = this.context;
    const fields = { bridge: bridge.name, port: port.name, interface: port.interface, netns: port.netns, errno };
    // Whatever fails from here on.
    this.wait(port);
    if (!this.isGone(port)) {
      const what = port.kind === 'packet' ? 'its interface went down; waiting for it' : 'it cannot be read; tried again';
      log.warn(fields, `port ${port.name}: ${what}`);
    } else if (port.kind === 'host') {
      log.warn(fields, `the host port ${port.name} was removed by somebody: made again`);
      await this.remake(bridge);
    } else {
      const what = port.kind === 'tap' ? 'its namespace ended, or its interface was removed' : 'its interface is gone';
      log.warn(fields, `port ${port.name} removed: ${what}`);
      await detachPort(this.context, bridge, port);
      this.down.delete(port);
      save(this.context);
    }
  }

  private wait(port: PortRecord): void {
    port.state = 'down';
    if (!this.down.has(port)) this.down.set(port, '');
    this.timer ??= setInterval(() => this.poll(), POLL_MILLIS).unref();
  }

  /** What fails every second for the same reason is said once. */
  private report(bridge: BridgeRecord, port: PortRecord, error: unknown, what: string): void {
    const reason = reasonOf(error);
    if (this.down.get(port) === reason) return;
    if (this.down.has(port)) this.down.set(port, reason);
    this.context.log.error({ bridge: bridge.name, port: port.name, reason }, what);
  }

  private isGone(port: PortRecord): boolean {
    if (port.kind === 'packet') return findLink(this.context.netlink, port.index) === undefined;
    return typeof this.context.binding.tapName(port.descriptor) === 'number';
  }

  private async remake(bridge: BridgeRecord): Promise<void> {
    const { context } = this;
    await context.engine.call('remove-port', { port: bridge.host.number });
    await closePort(context, bridge.host);
    newInterface(bridge.host);
    await allOrNothing(
      (error) => context.log.error({ reason: reasonOf(error) }, 'cannot undo'),
      (undo) => addHostPort(context, bridge, undo),
    );
    this.down.delete(bridge.host);
    bridge.host.state = 'up';
    keepInterface(context, bridge.host);
    await restoreTables(context, bridge);
    await context.gateway.portAdded(bridge, bridge.host);
  }

  private poll(): void {
    if (this.looking) return;
    this.looking = true;
    void this.serial.run(async () => {
      if (this.closed) return;
      for (const port of this.down.keys()) {
        const found = this.context.ports.get(port.number);
        if (found?.port === port) await this.look(found.bridge, port);
        else this.down.delete(port);
      }
      this.looking = false;
      if (this.down.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    });
  }

  private async look(bridge: BridgeRecord, port: PortRecord): Promise<void> {
    const { context } = this;
    const fields = { bridge: bridge.name, port: port.name };
    try {
      if (this.isGone(port)) {
        if (port.kind !== 'host' || this.down.get(port) === '') await this.decide(bridge, port, 0);
        else {
          await this.remake(bridge);
          context.log.info(fields, `the host port ${port.name} is there again`);
        }
      } else if (port.kind !== 'packet' || findLink(context.netlink, port.index)?.up === true) {
        await context.engine.call('remove-port', { port: port.number });
        const settings = engineSettings(bridge, port);
        await context.engine.call('add-port', { port: port.number, settings, keepCounters: true });
        this.down.delete(port);
        await restoreTables(context, bridge);
        await context.gateway.portAdded(bridge, port);
        port.state = 'up';
        const what = port.kind === 'packet' ? 'its interface is up again' : 'it is read again';
        context.log.info(fields, `port ${port.name}: ${what}`);
      }
    } catch (error) {
      this.report(bridge, port, error, `cannot bring port ${port.name} back`);
    }
  }
}
