/** Requests over the daemon's socket: one connection each, and every way they can fail as a ClientError. */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { ClientError, NoAnswer } from './client-error.js';

const MAX_ANSWER_BYTES = 64 << 20;

export interface ApiRequest {
  socketPath: string;
  /** Default: GET. */
  method?: string;
  path: string;
  body?: object | undefined;
  /** Milliseconds until the answer has to begin. */
  patience: number;
}

/** The answer as its head came. @throws ClientError when there is none */
function send({ socketPath, method = 'GET', path, body, patience }: ApiRequest): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const options: RequestOptions = {
    socketPath,
    method,
    path,
    agent: false,
    timeout: patience,
    headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
  };
  return new Promise((resolve, reject) => {
    let answered = false;
    const sent = httpRequest(options, (answer) => {
      answered = true;
      // One that has begun may pause: flows are watched for days.
      sent.setTimeout(0);
      resolve(answer);
    });
    // When this process was stopped meanwhile, the timer comes first and the answer behind it.
    const giveUp = () => {
      if (!answered) sent.destroy(new NoAnswer(socketPath, patience));
    };
    sent.on('timeout', () => setImmediate(giveUp));
    sent.on('error', (error) => reject(error instanceof ClientError ? error : unreachable(socketPath, error)));
    sent.end(text);
  });
}

/** An answer that goes on. @throws ClientError when it is an error */
export async function sendForStream(request: ApiRequest): Promise<IncomingMessage> {
  const answer = await send(request);
  if (answer.statusCode !== 200) throw await errorOf(answer);
  return answer;
}

/**
 * The whole answer as JSON, undefined for an empty one.
 * @param answers statuses that are no error, beside those below 300
 * @throws ClientError when it is an error
 */
export async function sendForJson<Answer>(request: ApiRequest, answers: readonly number[] = []): Promise<Answer> {
  const answer = await send(request);
  const status = answer.statusCode ?? 0;
  if (status >= 300 && !answers.includes(status)) throw await errorOf(answer);
  const text = await textOf(answer);
  return (text === '' ? undefined : JSON.parse(text)) as Answer;
}

/** '' or '?a=1&b=2', without the fields that are undefined. */
export function query(fields: Record<string, string | number | undefined>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new ClientError('failed', 'the answer of the daemon is too long', undefined, 0);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function errorOf(answer: IncomingMessage): Promise<ClientError> {
  const status = answer.statusCode ?? 0;
  const text = await textOf(answer);
  try {
    const { code, message, hint } = (JSON.parse(text) as { error: { code: string; message: string; hint?: string } }).error;
    return new ClientError(code, message, hint, status);
  } catch {
    return new ClientError(
      'failed',
      `the daemon answered ${status} in a form that is not understood`,
      'is it another program?',
      status,
    );
  }
}

function unreachable(path: string, error: NodeJS.ErrnoException): ClientError {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return new ClientError(
      'unreachable',
      `the daemon is not running at ${path}`,
      'start it with "tapbridge daemon", or name its socket with --socket',
      0,
    );
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new ClientError(
      'forbidden',
      `no permission to use ${path}`,
      'run as root, or start the daemon with --group for yours',
      0,
    );
  }
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    return new ClientError('unreachable', `the daemon at ${path} ended before it answered`, 'look at its log', 0);
  }
  return new ClientError('unreachable', `cannot reach the daemon at ${path}: ${error.message}`, undefined, 0);
}
