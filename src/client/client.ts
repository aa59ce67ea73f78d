/**
 * The API for programs: one method per route, plain objects in and out.
 *
 *     const client = connect();
 *     await client.createBridge({ name: 'tb0', subnet: '10.1.0.0/24' });
 *     const port = await client.attach('tb0', { port: 'web', netns: 'web', ip: 'auto' });
 *
 * Each request has a connection of its own; nothing keeps the process running between requests.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type {
  AddFdb,
  AddNeighbor,
  AttachPort,
  BridgeInfo,
  CaptureOptions,
  ChangeBridge,
  ChangePort,
  CountersInfo,
  CreateBridge,
  FdbInfo,
  NeighborInfo,
  PortInfo,
  VersionInfo,
} from '../control/model.js';
import { CAPTURE_HEADER, DEFAULT_SOCKET, socketPathProblem } from '../control/paths.js';
import { ClientError } from './client-error.js';

const MAX_ANSWER_BYTES = 64 << 20;

/** A running capture: pcapng as it comes. */
export interface Capture extends AsyncIterable<Uint8Array> {
  /** Ends it in order: what is left and the statistics still come, then the iteration ends. */
  end(): Promise<void>;
  /** Drops it at once. */
  close(): void;
}

export class Client {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  listBridges(): Promise<BridgeInfo[]> {
    return this.json('GET', '/v1/bridges');
  }

  getBridge(bridge: string): Promise<BridgeInfo> {
    return this.json('GET', at(bridge));
  }

  createBridge(request: CreateBridge): Promise<BridgeInfo> {
    return this.json('POST', '/v1/bridges', request);
  }

  changeBridge(bridge: string, request: ChangeBridge): Promise<BridgeInfo> {
    return this.json('PATCH', at(bridge), request);
  }

  removeBridge(bridge: string): Promise<void> {
    return this.json('DELETE', at(bridge));
  }

  listPorts(bridge: string): Promise<PortInfo[]> {
    return this.json('GET', at(bridge, 'ports'));
  }

  getPort(bridge: string, port: string): Promise<PortInfo> {
    return this.json('GET', at(bridge, 'ports', port));
  }

  attach(bridge: string, request: AttachPort): Promise<PortInfo> {
    return this.json('POST', at(bridge, 'ports'), request);
  }

  changePort(bridge: string, port: string, request: ChangePort): Promise<PortInfo> {
    return this.json('PATCH', at(bridge, 'ports', port), request);
  }

  detach(bridge: string, port: string): Promise<void> {
    return this.json('DELETE', at(bridge, 'ports', port));
  }

  listFdb(bridge: string): Promise<FdbInfo[]> {
    return this.json('GET', at(bridge, 'fdb'));
  }

  addFdb(bridge: string, request: AddFdb): Promise<void> {
    return this.json('POST', at(bridge, 'fdb'), request);
  }

  removeFdb(bridge: string, mac: string, vlan = 0): Promise<void> {
    return this.json('DELETE', `${at(bridge, 'fdb', mac)}${query({ vlan })}`);
  }

  /** Forgets what was learned. */
  async flushFdb(bridge: string): Promise<number> {
    return (await this.json<{ removed: number }>('DELETE', at(bridge, 'fdb'))).removed;
  }

  listNeighbors(bridge: string): Promise<NeighborInfo[]> {
    return this.json('GET', at(bridge, 'neighbors'));
  }

  addNeighbor(bridge: string, request: AddNeighbor): Promise<void> {
    return this.json('POST', at(bridge, 'neighbors'), request);
  }

  removeNeighbor(bridge: string, ip: string): Promise<void> {
    return this.json('DELETE', at(bridge, 'neighbors', ip));
  }

  counters(bridge: string): Promise<CountersInfo> {
    return this.json('GET', at(bridge, 'counters'));
  }

  version(): Promise<VersionInfo> {
    return this.json('GET', '/version');
  }

  /** Resolves once the capture runs. */
  async capture(bridge: string, options: CaptureOptions = {}): Promise<Capture> {
    const answer = await this.send('GET', `${at(bridge, 'capture')}${query({ ...options })}`);
    if (answer.statusCode !== 200) throw await errorOf(answer);
    const number = String(answer.headers[CAPTURE_HEADER]);
    return {
      [Symbol.asyncIterator]: () => answer[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
      end: () => this.json('DELETE', `/v1/captures/${encodeURIComponent(number)}`),
      close: () => void answer.destroy(),
    };
  }

  private async json<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const answer = await this.send(method, path, body);
    const status = answer.statusCode ?? 0;
    if (status >= 300) throw await errorOf(answer);
    const text = await textOf(answer);
    return (text === '' ? undefined : JSON.parse(text)) as Answer;
  }

  private send(method: string, path: string, body?: object): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const options: RequestOptions = {
      socketPath: this.socketPath,
      method,
      path,
      agent: false,
      headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    };
    return new Promise((resolve, reject) => {
      const sent = httpRequest(options, resolve);
      sent.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(this.socketPath, error)));
      sent.end(text);
    });
  }
}

/**
 * A client of the daemon at a socket; connects with each request.
 * @param socketPath default: TAPBRIDGE_SOCKET, or /run/tapbridge/tapbridge.sock
 * @throws ClientError for a path no socket can have
 */
export function connect(socketPath: string = process.env['TAPBRIDGE_SOCKET'] || DEFAULT_SOCKET): Client {
  const problem = socketPathProblem(socketPath);
  if (problem !== undefined) throw new ClientError('invalid', problem, 'name another socket', 0);
  return new Client(socketPath);
}

function at(bridge: string, ...rest: string[]): string {
  return `/v1/bridges/${[bridge, ...rest].map(encodeURIComponent).join('/')}`;
}

function query(fields: Record<string, string | number | undefined>): string {
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
