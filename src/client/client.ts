/**
 * The API for programs: one method per route, plain objects in and out.
 *
 *     const client = connect();
 *     await client.createBridge({ name: 'tb0', subnet: '10.1.0.0/24' });
 *     const port = await client.attach('tb0', { port: 'web', netns: 'web', ip: 'auto' });
 *
 * Each request has a connection of its own; nothing keeps the process running between requests.
 */
import type { IncomingMessage } from 'node:http';
import type {
  AddFdb,
  AddNeighbor,
  AddPublish,
  AttachPort,
  BridgeInfo,
  CaptureOptions,
  ChangeBridge,
  ChangePort,
  CountersInfo,
  CreateBridge,
  FdbInfo,
  FlowEvent,
  FlowInfo,
  FlowQuery,
  GatewayInfo,
  HealthInfo,
  NeighborInfo,
  PortInfo,
  PublishInfo,
  RemovePublish,
  UplinkInfo,
  VersionInfo,
} from '../control/model.js';
import { CAPTURE_HEADER, DEFAULT_SOCKET, socketPathProblem } from '../control/paths.js';
import { ClientError } from './client-error.js';
import { jsonLines } from './json-lines.js';
import { query, sendForJson, sendForStream } from './requests.js';

/** A running capture: pcapng as it comes. */
export interface Capture extends AsyncIterable<Uint8Array> {
  /** Ends it in order: what is left and the statistics still come, then the iteration ends. */
  end(): Promise<void>;
  /** Drops it at once. */
  close(): void;
}

/** Events of flows as they come, in the bunches they came in; without end, until it is closed or the daemon ends. */
export interface FlowWatch extends AsyncIterable<FlowEvent[]> {
  /** Ends it at once. */
  close(): void;
}

/** Milliseconds until an answer has to begin. Looking takes a second or two at most; a change waits for those before it, and so does a capture. */
const PATIENCE = { look: 10_000, change: 120_000 };

export class Client {
  readonly socketPath: string;
  private readonly patience: typeof PATIENCE;

  /** @param patience milliseconds until an answer has to begin; default: 10 s, and 120 s for changes */
  constructor(socketPath: string, patience?: number) {
    this.socketPath = socketPath;
    this.patience = patience === undefined ? PATIENCE : { look: patience, change: patience };
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

  listPublishes(bridge: string): Promise<PublishInfo[]> {
    return this.json('GET', at(bridge, 'publishes'));
  }

  publish(bridge: string, request: AddPublish): Promise<PublishInfo> {
    return this.json('POST', at(bridge, 'publishes'), request);
  }

  /** `hostAddress` null is one for all addresses of the host; absent: whichever there is. */
  unpublish(bridge: string, request: RemovePublish): Promise<void> {
    const hostAddress = request.hostAddress === null ? '0.0.0.0' : request.hostAddress;
    return this.json('DELETE', `${at(bridge, 'publishes')}${query({ ...request, hostAddress })}`);
  }

  /** The flows in pages as they come; nothing is held but the page. @throws ClientError, also when the list is cut off */
  async *listFlows(bridge: string, filter: FlowQuery = {}): AsyncGenerator<FlowInfo[]> {
    yield* jsonLines<FlowInfo>(await this.stream(`${at(bridge, 'flows')}${query({ ...filter })}`));
  }

  /** @returns how many ended */
  async flushFlows(bridge: string, filter: FlowQuery = {}): Promise<number> {
    return (await this.json<{ ended: number }>('DELETE', `${at(bridge, 'flows')}${query({ ...filter })}`)).ended;
  }

  /** Resolves once it runs. */
  async watchFlows(bridge: string, filter: FlowQuery = {}): Promise<FlowWatch> {
    const answer = await this.stream(`${at(bridge, 'flows', 'watch')}${query({ ...filter })}`);
    let closed = false;
    const close = (): void => {
      closed = true;
      answer.destroy();
    };
    return { [Symbol.asyncIterator]: () => jsonLines<FlowEvent>(answer, () => closed), close };
  }

  listUplinks(): Promise<UplinkInfo[]> {
    return this.json('GET', '/v1/uplinks');
  }

  gateway(): Promise<GatewayInfo> {
    return this.json('GET', '/v1/gateway');
  }

  /** Also of a daemon that fails. */
  health(): Promise<HealthInfo> {
    return sendForJson({ socketPath: this.socketPath, path: '/healthz', patience: this.patience.look }, [503]);
  }

  version(): Promise<VersionInfo> {
    return this.json('GET', '/version');
  }

  /** Resolves once the capture runs. */
  async capture(bridge: string, options: CaptureOptions = {}): Promise<Capture> {
    const answer = await this.stream(`${at(bridge, 'capture')}${query({ ...options })}`, this.patience.change);
    const number = String(answer.headers[CAPTURE_HEADER]);
    return {
      [Symbol.asyncIterator]: () => answer[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
      end: () => this.json('DELETE', `/v1/captures/${encodeURIComponent(number)}`),
      close: () => void answer.destroy(),
    };
  }

  private json<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const patience = method === 'GET' ? this.patience.look : this.patience.change;
    return sendForJson({ socketPath: this.socketPath, method, path, body, patience });
  }

  private stream(path: string, patience = this.patience.look): Promise<IncomingMessage> {
    return sendForStream({ socketPath: this.socketPath, path, patience });
  }
}

/**
 * A client of the daemon at a socket; connects with each request.
 * @param socketPath default: TAPBRIDGE_SOCKET, or /run/tapbridge/tapbridge.sock
 * @param patience milliseconds until an answer has to begin; default: 10 s, and 120 s for changes
 * @throws ClientError for a path no socket can have
 */
export function connect(socketPath: string = process.env['TAPBRIDGE_SOCKET'] || DEFAULT_SOCKET, patience?: number): Client {
  const problem = socketPathProblem(socketPath);
  if (problem !== undefined) throw new ClientError('invalid', problem, 'name another socket', 0);
  return new Client(socketPath, patience);
}

function at(bridge: string, ...rest: string[]): string {
  return `/v1/bridges/${[bridge, ...rest].map(encodeURIComponent).join('/')}`;
}
