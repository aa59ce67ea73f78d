/** What people do with containers on docker0, on a network of tapbridge instead: who reaches whom, by which address and name. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

const SUBNET = '10.66.1.0/24';
const GATEWAY = '10.66.1.1';

describeSystem('docker: containers on a network of tapbridge', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open();
    await world.network('n1', '--subnet', SUBNET);
    await Promise.all([world.serve(world.host, 8000), world.serve(world.outside.namespace, 80)]);
  });
  afterEach(() => world?.removeContainers());
  afterAll(() => world?.close());

  const fromOutside = (path: string) => world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}${path}`);
  const fromHost = (url: string) => world.fetchFrom(world.host, url);

  test('container to container, by address and by name', async () => {
    await world.run('web', 'n1', ['--network-alias', 'shop'], WEB_SERVER);
    await world.run('client', 'n1', [], IDLE);
    const address = await world.addressOf('web', 'n1');
    expect(await world.fetch('client', `http://${address}/cgi-bin/who`)).toBe(await world.addressOf('client', 'n1'));
    expect(await world.exec('client', 'ping', '-c', '2', '-W', '2', address)).toContain('0% packet loss');
    expect(await world.fetch('client', 'http://web/')).toBe('hello');
    expect(await world.fetch('client', 'http://shop/')).toBe('hello');
  });

  test('host to container and back', async () => {
    await world.run('web', 'n1', [], WEB_SERVER);
    expect(await fromHost(`http://${await world.addressOf('web', 'n1')}/cgi-bin/who`)).toBe(GATEWAY);
    expect(await world.fetch('web', `http://${GATEWAY}:8000/cgi-bin/who`)).toBe(await world.addressOf('web', 'n1'));
  });

  test('container to the outside: who is asked sees the host', async () => {
    await world.run('client', 'n1', [], IDLE);
    expect(await world.fetch('client', `http://${OUTSIDE_ADDRESS}/cgi-bin/who`)).toBe(HOST_ADDRESS);
    expect(await world.exec('client', 'ping', '-c', '2', '-W', '2', OUTSIDE_ADDRESS)).toContain('0% packet loss');
  });

  test('outside to a published port: the container sees who asks', async () => {
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    expect(await fromOutside(':8080/cgi-bin/who')).toBe(OUTSIDE_ADDRESS);
    expect(await fromHost('http://127.0.0.1:8080/')).toBe('hello');
    expect(await fromHost(`http://${HOST_ADDRESS}:8080/`)).toBe('hello');
    // Hairpin: by the host's address to itself.
    expect(await world.fetch('web', `http://${HOST_ADDRESS}:8080/`)).toBe('hello');
  });

  test('ranges, host addresses: published as written, and nothing else', async () => {
    await world.run('web', 'n1', ['-p', '8100-8102:80-82', '-p', '127.0.0.1:8200:80', '-p', '9000:9000/udp'], WEB_SERVER);
    expect(await fromOutside(':8100/')).toBe('hello');
    expect(await fromHost('http://127.0.0.1:8200/')).toBe('hello');
    expect(await fromOutside(':8200/')).toBe('');
    const published = await world.daemon.client.listPublishes('n1');
    expect(
      published.map(({ protocol, hostAddress, hostPort, hostPortEnd, port }) => [
        protocol,
        hostAddress,
        hostPort,
        hostPortEnd,
        port,
      ]),
    ).toEqual(
      expect.arrayContaining([
        ['tcp', null, 8100, 8102, 80],
        ['tcp', '127.0.0.1', 8200, 8200, 80],
        ['udp', null, 9000, 9000, 9000],
      ]),
    );
    expect(published).toHaveLength(3);
  });

  test('a port that is taken: the start fails and says why, and nothing of the container stays', async () => {
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    const before = await world.possessions('n1');
    const second = await world.engine.docker(
      'run',
      '--detach',
      '--name',
      'second',
      '--network',
      'n1',
      '-p',
      '8080:80',
      'box',
      'true',
    );
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain('8080');
    expect(await world.possessions('n1')).toMatchObject({ ports: before.ports, interfaces: before.interfaces, publishes: 1 });
    expect(await fromOutside(':8080/')).toBe('hello');
  });

  test('--ip and --mac-address are what the container has', async () => {
    await world.run('web', 'n1', ['--ip', '10.66.1.77', '--mac-address', '02:aa:bb:cc:dd:01'], WEB_SERVER);
    expect(await world.exec('web', 'ip', 'addr', 'show', 'eth0')).toMatch(/02:aa:bb:cc:dd:01[\s\S]*inet 10\.66\.1\.77\/24/);
    expect(await fromHost('http://10.66.1.77/')).toBe('hello');
  });

  test('stop, start, restart: served again each time', async () => {
    await world.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    for (const command of [
      ['stop', 'web'],
      ['start', 'web'],
      ['restart', 'web'],
    ]) {
      await world.engine.ask(...command);
      expect(await fromOutside(':8080/'), command.join(' ')).toBe(command[0] === 'stop' ? '' : 'hello');
    }
  });

  test('networks are closed to each other', async () => {
    await world.network('n2', '--subnet', '10.66.2.0/24');
    await world.run('web', 'n1', [], WEB_SERVER);
    await world.run('stranger', 'n2', [], IDLE);
    const address = await world.addressOf('web', 'n1');
    await expect(world.fetch('stranger', `http://${address}/`)).rejects.toThrow(/unreachable|No route|status/);
    await world.removeContainers();
    await world.engine.ask('network', 'rm', 'n2');
  });

  test('an internal network: its containers reach each other and nothing else', async () => {
    await world.network('inner', '--internal', '--subnet', '10.66.3.0/24');
    await world.run('web', 'inner', [], WEB_SERVER);
    await world.run('client', 'inner', [], IDLE);
    expect(await world.fetch('client', 'http://web/')).toBe('hello');
    expect(await world.exec('client', 'ip', 'route')).not.toContain('default');
    await expect(world.fetch('client', `http://${OUTSIDE_ADDRESS}/`)).rejects.toThrow(/unreachable|No route|status/);
    await world.removeContainers();
    await world.engine.ask('network', 'rm', 'inner');
  });

  test('inspect, ls, rm, prune: networks come and go with their bridges', async () => {
    const names = async () => (await world.daemon.client.listBridges()).map(({ network }) => network?.name ?? null).sort();
    await world.network('n2', '--subnet', '10.66.2.0/24', '--label', 'stage=test');
    await world.network('n3', '--subnet', '10.66.4.0/24');
    const [inspected] = JSON.parse(await world.engine.ask('network', 'inspect', 'n2'));
    expect(inspected).toMatchObject({ Driver: world.driver, Scope: 'local', IPAM: { Config: [{ Subnet: '10.66.2.0/24' }] } });
    await world.run('web', 'n3', [], WEB_SERVER);
    expect((await world.engine.docker('network', 'rm', 'n3')).stderr).toContain('active endpoints');
    expect(await names()).toEqual(expect.arrayContaining(['n2', 'n3']));
    const pruned = await world.engine.ask('network', 'prune', '--force');
    expect(pruned).toContain('n2');
    expect(pruned).not.toContain('n3');
    expect(await names()).not.toContain('n2');
    await world.engine.ask('rm', '--force', 'web');
    await world.engine.ask('network', 'rm', 'n3');
    expect((await world.daemon.client.listBridges()).some(({ subnet }) => subnet === '10.66.4.0/24')).toBe(false);
    expect(world.host.interfaces().map(({ name }) => name)).toEqual(expect.not.arrayContaining(['n2', 'n3']));
  });
});
