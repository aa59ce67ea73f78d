/**
 * The end of bridges: removed in order, dropped when the engine that held them is gone, or left as they are for the next daemon.
 *
 *     taken down    engine, interfaces, tables                      a bridge is removed, or the daemon ends and removes all
 *     dropped       the kernel's side only                          the same, after the engine died
 *     left          descriptors are closed, interfaces stay         the daemon ends and is to come back: as after a crash, but in order
 */
import { closePort, detachPort } from './attach.js';
import type { ControlContext } from './context.js';
import type { BridgeRecord } from './records.js';

export async function takeDown(context: ControlContext, bridge: BridgeRecord): Promise<void> {
  for (const session of [...context.captures.values()]) if (session.bridge === bridge.name) await session.end();
  await Promise.all([...bridge.ports.values()].reverse().map((port) => detachPort(context, bridge, port)));
  await context.gateway.bridgeLeaves(bridge);
  await context.engine.call('remove-port', { port: bridge.host.number });
  await closePort(context, bridge.host);
  context.ports.delete(bridge.host.number);
  context.portNumbers.free(bridge.host.number);
  await context.engine.call('remove-bridge', { bridge: bridge.number });
  context.bridgeNumbers.free(bridge.number);
  context.bridges.delete(bridge.name);
}

/** Takes a bridge down whose engine is gone. */
export async function drop(context: ControlContext, bridge: BridgeRecord): Promise<void> {
  const ports = [bridge.host, ...bridge.ports.values()];
  await Promise.all(ports.map((port) => closePort(context, port)));
  for (const { kind, interface: name, writer } of ports) {
    if (kind === 'packet') context.changes.release(name as string);
    await writer?.close();
  }
}

/**
 * Interfaces stay, and what was changed on the host for them. Files that are written end whole.
 * @param engineFailed it cannot be told any more
 */
export async function leave(context: ControlContext, bridge: BridgeRecord, engineFailed: boolean): Promise<void> {
  for (const port of [bridge.host, ...bridge.ports.values()]) {
    if (port.writer !== null) {
      if (!engineFailed) await context.engine.call('remove-port', { port: port.number });
      await port.writer.close();
    }
    await closePort(context, port, true);
  }
}
