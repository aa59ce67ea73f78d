/**
 * Which ports of an outer address the gateway may give out, for one class (TCP, UDP, ICMP ids): the same for all addresses.
 *
 *     port     0    600  1023       8192      32768 ...... 60999     65535
 *              .....[=====]............[========]............[==========]     ranges
 *                                          x  xxx                             blocked: published, or the host listens there
 *
 * The host shares the addresses (N60), so its ephemeral ports and those it listens on are never given out (N11). A port may be blocked
 * for several reasons at once; each is counted and taken back by itself.
 */
import { PORTS } from './port-guard.js';

/** Both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** N10: ports below this one go to senders with such a port. */
export const LOW_PORTS_END = 1024;
/** N10: the class below keeps clear of the well-known services, as the kernel does. */
const LOW_RANGE: PortRange = { first: 600, last: LOW_PORTS_END - 1 };
/** Below it lie the ports services like to listen on. */
const HIGH_FIRST = 8192;

/** The default: the upper ports outside of the host's ephemeral ones (net.ipv4.ip_local_port_range), and 600 … 1023 for low senders. */
export function defaultRanges(localFirst: number, localLast: number): PortRange[] {
  return [LOW_RANGE, ...upperRanges(localFirst, localLast)];
}

/** The default for ICMP ids: the same without the low class, because ids have none (N13). */
export function upperRanges(localFirst: number, localLast: number): PortRange[] {
  const ranges = [
    { first: HIGH_FIRST, last: Math.min(localFirst - 1, PORTS - 1) },
    { first: Math.max(localLast + 1, HIGH_FIRST), last: PORTS - 1 },
  ];
  return ranges.filter(({ first, last }) => first <= last);
}

export class PortPlan {
  /** Sorted, neither overlapping nor touching. */
  private ranges: PortRange[] = [];
  private readonly inRange = new Uint8Array(PORTS);
  private readonly blocks = new Uint16Array(PORTS);

  constructor(ranges: readonly PortRange[]) {
    this.setRanges(ranges);
  }

  /** Ports outside of 1 … 65,535 are cut off, except for port 0, which an ICMP id may be: it is left to who gives the ranges. */
  setRanges(ranges: readonly PortRange[]): void {
    this.inRange.fill(0);
    for (const { first, last } of ranges) this.inRange.fill(1, Math.max(0, first), Math.min(PORTS - 1, last) + 1);
    this.ranges = [];
    for (let port = 0; port < PORTS; port++) {
      if (this.inRange[port] === 0) continue;
      const first = port;
      while (port + 1 < PORTS && this.inRange[port + 1] !== 0) port++;
      this.ranges.push({ first, last: port });
    }
  }

  /** The ranges within [from, to), in order. */
  within(from: number, to: number): PortRange[] {
    return this.ranges
      .map(({ first, last }) => ({ first: Math.max(first, from), last: Math.min(last, to - 1) }))
      .filter(({ first, last }) => first <= last);
  }

  /** Blocks [first, last] for one more reason. */
  exclude(first: number, last: number): void {
    for (let port = first; port <= last; port++) this.blocks[port]++;
  }

  /** Takes one `exclude` back. */
  include(first: number, last: number): void {
    for (let port = first; port <= last; port++) {
      if (this.blocks[port] > 0) this.blocks[port]--;
    }
  }

  eligible(port: number): boolean {
    return this.inRange[port] !== 0 && this.blocks[port] === 0;
  }
}
