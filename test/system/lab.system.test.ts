/** A lab of two hosts with real stacks: they reach each other over a bare pair and over the kernel's bridge, and leave nothing behind. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compiledModule } from '../../src/lab/compiled.js';
import { connectHosts, makeKernelBridge, plugIntoKernelBridge } from '../../src/lab/connect-hosts.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { Netns } from '../../src/netlink/netns.js';
import { describeSystem } from '../helpers/requirements.js';

const A = '198.18.0.1';
const B = '198.18.0.2';

function names(prefix: string): string[] {
  return Netns.list().filter((name) => name.startsWith(`${prefix}-${process.pid}-`));
}

/** A process that has ended, or whose parent has not asked for its status yet. */
function gone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return true;
  }
}

describeSystem('lab: two hosts', ['root'], () => {
  let lab: Lab;
  let a: LabHost;
  let b: LabHost;

  beforeEach(async () => {
    lab = Lab.create('tblab');
    [a, b] = await Promise.all([lab.host('a'), lab.host('b')]);
  });
  afterEach(() => lab.close());

  test('veth pair: ping, and the neighbor it resolved', async () => {
    connectHosts(a, A, b, B);
    const { sent, received, rttMicros } = await a.ping({ address: B, count: 5 });
    expect({ sent, received }).toEqual({ sent: 5, received: 5 });
    expect(rttMicros.every((micros) => micros > 0)).toBe(true);
    const mac = b.namespace.interfaces().find(({ name }) => name === 'eth0')?.mac;
    expect(a.namespace.neighbors('eth0')).toMatchObject([{ address: B, mac }]);
  });

  test('kernel bridge: ping, tcp stream intact, udp answered', async () => {
    const middle = lab.namespace('bridge');
    makeKernelBridge(middle, 'br0');
    plugIntoKernelBridge(a, A, middle, 'br0');
    plugIntoKernelBridge(b, B, middle, 'br0');
    // The kernel may take a second to tell the bridge of a new carrier.
    expect((await a.ping({ address: B, count: 2, intervalMillis: 1, timeoutMillis: 5000 })).received).toBe(2);

    const server = await b.tcpServe();
    const [sent, received] = await Promise.all([
      a.tcpSend({ address: B, port: server.port, bytes: 20_000_003 }),
      server.result(),
    ]);
    expect(sent.bytes).toBe(20_000_003);
    expect(received).toMatchObject({ bytes: 20_000_003, intact: true });

    const echo = await b.udpServe();
    expect(await a.udpSend({ address: B, port: echo.port, count: 50, payload: 1200 })).toEqual({ sent: 50, answered: 50 });
  });

  test('an address nobody has: lost echoes, no error; no route: an error with its code', async () => {
    connectHosts(a, A, b, B);
    expect(await a.ping({ address: '198.18.0.77', count: 1, timeoutMillis: 50 })).toEqual({
      sent: 1,
      received: 0,
      rttMicros: [],
    });
    await expect(a.ping({ address: '203.0.113.1', count: 1 })).rejects.toMatchObject({ code: 'ENETUNREACH' });
  });

  test('a served port that is taken is an error', async () => {
    const { port } = await b.tcpServe();
    await expect(b.tcpServe(port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('close: no namespace, no process, and pending requests fail', async () => {
    connectHosts(a, A, b, B);
    const pids = [a.pid, b.pid];
    expect(names('tblab')).toHaveLength(2);
    const server = await b.tcpServe();
    const pending = server.result();
    const failed = expect(pending).rejects.toThrow(/host b was closed/);
    await lab.close();
    await failed;
    expect(names('tblab')).toEqual([]);
    expect(pids.map(gone)).toEqual([true, true]);
    await lab.close();
    await expect(a.ping({ address: B, count: 1 })).rejects.toThrow(/closed/);
    await expect(lab.host('c')).rejects.toThrow(/closed/);
  });

  test('a host that dies fails its requests, the lab still closes', async () => {
    const server = await b.tcpServe();
    const failed = expect(server.result()).rejects.toThrow(/host b ended: SIGKILL/);
    process.kill(b.pid, 'SIGKILL');
    await failed;
    await lab.close();
    expect(names('tblab')).toEqual([]);
  });

  test('two hosts of one name: refused, the first one stays', async () => {
    await expect(lab.host('a')).rejects.toThrow(/exists/);
    expect(names('tblab')).toHaveLength(2);
  });

  test('run: a script inside a namespace sees its interfaces', async () => {
    connectHosts(a, A, b, B);
    const script = new URL('../fixtures/print-interfaces.mjs', import.meta.url).pathname;
    const program = lab.run(a.namespace, script, ['hello'], { stdio: 'pipe' });
    let output = '';
    program.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const status = await new Promise((resolve) => program.once('close', resolve));
    expect({ status, output }).toEqual({ status: 0, output: 'hello eth0 lo\n' });
  });

  test('start: a program inside a namespace; this process stays where it was', async () => {
    const home = readlinkSync('/proc/self/ns/net');
    const program = lab.start(a.namespace, 'readlink', ['/proc/self/ns/net'], { stdio: 'pipe' });
    expect(readlinkSync('/proc/self/ns/net')).toBe(home);
    let output = '';
    program.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const status = await new Promise((resolve) => program.once('close', resolve));
    expect({ status, output: output.trim() }).toEqual({ status: 0, output: readlinkSync(`/proc/${a.pid}/ns/net`) });
  });

  test('inside: back again also when the work throws', () => {
    const home = readlinkSync('/proc/thread-self/ns/net');
    const inside = a.namespace.inside(() => readlinkSync('/proc/thread-self/ns/net'));
    expect(inside).toBe(readlinkSync(`/proc/${a.pid}/ns/net`));
    const failing = (): never => {
      throw new Error('the work failed');
    };
    expect(() => a.namespace.inside(failing)).toThrow('the work failed');
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home);
  });
});

describeSystem('lab: interrupted', ['root'], () => {
  /** Runs a lab in a process of its own until it has its namespaces, then signals it. */
  async function interrupt(signal: NodeJS.Signals): Promise<{ end: unknown; left: string[]; program: number; folder: string }> {
    const prefix = `tbint${process.pid}`;
    const script = new URL('../fixtures/open-lab.mjs', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, compiledModule('lab.js'), prefix], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve));
    const [pid, folder] = said.toString().trim().split(' ');
    expect(gone(Number(pid))).toBe(false);
    expect(readdirSync('/run/netns').filter((name) => name.startsWith(prefix))).toHaveLength(1);
    child.kill(signal);
    const end = await new Promise((resolve) => child.once('exit', (status, ended) => resolve(ended ?? status)));
    return { end, left: readdirSync('/run/netns').filter((name) => name.startsWith(prefix)), program: Number(pid), folder };
  }

  test('SIGINT: programs, namespaces and the folder are removed, and the signal ends the process', async () => {
    const { end, left, program, folder } = await interrupt('SIGINT');
    expect({ end, left }).toEqual({ end: 'SIGINT', left: [] });
    await expect.poll(() => gone(program)).toBe(true);
    expect(existsSync(folder)).toBe(false);
  });

  test('SIGKILL: programs end; the next lab of the same prefix removes what was left', async () => {
    const { end, left, program, folder } = await interrupt('SIGKILL');
    expect(end).toBe('SIGKILL');
    await expect.poll(() => gone(program)).toBe(true);
    expect(left).toHaveLength(1);
    expect(existsSync(folder)).toBe(true);
    await Lab.create(`tbint${process.pid}`).close();
    expect(existsSync(`/run/netns/${left[0]}`)).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });
});
