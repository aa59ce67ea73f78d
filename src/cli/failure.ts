/** Errors on their way to a person: one line on stderr, `tapbridge: what failed: why; what to do`, and an exit status. */

/** 0 is success, 1 a failure of what was asked, 2 a command that makes no sense. */
export const Exit = { ok: 0, failure: 1, usage: 2 } as const;

/** A command line that is understood and makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** @param doing what was attempted, e.g. 'attach web'; '' for nothing in particular */
export function failureLine(doing: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const hint = (error as { hint?: string } | null)?.hint;
  const parts = `${doing === '' ? '' : `${doing}: `}${message}${hint === undefined ? '' : `; ${hint}`}`;
  // Causes from elsewhere may have several lines; a script reads one.
  return `tapbridge: ${parts.replace(/\s*\n\s*/g, ' ').trim()}\n`;
}

export function exitStatus(error: unknown): number {
  return error instanceof UsageError ? Exit.usage : Exit.failure;
}
