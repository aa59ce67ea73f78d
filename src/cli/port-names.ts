/**
 * What ports are called in tables. The ports of an engine's network are named after ids nobody remembers; there the container's name stands for its
 * port, as it does on the command line. JSON has the ports' own names.
 */
import type { Client } from '../client/client.js';
import type { PortInfo } from '../control/model.js';

export type PortNames = (port: string) => string;

/** @param network whether an engine made it; ports of other bridges have the names a person gave them */
export function portNames(ports: readonly PortInfo[], network: boolean): PortNames {
  if (!network) return (port) => port;
  const own = new Set(ports.map(({ name }) => name));
  const shown = new Map<string, string>();
  for (const { name, container } of ports) {
    const called = container?.name ?? null;
    const others = ports.filter((other) => other.container?.name === called);
    // A name that would not lead back to the port is of no use.
    if (called !== null && others.length === 1 && !own.has(called)) shown.set(name, called);
  }
  return (port) => shown.get(port) ?? port;
}

export async function askPortNames(client: Client, bridge: string): Promise<PortNames> {
  const { network } = await client.getBridge(bridge);
  return portNames(network === null ? [] : await client.listPorts(bridge), network !== null);
}

/** Entries of a table with the names that are shown. */
export function renamed<Entry extends { port: string | null }>(entries: readonly Entry[], names: PortNames): Entry[] {
  return entries.map((entry) => (entry.port === null ? entry : { ...entry, port: names(entry.port) }));
}
