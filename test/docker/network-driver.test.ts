import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  BRIDGE,
  createEndpoint,
  createNetwork,
  ENDPOINT,
  ENDPOINT_CALL,
  join4,
  NETWORK,
  PluginWorld,
  PORT,
  program,
  SANDBOX,
  tcp,
} from './plugin-world.js';

const OTHER = 'b2'.repeat(32);
const OTHER_ENDPOINT = 'f2'.repeat(32);

let world: PluginWorld;
beforeEach(async () => {
  world = await PluginWorld.open();
});
afterEach(() => world.close());

async function run(portmap: object[] = []): Promise<void> {
  await world.network('CreateEndpoint', createEndpoint());
  await world.network('Join', join4());
  await world.network('ProgramExternalConnectivity', program(...portmap));
}

describe('registration', () => {
  test('both protocols, local scope', async () => {
    expect(await world.ask('Plugin.Activate')).toEqual({ Implements: ['NetworkDriver', 'IpamDriver'] });
    expect(await world.ask('NetworkDriver.GetCapabilities')).toEqual({
      Scope: 'local',
      ConnectivityScope: 'local',
      GwAllocChecker: true,
    });
  });

  test('what swarm would ask is answered', async () => {
    for (const name of ['AllocateNetwork', 'FreeNetwork', 'DiscoverNew', 'DiscoverDelete']) await world.network(name, {});
  });

  test('only an isolated network needs no IPv4 gateway; none needs one of IPv6', async () => {
    const check = (mode: string) =>
      world.network('GwAllocCheck', {
        Options: { 'com.docker.network.generic': { 'com.docker.network.bridge.gateway_mode_ipv4': mode } },
      });
    expect(await check('nat')).toEqual({ SkipIPv4: false, SkipIPv6: true });
    expect(await check('isolated')).toEqual({ SkipIPv4: true, SkipIPv6: true });
  });
});

