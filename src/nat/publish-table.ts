/**
 * Published ports: (protocol, host address or any, host port) → (inner address, inner port), rule N22.
 *
 *     heads of TCP, of UDP          nodes: one for each published port
 *     [ 65,536 by host port ] ──▶ [ publish | next ] ──▶ [ publish | next ] ──▶ none
 *                                   a certain address      any local address: always last
 *
 * A packet's port is one load, and the chain behind it has a second node only where several host addresses publish the same port: the cost
 * does not depend on how many ports are published. A range is one publish and a node for each of its ports, its inner ports counted up
 * with it.
 *
 * Two publishes are in each other's way when they share protocol, host address and a port. One of a certain address and one of any address
 * are not: the certain one goes first, as with listening sockets.
 *
 * A publish has a number while it exists; numbers are given again, so who keeps one across commands keeps `version` beside it.
 *
 * Limits: `limit` publishes, `portLimit` ports in all of 8 bytes, 32 host addresses for one port; 512 KiB of heads.
 */
import { Protocol } from '../wire/ipv4.js';
import { PORTS } from './port-guard.js';

export interface Publish {
  /** The caller's, unique: what `remove` takes. */
  id: number;
  /** TCP or UDP. */
  protocol: number;
  /** int32; 0: any address of the host. */
  hostAddress: number;
  /** The first of `count` ports. */
  hostPort: number;
  count: number;
  /** The server, int32. */
  address: number;
  /** The server's first port. */
  port: number;
  /** Bridge port of the server. */
  owner: number;
}

/** Why `add` answered -1. */
export const PublishRefusal = {
  none: 0,
  /** Ports that do not exist, or neither TCP nor UDP. */
  range: 1,
  /** `inTheWay` has one of the ports. */
  taken: 2,
  /** No room for another publish or for its ports. */
  full: 3,
  /** The id is in use, by `inTheWay`. */
  id: 4,
} as const;

export interface PublishTableOptions {
  /** Publishes at most; 4,096 by default. */
  limit?: number;
  /** Published ports at most; 131,072 by default: all of TCP and UDP once. */
  portLimit?: number;
}

export const MAX_PUBLISHES = 4096;
const CHAIN_MAX = 32;

export class PublishTable {
  /** Why the last `add` failed: a number of `PublishRefusal`. */
  refused = 0;
  /** The publish that is in the way of the last `add`, or -1. */
  inTheWay = -1;
  private readonly limit: number;
  private readonly portLimit: number;
  /** First node of each port, plus 1. */
  private readonly tcp = new Int32Array(PORTS);
  private readonly udp = new Int32Array(PORTS);
  /** Columns by node; `nodeNext` is the next one of the chain, or of the free ones, plus 1. */
  private readonly nodePublish: Int32Array;
  private readonly nodeNext: Int32Array;
  private freeNode = 0;
  private nodeHigh = 0;
  private nodes = 0;
  /** Columns by publish number; `count` 0: not in use. */
  private readonly ids: Float64Array;
  private readonly protocols: Uint8Array;
  private readonly hostAddresses: Int32Array;
  private readonly hostPorts: Int32Array;
  private readonly counts: Int32Array;
  private readonly addresses: Int32Array;
  private readonly ports: Int32Array;
  private readonly owners: Int32Array;
  private readonly versions: Int32Array;
  private publishes = 0;
  private high = 0;

  constructor(options: PublishTableOptions = {}) {
    const limit = options.limit ?? MAX_PUBLISHES;
    this.limit = limit;
    this.portLimit = options.portLimit ?? 2 * PORTS;
    this.nodePublish = new Int32Array(this.portLimit);
    this.nodeNext = new Int32Array(this.portLimit);
    this.ids = new Float64Array(limit);
    this.protocols = new Uint8Array(limit);
    this.hostAddresses = new Int32Array(limit);
    this.hostPorts = new Int32Array(limit);
    this.counts = new Int32Array(limit);
    this.addresses = new Int32Array(limit);
    this.ports = new Int32Array(limit);
    this.owners = new Int32Array(limit);
    this.versions = new Int32Array(limit);
  }

  /** Publishes there are. */
  get size(): number {
    return this.publishes;
  }

  /** Numbers of publishes lie below this one. */
  get highWater(): number {
    return this.high;
  }

  /**
   * The publish for a packet to this local address of the host, or -1. Whether the address is local is for the caller to know.
   * @param protocol any; all but TCP and UDP find nothing
   */
  find(protocol: number, address: number, port: number): number {
    if (protocol !== Protocol.tcp && protocol !== Protocol.udp) {
      return -1;
    }
    const heads = protocol === Protocol.tcp ? this.tcp : this.udp;
    for (let node = heads[port]; node !== 0; node = this.nodeNext[node - 1]) {
      const publish = this.nodePublish[node - 1];
      const host = this.hostAddresses[publish];
      if (host === address || host === 0) {
        return publish;
      }
    }
    return -1;
  }

