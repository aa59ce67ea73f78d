/** The listener of a publish, with a server on the loopback in the container's place. */
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { HostListener, type ListenerSpec } from '../../src/control/host-listener.js';
import { UdpSessions } from '../../src/control/listener-udp.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { openDescriptors } from '../helpers/descriptors.js';

const LOOPBACK = parseIpv4('127.0.0.1');
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A port that is free on the loopback right now, with `count` free ones behind it, most likely. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function tcpServer(serve: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // The end of a listener resets what it serves.
    socket.on('error', () => {});
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

async function open(spec: Partial<ListenerSpec>): Promise<HostListener> {
  const listener = await HostListener.open({
    protocol: 'tcp',
    hostAddress: LOOPBACK,
    hostPort: 0,
    count: 1,
    address: LOOPBACK,
    port: 0,
    ...spec,
  });
  ends.push(() => listener.close());
  return listener;
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'end');
  return text;
}

async function bound(): Promise<{ socket: UdpSocket; port: number }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  ends.push(() => socket.close());
  return { socket, port: socket.address().port };
}

describe('TCP', () => {
  test('half-close: the client ends its direction and still gets the whole answer', async () => {
    const { port } = await tcpServer(async (socket) => {
      const request = await readAll(socket);
      socket.end(`${request.length} bytes ${'x'.repeat(300_000)}`);
    });
    const hostPort = await freePort();
    await open({ hostPort, port });
    const client = connect({ port: hostPort, host: '127.0.0.1', allowHalfOpen: true });
    const whole = readAll(client);
    client.end('a'.repeat(200_000));
    const answer = await whole;
    expect(answer.slice(0, 12)).toBe('200000 bytes');
    expect(answer).toHaveLength(300_013);
  });

  test('nobody listens in the container: the client is reset', async () => {
    const hostPort = await freePort();
    await open({ hostPort, port: await freePort() });
    const client = connect({ port: hostPort, host: '127.0.0.1' });
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });

  test('close ends the port and what it serves', async () => {
    const accepted: Socket[] = [];
    const { port } = await tcpServer((socket) => {
      accepted.push(socket);
      socket.resume();
      socket.write('hello');
    });
    const hostPort = await freePort();
    const listener = await open({ hostPort, port });
    const client = connect({ port: hostPort, host: '127.0.0.1' });
    client.on('error', () => {});
    await once(client, 'data');
    const closed = new Promise((resolve) => client.once('close', resolve));
    listener.close();
    await closed;
    const again = connect({ port: hostPort, host: '127.0.0.1' });
    const [error] = (await once(again, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    if (!accepted[0].destroyed) await once(accepted[0], 'close');
  });

  test('a port that is taken: the error says by whom, and none of the range stays', async () => {
    const { port: taken } = await tcpServer(() => {});
    const first = taken - 1;
    const refused = open({ hostPort: first, count: 2, port: 80 });
    await expect(refused).rejects.toThrow(
      new RegExp(`^port ${taken}/tcp of the host is taken by .+ \\(process ${process.pid}\\)$`),
    );
    await expect(open({ hostPort: first, count: 1, port: 80 })).resolves.toBeDefined();
  });

  test('an address the host does not have', async () => {
    const refused = open({ hostAddress: parseIpv4('192.0.2.77'), hostPort: await freePort(), port: 80 });
    await expect(refused).rejects.toThrow('the host has no address 192.0.2.77');
  });

  test('a range of 1,000 ports, each to its own', async () => {
    const { port } = await tcpServer((socket) => socket.end('here'));
    // Far from the ephemeral ports, where other tests' sockets are.
    const hostPort = 18_000;
    await open({ hostPort, count: 1000, port: port - 999 });
    expect(await readAll(connect({ port: hostPort + 999, host: '127.0.0.1' }))).toBe('here');
  });
});

describe('UDP', () => {
  test('each client gets its own answers', async () => {
    const server = await bound();
    server.socket.on('message', (data, { port }) => server.socket.send(`${data} from ${port}`, port, '127.0.0.1'));
    const hostPort = 19_500;
    await open({ protocol: 'udp', hostPort, port: server.port });
    const clients = await Promise.all([bound(), bound()]);
    const answers: string[] = [];
    for (const [index, { socket }] of clients.entries()) {
      for (const word of ['one', 'two']) {
        socket.send(`${word} ${index}`, hostPort, '127.0.0.1');
        const [data] = (await once(socket, 'message')) as [Buffer];
        answers.push(data.toString());
      }
    }
    expect(answers.map((answer) => answer.split(' from ')[0])).toEqual(['one 0', 'two 0', 'one 1', 'two 1']);
    const ports = answers.map((answer) => answer.split(' from ')[1]);
    expect(ports[0]).toBe(ports[1]);
    expect(ports[2]).toBe(ports[3]);
    expect(ports[0]).not.toBe(ports[2]);
  });

  test('1,024 sessions: then the one unused for the longest gives way', () => {
    const sessions = new UdpSessions();
    ends.push(() => sessions.close());
    const closed: number[] = [];
    const socket = (number: number) => ({ close: () => void closed.push(number) }) as unknown as UdpSocket;
    for (let number = 0; number < 1024; number++) sessions.add(`c${number}`, socket(number));
    expect(sessions.find('c0')).toBeDefined();
    sessions.add('c1024', socket(1024));
    expect(sessions.size).toBe(1024);
    expect(closed).toEqual([1]);
    sessions.close();
    expect(closed).toHaveLength(1025);
  });

  test('a port that is taken', async () => {
    const { port } = await bound();
    await expect(open({ protocol: 'udp', hostPort: port, port: 53 })).rejects.toThrow(`port ${port}/udp of the host is taken by`);
  });
});

describe('sockets of others that cannot be listened at', () => {
  /** Of a file, which is no socket. */
  function openFile(): { path: string; descriptor: () => number } {
    const folder = mkdtempSync(join(tmpdir(), 'tapbridge-listener-'));
    ends.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'file');
    return { path, descriptor: () => openSync(path, 'w') };
  }

  test.each(['tcp', 'udp'] as const)('%s: all of them are closed, those of later batches, too', async (protocol) => {
    const { path, descriptor } = openFile();
    const sockets = Array.from({ length: 300 }, descriptor);
    expect(openDescriptors(path)).toBe(300);
    const spec = { protocol, hostAddress: LOOPBACK, hostPort: 18_000, count: 300, address: LOOPBACK, port: 80 };
    await expect(HostListener.adopt(spec, sockets)).rejects.toThrow('cannot listen at 127.0.0.1:18000');
    expect(openDescriptors(path)).toBe(0);
  });

  test('one that Node closed is not closed again: its number is another file by then', async () => {
    const { path } = openFile();
    execFileSync('mkfifo', [path]);
    // Node takes it for something to listen at, and finds out when it listens.
    const socket = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const spec = { protocol: 'tcp', hostAddress: LOOPBACK, hostPort: 18_000, count: 1, address: LOOPBACK, port: 80 } as const;
    const refused = HostListener.adopt(spec, [socket]);
    const others: number[] = [];
    ends.push(() => others.forEach(closeSync));
    while (!others.includes(socket) && others.length < 1000) others.push(openSync('/dev/null', 'r'));
    expect(others).toContain(socket);
    await expect(refused).rejects.toThrow('cannot listen');
    expect(fstatSync(socket).isCharacterDevice()).toBe(true);
  });
});
