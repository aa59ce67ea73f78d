/** Errors as CNI has them: a number runtimes act on, a short message, and details for the person who reads the log. */

/** Below 100: the specification's; 8 and 999 are the reference plugins' own. From 100 on: tapbridge's (docs/cni.md has the table). */
export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  badEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgain: 11,
  /** STATUS: no ADD can be served. */
  notAvailable: 50,
  /** STATUS: and attached containers suffer, too. */
  limited: 51,
  portInUse: 100,
  noAddress: 101,
  exists: 102,
  moveFailed: 103,
  addressInUse: 104,
  checkFailed: 105,
  internal: 999,
} as const;

export class CniError extends Error {
  override readonly name = 'CniError';
  /** One of `Code`, or what a delegated plugin answered. */
  readonly code: number;
  /** '' for none. */
  readonly details: string;

  constructor(code: number, message: string, details = '') {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** The document a failing call prints. */
export function errorDocument(error: unknown, cniVersion: string): object {
  const { code, message, details } =
    error instanceof CniError ? error : new CniError(Code.internal, error instanceof Error ? error.message : String(error));
  return { cniVersion, code, msg: message, ...(details === '' ? {} : { details }) };
}
