/** Refused input in words: a number out of its range says the range and what was given, wherever it was written. */
import { z } from 'zod';

interface Range {
  min: number;
  max: number;
}

const MUST_BE = 'must be';

/** A whole number in a range; without `max`: of `min` or more. */
export function wholeNumber({ min, max }: { min: number; max?: number }) {
  const error = refusal(max === undefined ? `a whole number of ${min} or more` : `a whole number from ${min} to ${max}`);
  const number = z.int({ error }).min(min, { error });
  return max === undefined ? number : number.max(max, { error });
}

/** A number in a range. */
export function numberWithin({ min, max }: Range) {
  const error = refusal(`a number from ${min} to ${max}`);
  return z.number({ error }).min(min, { error }).max(max, { error });
}

/** A number in a range without its lower end. */
export function numberAbove({ min, max }: Range) {
  const error = refusal(`a number above ${min}, at most ${max}`);
  return z.number({ error }).gt(min, { error }).max(max, { error });
}

/** The first problem as one sentence: 'bridges.0.mtu must be ..., not 10'. */
export function problemOf(error: z.ZodError): string {
  const [{ path, message }, ...others] = error.issues;
  const where = path.length === 0 ? '' : `${path.join('.')}${message.startsWith(MUST_BE) ? ' ' : ': '}`;
  return `${where}${message}${others.length > 0 ? ` (and ${others.length} more)` : ''}`;
}

function refusal(what: string) {
  return ({ input }: { input?: unknown }) => {
    const given = typeof input === 'number' || input === null ? input : `a ${typeof input}`;
    return `${MUST_BE} ${what}${input === undefined ? '' : `, not ${given}`}`;
  };
}
