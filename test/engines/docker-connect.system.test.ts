/** Containers that join and leave networks while they talk. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

describeSystem('docker network connect and disconnect under traffic', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open();
    // Docker takes the gateway of the first network by name.
    await world.network('middle', '--subnet', '10.66.1.0/24');
    await world.network('a-first', '--subnet', '10.66.2.0/24');
    await world.network('z-last', '--subnet', '10.66.3.0/24');
    await world.serve(world.outside.namespace, 80);
  });
  afterAll(() => world?.close());

  const gatewayOf = async (container: string) => /default via (\S+)/.exec(await world.exec(container, 'ip', 'route'))?.[1];
  const fromOutside = () => world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`);

  test('the gateway moves with the networks, published ports follow it, streams go on', async () => {
    await world.run('web', 'middle', ['--publish', '8080:80'], WEB_SERVER);
    await world.run('peer', 'middle', [], ['iperf3', '--server']);
    await world.run('other', 'a-first', [], WEB_SERVER);
    const stream = world.startIn('web', 'iperf3', '--client', 'peer', '--bitrate', '20M', '--time', '8', '--json');
    expect(await gatewayOf('web')).toBe('10.66.1.1');

    await world.engine.ask('network', 'connect', 'z-last', 'web');
    expect(await gatewayOf('web')).toBe('10.66.1.1');
    expect(await fromOutside()).toBe(OUTSIDE_ADDRESS);

    await world.engine.ask('network', 'connect', 'a-first', 'web');
    expect(await gatewayOf('web')).toBe('10.66.2.1');
    expect(await fromOutside()).toBe(OUTSIDE_ADDRESS);
    expect(await world.fetch('web', 'http://other/')).toBe('hello');
    expect(await world.fetch('web', `http://${OUTSIDE_ADDRESS}/cgi-bin/who`)).toBe(HOST_ADDRESS);

    await world.engine.ask('network', 'disconnect', 'a-first', 'web');
    expect(await gatewayOf('web')).toBe('10.66.1.1');
    expect(await fromOutside()).toBe(OUTSIDE_ADDRESS);
    await world.engine.ask('network', 'disconnect', 'z-last', 'web');

    expect(await stream.ended, stream.stderr).toBe(0);
    expect(JSON.parse(stream.stdout).end.sum_received.bytes).toBeGreaterThan(10_000_000);
    expect(await world.exec('web', 'ip', '-o', 'link')).not.toContain('eth1');
    expect((await world.daemon.client.listPorts('a-first')).filter(({ kind }) => kind === 'tap')).toHaveLength(1);
    expect((await world.daemon.client.listPorts('z-last')).filter(({ kind }) => kind === 'tap')).toHaveLength(0);
  });

  test('the last network of a container goes and comes back', async () => {
    await world.run('mover', 'middle', [], IDLE);
    await world.engine.ask('network', 'disconnect', 'middle', 'mover');
    expect(await world.exec('mover', 'ip', '-o', 'link')).not.toContain('eth');
    await world.engine.ask('network', 'connect', '--ip', '10.66.1.99', 'middle', 'mover');
    expect(await world.fetch('mover', `http://${OUTSIDE_ADDRESS}/`)).toBe('hello');
    expect(await world.exec('mover', 'ip', '-o', 'addr')).toContain('10.66.1.99/24');
  });

  test('twenty connects and disconnects leave one interface, one port, one address', async () => {
    const before = await world.possessions('z-last');
    for (let round = 0; round < 20; round++) {
      await world.engine.ask('network', 'connect', 'z-last', 'mover');
      await world.engine.ask('network', 'disconnect', 'z-last', 'mover');
    }
    const { interfaces, ports, neighbors } = before;
    expect(await eventually(async () => (await world.possessions('z-last')).descriptors <= before.descriptors)).toBe(true);
    expect(await world.possessions('z-last')).toMatchObject({ interfaces, ports, neighbors });
  });
});
