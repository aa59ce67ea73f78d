/** What the drivers ask of control, and how they ask whether something is still there. */
import type { Control } from '../control/control.js';
import { ControlError } from '../control/control-error.js';
import type { BridgeInfo, PortInfo } from '../control/model.js';

export type DockerControl = Pick<
  Control,
  | 'createBridge'
  | 'removeBridge'
  | 'listBridges'
  | 'getPort'
  | 'listPorts'
  | 'attach'
  | 'detach'
  | 'place'
  | 'publish'
  | 'unpublish'
  | 'listPublishes'
>;

/** The bridge of a network; undefined when it is gone, or its name is another bridge's. */
export function bridgeOfNetwork(control: DockerControl, networkId: string): BridgeInfo | undefined {
  return control.listBridges().find(({ network }) => network?.engine === 'docker' && network.id === networkId);
}

export function hasPort(control: DockerControl, bridge: string, port: string): boolean {
  try {
    control.getPort(bridge, port);
    return true;
  } catch (error) {
    if (error instanceof ControlError && error.code === 'not-found') return false;
    throw error;
  }
}

/** None when the bridge is gone. */
export function portsOf(control: DockerControl, bridge: string): PortInfo[] {
  const there = control.listBridges().some(({ name }) => name === bridge);
  return there ? control.listPorts(bridge) : [];
}

/** Waits for something whose object may be gone: then there is nothing to do. */
export async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ControlError && error.code === 'not-found')) throw error;
  }
}
