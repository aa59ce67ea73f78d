/** podman with its CNI backend on tapbridge: what its commands make of the plugin, and that nothing stays behind. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NOTES } from '../../src/control/detach-note.js';
import { eventually } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { CniWorld, HOST_ADDRESS, OUTSIDE_ADDRESS } from './cni-world.js';
import { IDLE, Podman, WEB_SERVER } from './podman.js';

const SLOW = 120_000;

describeSystem('podman', ['bpf', 'tap', 'podman'], () => {
  let world: CniWorld;
  let podman: Podman;
  let network: string;

  beforeAll(async () => {
    world = await CniWorld.open();
    network = world.network('tap');
    podman = await Podman.start(world);
  }, SLOW);
  afterEach(async () => {
    await podman?.removeContainers();
  }, SLOW);
  afterAll(async () => {
    await podman?.close();
    await world?.close();
  }, SLOW);

  async function expectNothingLeft(): Promise<void> {
    expect(await world.ports(network)).toEqual([]);
    expect(world.leased(network)).toEqual([]);
    expect(world.results(network)).toEqual([]);
    expect(await world.daemon.client.listPublishes(world.bridgeOf(network))).toEqual([]);
    expect(world.host.interfaces().map(({ name }) => name)).toEqual(['lo', 'eth0', world.bridgeOf(network)]);
  }

  test(
    'containers reach each other and the outside, and are reached by published ports with the client’s address',
    async () => {
      const id = await podman.start('web', network, ['-p', '8080:80', '-p', '8100-8109:8100-8109/udp'], WEB_SERVER);
      await podman.start('db', network, []);
      await podman.exec('db', 'ping', '-c', '1', '-W', '2', '10.77.0.2');
      await podman.exec('db', 'ping', '-c', '1', '-W', '2', OUTSIDE_ADDRESS);
      expect(await world.fetch(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
      // podman's monitor has the socket; the daemon takes it over.
      expect(await eventually(async () => (await world.fetch(world.host, 'http://127.0.0.1:8080/')) === 'hello')).toBe(true);
      expect(await world.fetch(world.host, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
      const [web] = await world.daemon.client
        .listPorts(world.bridgeOf(network))
        .then((ports) => ports.filter(({ kind }) => kind === 'tap'));
      expect(web).toMatchObject({ interface: 'eth0', ip: '10.77.0.2/24', container: { engine: 'cni', id, name: 'web' } });
      const publishes = await world.daemon.client.listPublishes(world.bridgeOf(network));
      expect(publishes.map(({ protocol, hostPort, hostPortEnd }) => `${hostPort}-${hostPortEnd}/${protocol}`).sort()).toEqual([
        '8080-8080/tcp',
        '8100-8109/udp',
      ]);
      await podman.ask('rm', '--force', '--time', '0', 'web', 'db');
      await expectNothingLeft();
    },
    SLOW,
  );

  test(
    '--ip and --mac-address',
    async () => {
      await podman.start('fixed', network, ['--ip', '10.77.0.50', '--mac-address', '02:aa:bb:cc:dd:ee']);
      expect(await podman.interfaceOf('fixed')).toEqual({ address: '10.77.0.50/24', mac: '02:aa:bb:cc:dd:ee' });
    },
    SLOW,
  );

  test(
    'network reload: the same address and MAC',
    async () => {
      await podman.start('web', network, ['-p', '8080:80'], WEB_SERVER);
      const before = await podman.interfaceOf('web');
      await podman.ask('network', 'reload', 'web');
      expect(await podman.interfaceOf('web')).toEqual(before);
      expect(await world.fetch(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
      expect(await world.ports(network)).toHaveLength(1);
    },
    SLOW,
  );

  test(
    'network disconnect, network connect',
    async () => {
      await podman.start('moving', network, []);
      await podman.ask('network', 'disconnect', network, 'moving');
      await expectNothingLeft();
      await podman.ask('network', 'connect', network, 'moving');
      await podman.exec('moving', 'ping', '-c', '1', '-W', '2', OUTSIDE_ADDRESS);
    },
    SLOW,
  );

  test(
    'kill, then start: the same container in another namespace',
    async () => {
      const id = await podman.start('web', network, ['-p', '8080:80'], WEB_SERVER);
      const [port] = await world.ports(network);
      const before = (await world.daemon.client.getPort(world.bridgeOf(network), port)).netns;
      await podman.ask('kill', 'web');
      await podman.ask('wait', 'web');
      await podman.ask('start', 'web');
      const after = await world.daemon.client.getPort(world.bridgeOf(network), port);
      expect(after.container?.id).toBe(id);
      expect(after.netns).not.toBe(before);
      expect(await world.fetch(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
    },
    SLOW,
  );

  test(
    'a host port that is taken: podman says whose, and nothing half made stays',
    async () => {
      await podman.start('first', network, ['-p', '8080:80'], WEB_SERVER);
      // podman looks for listeners itself; a publish by hand it does not know of.
      const [port] = await world.ports(network);
      await world.daemon.client.publish(world.bridgeOf(network), {
        hostAddress: HOST_ADDRESS,
        hostPort: 8081,
        port: 80,
        portName: port,
      });
      const second = await podman.run('run', '--name', 'second', '--network', network, '-p', '8081:80', 'localhost/box', ...IDLE);
      expect(second.status).toBe(126);
      expect(second.stderr).toMatch(/8081.*(is taken by publish|address already in use)/);
      expect(await world.ports(network)).toEqual([port]);
      expect(world.leased(network)).toHaveLength(1);
    },
    SLOW,
  );

  test(
    'tuning after tapbridge in the list',
    async () => {
      await world.daemon.client.removeBridge(world.bridgeOf(network));
      const chained = world.network('tune', undefined, { type: 'tuning', sysctl: { 'net.core.somaxconn': '500' }, mtu: 1400 });
      await podman.start('tuned', chained, []);
      expect(await podman.exec('tuned', 'cat', '/proc/sys/net/core/somaxconn')).toBe('500');
      expect(await podman.exec('tuned', 'cat', '/sys/class/net/eth0/mtu')).toBe('1400');
      await podman.ask('rm', '--force', '--time', '0', 'tuned');
      expect(await world.ports(chained)).toEqual([]);
      await world.daemon.client.removeBridge(world.bridgeOf(chained));
    },
    SLOW,
  );

  test(
    'the daemon is killed and started between ADD and DEL: the container keeps its network',
    async () => {
      await podman.start('web', network, ['-p', '8080:80'], WEB_SERVER);
      const before = await podman.interfaceOf('web');
      await world.restartDaemon('SIGKILL');
      expect(await podman.interfaceOf('web')).toEqual(before);
      expect(await world.fetch(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
      await podman.ask('rm', '--force', '--time', '0', 'web');
      await expectNothingLeft();
    },
    SLOW,
  );

  test(
    'podman rm while the daemon is down: it finds a note when it comes back',
    async () => {
      const id = await podman.start('orphan', network, ['-p', '8080:80'], WEB_SERVER);
      await world.daemon.end('SIGKILL');
      await podman.ask('rm', '--force', '--time', '0', 'orphan');
      expect(world.leased(network)).toEqual([]);
      expect(existsSync(join(world.daemon.state, NOTES))).toBe(true);
      await world.daemon.start();
      expect(await eventually(async () => (await world.ports(network)).length === 0)).toBe(true);
      await expectNothingLeft();
      expect(id).toMatch(/^[0-9a-f]{64}$/);
    },
    SLOW,
  );
});
