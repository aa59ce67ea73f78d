/** Connections to a container that does not answer: a server on the loopback whose queue of connections is full, so that the kernel drops each SYN. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test, vi } from 'vitest';
import { listenTcp } from '../../src/control/listener-tcp.js';

const HOST = '127.0.0.1';
/** State of a row of /proc/net/tcp (include/net/tcp_states.h). */
const SYN_SENT = '02';
/** Listens, and never accepts: its thread stands still. */
const SILENT_SERVER = `
const { createServer } = require('node:net');
const { parentPort } = require('node:worker_threads');
const server = createServer().listen({ port: 0, host: '${HOST}', backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});
`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0).toReversed()) await end();
});

/** How many sockets of this host wait for an answer of that port. */
function connecting(port: number): number {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/self/net/tcp', 'utf8').split('\n').slice(1);
  return rows.map((row) => row.trim().split(/\s+/)).filter(([, , to, state]) => to?.endsWith(remote) && state === SYN_SENT)
    .length;
}

/** @returns the port of a server that answers nobody any more */
async function silentServer(): Promise<number> {
  const worker = new Worker(SILENT_SERVER, { eval: true });
  ends.push(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  ends.push(() => {
    for (const filler of fillers) filler.destroy();
  });
  while (connecting(port) === 0) {
    const filler = connect({ port, host: HOST });
    filler.on('error', () => {});
    fillers.push(filler);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const filler of fillers) if (filler.connecting) filler.destroy();
  await expect.poll(() => connecting(port)).toBe(0);
  return port;
}

/** A client of a listener whose container does not answer. */
async function connectThrough(container: number) {
  const free = createServer().listen(0, HOST);
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  const connections = { count: 0 };
  const listening = await listenTcp({ host: HOST, port }, { host: HOST, port: container }, connections);
  ends.push(() => listening.close());
  const client = connect({ port, host: HOST });
  ends.push(() => client.destroy());
  const error = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
  await once(client, 'connect');
  return { connections, listening, error };
}

test('close ends a connection the container has not answered', async () => {
  const container = await silentServer();
  const { connections, listening, error } = await connectThrough(container);
  await expect.poll(() => connecting(container)).toBe(1);
  expect(connections.count).toBe(1);
  listening.close();
  expect((await error)[0].code).toBe('ECONNRESET');
  await expect.poll(() => connecting(container)).toBe(0);
  await expect.poll(() => connections.count).toBe(0);
});

test('a container that does not answer in time: the client is reset, and its place is free again', async () => {
  const container = await silentServer();
  const setTimeout = Socket.prototype.setTimeout;
  vi.spyOn(Socket.prototype, 'setTimeout').mockImplementation(function (this: Socket, millis, callback) {
    return setTimeout.call(this, Math.min(millis, 200), callback);
  });
  const { connections, error } = await connectThrough(container);
  expect((await error)[0].code).toBe('ECONNRESET');
  await expect.poll(() => connecting(container)).toBe(0);
  await expect.poll(() => connections.count).toBe(0);
});
