/** What the routes know of Docker: whose the names are, and that its networks are made and removed there. */
import { ControlError } from '../control/control-error.js';
import type { BridgeInfo, PortInfo } from '../control/model.js';

export interface DockerNetworks {
  /** Asks for names once more; for at most as long as a person waits gladly. */
  lookUp(): Promise<void>;
  /** Whether Docker answers, and has no such network. */
  isGone(networkId: string): Promise<boolean>;
  /** One that Docker has forgotten: its bridge and its record. */
  removeNetwork(networkId: string): Promise<void>;
}

/** @throws ControlError for a port whose interface Docker made and moved: it would go on believing in it */
export function refuseDockersPort({ name, container, pid }: PortInfo, { network }: BridgeInfo): void {
  // What was attached by hand to a container of Docker's goes by its process.
  if (network?.engine !== 'docker' || container?.engine !== 'docker' || pid !== null) return;
  const [known, who] = [network.name ?? network.id, container.name ?? name];
  const what = `port ${name} is what connects a container to the network ${known} of Docker`;
  throw new ControlError('conflict', what, `disconnect it there: docker network disconnect ${known} ${who}`);
}

/**
 * Removes a bridge that is a network of Docker's, if Docker has none of it any more: it was removed there while the driver was away.
 * @returns false for bridges that are none of Docker's
 * @throws ControlError for a network Docker has, or may have: it would go on believing in it
 */
export async function removedFor(docker: DockerNetworks, { name, network }: BridgeInfo): Promise<boolean> {
  if (network?.engine !== 'docker') return false;
  if (!(await docker.isGone(network.id))) {
    const known = network.name ?? network.id;
    const what = `bridge ${name} is the network ${known} of Docker`;
    throw new ControlError('conflict', what, `remove it there: docker network rm ${known}`);
  }
  await docker.removeNetwork(network.id);
  return true;
}
