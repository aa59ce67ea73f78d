/** A container engine's API on a socket of its own that knows what it is given. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface FakeContainer {
  id: string;
  name: string;
  running?: boolean;
  pid?: number;
  networkMode?: string;
}

/** 64 hex digits that begin with these. */
export function idOf(beginning: string): string {
  return beginning.padEnd(64, '0');
}

export class FakeDocker {
  readonly socket: string;
  readonly containers: FakeContainer[] = [];
  readonly networks: { id: string; name: string; endpoints: { id: string; container: string; name: string }[] }[] = [];
  /** Of what /version says the engine is made of. */
  component = 'Engine';
  /** Answers everything instead, when it is set. */
  answer: { status: number; text: string } | undefined;
  /** Nothing is answered while it is true. */
  silent = false;
  asked: string[] = [];
  private readonly folder: string;
  private readonly server: Server;

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'tapbridge-engine-'));
    this.socket = join(this.folder, 'engine.sock');
    this.server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? '');
      this.asked.push(path);
      if (this.silent) return;
      const found = this.answer === undefined ? this.find(path) : undefined;
      response.statusCode = this.answer?.status ?? (found === undefined ? 404 : 200);
      response.end(this.answer?.text ?? JSON.stringify(found ?? { message: `no such thing: ${path}` }));
    });
  }

  static async start(): Promise<FakeDocker> {
    const fake = new FakeDocker();
    await new Promise<void>((resolve) => fake.server.listen(fake.socket, resolve));
    return fake;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.folder, { recursive: true });
  }

  private find(path: string): unknown {
    if (path === '/version') return { Version: '20.10.24', Components: [{ Name: this.component, Version: '20.10.24' }] };
    if (path === '/networks') return this.networks.map(({ id, name }) => ({ Id: id, Name: name, Driver: 'tapbridge' }));
    const [, kind, name] = path.split('/');
    if (kind === 'networks') return this.inspectedNetwork(name);
    const found = this.containers.find((each) => each.id.startsWith(name) || each.name === name);
    if (found === undefined) return undefined;
    const { running = true, pid = running ? 4711 : 0, networkMode = 'none' } = found;
    return {
      Id: found.id,
      Name: `/${found.name}`,
      State: { Status: running ? 'running' : 'exited', Running: running, Pid: pid },
      HostConfig: { NetworkMode: networkMode },
    };
  }

  private inspectedNetwork(id: string): unknown {
    const found = this.networks.find((each) => each.id === id);
    if (found === undefined) return undefined;
    const containers = found.endpoints.map((each) => [each.container, { Name: each.name, EndpointID: each.id }]);
    return { Id: found.id, Name: found.name, Driver: 'tapbridge', Containers: Object.fromEntries(containers) };
  }
}
