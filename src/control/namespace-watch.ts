/**
 * Finds the end of containers whose interface was opened inside of their namespace, after a crash.
 *
 *     made here and moved there     the namespace ends with its container, the descriptor says EBADFD      port-watch.ts
 *     opened inside of it           the descriptor keeps the namespace alive, nothing ever ends            looked for here, every second
 *
 * Such a namespace is over when the name, path or process it was attached by is gone or means another one, and no process is in it any more. The port is
 * then removed, and with its descriptor the namespace goes.
 * Limits: found out up to 1 s late; what only another descriptor or another bind mount holds is over, too. A look costs a stat(2) for each such port; all
 * processes are asked only when one of the ways leads nowhere.
 */
import { detachPort } from './attach.js';
import { type ControlContext, save } from './context.js';
import { identityOfTap } from './interface-status.js';
import { reasonOf } from './log.js';
import { identityAt, processesIn } from './namespace-processes.js';
import type { PortRecord } from './records.js';
import type { Serial } from './serial.js';

const LOOK_MILLIS = 1000;

export class NamespaceWatch {
  private readonly context: ControlContext;
  private readonly serial: Serial;
  private timer: NodeJS.Timeout | undefined;
  private looking = false;
  private closed = false;

  constructor(context: ControlContext, serial: Serial) {
    this.context = context;
    this.serial = serial;
  }

  /** Call after ports were restored: later ones are none of those. */
  start(): void {
    if (this.held().length > 0) this.timer ??= setInterval(() => this.look(), LOOK_MILLIS).unref();
  }

  /** A look that waits for its turn ends there: after this, descriptors are closed and the record is not to change. */
  close(): void {
    this.closed = true;
    this.rest();
  }

  private held(): PortRecord[] {
    return [...this.context.ports.values()].map(({ port }) => port).filter(({ held }) => held);
  }

  private look(): void {
    if (this.looking) return;
    this.looking = true;
    void this.serial.run(async () => {
      if (this.closed) return;
      try {
        await this.collect();
      } catch (error) {
        this.context.log.error({ reason: reasonOf(error) }, 'cannot look for containers that ended');
      } finally {
        this.looking = false;
      }
    });
  }

  private async collect(): Promise<void> {
    const held = this.held();
    if (held.length === 0) this.rest();
    // Its engine has moved it elsewhere since.
    for (const port of held) if (port.identity === null) identityOfTap(this.context, port);
    const lost = held.filter((port) => !leadsThere(port));
    if (lost.length === 0) return;
    const inhabited = processesIn(new Set(lost.map(({ identity }) => identity as string)));
    for (const port of lost) {
      if (!inhabited.has(port.identity as string)) await this.end(port);
    }
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async end(port: PortRecord): Promise<void> {
    const found = this.context.ports.get(port.number);
    if (found?.port !== port) return;
    const fields = { bridge: found.bridge.name, port: port.name, netns: port.netns, pid: port.pid };
    this.context.log.warn(fields, `port ${port.name} removed: its container ended`);
    await detachPort(this.context, found.bridge, port);
    save(this.context);
  }
}

/** A lent interface that is at home, or on its way there, is its engine's business. */
function leadsThere({ lent, netns, pid, identity }: PortRecord): boolean {
  if (lent && (netns === null || identity === null)) return true;
  const path = pid !== null ? `/proc/${pid}/ns/net` : netns?.includes('/') ? netns : `/run/netns/${netns}`;
  return identityAt(path) === identity;
}
