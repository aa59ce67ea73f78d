/** Versions of the specification this plugin speaks, oldest first. */
import { CniError, Code } from './cni-error.js';

export const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type Version = (typeof VERSIONS)[number];
export const NEWEST: Version = '1.1.0';

export function isVersion(value: unknown): value is Version {
  return (VERSIONS as readonly unknown[]).includes(value);
}

export function atLeast(version: Version, other: Version): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(other);
}

/** @throws CniError 1 */
export function requireVersion(verb: string, version: Version, from: Version): void {
  if (atLeast(version, from)) return;
  throw new CniError(Code.incompatibleVersion, `${verb} needs cniVersion ${from} or later, the configuration has ${version}`);
}
