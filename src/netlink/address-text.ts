/**
 * Addresses between the text people write and the bytes netlink attributes hold (network order). Both IP families, because the kernel's tables
 * hold both; the data path has numeric forms of its own in `wire/`.
 */
import { isIP } from 'node:net';
import { MAC_BYTES, parseMac, writeMac } from '../wire/mac-address.js';
import { Family } from './constants.js';

export interface IpBytes {
  /** AF_INET or AF_INET6. */
  family: number;
  /** 4 or 16 bytes. */
  bytes: Uint8Array;
}

/**
 * '10.0.0.1' or 'fe80::1', without zone and prefix.
 * @throws Error for anything else.
 */
export function parseIp(address: string): IpBytes {
  const version = address.includes('%') ? 0 : isIP(address);
  if (version === 4) return { family: Family.ipv4, bytes: Uint8Array.from(address.split('.'), Number) };
  if (version === 6) return { family: Family.ipv6, bytes: parseIpv6(address) };
  throw new Error(`${JSON.stringify(address)} is not an IP address`);
}

/** An address the kernel sent: 4 bytes dotted, 16 bytes as RFC 5952, section 4 wants it; '' for any other length. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '';
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at] << 8) | bytes[at + 1]);
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.map(hex).join(':');
  const head = groups.slice(0, zeros.start).map(hex).join(':');
  const tail = groups
    .slice(zeros.start + zeros.length)
    .map(hex)
    .join(':');
  return `${head}::${tail}`;
}

/**
 * 'aa:bb:cc:dd:ee:ff' as 6 bytes.
 * @throws Error for anything else.
 */
export function macBytes(mac: string): Uint8Array {
  const { high, low } = parseMac(mac);
  const bytes = new Uint8Array(MAC_BYTES);
  writeMac(bytes, 0, high, low);
  return bytes;
}

/** Link-layer address of any length, '' for none (a tunnel without). */
export function formatLinkAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function parseIpv6(address: string): Uint8Array {
  let normal = address;
  // The last 32 bits may be written dotted: RFC 4291, section 2.2, form 3.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(2).map(Number);
    normal = `${dotted[1]}${hex((a << 8) | b)}:${hex((c << 8) | d)}`;
  }
  const [head, tail] = normal.split('::');
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  const groups = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  const bytes = new Uint8Array(16);
  groups.forEach((group, index) => {
    bytes[2 * index] = group >> 8;
    bytes[2 * index + 1] = group & 0xff;
  });
  return bytes;
}

function groupsOf(half: string): number[] {
  return half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16));
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (start + length < groups.length && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

function hex(group: number): string {
  return group.toString(16);
}
