import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDefaultPools } from '../../src/docker/ipam-driver.js';
import { Subnet } from '../../src/docker/subnet.js';
import { BRIDGE, createEndpoint, createNetwork, PluginWorld } from './plugin-world.js';

let world: PluginWorld;
beforeEach(async () => {
  world = await PluginWorld.open();
});
afterEach(() => world.close());

const pool = (more: object = {}) => ({
  AddressSpace: 'tblocal',
  Pool: '10.70.0.0/24',
  SubPool: '',
  Options: null,
  V6: false,
  ...more,
});
const PoolID = 'tblocal/10.70.0.0/24';
const requestPool = (more: object = {}) => world.ipam('RequestPool', pool(more));
const address = (Address = '', Options: object | null = null) => world.ipam('RequestAddress', { PoolID, Address, Options });
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };

describe('registration', () => {
  test('capabilities and address spaces', async () => {
    expect(await world.ask('IpamDriver.GetCapabilities')).toEqual({ RequiresMACAddress: false, RequiresRequestReplay: true });
    expect(await world.ask('IpamDriver.GetDefaultAddressSpaces')).toEqual({
      LocalDefaultAddressSpace: 'tblocal',
      GlobalDefaultAddressSpace: 'tbglobal',
    });
  });
});

describe('pools', () => {
  test('a subnet that was chosen', async () => {
    expect(await requestPool()).toEqual({ PoolID, Pool: '10.70.0.0/24', Data: {} });
    expect(world.place.saved.pools).toMatchObject([{ id: PoolID, subnet: '10.70.0.0/24', range: null }]);
  });

  test('none chosen: another one each time', async () => {
    const given = [];
    for (let each = 0; each < 3; each++) given.push((await requestPool({ Pool: '' }))['Pool']);
    expect(given).toEqual(['10.208.0.0/22', '10.208.4.0/22', '10.208.8.0/22']);
  });

  test('none chosen: not what the host or a bridge has', async () => {
    world.used = [{ subnet: Subnet.parse('10.208.1.0/24'), by: 'interface eth0', isRoute: false }];
    await world.control.createBridge({ name: 'hand', subnet: '10.208.4.0/24' });
    expect(await requestPool({ Pool: '' })).toMatchObject({ Pool: '10.208.8.0/22' });
  });

  test('chosen inside of what the host has a way to: the nearer one wins, a network inside of it does not', async () => {
    world.used = [{ subnet: Subnet.parse('0.0.0.0/1'), by: 'a route of the host', isRoute: true }];
    expect(await requestPool()).toMatchObject({ Pool: '10.70.0.0/24' });
    world.used = [{ subnet: Subnet.parse('10.71.0.128/25'), by: 'a route of the host', isRoute: true }];
    await expect(requestPool({ Pool: '10.71.0.0/24' })).rejects.toThrow('overlaps 10.71.0.128/25 of a route of the host');
  });

  test('none chosen and none left: an error', async () => {
    world.used = [{ subnet: Subnet.parse('10.0.0.0/8'), by: 'a route of the host', isRoute: true }];
    await expect(requestPool({ Pool: '' })).rejects.toThrow('no subnet of 10.208.0.0/12 is free (choose one with --subnet');
  });

  test('IPv6: chosen, or a unique local one', async () => {
    expect(await requestPool({ Pool: 'fd32::/64', V6: true })).toMatchObject({ Pool: 'fd32::/64' });
    expect(await requestPool({ Pool: '', V6: true })).toMatchObject({
      Pool: expect.stringMatching(/^fd[0-9a-f]{2}:[0-9a-f:]+::\/64$/),
    });
  });

  test.each([
    [{ Pool: '10.70.0.0/25' }, 'overlaps 10.70.0.0/24, which another network has'],
    [{ Pool: '10.70.0.0/24' }, 'overlaps 10.70.0.0/24, which another network has'],
    [{ Pool: '192.0.2.0/25' }, 'overlaps 192.0.2.0/24 of interface eth0'],
    [{ Pool: '10.71.0.5/24' }, 'write 10.71.0.0/24'],
    [{ Pool: '10.0.0.0/7' }, 'has a prefix of /8 to /30'],
    [{ Pool: '10.71.0.0/31' }, 'has a prefix of /8 to /30'],
    [{ Pool: 'fd00::/64' }, 'of the other IP family'],
    [{ Pool: 'x' }, 'is not an IP address'],
    [{ Pool: '', SubPool: '10.71.0.0/25' }, 'a range of addresses needs its subnet'],
    [{ Pool: '10.71.0.0/24', SubPool: '10.72.0.0/25' }, 'lies outside of 10.71.0.0/24'],
    [{ Pool: '10.71.0.0/24', Options: { foo: 'bar' } }, 'no IPAM option foo'],
    [{ Pool: '10.71.0.0/24', AddressSpace: 'tbglobal' }, 'no address space "tbglobal"'],
  ])('%j is refused', async (more, why) => {
    await requestPool();
    world.used = [{ subnet: Subnet.parse('192.0.2.0/24'), by: 'interface eth0', isRoute: false }];
    await expect(requestPool(more)).rejects.toThrow(why);
    expect(world.place.saved.pools.length).toBe(1);
  });

  test('a second network of the same subnet does not take the pool of the first with it', async () => {
    await requestPool();
    await address('10.70.0.1', GATEWAY);
    await expect(requestPool()).rejects.toThrow('which another network has');
    await expect(address('10.70.0.1', GATEWAY)).rejects.toThrow('10.70.0.1 is taken');
  });

  test('released: free again; one that is unknown: {}', async () => {
    await requestPool();
    expect(await world.ipam('ReleasePool', { PoolID })).toEqual({});
    expect(await world.ipam('ReleasePool', { PoolID })).toEqual({});
    expect(world.place.saved.pools).toEqual([]);
    await requestPool();
  });

  test('a disk that is full: nothing is given', async () => {
    world.place.full = true;
    await expect(requestPool()).rejects.toThrow('no space left');
    world.place.full = false;
    await requestPool();
    world.place.full = true;
    await expect(address()).rejects.toThrow('no space left');
    world.place.full = false;
    const { Address } = await address();
    expect(world.place.saved.pools[0].leases).toEqual([String(Address).replace('/24', '')]);
  });
});