describe('CreateNetwork', () => {
  test('a bridge of the subnet, named by the id, that is the network', async () => {
    expect(await world.network('CreateNetwork', createNetwork())).toEqual({});
    expect(world.control.created).toEqual([
      { name: BRIDGE, subnet: '172.30.0.0/24', gateway: '172.30.0.1', network: { engine: 'docker', id: NETWORK, name: null } },
    ]);
    expect(world.told).toEqual(['learn a1a1 ']);
  });

  test('what was answered is on disk', async () => {
    await world.network('CreateNetwork', createNetwork());
    expect(world.place.saved.networks.map(({ id }) => id)).toEqual([NETWORK]);
  });

  test('--internal: no way out, and no gateway for containers', async () => {
    await world.network('CreateNetwork', createNetwork({ Options: { 'com.docker.network.internal': true } }));
    expect(world.control.created[0]).toMatchObject({ internal: true, subnet: '172.30.0.0/24' });
    await world.network('CreateEndpoint', createEndpoint());
    expect(await world.network('Join', join4())).toEqual({
      InterfaceName: { SrcName: 'tbe1e1e1e1', DstPrefix: 'eth' },
      DisableGatewayService: false,
    });
  });

  test('without IPAM: frames only, and no docker_gwbridge', async () => {
    await world.network('CreateNetwork', createNetwork({ IPv4Data: [{ AddressSpace: 'null', Pool: '0.0.0.0/0' }] }));
    expect(world.control.created[0]).not.toHaveProperty('subnet');
    const answer = await world.network(
      'CreateEndpoint',
      createEndpoint({ Interface: { Address: '', AddressIPv6: '', MacAddress: '' } }),
    );
    expect(answer).toEqual({ Interface: { MacAddress: expect.stringMatching(/^02(:[0-9a-f]{2}){5}$/) } });
    expect(world.control.attached[0].ip).toBeUndefined();
    expect(await world.network('Join', join4())).toMatchObject({ DisableGatewayService: true });
  });

  test('isolated and internal: no address of the host', async () => {
    const mode = { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' };
    const options = { 'com.docker.network.internal': true, 'com.docker.network.generic': mode };
    await world.network('CreateNetwork', createNetwork({ Options: options }));
    expect(world.control.created[0]).toEqual({ name: BRIDGE, network: expect.anything() });
    await world.network('CreateEndpoint', createEndpoint());
    expect(world.control.attached[0].ip).toBe('172.30.0.2/24');
    expect(await world.network('Join', join4())).not.toHaveProperty('Gateway');
  });

  test('isolated needs --internal', async () => {
    const asked = createNetwork({}, { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' });
    await expect(world.network('CreateNetwork', asked)).rejects.toThrow('the network is not internal (add --internal)');
  });

  test('inhibit_ipv4: the gateway is somebody else on the network', async () => {
    await world.network('CreateNetwork', createNetwork({}, { 'com.docker.network.bridge.inhibit_ipv4': 'true' }));
    expect(world.control.created[0]).not.toHaveProperty('subnet');
    await world.network('CreateEndpoint', createEndpoint());
    expect(await world.network('Join', join4())).toMatchObject({ Gateway: '172.30.0.1' });
  });

  test('--aux-address DefaultGatewayIPv4: that one is the gateway', async () => {
    const AuxAddresses = { DefaultGatewayIPv4: '172.30.0.254/24' };
    const IPv4Data = [{ AddressSpace: 'x', Pool: '172.30.0.0/24', Gateway: '172.30.0.1/24', AuxAddresses }];
    await world.network('CreateNetwork', createNetwork({ IPv4Data }));
    await world.network('CreateEndpoint', createEndpoint());
    expect(await world.network('Join', join4())).toMatchObject({ Gateway: '172.30.0.254' });
  });

  test('options take effect', async () => {
    const generic = {
      'com.docker.network.bridge.name': 'lan',
      'com.docker.network.bridge.enable_icc': 'false',
      'com.docker.network.driver.mtu': '1400',
      'com.docker.network.host_ipv4': '192.0.2.7',
      'com.docker.network.container_iface_prefix': 'tap',
      'tapbridge.uplink': 'eth1',
    };
    await world.network('CreateNetwork', createNetwork({}, generic));
    expect(world.control.created[0]).toMatchObject({
      name: 'lan',
      icc: false,
      mtu: 1400,
      egressAddress: '192.0.2.7',
      uplink: 'eth1',
    });
    await world.network('CreateEndpoint', createEndpoint());
    expect(await world.network('Join', join4())).toMatchObject({ InterfaceName: { DstPrefix: 'tap' } });
  });

  test('refused options make nothing', async () => {
    await expect(world.network('CreateNetwork', createNetwork({}, { foo: 'x' }))).rejects.toThrow('no option foo');
    expect(world.control.said).toEqual([]);
  });

  test('two IPv4 subnets are one too many', async () => {
    const data = { AddressSpace: 'x', Pool: '172.30.0.0/24', Gateway: '172.30.0.1/24' };
    await expect(world.network('CreateNetwork', createNetwork({ IPv4Data: [data, data] }))).rejects.toThrow('one IPv4 subnet');
  });

  test('a name that is taken: the text of control, and nothing recorded', async () => {
    await world.control.createBridge({ name: BRIDGE });
    await expect(world.network('CreateNetwork', createNetwork())).rejects.toThrow(
      `bridge ${BRIDGE} exists (choose another name)`,
    );
    expect(world.place.saved.networks).toEqual([]);
  });

  test('a disk that is full: no bridge stays', async () => {
    world.place.full = true;
    await expect(world.network('CreateNetwork', createNetwork())).rejects.toThrow('no space left');
    expect(world.control.bridges.size).toBe(0);
    world.place.full = false;
    await world.network('CreateNetwork', createNetwork());
  });

  test('one that is known is replaced', async () => {
    await world.network('CreateNetwork', createNetwork());
    await world.network('CreateNetwork', createNetwork({}, { 'com.docker.network.bridge.name': 'lan' }));
    expect([...world.control.bridges.keys()]).toEqual(['lan']);
  });

  test('the connection breaks in the middle: the network is undone, and the second attempt is an error', async () => {
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const begun = new Promise<void>((resolve) => {
      world.control.before = (step) => {
        if (step === 'createBridge') resolve();
        return step === 'createBridge' ? gate : undefined;
      };
    });
    await world.breakDuring('NetworkDriver.CreateNetwork', createNetwork(), begun);
    goOn();
    expect((await world.call('NetworkDriver.CreateNetwork')).body['Err']).toContain('the connection to tapbridge broke');
    expect(world.control.bridges.size).toBe(0);
    expect(world.place.saved.networks).toEqual([]);
  });
});

describe('DeleteNetwork', () => {
  test('the bridge goes, and the record', async () => {
    await world.network('CreateNetwork', createNetwork());
    expect(await world.network('DeleteNetwork', { NetworkID: NETWORK })).toEqual({});
    expect(world.control.bridges.size).toBe(0);
    expect(world.place.saved.networks).toEqual([]);
  });

  test('unknown, or its bridge gone by hand: {}', async () => {
    expect(await world.network('DeleteNetwork', { NetworkID: OTHER })).toEqual({});
    await world.network('CreateNetwork', createNetwork());
    await world.control.removeBridge(BRIDGE);
    expect(await world.network('DeleteNetwork', { NetworkID: NETWORK })).toEqual({});
  });
});

describe('an endpoint', () => {
  beforeEach(async () => {
    await world.network('CreateNetwork', createNetwork());
  });

  test('CreateEndpoint: a port whose TAP is lent, its MAC from the address', async () => {
    expect(await world.network('CreateEndpoint', createEndpoint())).toEqual({ Interface: { MacAddress: '02:42:ac:1e:00:02' } });
    expect(world.control.attached).toEqual([
      {
        port: PORT,
        lent: 'tbe1e1e1e1',
        ip: '172.30.0.2',
        mac: '02:42:ac:1e:00:02',
        container: { engine: 'docker', id: ENDPOINT, name: null },
      },
    ]);
  });

  test('a MAC that was given is not answered', async () => {
    const Interface = { Address: '172.30.0.2/24', AddressIPv6: '', MacAddress: '02:11:22:33:44:55' };
    expect(await world.network('CreateEndpoint', createEndpoint({ Interface }))).toEqual({ Interface: {} });
    expect(world.control.attached[0].mac).toBe('02:11:22:33:44:55');
  });

  test('a MAC in the options is taken, and answered', async () => {
    const options = { 'com.docker.network.endpoint.macaddress': 'AhEiM0RV' };
    const answer = await world.network('CreateEndpoint', createEndpoint({}, options));
    expect(answer).toEqual({ Interface: { MacAddress: '02:11:22:33:44:55' } });
  });

  test('Options may be missing, null, or a driver-opt alone', async () => {
    for (const Options of [undefined, null, {}]) await world.network('CreateEndpoint', createEndpoint({ Options }));
    await expect(world.network('CreateEndpoint', createEndpoint({ Options: { x: 'y' } }))).rejects.toThrow('no option x');
  });

  test('a source name that the host has, or another endpoint, is not taken twice', async () => {
    await world.network('CreateEndpoint', createEndpoint());
    const same = `e1e1e1e1${'0'.repeat(56)}`;
    const Interface = { Address: '172.30.0.3/24' };
    await world.network('CreateEndpoint', createEndpoint({ EndpointID: same, Interface }));
    const [first, second] = world.control.attached.map(({ lent }) => lent);
    expect(first).toBe('tbe1e1e1e1');
    expect(second).toMatch(/^tb[0-9a-f]{8}$/);
    expect(second).not.toBe(first);
  });

  test.each(['172.30.0.2', 'x', '172.30.0.2/33', 'fd00::1/64'])('an address %j is refused', async (Address) => {
    await expect(world.network('CreateEndpoint', createEndpoint({ Interface: { Address } }))).rejects.toThrow();
    expect(world.control.attached).toEqual([]);
  });

  test('one that fails leaves nothing: dockerd sends no DeleteEndpoint', async () => {
    world.place.full = true;
    await expect(world.network('CreateEndpoint', createEndpoint())).rejects.toThrow('no space left');
    world.place.full = false;
    expect([...world.control.ports.keys()]).toEqual([`${BRIDGE} ${BRIDGE}`]);
  });

  test('one that comes again is made again', async () => {
    await world.network('CreateEndpoint', createEndpoint());
    await world.network('CreateEndpoint', createEndpoint());
    expect(world.control.ports.size).toBe(2);
  });

  test('of an unknown network: an error that says what to do', async () => {
    await expect(world.network('CreateEndpoint', createEndpoint({ NetworkID: OTHER }))).rejects.toThrow(
      'its record was lost (remove the network and create it again)',
    );
  });

  test('a bridge that was removed by hand is made again', async () => {
    await world.control.removeBridge(BRIDGE);
    await world.network('CreateEndpoint', createEndpoint());
    expect(world.control.bridges.has(BRIDGE)).toBe(true);
  });

  test('the address of an endpoint whose namespace is gone may be given again; of one that lives not', async () => {
    await run();
    const again = createEndpoint({ EndpointID: OTHER_ENDPOINT });
    await expect(world.network('CreateEndpoint', again)).rejects.toThrow('is the MAC of port');
    world.namespaces.clear();
    await world.network('CreateEndpoint', again);
    expect(world.place.saved.networks[0].endpoints.map(({ port }) => port)).toEqual(['f2f2f2f2f2f2']);
  });

  test('Join: where it is, how it is called, its gateway', async () => {
    await world.network('CreateEndpoint', createEndpoint());
    expect(await world.network('Join', join4())).toEqual({
      InterfaceName: { SrcName: 'tbe1e1e1e1', DstPrefix: 'eth' },
      Gateway: '172.30.0.1',
      DisableGatewayService: false,
    });
    expect(world.control.said.at(-1)).toBe(`place ${BRIDGE} ${PORT} ${SANDBOX}`);
    expect(world.place.saved.networks[0].endpoints[0].sandbox).toBe(SANDBOX);
    expect(world.told.at(-1)).toBe('learn a1a1 e1e1');
  });

  test('Join of a network or an endpoint whose record was lost is an error: else dockerd would make docker_gwbridge', async () => {
    await expect(world.network('Join', join4({ NetworkID: OTHER }))).rejects.toThrow('its record was lost');
    await expect(world.network('Join', join4())).rejects.toThrow('restart the container');
    await world.network('CreateEndpoint', createEndpoint());
    world.control.drop(BRIDGE, PORT);
    await expect(world.network('Join', join4())).rejects.toThrow('its interface is gone');
  });

  test.each(['relative', '', '/\u0000'])('Join to %j is refused', async (SandboxKey) => {
    await world.network('CreateEndpoint', createEndpoint());
    await expect(world.network('Join', join4({ SandboxKey }))).rejects.toThrow('is no absolute path');
  });

  test('Leave: unpublished, on its way home; DeleteEndpoint: gone', async () => {
    await run([tcp(8080, 80)]);
    expect(await world.network('Leave', ENDPOINT_CALL)).toEqual({});
    expect(world.control.publishes).toEqual([]);
    expect(world.control.said.at(-1)).toBe(`place ${BRIDGE} ${PORT} null`);
    expect(await world.network('DeleteEndpoint', ENDPOINT_CALL)).toEqual({});
    expect(world.control.ports.size).toBe(1);
    expect(world.place.saved.networks[0].endpoints).toEqual([]);
  });

  test('DeleteEndpoint without Revoke and Leave: unpublished and gone', async () => {
    await run([tcp(8080, 80)]);
    await world.network('DeleteEndpoint', ENDPOINT_CALL);
    expect([world.control.publishes, world.control.ports.size]).toEqual([[], 1]);
  });

  test('EndpointOperInfo: in full', async () => {
    await run([tcp(8080, 80)]);
    expect(await world.network('EndpointOperInfo', ENDPOINT_CALL)).toEqual({
      Value: {
        'com.docker.network.endpoint.macaddress': '02:42:ac:1e:00:02',
        'com.docker.network.portmap': [
          { Proto: 6, IP: '172.30.0.2', Port: 80, HostIP: '0.0.0.0', HostPort: 8080, HostPortEnd: 8080 },
        ],
        'tapbridge.bridge': BRIDGE,
        'tapbridge.port': PORT,
        'tapbridge.interface': 'tbe1e1e1e1',
        'tapbridge.sandbox': SANDBOX,
        'tapbridge.address': '172.30.0.2/24',
        'tapbridge.address_ipv6': '',
        'tapbridge.gateway': '172.30.0.1',
        'tapbridge.attached': true,
      },
    });
  });

  test('keys of newer engines are passed over', async () => {
    const gateway = { GatewayIPv4: true, Weight: 1 };
    await world.network('CreateEndpoint', { ...createEndpoint(), ...gateway });
    await world.network('Join', join4({ ...gateway, Options: { 'com.docker.network.driver.private.no_proxy_6to4': true } }));
  });

  test('calls may come again, and in the wrong order', async () => {
    await run([tcp(8080, 80)]);
    await world.network('Join', join4());
    for (const method of [
      'RevokeExternalConnectivity',
      'Leave',
      'DeleteEndpoint',
      'DeleteEndpoint',
      'Leave',
      'RevokeExternalConnectivity',
    ]) {
      expect(await world.network(method, ENDPOINT_CALL)).toEqual({});
    }
    expect(await world.network('EndpointOperInfo', ENDPOINT_CALL)).toEqual({ Value: {} });
  });

  test.each(['RevokeExternalConnectivity', 'Leave', 'DeleteEndpoint'])('%s of what is unknown: {}', async (method) => {
    expect(await world.network(method, { NetworkID: OTHER, EndpointID: ENDPOINT })).toEqual({});
    expect(await world.network(method, { NetworkID: NETWORK, EndpointID: OTHER_ENDPOINT })).toEqual({});
  });

  test.each(['RevokeExternalConnectivity', 'Leave', 'DeleteEndpoint'])('%s of one control has dropped: {}', async (method) => {
    await run([tcp(8080, 80)]);
    world.control.drop(BRIDGE, PORT);
    expect(await world.network(method, ENDPOINT_CALL)).toEqual({});
  });

  test('the connection breaks in the middle of CreateEndpoint: nothing stays', async () => {
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const begun = new Promise<void>((resolve) => {
      world.control.before = (step) => {
        if (step === 'attach') resolve();
        return step === 'attach' ? gate : undefined;
      };
    });
    await world.breakDuring('NetworkDriver.CreateEndpoint', createEndpoint(), begun);
    goOn();
    expect((await world.call('NetworkDriver.CreateEndpoint')).body['Err']).toContain('broke');
    expect(world.control.ports.size).toBe(1);
    expect(world.place.saved.networks[0].endpoints).toEqual([]);
  });
});
