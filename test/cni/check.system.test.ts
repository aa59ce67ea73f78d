/** CHECK in a namespace, with a daemon that is made up. */
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { add } from '../../src/cni/add.js';
import { check } from '../../src/cni/check.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { addAddress } from '../../src/netlink/address.js';
import { createVeth, getLink, setLink } from '../../src/netlink/link.js';
import { addRoute, removeRoute, replaceRoute } from '../../src/netlink/route.js';
import { describeSystem } from '../helpers/requirements.js';
import { FakeDaemon } from './fake-daemon.js';

const MAC = '02:00:00:00:00:01';

describeSystem('cni: CHECK in the namespace of the container', ['named-netns', 'tool:ip'], () => {
  let lab: Lab;
  let daemon: FakeDaemon;
  let a: LabNamespace;
  let index: number;
  let containers = 0;
  beforeAll(() => {
    lab = Lab.create('tbcheck');
  });
  afterAll(() => lab?.close());
  beforeEach(async () => {
    daemon = await FakeDaemon.start();
    a = lab.namespace(`a${++containers}`);
    createVeth(a.netlink, { name: 'eth0', mac: MAC }, { name: 'eth1' });
    index = getLink(a.netlink, 'eth0').index;
    setLink(a.netlink, index, { up: true });
    setLink(a.netlink, getLink(a.netlink, 'eth1').index, { up: true });
    addAddress(a.netlink, index, '10.77.0.2', 24);
    addAddress(a.netlink, index, 'fd00:77::2', 64);
    addRoute(a.netlink, { destination: 'default', gateway: '10.77.0.1', index });
    addRoute(a.netlink, { destination: '::/0', gateway: 'fd00:77::1', index });
    addRoute(a.netlink, { destination: 'fd00:9::/48', gateway: 'fd00:77::9', index });
    const env = { CNI_NETNS: a.path };
    await add(daemon.call('ADD', { ipam: { type: 'tapbridge', subnet: '10.77.0.0/24' }, runtimeConfig: { mac: MAC } }, env));
  });
  afterEach(() => daemon.server.close());

  /** undefined: all is as it was. */
  async function problem(mtu?: number): Promise<string | undefined> {
    const prevResult = {
      interfaces: [{ name: 'eth0', mac: MAC, sandbox: a.path, mtu }],
      ips: [
        { address: '10.77.0.2/24', gateway: '10.77.0.1', interface: 0 },
        { address: 'fd00:77::2/64', gateway: 'fd00:77::1', interface: 0 },
      ],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: 'fd00:9::/48', gw: 'fd00:77:0::9' }],
    };
    const call = daemon.call('CHECK', { prevResult }, { CNI_NETNS: a.path });
    return check(call).then(
      () => undefined,
      (error) => `${error.code}: ${error.message}`,
    );
  }

  test('all as it was', async () => {
    expect(await problem()).toBeUndefined();
    expect(await problem(1500)).toBeUndefined();
  });

  test('the MTU', async () => {
    setLink(a.netlink, index, { mtu: 1400 });
    expect(await problem(1500)).toBe('105: interface eth0 has the MTU 1400, 1500 is expected');
    // Results before 1.1.0 have none.
    expect(await problem()).toBeUndefined();
  });

  test('the default route by another gateway, on the link, gone', async () => {
    replaceRoute(a.netlink, { destination: 'default', gateway: '10.77.0.9', index });
    expect(await problem()).toBe('105: the route to 0.0.0.0/0 by 10.77.0.1 has been replaced: it goes by 10.77.0.9');
    replaceRoute(a.netlink, { destination: 'default', index });
    expect(await problem()).toBe('105: the route to 0.0.0.0/0 by 10.77.0.1 has been replaced: it goes on the link');
    removeRoute(a.netlink, { destination: 'default' });
    expect(await problem()).toBe('105: the route to 0.0.0.0/0 by 10.77.0.1 is gone');
  });

  test.each([
    ['-4', 'default', '0.0.0.0/0 by 10.77.0.1'],
    ['-6', '::/0', '::/0 by fd00:77::1'],
  ])('a blackhole in its place, %s', async (family, destination, named) => {
    removeRoute(a.netlink, { destination });
    a.inside(() => execFileSync('ip', [family, 'route', 'add', 'blackhole', 'default']));
    expect(await problem()).toBe(`105: the route to ${named} has been replaced: it leads nowhere`);
  });

  test('IPv6: the default route is gone, another by another gateway', async () => {
    removeRoute(a.netlink, { destination: 'fd00:9::/48' });
    addRoute(a.netlink, { destination: 'fd00:9::/48', gateway: 'fd00:77::8', index });
    expect(await problem()).toMatch(/^105: the route to fd00:9::\/48 by fd00:77::9 has been replaced: it goes by fd00:77::8$/);
    removeRoute(a.netlink, { destination: '::/0' });
    expect(await problem()).toBe('105: the route to ::/0 by fd00:77::1 is gone');
  });

  test('the way out by another network, which ADD leaves', async () => {
    const other = getLink(a.netlink, 'eth1').index;
    addAddress(a.netlink, other, '10.78.0.2', 24);
    replaceRoute(a.netlink, { destination: 'default', gateway: '10.78.0.1', index: other });
    expect(await problem()).toBeUndefined();
  });
});
