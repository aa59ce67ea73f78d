/** What is published for an endpoint, call by call as dockerd makes them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import {
  BRIDGE,
  createEndpoint,
  createNetwork,
  ENDPOINT_CALL,
  join4,
  NETWORK,
  PluginWorld,
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

describe('ports', () => {
  beforeEach(async () => {
    await world.network('CreateNetwork', createNetwork());
    await world.network('CreateEndpoint', createEndpoint());
    await world.network('Join', join4());
  });

  const publish = (...portmap: object[]) => world.network('ProgramExternalConnectivity', program(...portmap));
  const chosen = () => world.place.saved.networks[0].endpoints[0].publishings.map((each) => each.chosen);

  test('one; neighbours together as a range; udp apart', async () => {
    await publish(tcp(8080, 80), tcp(8002, 92), tcp(8000, 90), tcp(8001, 91), tcp(9000, 9000, { Proto: 17 }));
    expect(world.control.published()).toEqual(['8000-8002/tcp', '8080/tcp', '9000/udp']);
  });

  test('at an address; at that of the network; at all', async () => {
    await publish(tcp(1, 1, { HostIP: '127.0.0.1' }), tcp(2, 2, { HostIP: '0.0.0.0' }), tcp(4, 4));
    expect(world.control.publishes.map(({ hostPort, hostAddress }) => [hostPort, hostAddress])).toEqual([
      [2, null],
      [4, null],
      [1, '127.0.0.1'],
    ]);
  });

  test('host_binding_ipv4 is where those go that name no address', async () => {
    await world.network('DeleteNetwork', { NetworkID: NETWORK });
    await world.network('CreateNetwork', createNetwork({}, { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' }));
    await world.network('CreateEndpoint', createEndpoint());
    await world.network('Join', join4());
    await publish(tcp(80, 80), tcp(81, 81, { HostIP: '192.0.2.1' }));
    expect(world.control.publishes.map(({ hostAddress }) => hostAddress).sort()).toEqual(['127.0.0.1', '192.0.2.1']);
  });

  test('one free port of a range', async () => {
    world.control.taken.add('8000/tcp').add('8001/tcp');
    await publish(tcp(8000, 80, { HostPortEnd: 8010 }));
    expect(world.control.published()).toEqual(['8002/tcp']);
    expect(chosen()).toEqual([8002]);
  });

  test('a range that is all taken: says so, and nothing is published', async () => {
    for (const port of [8000, 8001, 8002]) world.control.taken.add(`${port}/tcp`);
    await expect(publish(tcp(9000, 90), tcp(8000, 80, { HostPortEnd: 8002 }))).rejects.toThrow('8002/tcp of the host is taken');
    expect(world.control.published()).toEqual([]);
  });

  test('no host port: an ephemeral one, another for each', async () => {
    await publish(tcp(0, 80), tcp(0, 81), tcp(0, 80, { Proto: 17 }));
    const ports = chosen();
    expect(ports.length).toBe(3);
    for (const port of ports) expect(port).toBeGreaterThanOrEqual(1024);
    expect(ports[0]).not.toBe(ports[1]);
  });

  test('entries Docker says twice are one', async () => {
    await publish(tcp(8080, 80), tcp(8080, 80));
    expect(world.control.published()).toEqual(['8080/tcp']);
  });

  test('a conflict: the text of control, and nothing is published', async () => {
    world.control.taken.add('81/tcp');
    await expect(publish(tcp(80, 80), tcp(81, 1081))).rejects.toThrow(
      'port 81/tcp of the host is taken (choose another host port)',
    );
    expect(world.control.published()).toEqual([]);
    expect(chosen()).toEqual([]);
  });

  test('sctp and IPv6 addresses are refused by name', async () => {
    await expect(publish(tcp(7777, 7777, { Proto: 132 }))).rejects.toThrow('sctp is not translated (publish tcp and udp)');
    await expect(publish(tcp(80, 80, { HostIP: '::1' }))).rejects.toThrow(
      '::1 cannot be: ports are published at IPv4 addresses only',
    );
  });

  test('a second Program without a Revoke: the same stays as it is, another takes its place', async () => {
    await publish(tcp(8080, 80), tcp(0, 81));
    const before = chosen();
    const steps = world.control.said.length;
    await publish(tcp(8080, 80), tcp(0, 81));
    expect(chosen()).toEqual(before);
    expect(world.control.said.length).toBe(steps);
    await publish(tcp(8081, 80));
    expect(world.control.published()).toEqual(['8081/tcp']);
  });

  test('published again when somebody ended it by hand', async () => {
    await publish(tcp(8080, 80));
    await world.control.unpublish(BRIDGE, { hostPort: 8080 });
    await publish(tcp(8080, 80));
    expect(world.control.published()).toEqual(['8080/tcp']);
  });

  test('Revoke ends all; null and no ports publish nothing', async () => {
    await publish(tcp(8080, 80));
    await world.network('RevokeExternalConnectivity', ENDPOINT_CALL);
    expect(world.control.publishes).toEqual([]);
    await world.network('ProgramExternalConnectivity', { ...ENDPOINT_CALL, Options: { 'com.docker.network.portmap': null } });
    await world.network('ProgramExternalConnectivity', { ...ENDPOINT_CALL, Options: null });
    await publish();
    expect(world.control.publishes).toEqual([]);
  });

  test('the role moves between networks: only the one that has it is published', async () => {
    await publish(tcp(8080, 80));
    const second = { NetworkID: OTHER, EndpointID: OTHER_ENDPOINT };
    const IPv4Data = [{ AddressSpace: 'LocalDefault', Pool: '172.31.0.0/24', Gateway: '172.31.0.1/24' }];
    await world.network('CreateNetwork', createNetwork({ NetworkID: OTHER, IPv4Data }));
    await world.network('CreateEndpoint', createEndpoint({ ...second, Interface: { Address: '172.31.0.2/24' } }));
    await world.network('Join', join4(second));
    await world.network('RevokeExternalConnectivity', ENDPOINT_CALL);
    await world.network('ProgramExternalConnectivity', { ...program(tcp(8080, 80)), ...second });
    expect(world.control.publishes.map(({ bridge, portName }) => [bridge, portName])).toEqual([
      ['tb-b2b2b2b2b2b2', 'f2f2f2f2f2f2'],
    ]);
  });

  test('a port that a container has which is gone is taken from it', async () => {
    await publish(tcp(8080, 80));
    const second = { ...ENDPOINT_CALL, EndpointID: OTHER_ENDPOINT };
    await world.network('CreateEndpoint', createEndpoint({ ...second, Interface: { Address: '172.30.0.3/24' } }));
    await world.network('Join', join4({ ...second, SandboxKey: '/run/netns/new' }));
    const take = () => world.network('ProgramExternalConnectivity', { ...program(tcp(8080, 80)), ...second });
    await expect(take()).rejects.toThrow('8080/tcp of the host is taken');
    world.namespaces.delete(SANDBOX);
    world.namespaces.add('/run/netns/new');
    world.seconds += 31;
    await take();
    expect(world.control.publishes.map(({ portName }) => portName)).toEqual(['f2f2f2f2f2f2']);
  });

  test('an engine that fails: its text, not a hang', async () => {
    world.control.before = (step) => {
      if (step === 'publish') throw new ControlError('failed', 'the engine has no room');
    };
    await expect(publish(tcp(80, 80))).rejects.toThrow('the engine has no room');
  });

  test('of an endpoint that is unknown: an error', async () => {
    await expect(world.network('ProgramExternalConnectivity', { ...program(), EndpointID: OTHER_ENDPOINT })).rejects.toThrow(
      'restart the container',
    );
  });

  test.each([{ Port: 0 }, { Port: 65_536 }, { HostPort: -1 }, { Proto: 'tcp' }, { HostPort: 1.5 }])(
    '%j is no port',
    async (wrong) => {
      await expect(publish({ ...tcp(80, 80), ...wrong })).rejects.toThrow("Docker's request is not understood");
    },
  );
});
