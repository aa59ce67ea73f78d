/**
 * The part of the HTTP API both Docker and podman have on a unix socket that tapbridge asks: who a container is, what a network is called. Every
 * request has a connection, a deadline and a longest answer of its own; what comes back is checked, unknown fields are nobody's business.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { z } from 'zod';
import { ControlError } from '../control/control-error.js';
import { reasonOf } from '../control/log.js';
import { socketPathProblem } from '../control/paths.js';

/** Where a Docker of the distribution listens. */
export const DOCKER_SOCKET = '/var/run/docker.sock';
export const PODMAN_SOCKET = '/run/podman/podman.sock';

const DEADLINE_MILLIS = 5000;
/** A network with a thousand containers is a few hundred KB. */
const MAX_ANSWER_BYTES = 8 << 20;

const id = z.string().regex(/^[0-9a-f]{12,64}$/);
const name = z.string().min(1).max(256);

/** Also what `podman container inspect` prints, an array of these. */
export const InspectedContainer = z.object({
  Id: id,
  Name: z.string().max(256),
  State: z.object({ Running: z.boolean(), Pid: z.int().min(0) }),
  HostConfig: z.object({ NetworkMode: z.string().default('') }).default({ NetworkMode: '' }),
});
const InspectedNetwork = z.object({
  Id: id,
  Name: name,
  Containers: z
    .record(z.string(), z.object({ Name: z.string().max(256), EndpointID: z.string().max(256).default('') }))
    .nullish(),
});
const ListedNetworks = z.array(z.object({ Id: id, Name: name }));
const Version = z.object({ Components: z.array(z.object({ Name: z.string() })).default([]) });

export interface EngineContainer {
  id: string;
  name: string;
  running: boolean;
  /** Of its first process, as the host sees it; 0 when it does not run. */
  pid: number;
  /** 'none', 'bridge', 'host', 'container:ID', the name of a network ... */
  networkMode: string;
}

export interface EngineNetwork {
  id: string;
  name: string;
  /** Containers that run and are connected. */
  endpoints: { id: string; container: { id: string; name: string } }[];
}

export class EngineApi {
  readonly socketPath: string;
  private readonly deadline: number;

  /** @param deadline milliseconds for each request */
  constructor(socketPath: string, deadline = DEADLINE_MILLIS) {
    this.socketPath = socketPath;
    this.deadline = deadline;
  }

  /** Who answers there: podman speaks Docker's API as well. @throws ControlError failed when nobody does */
  async engine(): Promise<'docker' | 'podman'> {
    const version = await this.get('/version', Version);
    return version?.Components.some((component) => /podman/i.test(component.Name)) === true ? 'podman' : 'docker';
  }

  /** null: there is none. @throws ControlError failed, also when a beginning of an id means several */
  async container(nameOrId: string): Promise<EngineContainer | null> {
    const found = await this.get(`/containers/${encodeURIComponent(nameOrId)}/json`, InspectedContainer);
    return found === null ? null : containerOf(found);
  }

  /** null: there is none. @throws ControlError failed */
  async network(networkId: string): Promise<EngineNetwork | null> {
    const found = await this.get(`/networks/${encodeURIComponent(networkId)}`, InspectedNetwork);
    if (found === null) return null;
    const endpoints = Object.entries(found.Containers ?? {})
      // What has no container yet is listed under 'ep-' and the endpoint's id.
      .filter(([container]) => id.safeParse(container).success)
      .map(([container, { Name, EndpointID }]) => ({ id: EndpointID, container: { id: container, name: Name } }));
    return { id: found.Id, name: found.Name, endpoints };
  }

  /** Without their containers. @throws ControlError failed */
  async networks(): Promise<{ id: string; name: string }[]> {
    const found = (await this.get('/networks', ListedNetworks)) ?? [];
    return found.map(({ Id, Name }) => ({ id: Id, name: Name }));
  }

  private async get<Answer>(path: string, shape: z.ZodType<Answer>): Promise<Answer | null> {
    const abort = AbortSignal.timeout(this.deadline);
    let answer: IncomingMessage;
    let text: string;
    try {
      answer = await send(this.socketPath, path, abort);
      text = await textOf(answer);
    } catch (error) {
      throw this.failure(abort.aborted ? `no answer within ${this.deadline / 1000} s` : reasonOf(error), error);
    }
    if (answer.statusCode === 404) return null;
    if (answer.statusCode !== 200) throw this.failure(messageOf(text) ?? `status ${answer.statusCode}`);
    const result = shape.safeParse(jsonOf(text));
    if (!result.success) throw this.failure('an answer that is not understood: is it a container engine?');
    return result.data;
  }

  private failure(reason: string, cause?: unknown): ControlError {
    return new ControlError('failed', `the container engine at ${this.socketPath}: ${reason}`, undefined, cause);
  }
}

/**
 * The path of a socket that is given as `unix:///path`, as DOCKER_HOST and CONTAINER_HOST are.
 * @throws ControlError invalid for anything else
 */
export function engineSocket(variable: string, address: string): string {
  const path = address.startsWith('unix://') ? address.slice('unix://'.length) : '';
  const problem = path.startsWith('/') ? socketPathProblem(path) : 'only a unix socket of this machine can be asked';
  if (problem === undefined) return path;
  const hint = 'write unix:///PATH';
  throw new ControlError('invalid', `${variable} is ${JSON.stringify(address)}: ${problem}`, hint);
}

export function containerOf({ Id, Name, State, HostConfig }: z.infer<typeof InspectedContainer>): EngineContainer {
  const { Running: running, Pid: pid } = State;
  // Docker writes '/web', podman 'web'.
  return { id: Id, name: Name.replace(/^\//, ''), running: running && pid > 0, pid, networkMode: HostConfig.NetworkMode };
}

function send(socketPath: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ socketPath, path, agent: false, signal, headers: { host: 'localhost' } }, resolve);
    sent.on('error', reject);
    sent.end();
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `{"message": "..."}`, as both engines say what is wrong. */
function messageOf(text: string): string | undefined {
  const result = z.object({ message: z.string().max(1000) }).safeParse(jsonOf(text));
  return result.success ? result.data.message : undefined;
}
