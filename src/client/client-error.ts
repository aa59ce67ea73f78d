/** Why a request failed: the daemon's answer, or that there is no daemon to answer. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  /** The daemon's code (see control/control-error), or 'unreachable'. */
  readonly code: string;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;

  constructor(code: string, message: string, hint: string | undefined, status: number) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }
}

/** The socket is there, and nobody answers: the daemon is stopped, or hangs. What was asked for may still be done. */
export class NoAnswer extends ClientError {
  constructor(socketPath: string, millis: number) {
    const message = `the daemon at ${socketPath} does not answer within ${millis / 1000} s`;
    super('unreachable', message, 'is it stopped, or busy? look at its process and log', 0);
  }
}
