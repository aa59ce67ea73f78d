/** What only a real dockerd can say about the drivers: how it takes their answers and errors, and what it asks again after a restart. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, IMAGE, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

const BRIDGE = 'com.docker.network.bridge.';

describeSystem('the drivers under dockerd', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open({ dockerd: { args: ['--bridge=none'] } });
  });
  afterEach(async () => {
    await world.removeContainers();
    await world.engine.ask('network', 'prune', '--force');
  });
  afterAll(() => world?.close());

  const refused = async (...args: string[]) => {
    const { status, stderr } = await world.engine.docker(...args);
    expect(status, stderr).not.toBe(0);
    return stderr;
  };
  const createRefused = (...options: string[]) => refused('network', 'create', '--driver', world.driver, ...options, 'refused');
  const interfaces = (container: string) => world.exec(container, 'ip', '-o', 'link');
  const once = (network: string, options: readonly string[], ...command: string[]) =>
    world.engine.ask('run', '--rm', '--network', network, ...options, IMAGE, ...command);
  const pings = async (container: string, address: string) =>
    (await world.engine.docker('exec', container, 'ping', '-c', '1', '-W', '3', address)).status === 0;
  const bridges = async () => (await world.daemon.client.listBridges()).map(({ name }) => name);

  test('options that cannot be are refused by name, and nothing is made', async () => {
    expect(await createRefused('-o', `${BRIDGE}enable_ip_masquerade=false`)).toContain(
      `${BRIDGE}enable_ip_masquerade=false cannot be`,
    );
    expect(await createRefused('-o', `${BRIDGE}gateway_mode_ipv4=routed`)).toContain('publish the ports');
    expect(await createRefused('-o', 'com.example.colour=red')).toContain('tapbridge knows no option com.example.colour');
    expect(await createRefused('-o', 'mtu=1400')).toContain('write -o com.docker.network.driver.mtu');
    expect(await createRefused('--subnet', '198.19.0.0/25')).toContain("overlaps 198.19.0.1/24 of the host's interface eth0");
    expect(await bridges()).toEqual([]);
  });

  test('options that can be take effect', async () => {
    const options = {
      [`${BRIDGE}name`]: 'lan0',
      [`${BRIDGE}host_binding_ipv4`]: '127.0.0.1',
      'com.docker.network.driver.mtu': '1400',
      'com.docker.network.container_iface_prefix': 'lan',
    };
    await world.network('n', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]));
    await world.run('web', 'n', ['--publish', '8080:80'], WEB_SERVER);
    expect(await interfaces('web')).toMatch(/ lan0: .* mtu 1400 /);
    expect(await world.daemon.client.listPublishes('lan0')).toMatchObject([{ hostAddress: '127.0.0.1', hostPort: 8080 }]);
    expect(await world.fetchFrom(world.host, 'http://127.0.0.1:8080/')).toBe('hello');
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`)).toBe('');
  });

  test('enable_icc=false: not each other, but what is published', async () => {
    await world.network('n', '--subnet', '10.67.1.0/24', '-o', `${BRIDGE}enable_icc=false`);
    await world.run('web', 'n', ['--publish', '8080:80'], WEB_SERVER);
    await world.run('other', 'n', [], IDLE);
    expect(await pings('other', '10.67.1.2')).toBe(false);
    expect(await pings('other', OUTSIDE_ADDRESS)).toBe(true);
    expect(await world.fetch('other', `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
  });

  test('without IPAM: an interface without address, and no bridge of Docker beside it', async () => {
    await world.network('n', '--ipam-driver', 'null');
    await world.run('bare', 'n', [], IDLE);
    expect(await world.exec('bare', 'ip', '-o', '-4', 'addr', 'show', 'eth0')).toBe('');
    expect(await world.exec('bare', 'ip', 'route')).toBe('');
    expect(await interfaces('bare')).not.toContain('eth1');
  });

  test('IPv6: containers reach each other; there is no gateway of it', async () => {
    await world.network('n', '--subnet', '10.67.2.0/24', '--ipv6', '--subnet', 'fd67::/64');
    await world.run('one', 'n', ['--ip6', 'fd67::11'], IDLE);
    await world.run('two', 'n', ['--ip6', 'fd67::22'], IDLE);
    await expect.poll(() => pings('one', 'fd67::22')).toBe(true);
    expect(await world.exec('one', 'ip', '-6', 'route')).not.toContain('default');
  });

  test('options of an endpoint are refused by name, and the container stays where it was', async () => {
    await world.network('n');
    await world.network('m');
    await world.run('one', 'n', [], IDLE);
    expect(await refused('network', 'connect', '--driver-opt', 'colour=red', 'm', 'one')).toContain('no option colour');
    const ifname = 'com.docker.network.endpoint.ifname=lan0';
    expect(await refused('network', 'connect', '--driver-opt', ifname, 'm', 'one')).toContain('dockerd names the interfaces');
    expect(await interfaces('one')).not.toContain('eth1');
    await world.engine.ask('network', 'connect', 'm', 'one');
    expect(await interfaces('one')).toContain('eth1');
  });

  test('ports that are left open are chosen, shown, and reached', async () => {
    await world.network('n');
    await world.run('one', 'n', ['--publish', '8100-8101:80', '--publish', '80'], WEB_SERVER);
    await world.run('two', 'n', ['--publish', '8100-8101:80'], WEB_SERVER);
    const published = (await world.daemon.client.listPublishes('n')).map(({ hostPort }) => hostPort);
    expect(published.filter((port) => port <= 8101).sort()).toEqual([8100, 8101]);
    expect(published).toHaveLength(3);
    for (const port of published) {
      expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:${port}/`)).toBe('hello');
    }
    const third = ['run', '--network', 'n', '--name', 'three', '--publish', '8100-8101:80', IMAGE, 'true'];
    expect(await refused(...third)).toContain('no tcp port from 8100 to 8101 of the host is free');
    expect(await refused('run', '--network', 'n', '--name', 'four', '--publish', '7:7/sctp', IMAGE, 'true')).toContain('sctp');
  });

  test('a MAC that is taken: the start fails and says by whom', async () => {
    await world.network('n');
    const mac = ['--mac-address', '02:00:00:00:67:01'];
    await world.run('one', 'n', mac, IDLE);
    expect(await refused('run', '--network', 'n', '--name', 'two', ...mac, IMAGE, 'true')).toContain('is the MAC of port');
    expect((await world.daemon.client.listPorts('n')).filter(({ kind }) => kind === 'tap')).toHaveLength(1);
  });

  test('own IPAM: subnet, range, gateway, reserved addresses', async () => {
    const own = ['--ipam-driver', world.driver];
    const range = ['--subnet', '10.67.3.0/24', '--ip-range', '10.67.3.128/25', '--gateway', '10.67.3.254'];
    await world.network('n', ...own, ...range, '--aux-address', 'printer=10.67.3.129');
    const addressOf = (text: string) => /inet (\S+)/.exec(text)?.[1];
    const given: (string | undefined)[] = [];
    for (let each = 0; each < 2; each++) given.push(addressOf(await once('n', [], 'ip', '-4', 'addr', 'show', 'eth0')));
    expect(given).toEqual(['10.67.3.128/24', '10.67.3.130/24']);
    expect(addressOf(await once('n', ['--ip', '10.67.3.7'], 'ip', '-4', 'addr', 'show', 'eth0'))).toBe('10.67.3.7/24');
    expect(await once('n', [], 'ip', 'route')).toContain('default via 10.67.3.254');
    for (const taken of ['10.67.3.254', '10.67.3.129']) {
      expect(await refused('run', '--network', 'n', '--ip', taken, IMAGE, 'true')).toContain(`${taken} is taken`);
    }
    expect(await createRefused(...own, '--subnet', '10.67.3.0/25')).toContain('overlaps 10.67.3.0/24');
    expect(await createRefused(...own, '--ipam-opt', 'colour=red')).toContain('no IPAM option colour');
  });

  test('own IPAM without a subnet: one that is free; two networks get two', async () => {
    const subnetOf = (network: string) => world.engine.inspect(network, '{{(index .IPAM.Config 0).Subnet}}');
    await world.network('n', '--ipam-driver', world.driver);
    await world.network('m', '--ipam-driver', world.driver);
    const subnets = [await subnetOf('n'), await subnetOf('m')];
    for (const subnet of subnets) expect(subnet).toMatch(/^10\.2(0[89]|1\d|2[0-3])\.\d+\.0\/22$/);
    expect(subnets[0]).not.toBe(subnets[1]);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'own IPAM, dockerd ended by %s: the next one keeps networks and addresses',
    async (signal) => {
      await world.network('n', '--ipam-driver', world.driver, '--subnet', '10.67.4.0/24');
      await world.run('one', 'n', ['--restart', 'always', '--ip', '10.67.4.9'], IDLE);
      await world.engine.end(signal);
      await world.engine.startDockerd();
      await expect.poll(() => world.engine.inspect('one', '{{.State.Running}}'), { timeout: 30_000 }).toBe('true');
      expect(await world.exec('one', 'ip', '-o', '-4', 'addr', 'show', 'eth0')).toContain('10.67.4.9/24');
      expect(await refused('run', '--network', 'n', '--ip', '10.67.4.9', IMAGE, 'true')).toContain('10.67.4.9 is taken');
      expect(await pings('one', OUTSIDE_ADDRESS)).toBe(true);
      await expect.poll(async () => (await world.daemon.client.listPorts('n')).length).toBe(2);
      await world.removeContainers();
      await world.engine.ask('network', 'rm', 'n');
      await world.network('n', '--ipam-driver', world.driver, '--subnet', '10.67.4.0/24');
      expect(await once('n', ['--ip', '10.67.4.9'], 'ip', '-4', 'addr')).toContain('10.67.4.9/24');
    },
  );

  test('dockerd killed, its own IPAM: nobody says that containers ended, and those that come back get their ports', async () => {
    await world.network('n', '--subnet', '10.67.5.0/24');
    await world.run('web', 'n', ['--restart', 'always', '--publish', '8080:80'], WEB_SERVER);
    await world.run('gone', 'n', ['--publish', '8081:80'], WEB_SERVER);
    await world.engine.end('SIGKILL');
    await world.engine.startDockerd();
    const fetched = () => world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/`);
    await expect.poll(fetched, { timeout: 30_000 }).toBe('hello');
    const publishes = async () => (await world.daemon.client.listPublishes('n')).map(({ hostPort }) => hostPort);
    await expect.poll(publishes).toEqual([8080]);
    const ports = async () => (await world.daemon.client.listPorts('n')).filter(({ kind }) => kind === 'tap').length;
    await expect.poll(ports).toBe(1);
  });
});
