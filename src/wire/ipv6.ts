/**
 * IPv6 header (RFC 8200, 3) and the way past its extension headers (RFC 8200, 4).
 *
 *      0         4         6    7    8                   24                  40
 *     +---------+---------+----+----+-------------------+-------------------+--- - -
 *     |V|TC|flow| payload |next|hop |      source       |    destination    | payload
 *     +---------+---------+----+----+-------------------+-------------------+--- - -
 *
 * `at` is the offset of the IP header; `check` makes the accessors safe.
 */
export const IPV6_ADDRESS_BYTES = 16;

const VERSION_CLASS_FLOW = 0;
const PAYLOAD_LENGTH = VERSION_CLASS_FLOW + 4;
const NEXT_HEADER = PAYLOAD_LENGTH + 2;
const HOP_LIMIT = NEXT_HEADER + 1;
const SOURCE = HOP_LIMIT + 1;
const DESTINATION = SOURCE + IPV6_ADDRESS_BYTES;

export const HEADER_BYTES = DESTINATION + IPV6_ADDRESS_BYTES;

/** Extension headers; RFC 8200, 4.1 knows no sensible packet with more than these, each once (destination options twice). */
export const Extension = { hopByHop: 0, routing: 43, fragment: 44, noNext: 59, destination: 60 } as const;
const EXTENSIONS_MAX = 8;
export const FRAGMENT_BYTES = 8;

export const Fault = { none: 0, short: 1, version: 2, truncated: 6 } as const;

/** 0, or a number of `Fault`, for `length` bytes from the header on. Bytes behind the payload are padding and no fault. */
export function check(bytes: Uint8Array, at: number, length: number): number {
  if (length < HEADER_BYTES) {
    return Fault.short;
  }
  if (bytes[at] >>> 4 !== 6) {
    return Fault.version;
  }
  return payloadLength(bytes, at) > length - HEADER_BYTES ? Fault.truncated : Fault.none;
}

export function version(bytes: Uint8Array, at: number): number {
  return bytes[at] >>> 4;
}

export function trafficClass(bytes: Uint8Array, at: number): number {
  return ((bytes[at] & 0x0f) << 4) | (bytes[at + 1] >>> 4);
}

export function flowLabel(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 1] & 0x0f) << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Bytes behind the fixed header, extension headers included. */
export function payloadLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + PAYLOAD_LENGTH] << 8) | bytes[at + PAYLOAD_LENGTH + 1];
}

export function nextHeader(bytes: Uint8Array, at: number): number {
  return bytes[at + NEXT_HEADER];
}

export function hopLimit(bytes: Uint8Array, at: number): number {
  return bytes[at + HOP_LIMIT];
}

export function setPayloadLength(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + PAYLOAD_LENGTH] = value >>> 8;
  bytes[at + PAYLOAD_LENGTH + 1] = value;
}

/**
 * Walks the extension headers of the packet at `at`, of which `length` bytes are there. Answers (distance from `at` to the upper header)
 * * 256 + its protocol number, or -1 when a header is cut off or there are more than 8. A fragment that is not the first has no upper
 * header: the walk stops at its fragment header and answers that one.
 */
export function upper(bytes: Uint8Array, at: number, length: number): number {
  let next = bytes[at + NEXT_HEADER];
  let distance = HEADER_BYTES;
  for (let count = 0; count <= EXTENSIONS_MAX; count++) {
    if (next === Extension.fragment) {
      if (length < distance + FRAGMENT_BYTES) {
        return -1;
      }
      const offset = (bytes[at + distance + 2] << 8) | (bytes[at + distance + 3] & 0xf8);
      if (offset !== 0) {
        return (distance << 8) | Extension.fragment;
      }
      next = bytes[at + distance];
      distance += FRAGMENT_BYTES;
    } else if (next === Extension.hopByHop || next === Extension.routing || next === Extension.destination) {
      if (length < distance + 2) {
        return -1;
      }
      next = bytes[at + distance];
      distance += (bytes[at + distance + 1] + 1) << 3;
      if (length < distance) {
        return -1;
      }
    } else {
      return (distance << 8) | next;
    }
  }
  return -1;
}

/** Text of the address at `at` by RFC 5952: lower case, the longest run of two or more zero groups shortened. */
export function formatIpv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let index = 0; index < IPV6_ADDRESS_BYTES; index += 2) {
    groups.push((bytes[at + index] << 8) | bytes[at + index + 1]);
  }
  let runStart = -1;
  let runLength = 1;
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (end < groups.length && groups[end] === 0) {
      end++;
    }
    if (end - start > runLength) {
      runStart = start;
      runLength = end - start;
    }
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return runStart < 0 ? text(groups) : `${text(groups.slice(0, runStart))}::${text(groups.slice(runStart + runLength))}`;
}

/**
 * Writes the address of a text (RFC 4291, 2.2, forms 1 and 2) to `at`.
 * @throws Error for anything else.
 */
export function writeIpv6(bytes: Uint8Array, at: number, text: string): void {
  const halves = text.split('::');
  const groups = (half: string) => (half === '' ? [] : half.split(':'));
  const head = groups(halves[0]);
  const tail = halves.length === 2 ? groups(halves[1]) : [];
  const missing = 8 - head.length - tail.length;
  const all = [...head, ...new Array<string>(Math.max(missing, 0)).fill('0'), ...tail];
  const shaped = halves.length === 1 ? missing === 0 : halves.length === 2 && missing >= 1;
  if (!shaped || !all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) {
    throw new Error(`"${text}" is not an IPv6 address: write it like fd00::1`);
  }
  all.forEach((group, index) => {
    const value = Number.parseInt(group, 16);
    bytes[at + index * 2] = value >>> 8;
    bytes[at + index * 2 + 1] = value;
  });
}

export interface Ipv6Header {
  trafficClass: number;
  flowLabel: number;
  payloadLength: number;
  nextHeader: number;
  hopLimit: number;
  source: string;
  destination: string;
}

export function parse(bytes: Uint8Array, at: number): Ipv6Header {
  return {
    trafficClass: trafficClass(bytes, at),
    flowLabel: flowLabel(bytes, at),
    payloadLength: payloadLength(bytes, at),
    nextHeader: nextHeader(bytes, at),
    hopLimit: hopLimit(bytes, at),
    source: formatIpv6(bytes, at + SOURCE),
    destination: formatIpv6(bytes, at + DESTINATION),
  };
}

export function emit(bytes: Uint8Array, at: number, header: Ipv6Header): void {
  bytes[at] = (6 << 4) | (header.trafficClass >>> 4);
  bytes[at + 1] = ((header.trafficClass & 0x0f) << 4) | (header.flowLabel >>> 16);
  bytes[at + 2] = header.flowLabel >>> 8;
  bytes[at + 3] = header.flowLabel;
  setPayloadLength(bytes, at, header.payloadLength);
  bytes[at + NEXT_HEADER] = header.nextHeader;
  bytes[at + HOP_LIMIT] = header.hopLimit;
  writeIpv6(bytes, at + SOURCE, header.source);
  writeIpv6(bytes, at + DESTINATION, header.destination);
}
