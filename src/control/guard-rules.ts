/** What the classic guard keeps for the gateway: whole ranges, because it knows no flows (guard.ts). */
import type { ClassicRange, ClassicRules } from './classic-guard.js';

const ICMP = 1;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

export interface PublishedRange {
  protocol: 'tcp' | 'udp';
  /** int32; 0: every address. */
  hostAddress: number;
  hostPort: number;
  count: number;
}

/**
 * The ports SNAT hands out, without those the host has itself, and what is published.
 * @param addresses of all uplinks, int32
 * @param reserved ports of the host, ascending
 */
export function guardRules(
  addresses: readonly number[],
  pool: readonly (readonly [number, number])[],
  reserved: Readonly<Record<'tcp' | 'udp', Uint16Array>>,
  published: readonly PublishedRange[],
): ClassicRules {
  const ranges: ClassicRange[] = pool.map(([first, last]) => ({ protocol: ICMP, address: 0, first, last }));
  for (const name of ['tcp', 'udp'] as const) {
    for (const range of pool) {
      for (const [first, last] of without(range, reserved[name])) {
        ranges.push({ protocol: PROTOCOLS[name], address: 0, first, last });
      }
    }
  }
  for (const { protocol, hostAddress, hostPort, count } of published) {
    ranges.push({ protocol: PROTOCOLS[protocol], address: hostAddress, first: hostPort, last: hostPort + count - 1 });
  }
  return { addresses, ranges };
}

function without([first, last]: readonly [number, number], ports: Uint16Array): [number, number][] {
  const parts: [number, number][] = [];
  let from = first;
  for (const port of ports) {
    if (port < from) continue;
    if (port > last) break;
    if (port > from) parts.push([from, port - 1]);
    from = port + 1;
  }
  if (from <= last) parts.push([from, last]);
  return parts;
}
