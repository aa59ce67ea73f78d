/** Daemons that do not answer: stopped, hanging, or none. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askDaemon } from '../../src/cli/doctor/daemon-health.js';
import { Client } from '../../src/client/client.js';
import { ClientError, NoAnswer } from '../../src/client/client-error.js';

const PATIENCE = 100;

let folder: string;
let socket: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-client-'));
  socket = join(folder, 'api.sock');
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)));
  server = undefined;
  rmSync(folder, { recursive: true });
});

async function serve(listener: RequestListener, patience?: number): Promise<Client> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
  return new Client(socket, patience);
}

test('one that hangs: an error that says so, and the connection ends', async () => {
  let closed = 0;
  const client = await serve((request) => request.on('close', () => closed++), PATIENCE);
  const asked = [client.listBridges(), client.removeBridge('tb0'), client.watchFlows('tb0'), client.health()];
  for (const each of await Promise.allSettled(asked)) {
    expect(each).toMatchObject({ reason: new NoAnswer(socket, PATIENCE) });
  }
  expect(new NoAnswer(socket, PATIENCE).message).toBe(`the daemon at ${socket} does not answer within 0.1 s`);
  await expect.poll(() => closed).toBe(asked.length);
});

test('an answer that has begun may take its time', async () => {
  const client = await serve((_, response) => {
    response.writeHead(200).flushHeaders();
    setTimeout(() => response.end('[]'), 1500);
  }, 1000);
  expect(await client.listBridges()).toEqual([]);
});

test('none, and one that ends instead of an answer', async () => {
  const refused = async (client: Client) => {
    const error: unknown = await client.listBridges().catch((reason) => reason);
    expect(error).toBeInstanceOf(ClientError);
    const { code, message } = error as ClientError;
    return `${code}: ${message}`;
  };
  expect(await refused(new Client(socket))).toBe(`unreachable: the daemon is not running at ${socket}`);
  const client = await serve((request) => request.destroy());
  expect(await refused(client)).toBe(`unreachable: the daemon at ${socket} ended before it answered`);
});

test('tapbridge doctor: one that hangs is a finding', async () => {
  const { findings } = await askDaemon(await serve(() => {}, PATIENCE));
  expect(findings).toMatchObject([{ status: 'fail', found: new NoAnswer(socket, PATIENCE).message }]);
});
