/**
 * Reading a configuration field by field, with what is wrong as a CNI error. By hand and not with zod, which the daemon uses: loading it takes 40 ms,
 * three quarters of a start of Node, and every call would pay that.
 */
import { CniError, Code } from './cni-error.js';

export type Fields = Record<string, unknown>;

/** @param what names the value in messages @throws CniError 7 */
export function objectOf(what: string, value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what, 'an object', value);
  return value as Fields;
}

/** null and absent are the same: runtimes written in Go send both. @throws CniError 7 */
export function objectAt(from: Fields, key: string): Fields | undefined {
  return given(from[key]) ? objectOf(key, from[key]) : undefined;
}

export function textAt(from: Fields, key: string): string | undefined {
  const value = from[key];
  if (!given(value)) return undefined;
  if (typeof value !== 'string') throw wrong(key, 'a text', value);
  return value;
}

export function booleanAt(from: Fields, key: string): boolean | undefined {
  const value = from[key];
  if (!given(value)) return undefined;
  if (typeof value !== 'boolean') throw wrong(key, 'true or false', value);
  return value;
}

export function wholeAt(from: Fields, key: string, range: { min: number; max: number }): number | undefined {
  const value = from[key];
  if (!given(value)) return undefined;
  if (!Number.isInteger(value) || (value as number) < range.min || (value as number) > range.max) {
    throw wrong(key, `a whole number from ${range.min} to ${range.max}`, value);
  }
  return value as number;
}

export function listAt(from: Fields, key: string, max: number): unknown[] | undefined {
  const value = from[key];
  if (!given(value)) return undefined;
  if (!Array.isArray(value)) throw wrong(key, 'a list', value);
  if (value.length > max) throw new CniError(Code.invalidConfig, `${key} has ${value.length} entries, at most ${max} are taken`);
  return value;
}

export function textsAt(from: Fields, key: string, max: number): string[] | undefined {
  const list = listAt(from, key, max);
  for (const each of list ?? []) if (typeof each !== 'string') throw wrong(`each of ${key}`, 'a text', each);
  return list as string[] | undefined;
}

/** @throws CniError 2 naming the first key that is not among those, and its value */
export function refuseOthers(where: string, from: Fields, known: readonly string[]): void {
  for (const [key, value] of Object.entries(from)) {
    if (!known.includes(key)) throw unsupported(where, key, value, 'tapbridge has no such key');
  }
}

/** @param where '' for the configuration itself, or 'ipam' */
export function unsupported(where: string, key: string, value: unknown, why: string): CniError {
  const name = where === '' ? key : `${where}.${key}`;
  return new CniError(Code.unsupportedField, `unsupported field ${name}: ${shown(value)}`, why);
}

export function wrong(what: string, expected: string, value: unknown): CniError {
  return new CniError(Code.invalidConfig, `${what} must be ${expected}, not ${shown(value)}`);
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null;
}

const MAX_SHOWN = 100;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}
