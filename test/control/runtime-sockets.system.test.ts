/** Sockets a runtime's monitor keeps: taken over, served, and left alone when they are another program's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HostListener } from '../../src/control/host-listener.js';
import { takeRuntimeSockets } from '../../src/control/runtime-sockets.js';
import { loadBinding } from '../../src/native/binding.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { describeSystem } from '../helpers/requirements.js';

/** As podman's: it listens, and never accepts. Says its port. */
const HOLD = `
import { createServer } from 'node:net';
const server = createServer({ pauseOnConnect: true });
server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port) + '\\n'));
`;

describeSystem('sockets of a runtime', ['root'], () => {
  let folder: string;
  let container: Server;
  let holder: ChildProcess | undefined;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-conmon-'));
    container = createServer((socket) => {
      // The end of a listener resets what it serves.
      socket.on('error', () => {});
      socket.end('from the container');
    });
    await new Promise<void>((resolve) => container.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    holder?.kill('SIGKILL');
    container.close();
    rmSync(folder, { recursive: true });
  });

  /** @returns the port a process of that name listens at */
  async function hold(name: string): Promise<number> {
    const program = join(folder, name);
    copyFileSync(process.execPath, program);
    holder = spawn(program, ['--input-type=module', '--eval', HOLD], { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Promise((resolve) => holder?.stdout?.once('data', (chunk) => resolve(Number(chunk))));
  }

  function specFor(hostPort: number, count = 1) {
    const { port } = container.address() as { port: number };
    return {
      protocol: 'tcp' as const,
      hostAddress: parseIpv4('127.0.0.1'),
      hostPort,
      count,
      address: parseIpv4('127.0.0.1'),
      port,
    };
  }

  test('conmon’s: a client that waits there is served, also after another has asked', async () => {
    const port = await hold('conmon');
    const spec = specFor(port);
    const sockets = takeRuntimeSockets(loadBinding(), spec);
    expect(sockets).toHaveLength(1);
    const listener = await HostListener.adopt(spec, sockets ?? []);
    // Two processes may accept now; the one that stops leaves all of them to the listener.
    holder?.kill('SIGSTOP');
    for (let each = 0; each < 2; each++) expect(await askAt(port)).toBe('from the container');
    listener.close();
  });

  test('another program’s: not taken', async () => {
    const port = await hold('nginx');
    expect(takeRuntimeSockets(loadBinding(), specFor(port))).toBeNull();
  });

  test('conmon’s of another container, with that port at another address: not taken', async () => {
    const port = await hold('conmon');
    const at = (address: string) => takeRuntimeSockets(loadBinding(), { ...specFor(port), hostAddress: parseIpv4(address) });
    expect(at('127.0.0.2')).toBeNull();
    expect(at('0.0.0.0')).toBeNull();
  });

  test('not all ports of a range: none is taken', async () => {
    const port = await hold('conmon');
    const descriptors = () => takeRuntimeSockets(loadBinding(), specFor(port, 2));
    expect(descriptors()).toBeNull();
  });
});

function askAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.on('data', (chunk) => (said += chunk));
    socket.once('end', () => resolve(said));
    socket.once('error', reject);
  });
}
