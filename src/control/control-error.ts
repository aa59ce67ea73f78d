/** Why the daemon will not do something, in a form every front end can show: one sentence, and what to do. */
export type ControlErrorCode =
  /** The request makes no sense, whatever exists. */
  | 'invalid'
  /** What it names does not exist. */
  | 'not-found'
  /** What it would make exists, or is in use. */
  | 'conflict'
  /** The rights of the daemon, or the caller's, do not suffice. */
  | 'forbidden'
  /** The kernel or the engine refused. */
  | 'failed';

export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ControlErrorCode;
  /** What to do about it, as an imperative. */
  readonly hint: string | undefined;

  constructor(code: ControlErrorCode, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}

/** Runs `attempt`; what it throws becomes a ControlError with this code (one that is thrown already stays as it is). */
export function orRefuse<T>(code: ControlErrorCode, attempt: () => T, hint?: string): T {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof ControlError) throw error;
    throw new ControlError(code, error instanceof Error ? error.message : String(error), hint, error);
  }
}
