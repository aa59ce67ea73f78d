/**
 * The HTTP side of a Docker plugin: POST /Type.Method, JSON both ways, over a unix socket.
 *
 *     dockerd ─▶ body (bounded, JSON) ─▶ queue: one call after the other ─▶ handler ─▶ answer
 *                                                                            └─ failed, late, nobody there any more ─▶ undone
 *
 * dockerd waits for an answer for ever, so each call has a deadline here. When a connection breaks before the answer, dockerd sends the request again
 * with an empty body (it has read the old one to its end): that is answered with an error, dockerd takes the call for failed, and what it had done must
 * not stay. The same goes for a call that ends after its deadline. So handlers say how to unmake what they make (control/undo.ts).
 *
 * An idle connection stays open for as long as dockerd likes: a request written while Node closes one would be lost, and come again without its body.
 * Limits: bodies of 16 MiB (65,535 published ports are 6); the socket is root's, so connections are not limited. A call that never ends keeps those behind it
 * from beginning: each of them is given up after its own deadline.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ControlError } from '../control/control-error.js';
import { type Log, reasonOf } from '../control/log.js';
import { Serial } from '../control/serial.js';
import { Undo } from '../control/undo.js';

/** Answers one call. What it adds to `undo` is undone when the call fails, or nobody gets the answer. */
export type Handler = (body: unknown, undo: Undo) => Promise<object> | object;

export interface PluginMethod {
  handler: Handler;
  /** A call without arguments: its body is empty. */
  empty?: boolean;
}

export interface PluginServerOptions {
  /** By 'Type.Method'. */
  methods: ReadonlyMap<string, PluginMethod>;
  log: Log;
  /** Milliseconds a call may take, default 30,000. */
  deadline?: number;
}

const DEADLINE_MILLIS = 30_000;
const MAX_BODY_BYTES = 16 << 20;
const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';

export class PluginServer {
  readonly server: Server;
  private readonly methods: ReadonlyMap<string, PluginMethod>;
  private readonly log: Log;
  private readonly deadline: number;
  private readonly serial = new Serial();

  constructor(options: PluginServerOptions) {
    this.methods = options.methods;
    this.log = options.log;
    this.deadline = options.deadline ?? DEADLINE_MILLIS;
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.keepAliveTimeout = 0;
    this.server.requestTimeout = 0;
    this.server.headersTimeout = 0;
  }

  /** Runs something that must not happen during a call. */
  between<T>(work: () => Promise<T>): Promise<T> {
    return this.serial.run(work);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A connection that breaks is the business of `gone` below, not an exception.
    request.on('error', () => {});
    response.on('error', () => {});
    const name = (request.url ?? '').slice(1);
    const method = request.method === 'POST' ? this.methods.get(name) : undefined;
    if (method === undefined) {
      request.resume();
      await send(response, 404, refusal(`tapbridge has no ${request.method} ${request.url}`));
      return;
    }
    const body = await read(request);
    if (body === null) return;
    try {
      await this.answer(name, method, body, response);
    } catch (error) {
      this.log.error({ call: name, reason: reasonOf(error) }, `${name} of Docker failed`);
      await send(response, 200, refusal(reasonOf(error)));
    }
  }

  private async answer(name: string, method: PluginMethod, body: Buffer | 'too long', response: ServerResponse): Promise<void> {
    const began = performance.now();
    const undo = new Undo((error) => this.log.error({ call: name, reason: reasonOf(error) }, 'cannot undo a step'));
    const call = { late: false };
    const gone = () => call.late || response.destroyed;
    const done = this.serial.run(async () => {
      if (gone()) return;
      try {
        const answer = await method.handler(method.empty === true ? {} : parse(body), undo);
        if (!gone() && (await send(response, 200, answer))) return;
      } catch (error) {
        await undo.run();
        throw error;
      }
      this.log.warn({ call: name }, `nobody waits for the answer of ${name} any more: undone`);
      await undo.run();
    });
    const timer = setTimeout(() => {
      call.late = true;
      const seconds = this.deadline / 1000;
      this.log.error({ call: name, seconds }, `${name} takes more than ${seconds} s: given up`);
      void send(response, 200, refusal(`tapbridge did not finish within ${seconds} s: see the log of its daemon`));
    }, this.deadline).unref();
    try {
      await done;
      const millis = Math.round(performance.now() - began);
      this.log.debug({ call: name, millis }, `${name} answered`);
    } catch (error) {
      const text = sentence(error);
      this.log.warn({ call: name, reason: text }, `${name} of Docker is refused`);
      if (!call.late) await send(response, 200, refusal(text));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Network calls look at Err, IPAM calls at Error. */
export function refusal(text: string): { Err: string; Error: string } {
  return { Err: text, Error: text };
}

/** The whole of an error in one line: what is wrong, and what to do. */
export function sentence(error: unknown): string {
  const hint = error instanceof ControlError && error.hint !== undefined ? ` (${error.hint})` : '';
  return `${reasonOf(error)}${hint}`.replace(/\s+/g, ' ');
}

/** null: the connection broke. */
function read(request: IncomingMessage): Promise<Buffer | 'too long' | null> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let length = 0;
    request.on('data', (part: Buffer) => {
      length += part.length;
      // What is too long is read to its end, so that its sender gets the answer.
      if (length <= MAX_BODY_BYTES) parts.push(part);
      else parts.length = 0;
    });
    request.once('end', () => resolve(length > MAX_BODY_BYTES ? 'too long' : Buffer.concat(parts)));
    request.once('close', () => resolve(null));
  });
}

/** @throws ControlError */
function parse(body: Buffer | 'too long'): unknown {
  if (body === 'too long') throw new ControlError('invalid', `a request may have ${MAX_BODY_BYTES} bytes`);
  if (body.length === 0) {
    throw new ControlError('invalid', 'the connection to tapbridge broke during this call, and it was given up', 'try again');
  }
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new ControlError('invalid', 'the request is no JSON');
  }
}

/** @returns whether the kernel took it while the other side was there */
async function send(response: ServerResponse, status: number, answer: object): Promise<boolean> {
  if (response.headersSent || response.destroyed) return false;
  const text = JSON.stringify(answer);
  response.writeHead(status, { 'content-type': CONTENT_TYPE, 'content-length': Buffer.byteLength(text) });
  const { socket } = response;
  const ended = finished(response).then(
    () => true,
    () => false,
  );
  response.end(text);
  if (!(await ended)) return false;
  // A write that failed is told behind its end.
  await nextTurn();
  return !socket?.errored;
}
