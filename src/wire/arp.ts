/**
 * ARP for IPv4 over ethernet (RFC 826; registries of RFC 5494).
 *
 *      0         2         4    5    6         8
 *     +---------+---------+----+----+---------+
 *     |  htype  |  ptype  |hlen|plen|operation|
 *     +---------+---------+----+----+---------+-----------+
 *     |    sender MAC (8…13)        | sender IP (14…17)   |
 *     +-----------------------------+---------------------+
 *     |    target MAC (18…23)       | target IP (24…27)   |
 *     +-----------------------------+---------------------+
 *
 * `at` is the offset of the ARP packet, behind the ethernet header and its tags.
 */
import { formatIpv4, IPV4_BYTES, parseIpv4, readIpv4, writeIpv4 } from './ipv4-address.js';
import { formatMac, MAC_BYTES, macHigh, macLow, parseMac, writeMac } from './mac-address.js';

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = HARDWARE_TYPE + 2;
const HARDWARE_LENGTH = PROTOCOL_TYPE + 2;
const PROTOCOL_LENGTH = HARDWARE_LENGTH + 1;
const OPERATION = PROTOCOL_LENGTH + 1;
const SENDER_MAC = OPERATION + 2;
const SENDER_IP = SENDER_MAC + MAC_BYTES;
const TARGET_MAC = SENDER_IP + IPV4_BYTES;
const TARGET_IP = TARGET_MAC + MAC_BYTES;

export const PACKET_BYTES = TARGET_IP + IPV4_BYTES;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;

export const Operation = { request: 1, reply: 2 } as const;

/** A1: 28 bytes present, ethernet and IPv4. Anything else is bridged as an ordinary frame. */
export function check(bytes: Uint8Array, at: number, length: number): boolean {
  return (
    length >= PACKET_BYTES &&
    ((bytes[at + HARDWARE_TYPE] << 8) | bytes[at + HARDWARE_TYPE + 1]) === HARDWARE_ETHERNET &&
    ((bytes[at + PROTOCOL_TYPE] << 8) | bytes[at + PROTOCOL_TYPE + 1]) === PROTOCOL_IPV4 &&
    bytes[at + HARDWARE_LENGTH] === MAC_BYTES &&
    bytes[at + PROTOCOL_LENGTH] === IPV4_BYTES
  );
}

export function operation(bytes: Uint8Array, at: number): number {
  return (bytes[at + OPERATION] << 8) | bytes[at + OPERATION + 1];
}

export function senderMacHigh(bytes: Uint8Array, at: number): number {
  return macHigh(bytes, at + SENDER_MAC);
}

export function senderMacLow(bytes: Uint8Array, at: number): number {
  return macLow(bytes, at + SENDER_MAC);
}

export function senderIp(bytes: Uint8Array, at: number): number {
  return readIpv4(bytes, at + SENDER_IP);
}

export function targetMacHigh(bytes: Uint8Array, at: number): number {
  return macHigh(bytes, at + TARGET_MAC);
}

export function targetMacLow(bytes: Uint8Array, at: number): number {
  return macLow(bytes, at + TARGET_MAC);
}

export function targetIp(bytes: Uint8Array, at: number): number {
  return readIpv4(bytes, at + TARGET_IP);
}

export function setOperation(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + OPERATION] = value >>> 8;
  bytes[at + OPERATION + 1] = value;
}

export function setSender(bytes: Uint8Array, at: number, high: number, low: number, address: number): void {
  writeMac(bytes, at + SENDER_MAC, high, low);
  writeIpv4(bytes, at + SENDER_IP, address);
}

export function setTarget(bytes: Uint8Array, at: number, high: number, low: number, address: number): void {
  writeMac(bytes, at + TARGET_MAC, high, low);
  writeIpv4(bytes, at + TARGET_IP, address);
}

/** Writes all 28 bytes, in numbers only: for answers made per frame. */
export function write(
  bytes: Uint8Array,
  at: number,
  operationCode: number,
  senderHigh: number,
  senderLow: number,
  senderAddress: number,
  targetHigh: number,
  targetLow: number,
  targetAddress: number,
): void {
  bytes[at + HARDWARE_TYPE] = HARDWARE_ETHERNET >>> 8;
  bytes[at + HARDWARE_TYPE + 1] = HARDWARE_ETHERNET;
  bytes[at + PROTOCOL_TYPE] = PROTOCOL_IPV4 >>> 8;
  bytes[at + PROTOCOL_TYPE + 1] = PROTOCOL_IPV4 & 0xff;
  bytes[at + HARDWARE_LENGTH] = MAC_BYTES;
  bytes[at + PROTOCOL_LENGTH] = IPV4_BYTES;
  setOperation(bytes, at, operationCode);
  setSender(bytes, at, senderHigh, senderLow, senderAddress);
  setTarget(bytes, at, targetHigh, targetLow, targetAddress);
}

export interface ArpPacket {
  /** 1 request, 2 reply. */
  operation: number;
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
}

export function parse(bytes: Uint8Array, at: number): ArpPacket {
  return {
    operation: operation(bytes, at),
    senderMac: formatMac(senderMacHigh(bytes, at), senderMacLow(bytes, at)),
    senderIp: formatIpv4(senderIp(bytes, at)),
    targetMac: formatMac(targetMacHigh(bytes, at), targetMacLow(bytes, at)),
    targetIp: formatIpv4(targetIp(bytes, at)),
  };
}

export function emit(bytes: Uint8Array, at: number, packet: ArpPacket): void {
  const sender = parseMac(packet.senderMac);
  const target = parseMac(packet.targetMac);
  const senderAddress = parseIpv4(packet.senderIp);
  const targetAddress = parseIpv4(packet.targetIp);
  write(bytes, at, packet.operation, sender.high, sender.low, senderAddress, target.high, target.low, targetAddress);
}
