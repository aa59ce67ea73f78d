/** Newline-delimited JSON as it comes: the values of each chunk together, what is cut waits for the rest of its line. */
import type { Readable } from 'node:stream';
import { ClientError } from './client-error.js';

const NEWLINE = 0x0a;
const MAX_LINE_BYTES = 1 << 20;

/**
 * Leaving the iteration closes the answer.
 * @param closed whether the reader closed it himself, which is no error
 * @throws ClientError when the connection ends before the answer does, or it is no JSON
 */
export async function* jsonLines<T>(answer: Readable, closed: () => boolean = () => false): AsyncGenerator<T[]> {
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const end = chunk.lastIndexOf(NEWLINE);
      if (end < 0) {
        rest = Buffer.concat([rest, chunk]);
        if (rest.length > MAX_LINE_BYTES)
          throw new ClientError('failed', 'the daemon sends a line that does not end', undefined, 0);
        continue;
      }
      const text = Buffer.concat([rest, chunk.subarray(0, end)]).toString('utf8');
      rest = Buffer.from(chunk.subarray(end + 1));
      yield parsed<T>(text);
    }
  } catch (error) {
    if (closed()) return;
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw new ClientError('unreachable', 'the daemon ended the connection before all was sent', 'look at its log', 0);
  }
  if (rest.length > 0) yield parsed<T>(rest.toString('utf8'));
}

function parsed<T>(text: string): T[] {
  const lines = text.split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => JSON.parse(line) as T);
  } catch {
    throw new ClientError('failed', 'the daemon answered in a form that is not understood', 'is it another program?', 0);
  }
}
