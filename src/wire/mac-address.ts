/**
 * MAC addresses. In the hot path an address is two numbers, the high 16 bits (0 … 0xffff) and the low 32 bits as int32: both are small
 * integers to the machine, compare with ===, and fit typed-array columns. Text appears only at the edges.
 */

export const MAC_BYTES = 6;

const HIGH = 0;
const LOW = HIGH + 2;

/** The group bit is the least significant bit of the first octet (802-2014, 8.2.2), the local bit the one above it. */
const GROUP_BIT = 0x0100;
const LOCAL_BIT = 0x0200;

export interface MacAddress {
  /** The first two octets, 0 … 0xffff. */
  readonly high: number;
  /** The last four octets as int32. */
  readonly low: number;
}

/** The first two octets of the address at `at`: 0 … 0xffff. */
export function macHigh(bytes: Uint8Array, at: number): number {
  return (bytes[at + HIGH] << 8) | bytes[at + HIGH + 1];
}

/** The last four octets of the address at `at`, as int32. */
export function macLow(bytes: Uint8Array, at: number): number {
  return (bytes[at + LOW] << 24) | (bytes[at + LOW + 1] << 16) | (bytes[at + LOW + 2] << 8) | bytes[at + LOW + 3];
}

/** Multicast or broadcast. */
export function isGroup(high: number): boolean {
  return (high & GROUP_BIT) !== 0;
}

export function isZero(high: number, low: number): boolean {
  return (high | low) === 0;
}

export function isBroadcast(high: number, low: number): boolean {
  return high === 0xffff && low === -1;
}

export function writeMac(bytes: Uint8Array, at: number, high: number, low: number): void {
  bytes[at + HIGH] = high >>> 8;
  bytes[at + HIGH + 1] = high;
  bytes[at + LOW] = low >>> 24;
  bytes[at + LOW + 1] = low >>> 16;
  bytes[at + LOW + 2] = low >>> 8;
  bytes[at + LOW + 3] = low;
}

const TEXT = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;

/**
 * Reads `aa:bb:cc:dd:ee:ff`; upper case and dashes are accepted.
 * @throws Error for anything else.
 */
export function parseMac(text: string): MacAddress {
  if (!TEXT.test(text)) {
    throw new Error(`"${text}" is not a MAC address: write six octets like 02:00:00:00:00:01`);
  }
  const digits = text.replace(/[:-]/g, '');
  return { high: Number.parseInt(digits.slice(0, 4), 16), low: Number.parseInt(digits.slice(4), 16) | 0 };
}

/** `aa:bb:cc:dd:ee:ff` in lower case. */
export function formatMac(high: number, low: number): string {
  const digits = (high & 0xffff).toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0');
  return (digits.match(/../g) as string[]).join(':');
}

/** A unicast, locally administered address (802-2014, 8.4) from a source of randomness that answers numbers in [0, 1). */
export function randomMac(random: () => number): MacAddress {
  const high = (Math.floor(random() * 0x10000) & ~GROUP_BIT) | LOCAL_BIT;
  return { high, low: Math.floor(random() * 0x100000000) | 0 };
}
