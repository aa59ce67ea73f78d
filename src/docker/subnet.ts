/**
 * Subnets and addresses of both families as one kind of number, for giving addresses out: a bigint, which no frame ever meets. IPv4 has 32 bits of it, IPv6
 * 128.
 */
import { formatIp, parseIp } from '../netlink/address-text.js';

export interface Address {
  bits: 32 | 128;
  value: bigint;
}

export class Subnet {
  readonly bits: 32 | 128;
  readonly prefix: number;
  readonly first: bigint;
  readonly last: bigint;

  constructor(address: Address, prefix: number) {
    const size = 1n << BigInt(address.bits - prefix);
    this.bits = address.bits;
    this.prefix = prefix;
    this.first = address.value - (address.value % size);
    this.last = this.first + size - 1n;
  }

  /** '10.1.0.0/24', 'fd00::/64'; host bits are cut off. @throws Error for anything else */
  static parse(text: string): Subnet {
    const [ip, prefixText, ...rest] = text.split('/');
    const address = parseAddress(ip);
    const prefix = /^[0-9]{1,3}$/.test(prefixText ?? '') ? Number(prefixText) : Number.NaN;
    if (rest.length > 0 || !(prefix <= address.bits)) throw new Error(`${JSON.stringify(text)} is no subnet like 10.1.0.0/24`);
    return new Subnet(address, prefix);
  }

  contains({ bits, value }: Address): boolean {
    return bits === this.bits && value >= this.first && value <= this.last;
  }

  /** Whether all of the other lies in this one. */
  covers(other: Subnet): boolean {
    return other.bits === this.bits && other.first >= this.first && other.last <= this.last;
  }

  overlaps(other: Subnet): boolean {
    return other.bits === this.bits && other.first <= this.last && this.first <= other.last;
  }

  /** Whether a host may have the address: not the network's, not the broadcast's; of IPv6 not the one all routers have (RFC 4291, 2.6.1). */
  isHost(address: Address): boolean {
    if (!this.contains(address)) return false;
    if (this.last - this.first < 2n) return true;
    return address.value !== this.first && (this.bits === 128 || address.value !== this.last);
  }

  toString(): string {
    return `${formatAddress({ bits: this.bits, value: this.first })}/${this.prefix}`;
  }
}

/** @throws Error */
export function parseAddress(text: string): Address {
  const { bytes } = parseIp(text);
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { bits: bytes.length === 4 ? 32 : 128, value };
}

export function formatAddress({ bits, value }: Address): string {
  const bytes = Uint8Array.from({ length: bits / 8 }, (_, index) => Number((value >> BigInt(bits - 8 - 8 * index)) & 0xffn));
  return formatIp(bytes);
}
