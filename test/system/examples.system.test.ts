/** Examples that need a daemon, as a user runs them. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADDRESS, GatewayLab } from '../../src/lab/gateway-lab.js';
import { eventually } from '../helpers/daemon.js';
import { askTcp } from '../helpers/gateway.js';
import { describeSystem } from '../helpers/requirements.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

describeSystem('examples with a daemon', ['root', 'tap'], () => {
  let lab: GatewayLab;
  beforeAll(async () => {
    lab = await GatewayLab.start({ driver: 'tapbridge', prefix: 'tbexamples' });
  });
  afterAll(() => lab?.close());

  /** Runs examples/publish.mjs. */
  function publish(ports: string) {
    const { socketPath } = lab.tapbridge.client;
    const program = spawn(process.execPath, ['examples/publish.mjs', 'tb0', ports, 'c1', socketPath], { cwd: root });
    const result = { stdout: '', stderr: '' };
    program.stdout.on('data', (chunk) => (result.stdout += chunk));
    program.stderr.on('data', (chunk) => (result.stderr += chunk));
    const ended = new Promise((resolve) => program.once('close', resolve));
    return { program, result, ended };
  }

  test('publish: leads a port to a container while it runs, and tells who comes', async () => {
    const server = { host: lab.c1, ...(await lab.c1.request('tcp-listen', { port: 80 })) };
    const { program, result, ended } = publish('8090:80');
    expect(await eventually(() => result.stdout.includes(`port 8090 leads to c1 at ${ADDRESS.c1}:80\n`))).toBe(true);
    const { address } = await askTcp(lab.far, { address: ADDRESS.host, port: 8090 }, server);
    expect(address).toBe(ADDRESS.far);
    const asked = new RegExp(`^${ADDRESS.far}:\\d+ asks ${ADDRESS.host}, ${ADDRESS.c1} answers$`, 'm');
    expect(await eventually(() => asked.test(result.stdout))).toBe(true);
    program.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(result).toMatchObject({ stdout: expect.stringMatching(/\nport 8090 no longer leads anywhere\n$/), stderr: '' });
    expect(await lab.tapbridge.client.listPublishes('tb0')).toEqual([]);
  });

  test('publish of a port that is taken: one line, status 1', async () => {
    await lab.host.request('tcp-listen', { port: 8091 });
    const { result, ended } = publish('8091:80');
    expect(await ended).toBe(1);
    expect(result).toEqual({ stdout: '', stderr: expect.stringMatching(/^port 8091\/tcp of the host is taken by .*\n$/) });
  });
});
