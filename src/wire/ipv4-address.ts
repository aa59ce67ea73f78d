/**
 * IPv4 addresses. An address is one int32 in network order of its digits (10.0.0.1 = 0x0a000001), so addresses compare with === and fit
 * Int32Array columns; addresses from 128.0.0.0 on are negative.
 */

export const IPV4_BYTES = 4;

/** The address at `at`, as int32. */
export function readIpv4(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

export function writeIpv4(bytes: Uint8Array, at: number, address: number): void {
  bytes[at] = address >>> 24;
  bytes[at + 1] = address >>> 16;
  bytes[at + 2] = address >>> 8;
  bytes[at + 3] = address;
}

/** 224.0.0.0/4 (RFC 5771). */
export function isMulticastIpv4(address: number): boolean {
  return address >>> 28 === 0xe;
}

/** 127.0.0.0/8 (RFC 1122, 3.2.1.3). */
export function isLoopbackIpv4(address: number): boolean {
  return address >>> 24 === 127;
}

/** Something one host can own: not 0/8, loopback, multicast, or 240/4 with the limited broadcast (RFC 1812, 5.3.7). */
export function isUnicastIpv4(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

const OCTET = /^(0|[1-9][0-9]{0,2})$/;

/**
 * Reads dotted decimal. Leading zeros are refused, because some programs read them as octal.
 * @throws Error for anything else.
 */
export function parseIpv4(text: string): number {
  const octets = text.split('.');
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)) {
    throw new Error(`"${text}" is not an IPv4 address: write four numbers up to 255 like 10.0.0.1`);
  }
  return octets.reduce((address, octet) => (address << 8) | Number(octet), 0);
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/** An address together with the network it lies in: `10.0.0.5/24`. */
export class Ipv4Cidr {
  readonly address: number;
  readonly prefix: number;
  readonly mask: number;
  readonly network: number;
  /** The directed broadcast address; for /31 and /32, which have none, the last address of the network. */
  readonly broadcast: number;

  constructor(address: number, prefix: number) {
    this.address = address | 0;
    this.prefix = prefix;
    this.mask = prefix === 0 ? 0 : (-1 << (32 - prefix)) | 0;
    this.network = this.address & this.mask;
    this.broadcast = this.network | ~this.mask;
  }

  contains(address: number): boolean {
    return (address & this.mask) === this.network;
  }

  /** True when a host may carry the address: inside, and neither network nor broadcast address (RFC 3021: /31 has neither). */
  isHost(address: number): boolean {
    return this.contains(address) && (this.prefix >= 31 || (address !== this.network && address !== this.broadcast));
  }

  overlaps(other: Ipv4Cidr): boolean {
    return this.contains(other.network) || other.contains(this.network);
  }

  toString(): string {
    return `${formatIpv4(this.address)}/${this.prefix}`;
  }
}

/**
 * Reads `10.0.0.5/24`.
 * @throws Error when the address or the prefix is wrong or missing.
 */
export function parseIpv4Cidr(text: string): Ipv4Cidr {
  const slash = text.indexOf('/');
  const prefix = text.slice(slash + 1);
  if (slash < 0 || !/^(0|[1-9][0-9]?)$/.test(prefix) || Number(prefix) > 32) {
    throw new Error(`"${text}" is not an address with a prefix: write it like 10.0.0.1/24, the prefix from 0 to 32`);
  }
  return new Ipv4Cidr(parseIpv4(text.slice(0, slash)), Number(prefix));
}
