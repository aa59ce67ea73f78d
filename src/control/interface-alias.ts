/**
 * What is written on each interface that is made here (ifalias): who made it, and for which port. It stays when the interface is moved to a container
 * and renamed there, which is how it is found again after a crash.
 */
import { randomBytes } from 'node:crypto';

const INSTANCE = /^[0-9a-f]{8}$/;
const ALIAS = /^tapbridge:([0-9a-f]{8})\//;

/** A name for the state directory that no other has: a daemon must not take another one's interfaces for its own. */
export function newInstance(): string {
  return randomBytes(4).toString('hex');
}

export function isInstance(text: string): boolean {
  return INSTANCE.test(text);
}

/** At most 9 + 9 + 16 + 63 bytes of the 255 an interface can carry (IFALIASZ). */
export function interfaceAlias(instance: string, bridge: string, port: string): string {
  return `${aliasPrefix(instance)}${bridge}/${port}`;
}

/** How the aliases of all interfaces of one state directory begin. */
export function aliasPrefix(instance: string): string {
  return `tapbridge:${instance}/`;
}

/** Of whose state directory an interface is; undefined: not one of ours. */
export function instanceOf(alias: string): string | undefined {
  return ALIAS.exec(alias)?.[1];
}
