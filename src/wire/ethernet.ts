/**
 * Ethernet II (IEEE 802.3-2018, 3.1.1), without preamble and frame check sequence.
 *
 *      0                   6                  12        14
 *     +-------------------+-------------------+---------+----------- - -
 *     |    destination    |      source       |  type   |  payload
 *     +-------------------+-------------------+---------+----------- - -
 *
 * `check` once where a frame comes in; the accessors below do not look at lengths any more.
 */
import { formatMac, MAC_BYTES, macHigh, macLow, parseMac, writeMac } from './mac-address.js';

const DESTINATION = 0;
const SOURCE = DESTINATION + MAC_BYTES;
const TYPE = SOURCE + MAC_BYTES;

export const HEADER_BYTES = TYPE + 2;

/** Values up to this one are an 802.3 length, not a type (802.3-2018, 3.2.6). */
export const LENGTH_MAX = 1500;

/** From the registry "IEEE 802 Numbers" of IANA. */
export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  ipv6: 0x86dd,
  mplsUnicast: 0x8847,
  serviceVlan: 0x88a8,
  lldp: 0x88cc,
} as const;

/** True when a frame of `length` bytes has a whole header. */
export function check(length: number): boolean {
  return length >= HEADER_BYTES;
}

export function destinationHigh(bytes: Uint8Array, at: number): number {
  return macHigh(bytes, at + DESTINATION);
}

export function destinationLow(bytes: Uint8Array, at: number): number {
  return macLow(bytes, at + DESTINATION);
}

export function sourceHigh(bytes: Uint8Array, at: number): number {
  return macHigh(bytes, at + SOURCE);
}

export function sourceLow(bytes: Uint8Array, at: number): number {
  return macLow(bytes, at + SOURCE);
}

/** The type, or an 802.3 length up to `LENGTH_MAX`. */
export function etherType(bytes: Uint8Array, at: number): number {
  return (bytes[at + TYPE] << 8) | bytes[at + TYPE + 1];
}

export function setDestination(bytes: Uint8Array, at: number, high: number, low: number): void {
  writeMac(bytes, at + DESTINATION, high, low);
}

export function setSource(bytes: Uint8Array, at: number, high: number, low: number): void {
  writeMac(bytes, at + SOURCE, high, low);
}

export function setEtherType(bytes: Uint8Array, at: number, type: number): void {
  bytes[at + TYPE] = type >>> 8;
  bytes[at + TYPE + 1] = type;
}

export interface EthernetHeader {
  /** `aa:bb:cc:dd:ee:ff`. */
  destination: string;
  source: string;
  etherType: number;
}

export function parse(bytes: Uint8Array, at: number): EthernetHeader {
  return {
    destination: formatMac(destinationHigh(bytes, at), destinationLow(bytes, at)),
    source: formatMac(sourceHigh(bytes, at), sourceLow(bytes, at)),
    etherType: etherType(bytes, at),
  };
}

export function emit(bytes: Uint8Array, at: number, header: EthernetHeader): void {
  const destination = parseMac(header.destination);
  const source = parseMac(header.source);
  setDestination(bytes, at, destination.high, destination.low);
  setSource(bytes, at, source.high, source.low);
  setEtherType(bytes, at, header.etherType);
}
