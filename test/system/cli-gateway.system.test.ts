/** The gateway's commands against a running daemon with an uplink and hosts outside. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FlowEvent, FlowInfo } from '../../src/control/model.js';
import { compiledModule } from '../../src/lab/compiled.js';
import { ADDRESS, GatewayLab } from '../../src/lab/gateway-lab.js';
import { type CliResult, eventually, runCli } from '../helpers/daemon.js';
import { askTcp, askUdp, udpServer } from '../helpers/gateway.js';
import { describeSystem } from '../helpers/requirements.js';

describeSystem('command line: gateway', ['root', 'tap'], () => {
  let lab: GatewayLab;
  beforeAll(async () => {
    lab = await GatewayLab.start({ driver: 'tapbridge', prefix: 'tbcligw' });
  });
  afterAll(() => lab.close());

  const env = () => ({ TAPBRIDGE_SOCKET: lab.tapbridge.client.socketPath });
  const cli = (...args: string[]): Promise<CliResult> => runCli(args, env());
  async function json<T>(...args: string[]): Promise<T> {
    const { stdout, stderr, status } = await cli(...args, '--json');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return JSON.parse(stdout) as T;
  }
  /** What is refused: one line, nothing on standard output. */
  async function refused(...args: string[]): Promise<string> {
    const { stdout, stderr, status } = await cli(...args);
    expect([stdout, status, stderr.split('\n').length]).toEqual(['', 1, 2]);
    return stderr;
  }

  test('flows are listed with both tuples, chosen by filters, and flushed', async () => {
    const dns = { host: lab.far, ...(await udpServer(lab.far, 5353)) };
    const web = { host: lab.far, ...(await lab.far.request('tcp-listen', { port: 8000 })) };
    await askUdp(lab.c1, { address: ADDRESS.far, port: 5353 }, dns);
    await askTcp(lab.c2, { address: ADDRESS.far, port: 8000 }, web);
    const flows = await json<FlowInfo[]>('show', 'tb0', 'flows');
    const udp = flows.find(({ protocol }) => protocol === 'udp') as FlowInfo;
    expect(udp).toMatchObject({
      state: 'replied',
      original: { source: ADDRESS.c1, destination: ADDRESS.far, destinationPort: 5353 },
      reply: { source: ADDRESS.far, destination: ADDRESS.host, sourcePort: 5353 },
      bridge: 'tb0',
      port: 'c1',
      packets: { original: 1, reply: 1 },
    });
    const { stdout } = await cli('show', 'tb0', 'flows', '--proto', 'udp');
    expect(stdout).toMatch(
      new RegExp(
        `^udp +\\d+ REPLIED src=${ADDRESS.c1} dst=${ADDRESS.far} sport=\\d+ dport=5353 .* dst=${ADDRESS.host} .* port=c1\\n$`,
      ),
    );
    const chosen = async (...filter: string[]) =>
      (await json<FlowInfo[]>('show', 'tb0', 'flows', ...filter)).map(({ protocol }) => protocol);
    expect(await chosen('--container', 'c2')).toEqual(['tcp']);
    expect(await chosen('--port', '5353')).toEqual(['udp']);
    expect(await chosen('--address', `${ADDRESS.c1}/32`)).toEqual(['udp']);
    expect((await chosen('--address', ADDRESS.host)).sort()).toEqual(['tcp', 'udp']);
    expect(await chosen('--state', 'TIME_WAIT')).toEqual(['tcp']);
    expect(await chosen('--proto', 'icmp')).toEqual([]);
    expect((await cli('flows', 'flush', 'tb0', '--proto', 'udp')).stdout).toBe('1 flow ended\n');
    expect(await chosen()).toEqual(['tcp']);
    expect((await cli('flows', 'flush', 'tb0')).stdout).toBe('1 flow ended\n');
    expect((await cli('show', 'tb0', 'flows', '--json')).stdout).toBe('[]\n');
  });

  test('flows are watched from their first frame to their end; Ctrl-C ends it with status 0', async () => {
    const program = spawn(process.execPath, [compiledModule('../cli/main.js'), 'flows', 'watch', '--json', '--port', '5354'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env() },
    });
    let text = '';
    program.stdout.on('data', (chunk) => (text += chunk));
    const ended = new Promise((resolve) => program.once('close', resolve));
    const events = () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as FlowEvent);
    const server = { host: lab.near, ...(await udpServer(lab.near, 5354)) };
    const seen = (kind: string) => events().some(({ event }) => event === kind);
    // Only who watches already sees it begin.
    const begun = async () => {
      await askUdp(lab.c1, { address: ADDRESS.near, port: 5354 }, server);
      return seen('new');
    };
    expect(await eventually(begun)).toBe(true);
    expect(await eventually(() => seen('update'))).toBe(true);
    await cli('flows', 'flush', 'tb0');
    expect(await eventually(() => seen('destroy'))).toBe(true);
    program.kill('SIGINT');
    expect(await ended).toBe(0);
    const destroyed = events().find(({ event }) => event === 'destroy');
    expect(destroyed).toMatchObject({ reason: 'flushed', flow: { port: 'c1', original: { destination: ADDRESS.near } } });
    expect(events().every(({ flow }) => flow?.original.destinationPort === 5354)).toBe(true);
  });

  test('ports are published, listed and ended; what the host has is a conflict', async () => {
    const server = { host: lab.c1, ...(await lab.c1.request('tcp-listen', { port: 80 })) };
    expect((await cli('publish', 'tb0', '8080:80', 'c1')).stdout).toBe(`8080/tcp leads to c1 at ${ADDRESS.c1}:80\n`);
    const { address } = await askTcp(lab.far, { address: ADDRESS.host, port: 8080 }, server);
    expect(address).toBe(ADDRESS.far);
    expect(await refused('publish', 'tb0', '8080:81', 'c2')).toMatch(
      /8080\/tcp is taken by publish 8080\/tcp of bridge tb0, port c1/,
    );
    await lab.host.request('tcp-listen', { port: 8081 });
    expect(await refused('publish', 'tb0', '8080-8089:80-89/tcp', 'c2')).toMatch(/taken/);
    expect(await refused('publish', 'tb0', '8081:80', 'c1')).toMatch(/^tapbridge: publish 8081:80: .*8081/);
    expect((await cli('publish', 'tb0', '127.0.0.1:8082:80', 'c1')).status).toBe(0);
    await askTcp(lab.host, { address: '127.0.0.1', port: 8082 }, server);
    const outside = { address: ADDRESS.host, port: 8082, timeoutMillis: 500 };
    await expect(lab.far.request('tcp-open', outside)).rejects.toThrow();
    expect((await cli('show', 'tb0', 'publishes')).stdout).toBe(
      [
        'HOST                CONTAINER     PORT  LISTENER',
        `8080/tcp            ${ADDRESS.c1}:80  c1    yes`,
        `127.0.0.1:8082/tcp  ${ADDRESS.c1}:80  c1    yes`,
        '',
      ].join('\n'),
    );
    expect((await cli('complete', 'publishes', 'tb0')).stdout).toBe('8080/tcp\n127.0.0.1:8082/tcp\n');
    for (const ports of ['8080', '127.0.0.1:8082']) expect((await cli('unpublish', 'tb0', ports)).status).toBe(0);
    expect(await json('show', 'tb0', 'publishes')).toEqual([]);
    await expect(lab.far.request('tcp-open', { ...outside, port: 8080 })).rejects.toThrow();
  });

  test('a thousand ports are published in one request', async () => {
    expect((await cli('publish', 'tb0', '30000-30999:30000-30999/udp', 'c1')).status).toBe(0);
    const server = { host: lab.c1, ...(await udpServer(lab.c1, 30_777)) };
    const { question, answer } = await askUdp(lab.near, { address: ADDRESS.host, port: 30_777 }, server);
    expect([question?.address, answer?.text]).toEqual([ADDRESS.near, 'answer to question']);
    expect(await refused('unpublish', 'tb0', '30000/udp')).toMatch(/there are: 30000-30999\/udp/);
    expect((await cli('unpublish', 'tb0', '30000-30999/udp')).status).toBe(0);
  });

  test('a rule ends what it denies, and says so in the counters', async () => {
    const server = { host: lab.far, ...(await udpServer(lab.far, 7000)) };
    const ask = () => askUdp(lab.c1, { address: ADDRESS.far, port: 7000 }, server, { waitMillis: 300 });
    expect((await ask()).answer).not.toBeNull();
    const rule = ['deny', 'out', '--proto', 'udp', '--ports', '7000', '--container', 'c1'];
    expect((await cli('policy', 'tb0', 'add', ...rule)).stdout).toBe('rule 1 of tb0: deny out udp ports 7000 of c1\n');
    expect((await ask()).question).toBeNull();
    const { drops } = await json<{ drops: Record<string, number> }>('show', 'tb0', 'gateway');
    expect(drops.policy_denied).toBeGreaterThan(0);
    expect((await cli('show', 'tb0')).stdout).toMatch(/\npolicy_denied +\d+ +gateway +a rule denies it\n/);
    expect((await cli('policy', 'tb0', 'rm', '1')).status).toBe(0);
    expect((await ask()).answer).not.toBeNull();
    expect(await refused('policy', 'tb0', 'add', 'deny', '--container', 'nobody')).toMatch(/does not have; there are: c1, c2/);
  });

  test('uplinks and the way out', async () => {
    const [uplink, ...others] = await json<{ interface: string; addresses: string[] }[]>('uplinks');
    expect(others).toEqual([]);
    expect(uplink).toMatchObject({ interface: 'eth0', state: 'up', mtu: 1500, addresses: [ADDRESS.host], bridges: ['tb0'] });
    expect((await cli('show', 'tb0')).stdout).toContain('\nuplink auto: eth0 up, flows translated to its address');
    expect((await cli('set', 'tb0', 'internal=on')).status).toBe(0);
    expect((await cli('show', 'tb0', 'gateway')).stdout).toContain('\ninternal: no way to the outside');
    expect((await cli('set', 'tb0', 'internal=off')).status).toBe(0);
    expect(await refused('set', 'tb0', 'egress=192.0.2.200')).toContain(`there are: ${ADDRESS.host}`);
  });
});
