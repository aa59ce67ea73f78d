/** Networks and containers by the names Docker's users know. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CliResult, eventually, runCli } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, IDLE, WEB_SERVER } from './docker-world.js';

describeSystem('docker: names', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  let network: string;
  let config: string;

  function tapbridge(...args: string[]): Promise<CliResult> {
    return runCli(args, { TAPBRIDGE_SOCKET: world.daemon.socket });
  }

  async function restart(signal: NodeJS.Signals): Promise<void> {
    await world.daemon.end(signal);
    await world.daemon.start('--config', config);
  }

  /** Names of the containers behind the ports of the network. */
  async function containers(): Promise<(string | null)[]> {
    const ports = await world.daemon.client.listPorts('mynet');
    return ports.flatMap(({ container }) => (container === null ? [] : [container.name]));
  }

  beforeAll(async () => {
    world = await DockerWorld.open();
    // The engine of a test listens where no daemon would look for it.
    config = join(world.lab.folder, 'tapbridge.yaml');
    const api = world.engine.host.slice('unix://'.length);
    writeFileSync(config, JSON.stringify({ docker: { name: world.driver, api } }), { mode: 0o600 });
    await restart('SIGTERM');
    network = await world.network('mynet', '--subnet', '10.79.0.0/24');
  });

  afterAll(() => world?.close());

  test('a network is found by its name, its id and the beginning of its id', async () => {
    expect(await eventually(async () => (await tapbridge('show', 'mynet')).status === 0)).toBe(true);
    const bridge = await world.daemon.client.getBridge('mynet');
    expect(bridge.network).toEqual({ engine: 'docker', id: network, name: 'mynet' });
    for (const name of [network, network.slice(0, 12), bridge.name]) {
      expect((await world.daemon.client.getBridge(name)).name).toBe(bridge.name);
    }
    expect((await tapbridge('ls')).stdout).toMatch(new RegExp(`^${bridge.name} +docker:mynet +10\\.79\\.0\\.0/24 `, 'm'));
  });

  test('ports name their containers; a container’s name stands for its port', async () => {
    const web = await world.run('web', 'mynet', ['--publish', '8080:80'], WEB_SERVER);
    await world.run('db', 'mynet', [], IDLE);
    expect(await eventually(async () => (await containers()).every((name) => name !== null))).toBe(true);
    expect((await containers()).sort()).toEqual(['db', 'web']);
    const port = await world.daemon.client.getPort('mynet', 'web');
    expect(port.container).toEqual({ engine: 'docker', id: web, name: 'web' });
    expect((await tapbridge('publishes')).stdout).toMatch(/^8080\/tcp +docker:web +10\.79\.0\.2:80 +docker:mynet +yes$/m);
    expect((await tapbridge('set', 'mynet', 'web', 'loss=1%')).status).toBe(0);
    expect((await tapbridge('show', 'mynet', 'flows', '--container', 'db')).status).toBe(0);
    expect((await tapbridge('complete', 'ports', 'mynet')).stdout.split('\n')).toContain('web');
  });

  test('a container that is renamed is found by its new name', async () => {
    await world.engine.ask('rename', 'db', 'store');
    expect((await world.daemon.client.getPort('mynet', 'store')).container).toMatchObject({ name: 'store' });
  });

  test('names outlive the daemon', async () => {
    await restart('SIGKILL');
    expect((await tapbridge('show', 'mynet', 'ports')).stdout).toContain('docker:store');
  });

  test('a network is not removed behind the back of Docker', async () => {
    const { status, stderr } = await tapbridge('rm', 'mynet');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^tapbridge: rm mynet: bridge \S+ is the network mynet of Docker; remove it there: docker network rm mynet\n$/,
    );
    await world.removeContainers();
    await world.engine.ask('network', 'rm', 'mynet');
    expect((await tapbridge('show', 'mynet')).stderr).toMatch(/^tapbridge: show mynet: no such bridge: mynet/);
  });
});
