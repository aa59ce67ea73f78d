/**
 * Zones: where the gateway receives from and sends to, as columns by zone number.
 *
 *     0 … 255      a bridge, by its number
 *     256 … 271    an uplink, by its number behind 256
 *
 * Written by commands, read for each frame.
 */
import { UPLINK_ZONE } from '../conntrack/flow-layout.js';
import { isUnicastIpv4 } from '../wire/ipv4-address.js';

/** Rows of the table. */
export const ZONES = 512;
/** The zone of uplink 0. */
export const FIRST_UPLINK = UPLINK_ZONE;
export const UPLINK_COUNT = 16;

/** Bits of `flags`. */
export const ZoneFlag = {
  /** The zone is in use and its interface is up. */
  up: 1,
  /** A bridge without a way out. */
  internal: 2,
  /** The MSS option of what leaves here is lowered to the MTU (R24). */
  mssClamp: 4,
} as const;

export interface Zone {
  /** Own MAC, 16 and 32 bits. */
  macHigh: number;
  macLow: number;
  /** Own IPv4 address, 0 for none: source of ARP requests and of ICMP errors that leave here. */
  address: number;
  /** Prefix of the network the address lies in. */
  prefix: number;
  /** An uplink's port number, or the host port of a bridge; -1 for none. */
  port: number;
  /** Largest IP packet. */
  mtu: number;
  /** Bits of `ZoneFlag`. */
  flags: number;
}

/** Whether a zone is an uplink. */
export function isUplink(zone: number): boolean {
  return zone >= FIRST_UPLINK;
}

export class Zones {
  readonly macHigh = new Int32Array(ZONES);
  readonly macLow = new Int32Array(ZONES);
  readonly address = new Int32Array(ZONES);
  readonly network = new Int32Array(ZONES);
  readonly mask = new Int32Array(ZONES);
  /** Uplink: its port. Bridge: the host port. -1: none. */
  readonly port = new Int32Array(ZONES).fill(-1);
  /** Number of the bridge, -1 for an uplink or a free row. */
  readonly bridge = new Int32Array(ZONES).fill(-1);
  readonly mtu = new Int32Array(ZONES);
  readonly flags = new Int32Array(ZONES);

  /** @throws RangeError for a number that is no zone */
  set(zone: number, row: Zone): void {
    if (!Number.isInteger(zone) || zone < 0 || zone >= FIRST_UPLINK + UPLINK_COUNT) {
      throw new RangeError(`gateway: ${zone} is no zone, 0 to ${FIRST_UPLINK + UPLINK_COUNT - 1} are`);
    }
    this.macHigh[zone] = row.macHigh;
    this.macLow[zone] = row.macLow;
    this.address[zone] = row.address;
    this.mask[zone] = row.prefix === 0 ? 0 : -1 << (32 - row.prefix);
    this.network[zone] = row.address & this.mask[zone];
    this.port[zone] = row.port;
    this.bridge[zone] = isUplink(zone) ? -1 : zone;
    this.mtu[zone] = row.mtu;
    this.flags[zone] = row.flags;
  }

  clear(zone: number): void {
    for (const column of [this.macHigh, this.macLow, this.address, this.network, this.mask, this.mtu, this.flags]) {
      column[zone] = 0;
    }
    this.port[zone] = -1;
    this.bridge[zone] = -1;
  }

  /** Whether an address lies in the network of a zone. */
  isInside(zone: number, address: number): boolean {
    return (address & this.mask[zone]) === this.network[zone];
  }

  /** Whether an address names one host of the zone or one beyond it: not 0/8, loopback, multicast, 240/4, nor the zone's two own. */
  isHost(zone: number, address: number): boolean {
    if (!isUnicastIpv4(address)) {
      return false;
    }
    const host = ~this.mask[zone];
    // A /31 or /32 has neither network nor broadcast address (RFC 3021).
    const inside = (address & this.mask[zone]) === this.network[zone] && host >>> 0 > 1 && this.address[zone] !== 0;
    return !inside || ((address & host) !== 0 && (address & host) !== host);
  }
}
