/** An end to waiting for a daemon that does not answer though its socket is there: it is stopped, or hangs. */
import { ClientError } from '../client/client-error.js';

export class NoAnswer extends ClientError {
  constructor(millis: number) {
    super('unreachable', `the daemon does not answer within ${millis / 1000} s`, 'is it stopped? look at its process and log', 0);
  }
}

/** The request goes on; what it answers later is not looked at. @throws NoAnswer after the time */
export async function within<Answer>(millis: number, request: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(millis)), millis);
  });
  try {
    return await Promise.race([request, end]);
  } finally {
    clearTimeout(timer);
  }
}
