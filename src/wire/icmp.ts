/**
 * ICMP for IPv4 (RFC 792).
 *
 *      0    1    2         4         6         8
 *     +----+----+---------+---------+---------+--- - -
 *     |type|code|checksum |   id    |sequence | data          echo and its answer
 *     +----+----+---------+---------+---------+--- - -
 *     |type|code|checksum |   unused, or MTU  | quoted packet errors
 *     +----+----+---------+---------+---------+--- - -
 *
 * ICMPv6 (RFC 4443) has the same layout, other types, and a pseudo header under its checksum.
 */
import * as checksum from './checksum.js';

const TYPE = 0;
const CODE = TYPE + 1;
const CHECKSUM = CODE + 1;
const IDENTIFIER = CHECKSUM + 2;
const SEQUENCE = IDENTIFIER + 2;

export const HEADER_BYTES = SEQUENCE + 2;

export const Type = {
  echoReply: 0,
  unreachable: 3,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;
export const Unreachable = { network: 0, host: 1, protocol: 2, port: 3, fragmentationNeeded: 4, prohibited: 13 } as const;

/** RFC 4443 and RFC 4861. */
export const TypeV6 = {
  unreachable: 1,
  tooBig: 2,
  timeExceeded: 3,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
  listenerReportV2: 143,
} as const;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** A whole header in `length` bytes. The checksum is a question of its own: `verify`. */
export function check(length: number): boolean {
  return length >= HEADER_BYTES;
}

/** True when the checksum over all `length` bytes of an ICMPv4 message is right. */
export function verify(bytes: Uint8Array, at: number, length: number): boolean {
  return checksum.checksum(bytes, at, length) === 0;
}

export function type(bytes: Uint8Array, at: number): number {
  return bytes[at + TYPE];
}

export function code(bytes: Uint8Array, at: number): number {
  return bytes[at + CODE];
}

export function checksumField(bytes: Uint8Array, at: number): number {
  return word(bytes, at + CHECKSUM);
}

/** Of echo and its answer. */
export function identifier(bytes: Uint8Array, at: number): number {
  return word(bytes, at + IDENTIFIER);
}

/** Of echo and its answer; the next-hop MTU of "fragmentation needed" (RFC 1191, 4). */
export function sequence(bytes: Uint8Array, at: number): number {
  return word(bytes, at + SEQUENCE);
}

export function setType(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + TYPE] = value;
}

export function setCode(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + CODE] = value;
}

export function setIdentifier(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + IDENTIFIER, value);
}

export function setSequence(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + SEQUENCE, value);
}

export function setChecksumField(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at + CHECKSUM, value);
}

/** Computes the checksum of an ICMPv4 message of `length` bytes anew and stores it. */
export function fillChecksum(bytes: Uint8Array, at: number, length: number): void {
  setWord(bytes, at + CHECKSUM, 0);
  setWord(bytes, at + CHECKSUM, checksum.checksum(bytes, at, length));
}

export interface IcmpHeader {
  type: number;
  code: number;
  identifier: number;
  sequence: number;
}

export function parse(bytes: Uint8Array, at: number): IcmpHeader {
  return {
    type: type(bytes, at),
    code: code(bytes, at),
    identifier: identifier(bytes, at),
    sequence: sequence(bytes, at),
  };
}

/** Writes the header of an ICMPv4 message of `length` bytes, its data in place already, with its checksum. */
export function emit(bytes: Uint8Array, at: number, length: number, header: IcmpHeader): void {
  setType(bytes, at, header.type);
  setCode(bytes, at, header.code);
  setIdentifier(bytes, at, header.identifier);
  setSequence(bytes, at, header.sequence);
  fillChecksum(bytes, at, length);
}
