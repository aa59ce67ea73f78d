/** What docs/docker.md tells people to do, done: the example of compose, leaving a network whose driver is gone. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

const EXAMPLE = new URL('../../examples/docker/compose.yaml', import.meta.url);

describeSystem('docker: as the documents say', ['bpf', 'tap', 'docker', 'compose'], () => {
  let world: DockerWorld;

  beforeAll(async () => {
    // An engine that leaves the rules of the host alone: names of containers work without them.
    const settings = { bridge: 'none', iptables: false, 'userland-proxy': false };
    world = await DockerWorld.open({ dockerd: { settings } });
    // Stand-ins for the images of the example.
    const change = `CMD ${JSON.stringify(WEB_SERVER)}`;
    for (const image of ['nginx', 'redis']) {
      await world.engine.ask('import', '--change', change, join(world.lab.folder, 'image.tar'), image);
    }
  });

  afterAll(() => world?.close());

  test('the compose file of the examples', async () => {
    const file = join(world.lab.folder, 'compose.yaml');
    writeFileSync(file, readFileSync(EXAMPLE, 'utf8').replaceAll('driver: tapbridge', `driver: ${world.driver}`));
    const compose = async (...args: string[]) => {
      const program = world.startClient('docker-compose', '--project-name', 'shop', '--file', file, ...args);
      expect(await program.ended, program.stderr).toBe(0);
      return program.stdout;
    };
    await compose('up', '--detach');
    const [web] = (await world.engine.ask('ps', '--quiet', '--filter', 'label=com.docker.compose.service=web')).split('\n');
    const [store] = (await world.engine.ask('ps', '--quiet', '--filter', 'label=com.docker.compose.service=store')).split('\n');
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
    expect(await world.fetch(web, 'http://store/')).toBe('hello');
    expect(await world.fetch(web, 'http://database/')).toBe('hello');
    expect(await world.exec(store, 'ip', 'route')).not.toContain('default');
    await compose('down', '--timeout', '1');
    expect(await world.daemon.client.listBridges()).toEqual([]);
  });

  test('no rule on the host', async () => {
    const rules = world.start(world.host, 'iptables-save');
    await rules.ended;
    expect(rules.stdout.split('\n').filter((line) => line.startsWith('-A'))).toEqual([]);
  });

  test('a container without --network has the loopback alone', async () => {
    expect((await world.engine.ask('run', '--rm', 'nginx', 'ls', '/sys/class/net')).split(/\s+/)).toEqual(['lo']);
  });

  test('a container moves from one network to another', async () => {
    await world.network('old', '--subnet', '10.81.0.0/24');
    await world.network('new', '--subnet', '10.82.0.0/24');
    await world.run('web', 'old', ['--publish', '8080:80'], WEB_SERVER);
    await world.engine.ask('network', 'connect', 'new', 'web');
    await world.engine.ask('network', 'disconnect', 'old', 'web');
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
    expect(await world.exec('web', 'ip', '-o', '-4', 'addr')).toContain('10.82.0.2/24');
    await world.removeContainers();
    await world.engine.ask('network', 'rm', 'old', 'new');
  });

  test('a range of the host for one port, and any port: publishes says which', async () => {
    await world.network('mynet', '--subnet', '10.83.0.0/24');
    await world.run('one', 'mynet', ['--publish', '9000-9010:80'], WEB_SERVER);
    await world.run('two', 'mynet', ['--publish', '9000-9010:80', '--publish', '80'], WEB_SERVER);
    const { stdout } = await world.daemon.cli('publishes', 'mynet', '--json');
    const ports = (JSON.parse(stdout) as { hostPort: number }[])
      .map(({ hostPort }) => hostPort)
      .sort((one, other) => one - other);
    expect(ports.slice(0, 2)).toEqual([9000, 9001]);
    for (const port of ports)
      expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:${port}/`)).toBe('hello');
    // Hairpin; and the host itself, by a socket of its own.
    expect(await world.fetch('one', `http://${HOST_ADDRESS}:9000/`)).toBe('hello');
    expect(await world.fetchFrom(world.host, 'http://127.0.0.1:9000/cgi-bin/who')).toBe('10.83.0.1');
    expect(await world.engine.ask('ps', '--format', '{{.Ports}}')).toBe('');
    await world.removeContainers();
  });

  test('its containers gone, a network can be removed while its driver is away', async () => {
    await world.run('web', 'mynet', [], IDLE);
    await world.removeContainers();
    const api = world.engine.host.slice('unix://'.length);
    const config = join(world.lab.folder, 'tapbridge.yaml');
    writeFileSync(config, JSON.stringify({ docker: { name: world.driver, api } }), { mode: 0o600 });
    await world.daemon.end('SIGTERM');
    const removed = await world.engine.docker('network', 'rm', 'mynet');
    await world.daemon.start('--config', config);
    expect(removed).toMatchObject({ status: 0 });
    expect(await world.engine.ask('network', 'ls', '--quiet', '--filter', 'name=mynet')).toBe('');
    // The driver was not told: what it kept is removed by hand, since Docker has no such network.
    const [bridge] = await world.daemon.client.listBridges();
    expect(await world.daemon.cli('rm', bridge.name)).toMatchObject({ status: 0 });
    await world.daemon.end('SIGKILL');
    await world.daemon.start('--config', config);
    expect(await world.daemon.client.listBridges()).toEqual([]);
  });
});
