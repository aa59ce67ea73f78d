/** What dies, dies under load: the daemon, the engine, both ways. Containers keep their interfaces, streams go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, OUTSIDE_ADDRESS, type Running, WEB_SERVER } from './docker-world.js';

const SERVE = ['iperf3', '--server'];
/** Long enough for what happens in the middle, slow enough for everybody else on the machine. */
const STREAM = ['--bitrate', '20M', '--time', '8', '--json'];
const STREAM_BYTES = 10_000_000;
/** The streams have begun. */
const RUNNING_MILLIS = 2000;

/** Below those the kernel chooses. */
const CLIENT_PORT = '20000';
const OUTSIDE_PORTS = ['5201', '5202'] as const;
const toOutside = (port: string) => ['--client', OUTSIDE_ADDRESS, '--port', port, '--cport', CLIENT_PORT, ...STREAM];

/** Ends well, and most of it arrived. */
async function finishes(what: string, stream: Running): Promise<void> {
  const status = await stream.ended;
  expect([what, status, stream.stderr, JSON.parse(stream.stdout || '{}').error]).toEqual([what, 0, '', undefined]);
  expect(JSON.parse(stream.stdout).end.sum_received.bytes, what).toBeGreaterThan(STREAM_BYTES);
}

describeSystem('docker: the daemon ends under load', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open();
    await world.network('n1', '--subnet', '10.66.1.0/24', '--ipam-driver', world.driver);
    for (const port of OUTSIDE_PORTS) world.start(world.outside.namespace, 'iperf3', '--server', '--port', port);
    await world.serve(world.outside.namespace, 80);
  });
  afterEach(() => world?.removeContainers());
  afterAll(() => world?.close());

  const configuration = (container: string) =>
    Promise.all([world.exec(container, 'ip', '-o', 'addr', 'show', 'eth0'), world.exec(container, 'ip', 'route')]);

  /** Between containers; out by SNAT, twice from the same port, so that one has another outside, which only the flow table knows; published. */
  async function streams(): Promise<[string, Running][]> {
    await world.run('server', 'n1', ['--publish', '5300:5201'], SERVE);
    await world.run('inner', 'n1', [], SERVE);
    await world.run('client', 'n1', [], IDLE);
    const { namespace } = world.outside;
    return [
      ['between containers', world.startIn('client', 'iperf3', '--client', 'inner', ...STREAM)],
      ['out by SNAT', world.startIn('client', 'iperf3', ...toOutside(OUTSIDE_PORTS[0]))],
      ['out by SNAT from a port that was taken', world.startIn('inner', 'iperf3', ...toOutside(OUTSIDE_PORTS[1]))],
      ['published', world.start(namespace, 'iperf3', '--client', HOST_ADDRESS, '--port', '5300', ...STREAM)],
    ];
  }

  test.each(['SIGKILL', 'SIGTERM'] as const)(
    '%s and a new start: streams finish, containers keep what they have',
    async (signal) => {
      const running = await streams();
      const before = await configuration('client');
      await sleep(RUNNING_MILLIS);
      await world.restartDaemon(signal);
      expect(await configuration('client')).toEqual(before);
      for (const [what, stream] of running) await finishes(what, stream);

      expect(await world.fetch('client', `http://${OUTSIDE_ADDRESS}/cgi-bin/who`)).toBe(HOST_ADDRESS);
      await world.run('late', 'n1', ['--publish', '8080:80'], WEB_SERVER);
      expect(await world.fetch('client', 'http://late/')).toBe('hello');
      expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
    },
  );

  test('killed three times in a row: the same ports, and the next container gets an address of its own', async () => {
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    const before = await world.possessions('n1');
    for (let round = 0; round < 3; round++) await world.restartDaemon('SIGKILL');
    const { interfaces, ports, neighbors, publishes } = before;
    expect(await world.possessions('n1')).toMatchObject({ interfaces, ports, neighbors, publishes });
    await world.run('next', 'n1', [], IDLE);
    expect(await world.addressOf('next', 'n1')).not.toBe(await world.addressOf('web', 'n1'));
    expect(await world.fetch('next', 'http://web/')).toBe('hello');
  });

  test('a container that ends while nobody is there: its port, publish and interface are collected', async () => {
    const before = await world.possessions('n1');
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    await world.daemon.end('SIGKILL');
    const removed = world.engine.docker('rm', '--force', 'web');
    await sleep(1000);
    await world.startDaemon();
    expect((await removed).status).toBe(0);
    const { interfaces, ports, neighbors, publishes } = before;
    const expected = { interfaces, ports, neighbors, publishes };
    await eventually(async () => (await world.possessions('n1')).ports.length === ports.length);
    expect(await world.possessions('n1')).toMatchObject(expected);
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
  });

  test('down while docker calls, back within its patience: the command succeeds', async () => {
    await world.daemon.end('SIGKILL');
    const started = world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    await sleep(3000);
    await world.startDaemon();
    await started;
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
  });

  test('down and stays down: the command fails and names the driver; afterwards nothing is half made', async () => {
    const before = await world.possessions('n1');
    await world.daemon.end('SIGKILL');
    const { status, stderr } = await world.engine.docker(
      'run',
      '--name',
      'web',
      '--network',
      'n1',
      '-p',
      '8080:80',
      'box',
      'true',
    );
    expect(status).not.toBe(0);
    expect(stderr).toContain(world.driver);
    expect(await world.engine.inspect('web', '{{.State.Running}}')).toBe('false');
    await world.startDaemon();
    const { interfaces, ports, neighbors, publishes } = before;
    expect(await world.possessions('n1')).toMatchObject({ interfaces, ports, neighbors, publishes });
    await world.engine.ask('rm', 'web');
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
  });
});
