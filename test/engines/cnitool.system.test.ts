/** libcni itself, by its command cnitool: lists, capabilities, the cached result on CHECK and DEL. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { listAddresses, removeAddress } from '../../src/netlink/address.js';
import { getLink } from '../../src/netlink/link.js';
import type { CliResult } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { CniWorld, REFERENCE_PLUGINS } from './cni-world.js';
import { buildCnitool } from './cnitool.js';

const SLOW = 300_000;

describeSystem('cnitool', ['bpf', 'tap', 'named-netns', 'cnitool'], () => {
  let world: CniWorld;
  let cnitool: string;
  let network: string;
  let a: LabNamespace;
  let namespaces = 0;

  beforeAll(async () => {
    cnitool = buildCnitool();
    world = await CniWorld.open();
    network = world.network('tool', undefined, { type: 'tuning', sysctl: { 'net.ipv4.conf.all.rp_filter': '0' } });
  }, SLOW);
  beforeEach(() => {
    a = world.lab.namespace(`tool${++namespaces}`);
  });
  afterAll(async () => {
    await world?.close();
  }, SLOW);

  function run(verb: string, name = network, capabilities: object = {}): Promise<CliResult> {
    return world.run(cnitool, [verb, name, a.path], {
      NETCONFPATH: world.networks,
      CNI_PATH: `${world.plugins}:${REFERENCE_PLUGINS}`,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=q1',
      CAP_ARGS: JSON.stringify(capabilities),
    });
  }

  function expectNothingLeft(): void {
    expect(a.interfaces().map(({ name }) => name)).toEqual(['lo']);
    expect([world.leased(network), world.results(network)]).toEqual([[], []]);
  }

  test('add, check, del, and del again without the cached result', async () => {
    const capabilities = { mac: '02:00:00:00:00:01', portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
    const added = await run('add', network, capabilities);
    expect(added.status, added.stderr).toBe(0);
    expect(JSON.parse(added.stdout)).toMatchObject({
      interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: a.path }],
      ips: [{ address: '10.77.0.2/24', gateway: '10.77.0.1', interface: 0 }],
    });
    const [port] = (await world.daemon.client.listPorts(world.bridgeOf(network))).filter(({ kind }) => kind === 'tap');
    expect(port.container).toMatchObject({ engine: 'cni', id: expect.stringMatching(/^cnitool-/), name: 'q1' });
    expect(await world.daemon.client.listPublishes(world.bridgeOf(network))).toMatchObject([{ hostPort: 8080, port: 80 }]);
    for (const verb of ['check', 'del', 'del']) {
      const done = await run(verb, network, capabilities);
      expect(done.status, `${verb}: ${done.stderr}`).toBe(0);
    }
    expectNothingLeft();
  });

  test('check after the address was removed', async () => {
    await run('add');
    const { index } = getLink(a.netlink, 'eth0');
    const [{ address, prefix }] = listAddresses(a.netlink, index);
    removeAddress(a.netlink, index, address, prefix);
    const checked = await run('check');
    expect(checked.status).toBe(1);
    expect(checked.stderr).toMatch(/has lost its address/);
    await run('del');
    expectNothingLeft();
  });

  test('ips, bandwidth', async () => {
    const capable = world.network('able', { ipam: { type: 'tapbridge', subnet: '10.78.0.0/24' } });
    const bandwidth = { ingressRate: 10_000_000, ingressBurst: 8_000_000, egressRate: 20_000_000, egressBurst: 8_000_000 };
    const added = await run('add', capable, { ips: ['10.78.0.50/24'], bandwidth });
    expect(JSON.parse(added.stdout), added.stderr).toMatchObject({ ips: [{ address: '10.78.0.50/24' }] });
    const [port] = (await world.daemon.client.listPorts(world.bridgeOf(capable))).filter(({ kind }) => kind === 'tap');
    expect(port.rates).toEqual({
      in: { bitsPerSecond: 10_000_000, burstBytes: 1_000_000 },
      out: { bitsPerSecond: 20_000_000, burstBytes: 1_000_000 },
    });
    expect((await run('del', capable)).status).toBe(0);
  });

  test('the daemon is killed and started between add and del', async () => {
    await run('add');
    await world.restartDaemon('SIGKILL');
    const checked = await run('check');
    expect(checked.status, checked.stderr).toBe(0);
    expect((await run('del')).status).toBe(0);
    expectNothingLeft();
    expect(await world.ports(network)).toEqual([]);
  });

  test.each([
    ['10-tapnet.conflist', '10.77.0.'],
    ['20-tapnet-own-addresses.conflist', '10.78.0.1'],
  ])('the example %s', async (file, addresses) => {
    for (const { name } of await world.daemon.client.listBridges()) await world.daemon.client.removeBridge(name);
    const example = world.example(file);
    const added = await run('add', example);
    expect(added.status, added.stderr).toBe(0);
    expect(JSON.parse(added.stdout).ips[0].address.startsWith(addresses)).toBe(true);
    expect((await run('check', example)).status).toBe(0);
    expect((await run('del', example)).status).toBe(0);
    expectNothingLeft();
  });

  test('a key there is not: libcni shows what the plugin says of it', async () => {
    const wrong = world.network('vlan', { vlan: 7 });
    const added = await run('add', wrong);
    expect(added.status).toBe(1);
    expect(added.stderr).toContain('unsupported field vlan: 7; VLANs of a port are not there yet');
  });
});
