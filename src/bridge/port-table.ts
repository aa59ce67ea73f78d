/** What the forwarding decision knows of a port: columns by port number, shared by all bridges of an engine. */

/** Bits of `flags`. */
export const Flag = {
  up: 1,
  learning: 2,
  floodUnicast: 4,
  floodMulticast: 8,
  floodBroadcast: 16,
  hairpin: 32,
  isolated: 64,
  locked: 128,
  /** The gateway's own port: multicast and broadcast flood flags of the egress port do not bind it (L2). */
  local: 256,
  /** IPv4 and ARP from another address than the port's own are dropped. Without a known address it means nothing. */
  sourceGuard: 512,
} as const;

/** `bridge` of a port number not in use. */
export const NO_BRIDGE = -1;
/** `bridge` of an uplink: the gateway's alone. */
export const UPLINK = -2;

export class PortTable {
  readonly capacity: number;
  readonly flags: Int32Array;
  /** Bridge a port belongs to, or NO_BRIDGE. */
  readonly bridge: Int32Array;
  /** Largest IP packet the port takes. */
  readonly mtu: Int32Array;
  /** MACs a port may teach; 0: as many as the table holds. */
  readonly macLimit: Int32Array;
  /** IPv4 address (int32) of what is attached there, 0 where none is known. */
  readonly address: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.flags = new Int32Array(capacity);
    this.bridge = new Int32Array(capacity).fill(NO_BRIDGE);
    this.mtu = new Int32Array(capacity);
    this.macLimit = new Int32Array(capacity);
    this.address = new Int32Array(capacity);
  }

  remove(port: number): void {
    this.flags[port] = 0;
    this.bridge[port] = NO_BRIDGE;
    this.mtu[port] = 0;
    this.macLimit[port] = 0;
    this.address[port] = 0;
  }
}
