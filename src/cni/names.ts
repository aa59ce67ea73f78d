/** Names on the daemon's side, computed and never stored: every call finds what the one before made. */
import { createHash } from 'node:crypto';

/** IFNAMSIZ less the NUL: a bridge's name is also its host port's. */
const MAX_BRIDGE_BYTES = 15;
const BRIDGE_PREFIX = 'tb-';
/** Characters of a container's id in the name of its port, and of the hash. */
const SHOWN_ID = 12;
const HASH = 12;

/** 'tb-tapnet'; a network whose name is too long gets the beginning of it and a hash: 'tb-kuber-1f3c9a'. */
export function bridgeNameOf(network: string): string {
  const plain = `${BRIDGE_PREFIX}${network}`;
  if (plain.length <= MAX_BRIDGE_BYTES) return plain;
  const hash = digest(network, 6);
  return `${BRIDGE_PREFIX}${network.slice(0, MAX_BRIDGE_BYTES - BRIDGE_PREFIX.length - hash.length - 1)}-${hash}`;
}

/**
 * '0a1b2c3d4e5f-eth0-9f86d081884c': for a person the beginning of the container's id and the interface; the hash, over the network too, makes it
 * the attachment's alone. At most 41 bytes.
 */
export function portNameOf(network: string, containerId: string, ifname: string): string {
  const shown = ifname.replace(/[^A-Za-z0-9_.-]/g, '_');
  return `${containerId.slice(0, SHOWN_ID)}-${shown}-${digest(`${network}\0${containerId}\0${ifname}`, HASH)}`;
}

/**
 * The interface a port was named after at ADD, undefined when the port is not of this network and container. A container may rename its interface, so
 * today's name is asked last: for a name with characters that a port's cannot have, which stand as '_' in it.
 */
export function ifnameOf(port: string, network: string, containerId: string, today: string | null): string | undefined {
  const shown = port.slice(containerId.slice(0, SHOWN_ID).length + 1, -(HASH + 1));
  return [shown, today].find((each): each is string => each !== null && portNameOf(network, containerId, each) === port);
}

function digest(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
