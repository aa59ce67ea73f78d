/** The API over a control that is made up, on a socket of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { SILENT } from '../../src/control/log.js';
import { createApp } from '../../src/daemon/app.js';
import type { FakeControl } from './fake-control.js';

export class FakeServer {
  readonly path: string;
  private readonly folder: string;
  private readonly server: Server;

  private constructor(control: FakeControl) {
    this.folder = mkdtempSync(join(tmpdir(), 'tapbridge-api-'));
    this.path = join(this.folder, 'api.sock');
    this.server = createServer(getRequestListener(createApp(control.asControl(), SILENT).fetch));
  }

  static async start(control: FakeControl): Promise<FakeServer> {
    const fake = new FakeServer(control);
    await new Promise<void>((resolve) => fake.server.listen(fake.path, resolve));
    return fake;
  }

  /** As a daemon that dies does. */
  cutOff(): void {
    this.server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.cutOff();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.folder, { recursive: true });
  }
}
