/** dockerd is killed while containers talk: with live-restore they do not notice, without they end, and what was theirs is collected. */
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IDLE, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

const NETWORK = ['--subnet', '10.66.1.0/24'];

describeSystem('dockerd is killed', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld | undefined;
  afterEach(() => world?.close());

  const open = async (ipam: string, ...args: string[]): Promise<DockerWorld> => {
    world = await DockerWorld.open({ dockerd: { args } });
    await world.network('n1', ...NETWORK, '--ipam-driver', ipam === 'ours' ? world.driver : ipam);
    await world.serve(world.outside.namespace, 80);
    return world;
  };
  const fromOutside = (here: DockerWorld) => here.fetchFrom(here.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`);

  test('SIGKILL with live-restore: traffic goes on, the next dockerd takes the containers over', async () => {
    const here = await open('default', '--live-restore');
    const before = await here.possessions('n1');
    await here.run('web', 'n1', ['--publish', '8080:80'], WEB_SERVER);
    await here.run('client', 'n1', [], ['sh', '-c', `while sleep 0.2; do wget -q -O - http://${OUTSIDE_ADDRESS}/ && echo; done`]);
    await here.engine.end('SIGKILL');
    expect(await fromOutside(here)).toBe(OUTSIDE_ADDRESS);
    await here.engine.startDockerd();
    const asked = async () => (await here.engine.ask('logs', 'client')).split('hello').length;
    const then = await asked();
    expect(await eventually(async () => (await asked()) > then)).toBe(true);
    expect(await fromOutside(here)).toBe(OUTSIDE_ADDRESS);
    await here.run('late', 'n1', [], IDLE);
    expect(await here.fetch('late', 'http://web/')).toBe('hello');
    await here.removeContainers();
    const { interfaces, ports, neighbors, publishes } = before;
    expect(await here.possessions('n1')).toMatchObject({ interfaces, ports, neighbors, publishes });
  });

  test.each(['default', 'ours'])(
    'SIGKILL without live-restore, addresses from %s: containers start again, nothing of before stays',
    async (ipam) => {
      const here = await open(ipam);
      const before = await here.possessions('n1');
      await here.run('web', 'n1', ['--publish', '8080:80', '--ip', '10.66.1.50'], WEB_SERVER);
      await here.run('other', 'n1', [], IDLE);
      await here.engine.end('SIGKILL');
      await here.engine.startDockerd();
      const { interfaces, ports, neighbors, publishes } = before;
      const left = async () => (await here.possessions('n1')).ports.length;
      expect(await eventually(async () => (await left()) === ports.length)).toBe(true);
      expect(await here.possessions('n1')).toMatchObject({ interfaces, ports, neighbors, publishes });
      await here.engine.ask('start', 'web', 'other');
      expect(await fromOutside(here)).toBe(OUTSIDE_ADDRESS);
      expect(await here.fetch('other', 'http://web/')).toBe('hello');
      await here.removeContainers();
      expect(await here.possessions('n1')).toMatchObject({ interfaces, ports, neighbors, publishes });
      await here.engine.ask('network', 'rm', 'n1');
      expect(await here.daemon.client.listBridges()).toEqual([]);
    },
  );

  test('the daemon and dockerd both, as in a power cut of both: containers with a restart policy come back', async () => {
    const here = await open('ours');
    await here.run('web', 'n1', ['--publish', '8080:80', '--restart', 'always'], WEB_SERVER);
    await here.engine.end('SIGKILL');
    await here.daemon.end('SIGKILL');
    await here.startDaemon();
    await here.engine.startDockerd();
    expect(await eventually(async () => (await fromOutside(here)) === OUTSIDE_ADDRESS)).toBe(true);
    expect((await here.possessions('n1')).ports).toHaveLength(2);
  });
});