  /** @returns its number, or -1: `refused` and `inTheWay` say why, and nothing was changed */
  add(publish: Publish): number {
    const { protocol, hostAddress, hostPort, count, port } = publish;
    this.inTheWay = -1;
    this.refused = PublishRefusal.none;
    const known = this.numberOf(publish.id);
    if (known >= 0) {
      return this.refuse(PublishRefusal.id, known);
    }
    const isPort = protocol === Protocol.tcp || protocol === Protocol.udp;
    if (!isPort || count < 1 || hostPort < 1 || port < 1 || hostPort + count > PORTS || port + count > PORTS) {
      return this.refuse(PublishRefusal.range, -1);
    }
    const heads = protocol === Protocol.tcp ? this.tcp : this.udp;
    for (let at = hostPort; at < hostPort + count; at++) {
      let length = 0;
      for (let node = heads[at]; node !== 0; node = this.nodeNext[node - 1]) {
        const other = this.nodePublish[node - 1];
        if (this.hostAddresses[other] === hostAddress) {
          return this.refuse(PublishRefusal.taken, other);
        }
        if (++length >= CHAIN_MAX) {
          return this.refuse(PublishRefusal.full, -1);
        }
      }
    }
    const number = this.counts.indexOf(0);
    if (number < 0 || number >= this.limit || this.nodes + count > this.portLimit) {
      return this.refuse(PublishRefusal.full, -1);
    }
    this.ids[number] = publish.id;
    this.protocols[number] = protocol;
    this.hostAddresses[number] = hostAddress;
    this.hostPorts[number] = hostPort;
    this.counts[number] = count;
    this.addresses[number] = publish.address;
    this.ports[number] = port;
    this.owners[number] = publish.owner;
    this.versions[number]++;
    this.publishes++;
    this.high = Math.max(this.high, number + 1);
    for (let at = hostPort; at < hostPort + count; at++) this.link(heads, at, number);
    return number;
  }

  /** Removes the publish with this id; false when there is none. Its columns can be read until the next `add`. */
  remove(id: number): boolean {
    const number = this.numberOf(id);
    if (number < 0) {
      return false;
    }
    const heads = this.protocols[number] === Protocol.tcp ? this.tcp : this.udp;
    const first = this.hostPorts[number];
    for (let at = first; at < first + this.counts[number]; at++) this.unlink(heads, at, number);
    this.counts[number] = 0;
    this.publishes--;
    return true;
  }

  /** The number of the publish with this id, or -1. */
  numberOf(id: number): number {
    for (let number = 0; number < this.high; number++) {
      if (this.counts[number] !== 0 && this.ids[number] === id) {
        return number;
      }
    }
    return -1;
  }

  /** The next publish of an owner at or behind `from`, or -1: a port that is detached takes its publishes along. */
  nextOf(owner: number, from: number): number {
    for (let number = from; number < this.high; number++) {
      if (this.counts[number] !== 0 && this.owners[number] === owner) {
        return number;
      }
    }
    return -1;
  }

  /** Whether a packet to this host address and port is this publish's: for finding its flows among all. */
  covers(number: number, protocol: number, address: number, port: number): boolean {
    const offset = port - this.hostPorts[number];
    const host = this.hostAddresses[number];
    return this.protocols[number] === protocol && offset >= 0 && offset < this.counts[number] && (host === 0 || host === address);
  }

  used(number: number): boolean {
    return this.counts[number] !== 0;
  }

  idAt(number: number): number {
    return this.ids[number];
  }

  /** Differs each time the number is given to another publish. */
  versionAt(number: number): number {
    return this.versions[number];
  }

  /** The server. */
  address(number: number): number {
    return this.addresses[number];
  }

  /** The server's port for a host port of the publish. */
  port(number: number, hostPort: number): number {
    return this.ports[number] + hostPort - this.hostPorts[number];
  }

  owner(number: number): number {
    return this.owners[number];
  }

  /** All of a publish, for listings. */
  publishAt(number: number): Publish {
    return {
      id: this.ids[number],
      protocol: this.protocols[number],
      hostAddress: this.hostAddresses[number],
      hostPort: this.hostPorts[number],
      count: this.counts[number],
      address: this.addresses[number],
      port: this.ports[number],
      owner: this.owners[number],
    };
  }

  private refuse(reason: number, inTheWay: number): number {
    this.refused = reason;
    this.inTheWay = inTheWay;
    return -1;
  }

  /** At the head of the port's chain, or at its end for any address. */
  private link(heads: Int32Array, port: number, publish: number): void {
    let node = this.freeNode - 1;
    if (node >= 0) {
      this.freeNode = this.nodeNext[node];
    } else {
      node = this.nodeHigh++;
    }
    this.nodes++;
    this.nodePublish[node] = publish;
    this.nodeNext[node] = 0;
    if (this.hostAddresses[publish] !== 0 || heads[port] === 0) {
      this.nodeNext[node] = heads[port];
      heads[port] = node + 1;
      return;
    }
    let last = heads[port];
    while (this.nodeNext[last - 1] !== 0) {
      last = this.nodeNext[last - 1];
    }
    this.nodeNext[last - 1] = node + 1;
  }

  private unlink(heads: Int32Array, port: number, publish: number): void {
    let previous = 0;
    let node = heads[port];
    while (this.nodePublish[node - 1] !== publish) {
      previous = node;
      node = this.nodeNext[node - 1];
    }
    if (previous === 0) {
      heads[port] = this.nodeNext[node - 1];
    } else {
      this.nodeNext[previous - 1] = this.nodeNext[node - 1];
    }
    this.nodeNext[node - 1] = this.freeNode;
    this.freeNode = node;
    this.nodes--;
  }
}
