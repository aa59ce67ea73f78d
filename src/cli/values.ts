/** Values on the command line, in the forms people write them. */
import type { MssClamp } from '../control/model.js';
import { UsageError } from './failure.js';

export function wholeNumber(what: string, text: string): number {
  if (!/^(-?[0-9]+|0x[0-9a-f]+)$/i.test(text))
    throw new UsageError(`${what} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

export function onOff(what: string, text: string): boolean {
  if (['on', 'true', 'yes', '1'].includes(text)) return true;
  if (['off', 'false', 'no', '0'].includes(text)) return false;
  throw new UsageError(`${what} is on or off, not ${JSON.stringify(text)}`);
}

/** '1%' or '0.01' as 0.01. */
export function fraction(what: string, text: string): number {
  const value = /^[0-9.]+%$/.test(text) ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text === '' || !(value >= 0 && value <= 1))
    throw new UsageError(`${what} is a fraction like 1% or 0.01, not ${JSON.stringify(text)}`);
  return value;
}

/** '2', '0.5'; not 0. */
export function positiveNumber(what: string, text: string): number {
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || Number(text) === 0)
    throw new UsageError(`${what} is a number above 0, not ${JSON.stringify(text)}`);
  return Number(text);
}

/** '2', '0.5', '0'. */
export function factor(what: string, text: string): number {
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text))
    throw new UsageError(`${what} is a factor like 2, 0.5 or 0, not ${JSON.stringify(text)}`);
  return Number(text);
}

const UNITS: Record<string, number> = { us: 1, ms: 1000, s: 1_000_000 };

/** '200us', '5ms', '1s' as microseconds. */
export function micros(what: string, text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)(us|ms|s)$/.exec(text);
  if (match === null) throw new UsageError(`${what} is a time like 200us, 5ms or 1s, not ${JSON.stringify(text)}`);
  return Math.round(Number(match[1]) * UNITS[match[2]]);
}

const BITS: Record<string, number> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** '10mbit', '1.5gbit', '64kbit' as bits a second. */
export function bitRate(what: string, text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)([kmg]?bit)$/i.exec(text);
  if (match === null) throw new UsageError(`${what} is a rate like 64kbit, 10mbit or 1.5gbit, not ${JSON.stringify(text)}`);
  return Math.round(Number(match[1]) * BITS[match[2].toLowerCase()]);
}

const BYTES: Record<string, number> = { '': 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** '128k', '1m', '70000' as bytes; k is 1,024. */
export function byteCount(what: string, text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)([kmg]?)$/i.exec(text);
  if (match === null) throw new UsageError(`${what} is a number of bytes like 128k or 1m, not ${JSON.stringify(text)}`);
  return Math.round(Number(match[1]) * BYTES[match[2].toLowerCase()]);
}

const MSS_CLAMPS: readonly string[] = ['auto', 'on', 'off'] satisfies MssClamp[];

export function mssClamp(what: string, text: string): MssClamp {
  if (!MSS_CLAMPS.includes(text)) throw new UsageError(`${what} is auto, on or off, not ${JSON.stringify(text)}`);
  return text as MssClamp;
}

/** An address to translate to; 'none' as null: what is translated to is chosen elsewhere. */
export function egressAddress(what: string, text: string): string | null {
  if (text === 'none') return null;
  if (!/^[0-9]+(\.[0-9]+){3}$/.test(text))
    throw new UsageError(`${what} is an IPv4 address or none, not ${JSON.stringify(text)}`);
  return text;
}
