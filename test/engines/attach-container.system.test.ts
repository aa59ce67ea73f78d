/** The classic exercise with real engines: containers without a network, attached by their names. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CliResult, eventually, runCli, TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, IDLE, OUTSIDE_ADDRESS } from './docker-world.js';

describeSystem('attach --container: docker', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  let daemon: TestDaemon;

  function tapbridge(...args: string[]): Promise<CliResult> {
    // No podman: a machine that has one is not asked.
    return runCli(args, { TAPBRIDGE_SOCKET: daemon.socket, PATH: '/nonexistent', ...world.engine.environment });
  }

  beforeAll(async () => {
    world = await DockerWorld.open({ tapbridge: false });
    daemon = await TestDaemon.start(world.lab, world.host);
    await daemon.client.createBridge({ name: 'tb0', subnet: '10.77.0.0/24' });
  });

  afterAll(async () => {
    await world?.close();
    await daemon?.close();
  });

  test('two containers reach each other and the outside, and are shown by name', async () => {
    const web = await world.run('web', 'none', [], IDLE);
    await world.run('db', 'none', [], IDLE);
    const attached = await tapbridge('attach', 'tb0', 'web', '--container', 'web', '--ip', 'auto');
    expect(attached).toMatchObject({
      status: 0,
      stdout: 'web attached to tb0: eth0 in container docker:web with 10.77.0.2/24\n',
    });
    expect(await tapbridge('attach', 'tb0', 'port2', '--container', 'docker:db', '--ip', 'auto')).toMatchObject({ status: 0 });
    for (const address of ['10.77.0.3', '10.77.0.1', OUTSIDE_ADDRESS])
      await world.exec('web', 'ping', '-c', '1', '-W', '2', address);

    expect(await daemon.client.getPort('tb0', 'web')).toMatchObject({ container: { engine: 'docker', id: web, name: 'web' } });
    const { stdout } = await tapbridge('show', 'tb0', 'ports');
    expect(stdout).toMatch(/^port2 .* docker:db +/m);
    // A container's name, and the beginning of its id, stand for its port.
    expect((await daemon.client.getPort('tb0', 'db')).name).toBe('port2');
    expect((await daemon.client.getPort('tb0', web.slice(0, 12))).name).toBe('web');
  });

  test('a container that ends takes its port with it, and comes back by being attached again', async () => {
    await world.engine.ask('rm', '--force', 'db');
    expect(await eventually(async () => (await daemon.client.listPorts('tb0')).every(({ name }) => name !== 'port2'))).toBe(true);
    await world.run('db', 'none', [], IDLE);
    expect(await tapbridge('attach', 'tb0', 'port2', '--container', 'db', '--ip', '10.77.0.3')).toMatchObject({ status: 0 });
    await world.exec('db', 'ping', '-c', '1', '-W', '2', '10.77.0.2');
  });

  test.each([
    ['host', 'host', "uses the host's own network; start it with a network of its own: docker run --network none"],
    ['bridged', 'bridge', 'choose another name with --ifname'],
  ])('a container with --network %s', async (name, network, said) => {
    await world.run(name, network, [], IDLE);
    const { status, stderr } = await tapbridge('attach', 'tb0', name, '--container', name);
    expect(status).toBe(1);
    expect(stderr).toContain(said);
  });

  test('a second interface beside the engine’s own', async () => {
    expect(await tapbridge('attach', 'tb0', 'two', '--container', 'bridged', '--ifname', 'tb0', '--ip', 'auto')).toMatchObject({
      status: 0,
    });
    await world.exec('bridged', 'ping', '-c', '1', '-W', '2', '10.77.0.2');
  });

  test('a container that does not run, and one there is not', async () => {
    await world.run('ended', 'none', [], ['true']);
    await eventually(async () => (await world.engine.inspect('ended', '{{.State.Running}}')) === 'false');
    expect((await tapbridge('attach', 'tb0', 'x', '--container', 'ended')).stderr).toBe(
      'tapbridge: attach x: container ended of docker is not running; start it: docker start ended\n',
    );
    expect((await tapbridge('attach', 'tb0', 'x', '--container', 'nobody')).stderr).toBe(
      'tapbridge: attach x: there is no container nobody in docker; see docker ps -a\n',
    );
  });
});

describeSystem('attach --container: podman', ['bpf', 'tap', 'docker', 'podman'], () => {
  let world: DockerWorld;
  let daemon: TestDaemon;
  let path: string;

  function podman(...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const running = world.start(world.host, join(path, 'podman'), ...args);
      void running.ended.then((status) =>
        status === 0 ? resolve(running.stdout.trim()) : reject(new Error(`podman ${args.join(' ')}: ${running.stderr}`)),
      );
    });
  }

  function tapbridge(...args: string[]): Promise<CliResult> {
    return runCli(args, { TAPBRIDGE_SOCKET: daemon.socket, PATH: path, ...world.engine.environment });
  }

  beforeAll(async () => {
    world = await DockerWorld.open({ tapbridge: false });
    daemon = await TestDaemon.start(world.lab, world.host);
    path = join(world.lab.folder, 'path');
    writePodman(path, join(world.lab.folder, 'podman'));
    await podman('import', '--quiet', join(world.lab.folder, 'image.tar'), 'box');
    await daemon.client.createBridge({ name: 'tb1', subnet: '10.78.0.0/24' });
  });

  afterAll(async () => {
    await podman('rm', '--force', '--all', '--time', '0').catch(() => {});
    await world?.close();
    await daemon?.close();
  });

  test('by the program, beside a docker that has no such container', async () => {
    const id = await podman('run', '--detach', '--network', 'none', '--name', 'shop', 'box', ...IDLE);
    expect(await tapbridge('attach', 'tb1', 'shop', '--container', 'shop', '--ip', 'auto')).toMatchObject({ status: 0 });
    expect((await daemon.client.getPort('tb1', 'shop')).container).toEqual({ engine: 'podman', id, name: 'shop' });
    await podman('exec', 'shop', 'ping', '-c', '1', '-W', '2', '10.78.0.1');
  });

  test('by its API', async () => {
    const socket = join(world.lab.folder, 'podman.sock');
    world.start(world.host, join(path, 'podman'), 'system', 'service', '--time', '0', `unix://${socket}`);
    await podman('run', '--detach', '--network', 'none', '--name', 'till', 'box', ...IDLE);
    const environment = { TAPBRIDGE_SOCKET: daemon.socket, PATH: '/nonexistent', CONTAINER_HOST: `unix://${socket}` };
    const attach = () => runCli(['attach', 'tb1', 'till', '--container', 'podman:till', '--ip', 'auto'], environment);
    expect(await eventually(async () => (await attach()).status === 0)).toBe(true);
    expect((await daemon.client.getPort('tb1', 'till')).container).toMatchObject({ engine: 'podman', name: 'till' });
    await podman('exec', 'till', 'ping', '-c', '1', '-W', '2', '10.78.0.2');
  });

  test('both engines have a container of that name', async () => {
    await world.run('shop', 'none', [], IDLE);
    expect((await tapbridge('attach', 'tb1', 'x', '--container', 'shop')).stderr).toBe(
      'tapbridge: attach x: both docker and podman have a container shop; write docker:shop or podman:shop\n',
    );
    expect(await tapbridge('attach', 'tb1', 'x', '--container', 'docker:shop', '--ip', 'auto')).toMatchObject({ status: 0 });
    await world.exec('shop', 'ping', '-c', '1', '-W', '2', '10.78.0.2');
  });
});

/** A `podman` with all its state in one folder, for a PATH. Neither its limits nor its cgroups need more than containers have. */
function writePodman(path: string, folder: string): void {
  const settings = [
    '[containers]',
    'log_driver = "k8s-file"',
    'default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]',
    '[engine]',
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    'runtime = "runc"',
    `tmp_dir = "${folder}/tmp"`,
  ];
  for (const each of [path, folder]) mkdirSync(each, { recursive: true });
  writeFileSync(join(folder, 'containers.conf'), `${settings.join('\n')}\n`);
  const program = [
    '#!/bin/sh',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    `export PATH CONTAINERS_CONF=${folder}/containers.conf`,
    `exec podman --root ${folder}/root --runroot ${folder}/run --storage-driver vfs "$@"`,
  ];
  writeFileSync(join(path, 'podman'), `${program.join('\n')}\n`);
  chmodSync(join(path, 'podman'), 0o755);
}