describe('default pools of the configuration', () => {
  test('are cut into subnets of their size', () => {
    const pools = [
      { base: '10.64.0.0/12', size: 24 },
      { base: '192.168.0.0/24', size: 24 },
    ];
    expect(() => checkDefaultPools(pools)).not.toThrow();
  });

  test.each([
    { base: '10.64.0.0/24', size: 16 },
    { base: '10.64.0.0/24', size: 31 },
    { base: '10.64.0.0', size: 24 },
    { base: 'fd00::/16', size: 24 },
    { base: 'x', size: 24 },
  ])('%j is refused', (pool) => {
    expect(() => checkDefaultPools([pool])).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('addresses', () => {
  beforeEach(async () => {
    await requestPool({ SubPool: '10.70.0.128/25' });
  });

  test('in the order of network create and run', async () => {
    expect(await address('10.70.0.1', GATEWAY)).toEqual({ Address: '10.70.0.1/24', Data: {} });
    expect(await address('10.70.0.130')).toEqual({ Address: '10.70.0.130/24', Data: {} });
    const given = [];
    for (let each = 0; each < 3; each++) given.push((await address('', { 'com.docker.network.endpoint.name': 'c1' }))['Address']);
    expect(given).toEqual(['10.70.0.128/24', '10.70.0.129/24', '10.70.0.131/24']);
    expect(await world.ipam('ReleaseAddress', { PoolID, Address: '10.70.0.128' })).toEqual({});
    expect(await address()).toMatchObject({ Address: '10.70.0.132/24' });
  });

  test('what a person attached to the bridge is not given', async () => {
    const IPv4Data = [{ AddressSpace: 'tblocal', Pool: '10.70.0.0/24', Gateway: '10.70.0.1/24' }];
    await world.network('CreateNetwork', createNetwork({ IPv4Data }));
    await world.control.attach(BRIDGE, { port: 'web', ip: '10.70.0.128', mac: '02:00:00:00:00:01' });
    expect(await address()).toMatchObject({ Address: '10.70.0.129/24' });
    await expect(address('10.70.0.128')).rejects.toThrow(`taken by port web of bridge ${BRIDGE}`);
  });

  test('of a pool that is unknown: what to do', async () => {
    const asked = { PoolID: 'tblocal/10.99.0.0/24', Address: '', Options: null };
    await expect(world.ipam('RequestAddress', asked)).rejects.toThrow('restart dockerd');
    expect(await world.ipam('ReleaseAddress', { ...asked, Address: '10.99.0.1' })).toEqual({});
  });
});

describe('starts', () => {
  beforeEach(async () => {
    await world.ask('Plugin.Activate');
    await requestPool();
    await address('10.70.0.1', GATEWAY);
    await address();
  });

  test('of dockerd: it gets again what it has, and nothing is counted twice', async () => {
    await world.ask('Plugin.Activate');
    expect(await requestPool()).toMatchObject({ PoolID });
    expect(await address('10.70.0.1', GATEWAY)).toMatchObject({ Address: '10.70.0.1/24' });
    expect(await address('10.70.0.2')).toMatchObject({ Address: '10.70.0.2/24' });
    expect(await address()).toMatchObject({ Address: '10.70.0.3/24' });
    expect(world.place.saved.pools[0].leases).toEqual(['10.70.0.1', '10.70.0.2', '10.70.0.3']);
    await world.ipam('ReleasePool', { PoolID });
    expect(world.place.saved.pools).toEqual([]);
  });

  test('of dockerd, with live-restore: a pool it names again stays, with leases of containers that run', async () => {
    await world.ask('Plugin.Activate');
    await requestPool();
    await address('10.70.0.1', GATEWAY);
    await address('10.70.0.2');
    world.seconds += 1_000_000;
    world.ipamDriver.collect();
    expect(world.place.saved.pools).toMatchObject([{ id: PoolID, leases: ['10.70.0.1', '10.70.0.2'] }]);
    expect(await address()).toMatchObject({ Address: '10.70.0.3/24' });
  });

  test('of dockerd, while nobody answered here: what was not named again stays when a network or the host has it', async () => {
    const IPv4Data = [{ AddressSpace: 'tblocal', Pool: '10.70.0.0/24', Gateway: '10.70.0.1/24' }];
    await world.network('CreateNetwork', createNetwork({ IPv4Data }));
    for (const Pool of ['10.71.0.0/24', '10.72.0.0/24']) {
      await requestPool({ Pool });
      await world.ipam('RequestAddress', { PoolID: `tblocal/${Pool}`, Address: '', Options: GATEWAY });
    }
    world.used = [
      { subnet: Subnet.parse('10.71.0.1/24'), by: 'interface br-d0effb097b11', isRoute: false },
      { subnet: Subnet.parse('10.72.0.0/16'), by: 'a route of the host', isRoute: true },
    ];
    await world.ask('Plugin.Activate');
    world.seconds += 601;
    world.ipamDriver.collect();
    expect(world.place.saved.pools.map(({ subnet }) => subnet)).toEqual(['10.70.0.0/24', '10.71.0.0/24']);
    expect(await address()).toMatchObject({ Address: '10.70.0.3/24' });
  });

  test('of dockerd: a network that has no gateway does not get one that a container has', async () => {
    const IPv4Data = [{ AddressSpace: 'tblocal', Pool: '10.70.0.0/24' }];
    const generic = { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' };
    const Options = { 'com.docker.network.internal': true, 'com.docker.network.generic': generic };
    await world.network('CreateNetwork', createNetwork({ Options, IPv4Data }));
    await world.network('CreateEndpoint', createEndpoint({ Interface: { Address: '10.70.0.1/24' } }));
    await world.ask('Plugin.Activate');
    await requestPool();
    expect(await address('', GATEWAY)).toMatchObject({ Address: '10.70.0.3/24' });
    expect(await address('10.70.0.1')).toMatchObject({ Address: '10.70.0.1/24' });
  });

  test('of the daemon: leases are as they were', async () => {
    await world.stop();
    await world.start();
    await expect(address('10.70.0.2')).rejects.toThrow('10.70.0.2 is taken');
    expect(await address()).toMatchObject({ Address: '10.70.0.3/24' });
  });

  test('with a record that was lost: dockerd tells it again, over a bridge that is there', async () => {
    const IPv4Data = [{ AddressSpace: 'tblocal', Pool: '10.70.0.0/24', Gateway: '10.70.0.1/24' }];
    await world.network('CreateNetwork', createNetwork({ IPv4Data }));
    await world.stop();
    world.place.text = null;
    await world.start();
    world.used = [{ subnet: Subnet.parse('10.70.0.1/24'), by: `interface ${BRIDGE}`, isRoute: false }];
    await world.ask('Plugin.Activate');
    expect(await requestPool()).toMatchObject({ PoolID });
    expect(await address('10.70.0.2')).toMatchObject({ Address: '10.70.0.2/24' });
  });
});

describe('network create, interrupted by the end of dockerd', () => {
  beforeEach(async () => {
    await world.ask('Plugin.Activate');
    await requestPool();
    expect(await address('', GATEWAY)).toMatchObject({ Address: '10.70.0.1/24' });
    world.seconds += 100_000;
    await world.ask('Plugin.Activate');
  });

  test('its pool is forgotten ten minutes after dockerd started', async () => {
    world.seconds += 600;
    world.ipamDriver.collect();
    expect(world.place.saved.pools.length).toBe(1);
    world.seconds += 1;
    world.ipamDriver.collect();
    expect(world.place.saved.pools).toEqual([]);
    await expect(address()).rejects.toThrow('tapbridge has no pool');
  });

  test('once more: the pool has its own range and gateway, and stays', async () => {
    expect(await requestPool({ SubPool: '10.70.0.128/25' })).toMatchObject({ PoolID });
    expect(await address('', GATEWAY)).toMatchObject({ Address: '10.70.0.1/24' });
    expect(await address()).toMatchObject({ Address: '10.70.0.128/24' });
    world.seconds += 601;
    world.ipamDriver.collect();
    await world.stop();
    await world.start();
    expect(await address()).toMatchObject({ Address: '10.70.0.129/24' });
  });

  test('once more, and nobody gets the answer: as if it had not been asked', async () => {
    const { pools } = world.place.saved;
    world.place.full = true;
    await expect(requestPool({ SubPool: '10.70.0.128/25' })).rejects.toThrow('no space left');
    world.place.full = false;
    await expect(requestPool({ SubPool: '10.72.0.0/25' })).rejects.toThrow('lies outside of 10.70.0.0/24');
    expect(world.place.saved.pools).toEqual(pools);
    await requestPool();
    expect(await address()).toMatchObject({ Address: '10.70.0.2/24' });
  });

  test('before its gateway: a pool that is asked for once more has its time again', async () => {
    await world.ipam('ReleaseAddress', { PoolID, Address: '10.70.0.1' });
    await world.ask('Plugin.Activate');
    await requestPool();
    world.ipamDriver.collect();
    expect(await address('', GATEWAY)).toMatchObject({ Address: '10.70.0.1/24' });
  });
});

test('pools of a network without addresses yet, and without gateways: not forgotten', async () => {
  await requestPool({ Pool: '10.71.0.0/24' });
  await requestPool({ Pool: 'fd32::/64', V6: true });
  const data = (Pool: string) => [{ AddressSpace: 'tblocal', Pool }];
  const Options = {
    'com.docker.network.internal': true,
    'com.docker.network.generic': { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' },
  };
  const changes = { Options, IPv4Data: data('10.71.0.0/24'), IPv6Data: data('fd32::/64') };
  await world.network('CreateNetwork', createNetwork(changes));
  world.seconds += 601;
  world.ipamDriver.collect();
  expect(world.place.saved.pools.map(({ subnet }) => subnet)).toEqual(['10.71.0.0/24', 'fd32::/64']);
});

test('a pool whose network never came is forgotten after ten minutes; one in use is not', async () => {
  await requestPool();
  await requestPool({ Pool: '10.71.0.0/24' });
  await world.ipam('RequestAddress', { PoolID: 'tblocal/10.71.0.0/24', Address: '', Options: null });
  world.seconds += 601;
  world.ipamDriver.collect();
  expect(world.place.saved.pools.map(({ subnet }) => subnet)).toEqual(['10.71.0.0/24']);
});
