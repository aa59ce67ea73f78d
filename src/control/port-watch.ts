/**
 * What becomes of a port the engine can no longer read.
 *
 *     TAP gone (EBADFD: its namespace ended, or somebody deleted it)   removed, with its FDB and neighbor entries
 *     host port gone                                                   made again: a bridge without it has no gateway
 *     interface gone                                                   removed
 *     interface down (a raw socket says ENETDOWN)                      kept as 'down'; looked at every second, added again once it is up
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
  /** Ports whose interface is down, by number. */
  private readonly down = new Set<number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(context: ControlContext, serial: Serial) {
    this.context = context;
    this.serial = serial;
  }

  /** The engine gave up on a port. */
  failed(number: number, errno: number): void {
    void this.serial.run(async () => {
      const found = this.context.ports.get(number);
      if (found === undefined) return;
      const { bridge, port } = found;
      try {
        await this.decide(bridge, port, errno);
      } catch (error) {
        const fields = { bridge: bridge.name, port: port.name, reason: reasonOf(error) };
        this.context.log.error(fields, `cannot clean up after port ${port.name}`);
      }
    });
  }

  close(): void {
    clearInterval(this.timer);
    this.down.clear();
  }

  private async decide(bridge: BridgeRecord, port: PortRecord, errno: number): Promise<void> {
    const { log } = this.context;
    const fields = { bridge: bridge.name, port: port.name, interface: port.interface, netns: port.netns, errno };
    if (!this.isGone(port)) {
      log.warn(fields, `port ${port.name}: its interface went down; waiting for it`);
      port.state = 'down';
      this.down.add(port.number);
      this.timer ??= setInterval(() => this.poll(), POLL_MILLIS).unref();
    } else if (port.kind === 'host') {
      log.warn(fields, `the host port ${port.name} was removed by somebody: made again`);
      await this.remake(bridge);
    } else {
      const what = port.kind === 'tap' ? 'its namespace ended, or its interface was removed' : 'its interface is gone';
      log.warn(fields, `port ${port.name} removed: ${what}`);
      await detachPort(this.context, bridge, port);
      save(this.context);
    }
  }

  private isGone(port: PortRecord): boolean {
    if (port.kind === 'packet') return findLink(this.context.netlink, port.index) === undefined;
    return typeof this.context.binding.tapName(port.descriptor) === 'number';
  }

  private async remake(bridge: BridgeRecord): Promise<void> {
    const { context } = this;
    await context.engine.call('remove-port', { port: bridge.host.number });
    await closePort(context, bridge.host);
    bridge.host.state = 'down';
    newInterface(bridge.host);
    await allOrNothing(
      (error) => context.log.error({ reason: reasonOf(error) }, 'cannot undo'),
      (undo) => addHostPort(context, bridge, undo),
    );
    bridge.host.state = 'up';
    keepInterface(context, bridge.host);
    await restoreTables(context, bridge);
    await context.gateway.portAdded(bridge, bridge.host);
  }

  private poll(): void {
    void this.serial.run(async () => {
      for (const number of this.down) {
        const found = this.context.ports.get(number);
        if (found === undefined) {
          this.down.delete(number);
          continue;
        }
        await this.look(found.bridge, found.port);
      }
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
        this.down.delete(port.number);
        await this.decide(bridge, port, 0);
      } else if (port.kind !== 'packet' || findLink(context.netlink, port.index)?.up === true) {
        await context.engine.call('remove-port', { port: port.number });
        const settings = engineSettings(bridge, port);
        await context.engine.call('add-port', { port: port.number, settings, keepCounters: true });
        this.down.delete(port.number);
        await restoreTables(context, bridge);
        await context.gateway.portAdded(bridge, port);
        port.state = 'up';
        context.log.info(fields, `port ${port.name}: its interface is up again`);
      }
    } catch (error) {
      context.log.error({ ...fields, reason: reasonOf(error) }, `cannot bring port ${port.name} back`);
    }
  }
}
