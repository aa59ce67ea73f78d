/**
 * Routes: destination → zone and next hop, by longest prefix, then by lowest metric (RFC 1812, 5.2.4.3).
 *
 *     prefix 32   [ network, network, ... ]   sorted, binary search
 *     prefix 24   [ network, network, ... ]        │
 *     prefix  0   [ network ]                      ▼  first hit wins
 *
 * Rows lie sorted by prefix (long ones first), network and metric, so those of one network are neighbors and the best comes first. A
 * look-up is one binary search for each prefix length in use, seldom more than four; it is made once per flow, not per frame, so that
 * there is nothing to gain from a trie. The host's routes replace the table as a whole; `generation` tells flows to ask again.
 *
 * Bound: 10,000 rows; more are refused when set.
 */
export const ROUTE_LIMIT = 10_000;

/** Kinds of routes, with the kernel's numbers (RTN_* in linux/rtnetlink.h). */
export const RouteKind = { unicast: 1, local: 2, broadcast: 3, blackhole: 6, unreachable: 7, prohibit: 8 } as const;

export interface RouteRow {
  /** Network address, int32. */
  network: number;
  prefix: number;
  /** One of `RouteKind`. */
  kind: number;
  /** Zone it leads to; -1 for those that lead nowhere. */
  zone: number;
  /** IPv4 address of the next hop; 0: the destination itself is on the link. */
  nextHop: number;
  /** 0: that of the zone. */
  mtu: number;
  metric: number;
}

/** The sign bit, so that int32 comparison orders addresses. */
const SIGN = 0x80000000 | 0;
const PREFIXES = 33;

export class RouteTable {
  /** Goes up with each change. */
  generation = 0;
  size = 0;
  private kinds = new Int32Array(0);
  private zones = new Int32Array(0);
  private nextHops = new Int32Array(0);
  private mtus = new Int32Array(0);
  /** Networks with the sign bit turned over. */
  private keys = new Int32Array(0);
  /** First row of each prefix length, by 32 - prefix; one more ends the last. */
  private readonly first = new Int32Array(PREFIXES + 1);

  /**
   * Replaces all routes.
   * @throws RangeError for more than `ROUTE_LIMIT` of them, or a prefix that is none
   */
  set(routes: readonly RouteRow[]): void {
    if (routes.length > ROUTE_LIMIT) {
      throw new RangeError(`gateway: ${routes.length} routes are more than the ${ROUTE_LIMIT} there is room for`);
    }
    if (routes.some(({ prefix }) => !Number.isInteger(prefix) || prefix < 0 || prefix > 32)) {
      throw new RangeError('gateway: a route has a prefix that is not 0 to 32');
    }
    const rows = routes.map((route) => ({ ...route, key: (route.network & maskOf(route.prefix)) ^ SIGN }));
    rows.sort((a, b) => b.prefix - a.prefix || a.key - b.key || a.metric - b.metric);
    this.kinds = Int32Array.from(rows, ({ kind }) => kind);
    this.zones = Int32Array.from(rows, ({ zone }) => zone);
    this.nextHops = Int32Array.from(rows, ({ nextHop }) => nextHop);
    this.mtus = Int32Array.from(rows, ({ mtu }) => mtu);
    this.keys = Int32Array.from(rows, ({ key }) => key);
    this.first.fill(0);
    for (const { prefix } of rows) {
      this.first[32 - prefix + 1]++;
    }
    for (let length = 1; length <= PREFIXES; length++) {
      this.first[length] += this.first[length - 1];
    }
    this.size = rows.length;
    this.generation = (this.generation + 1) | 0;
  }

  /**
   * Row of the route to an address, or -1.
   * @param zone only routes that lead there; -1: any
   */
  find(destination: number, zone: number): number {
    const { first, keys } = this;
    for (let length = 0; length < PREFIXES; length++) {
      const from = first[length];
      const to = first[length + 1];
      if (from === to) {
        continue;
      }
      const key = (destination & maskOf(32 - length)) ^ SIGN;
      let low = from;
      let high = to;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (keys[middle] < key) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      for (; low < to && keys[low] === key; low++) {
        if (zone < 0 || this.zones[low] === zone) {
          return low;
        }
      }
    }
    return -1;
  }

  /** One of `RouteKind`. */
  kind(row: number): number {
    return this.kinds[row];
  }

  /** Zone the route leads to, -1 for none. */
  zone(row: number): number {
    return this.zones[row];
  }

  /** Address whose MAC a frame to `destination` gets: the next hop, or on the link the destination itself. */
  nextHop(row: number, destination: number): number {
    const hop = this.nextHops[row];
    return hop === 0 ? destination : hop;
  }

  /** Of the route itself; 0: there is none but the zone's. */
  mtu(row: number): number {
    return this.mtus[row];
  }
}

function maskOf(prefix: number): number {
  return prefix === 0 ? 0 : -1 << (32 - prefix);
}
