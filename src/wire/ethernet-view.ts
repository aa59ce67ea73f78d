/**
 * The header fields of ethernet.ts, read through a DataView over the same bytes: for the loop that reads all of them of every frame.
 * Measured (bench/micro accessors): both addresses and the type in 2.5 ns, against 6 ns byte by byte.
 */
import { MAC_BYTES } from './mac-address.js';

const DESTINATION_HIGH = 0;
const DESTINATION_LOW = DESTINATION_HIGH + 2;
const SOURCE_HIGH = DESTINATION_HIGH + MAC_BYTES;
const SOURCE_LOW = SOURCE_HIGH + 2;
const TYPE = SOURCE_HIGH + MAC_BYTES;

export function destinationHigh(view: DataView, at: number): number {
  return view.getUint16(at + DESTINATION_HIGH);
}

export function destinationLow(view: DataView, at: number): number {
  return view.getInt32(at + DESTINATION_LOW);
}

export function sourceHigh(view: DataView, at: number): number {
  return view.getUint16(at + SOURCE_HIGH);
}

export function sourceLow(view: DataView, at: number): number {
  return view.getInt32(at + SOURCE_LOW);
}

export function etherType(view: DataView, at: number): number {
  return view.getUint16(at + TYPE);
}
