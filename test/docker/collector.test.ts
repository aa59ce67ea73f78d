import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  BRIDGE,
  createEndpoint,
  createNetwork,
  ENDPOINT_CALL,
  join4,
  NETWORK,
  PluginWorld,
  PORT,
  program,
  SANDBOX,
} from './plugin-world.js';

const HTTP = { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 };
const DOCKERS = { engine: 'docker', id: 'c3'.repeat(32), name: null } as const;

let world: PluginWorld;
beforeEach(async () => {
  world = await PluginWorld.open();
  await world.network('CreateNetwork', createNetwork({}, { 'com.docker.network.container_iface_prefix': 'tap' }));
  await world.network('CreateEndpoint', createEndpoint());
  await world.network('Join', join4());
  await world.network('ProgramExternalConnectivity', program(HTTP));
});
afterEach(() => world.close());

const endpoints = () => world.place.saved.networks.flatMap((network) => network.endpoints.map(({ port }) => port));

test('the daemon is killed and starts again: all is as it was', async () => {
  await world.stop();
  const steps = world.control.said.length;
  await world.start();
  expect(world.control.said.slice(steps)).toEqual([]);
  expect(await world.network('EndpointOperInfo', ENDPOINT_CALL)).toMatchObject({ Value: { 'tapbridge.sandbox': SANDBOX } });
  expect(await world.network('Leave', ENDPOINT_CALL)).toEqual({});
  expect(world.control.publishes).toEqual([]);
});

test('after a reboot: the bridges from the record alone, containers gone', async () => {
  await world.stop();
  for (const name of [...world.control.bridges.keys()]) await world.control.removeBridge(name);
  world.namespaces.clear();
  await world.start();
  expect(world.control.listBridges()).toMatchObject([{ name: BRIDGE, subnet: '172.30.0.0/24', network: { id: NETWORK } }]);
  expect(endpoints()).toEqual([]);
  await world.network('CreateEndpoint', createEndpoint());
  expect(await world.network('Join', join4())).toMatchObject({ InterfaceName: { DstPrefix: 'tap' }, Gateway: '172.30.0.1' });
});

test('a bridge that cannot be made at the start is made when a container wants it, or the reason is said', async () => {
  await world.stop();
  await world.control.removeBridge(BRIDGE);
  world.control.before = (step) => {
    if (step === 'createBridge') throw new Error('the subnet overlaps eth0');
  };
  await world.start();
  await expect(world.network('CreateEndpoint', createEndpoint())).rejects.toThrow('the subnet overlaps eth0');
  world.control.before = undefined;
  await world.network('CreateEndpoint', createEndpoint());
});

test('the record is lost: what control has is taken for it, and containers go on', async () => {
  await world.stop();
  world.place.text = null;
  await world.start();
  expect(world.control.published()).toEqual(['8080/tcp']);
  expect(endpoints()).toEqual([PORT]);
  await world.network('Leave', ENDPOINT_CALL);
  expect(world.control.publishes).toEqual([]);
  await world.network('DeleteEndpoint', ENDPOINT_CALL);
  await world.network('CreateEndpoint', createEndpoint());
  expect(await world.network('Join', join4())).toMatchObject({ Gateway: '172.30.0.1' });
  expect(await world.network('DeleteNetwork', { NetworkID: NETWORK })).toEqual({});
  expect(world.control.bridges.size).toBe(0);
});

test('a bridge of a network that is not recorded was interrupted: removed; with a port it stays; those of others stay', async () => {
  await world.control.createBridge({ name: 'tb-new', network: DOCKERS });
  await world.control.createBridge({ name: 'tb-used', network: { ...DOCKERS, id: 'd4'.repeat(32) } });
  await world.control.attach('tb-used', { port: 'web', pid: 1 });
  await world.control.createBridge({ name: 'hand' });
  await world.stop();
  await world.start();
  expect([...world.control.bridges.keys()]).toEqual([BRIDGE, 'tb-used', 'hand']);
});

test('a port of no endpoint was interrupted: detached; one a person attached stays', async () => {
  const container = { engine: 'docker', id: 'c'.repeat(64), name: null } as const;
  await world.control.attach(BRIDGE, { port: 'abcdefabcdef', lent: 'tbabcdefab', container });
  await world.control.attach(BRIDGE, { port: 'aaaaaaaaaaaa', pid: 77, container });
  await world.control.attach(BRIDGE, { port: 'web', netns: 'x' });
  await world.collector.collect();
  expect(world.control.listPorts(BRIDGE).map(({ name }) => name)).toEqual([BRIDGE, PORT, 'aaaaaaaaaaaa', 'web']);
});

test('the namespace is gone: ended, unpublished; one that is still to come is not', async () => {
  world.namespaces.delete(SANDBOX);
  await world.collector.collect();
  expect(endpoints()).toEqual([PORT]);
  world.seconds += 31;
  await world.collector.collect();
  expect([endpoints(), world.control.publishes, world.control.ports.size]).toEqual([[], [], 1]);
});

test('control has dropped the port: the record follows at once', async () => {
  world.control.drop(BRIDGE, PORT);
  await world.collector.collect();
  expect(endpoints()).toEqual([]);
});

test('the record of control is lost: a container that may still run is warned of, one that is gone is not', async () => {
  const ended = `endpoint ${PORT} of ${BRIDGE} is ended: its port is gone`;
  const lose = async () => {
    await world.stop();
    await world.control.removeBridge(BRIDGE);
    world.logged.length = 0;
    await world.start();
  };
  await lose();
  expect(world.logged).toEqual([`warn ${ended}; if the container still runs, it has no network any more: restart it`]);
  await world.network('CreateEndpoint', createEndpoint());
  await world.network('Join', join4());
  world.namespaces.delete(SANDBOX);
  world.seconds += 31;
  await lose();
  expect(world.logged).toEqual([`info ${ended}`]);
  await world.network('CreateEndpoint', createEndpoint());
  await lose();
  expect(world.logged).toEqual([`info ${ended}`]);
  expect(endpoints()).toEqual([]);
});

test('one that nobody joined, or deleted, is ended after ten minutes', async () => {
  await world.network('Leave', ENDPOINT_CALL);
  world.seconds += 599;
  await world.collector.collect();
  expect(endpoints()).toEqual([PORT]);
  world.seconds += 2;
  await world.collector.collect();
  expect([endpoints(), world.control.ports.size]).toEqual([[], 1]);
});

test('one that lives is left alone, for ever', async () => {
  world.seconds += 1_000_000;
  await world.collector.collect();
  expect([endpoints(), world.control.published()]).toEqual([[PORT], ['8080/tcp']]);
});
