/** What the daemon refuses, as the CNI error it means. */
import { ClientError } from '../client/client-error.js';
import { CniError, Code } from './cni-error.js';

/**
 * Conflicts that have a code of their own. The API has one code for all of them; its sentences are part of the same release, and the tests of the
 * plugin run against the daemon itself.
 */
const CONFLICTS: readonly [RegExp, number][] = [
  [/^interface .* exists/, Code.exists],
  [/ has a port /, Code.exists],
  [/^no address of /, Code.noAddress],
  [/is taken by port|is the MAC of port|is the bridge's own address/, Code.addressInUse],
  [/^bridge .* (is internal|has no uplink):/, Code.invalidConfig],
];

/** Codes of what has none above. */
export interface Otherwise {
  conflict?: number;
  failed?: number;
  notFound?: number;
}

/** @param doing what was attempted, for the message */
export function daemonError(doing: string, error: unknown, otherwise: Otherwise = {}): unknown {
  if (!(error instanceof ClientError)) return error;
  const details = error.hint ?? '';
  const what = `${doing}: ${error.message}`;
  if (error.code === 'unreachable') return new CniError(Code.tryAgain, what, details);
  if (error.code === 'invalid') return new CniError(Code.invalidConfig, what, details);
  if (error.code === 'forbidden') return new CniError(Code.io, what, details);
  if (error.code === 'conflict') {
    const known = CONFLICTS.find(([form]) => form.test(error.message));
    return new CniError(known?.[1] ?? otherwise.conflict ?? Code.internal, what, details);
  }
  if (error.code === 'not-found') return new CniError(otherwise.notFound ?? Code.internal, what, details);
  return new CniError(otherwise.failed ?? Code.internal, what, details);
}

/** @throws CniError */
export async function ask<Answer>(doing: string, request: Promise<Answer>, otherwise?: Otherwise): Promise<Answer> {
  try {
    return await request;
  } catch (error) {
    throw daemonError(doing, error, otherwise);
  }
}

/** undefined for what does not exist. @throws CniError */
export async function find<Answer>(doing: string, request: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ClientError && error.code === 'not-found') return undefined;
    throw daemonError(doing, error);
  }
}
