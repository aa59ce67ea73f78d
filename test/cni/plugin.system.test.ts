/** The plugin with a running daemon and Debian's reference plugins, without an engine: namespaces stand for containers. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { VERSIONS } from '../../src/cni/version.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabNamespace } from '../../src/lab/lab-namespace.js';
import { listAddresses, removeAddress } from '../../src/netlink/address.js';
import { createVeth, getLink, setLink } from '../../src/netlink/link.js';
import { listRoutes } from '../../src/netlink/route.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { type PluginResult, runPluginIn, startPluginIn } from './plugin.js';

const PLUGINS = '/usr/lib/cni';
const SLOW = 60_000;

describeSystem('cni: the plugin with a daemon', ['bpf', 'tap', 'named-netns', 'tool:/usr/lib/cni/host-local'], () => {
  let lab: Lab;
  let host: LabNamespace;
  let daemon: TestDaemon;
  let leases: string;
  let containers = 0;
  let a: LabNamespace;

  beforeAll(async () => {
    lab = Lab.create('tbplug');
    host = lab.namespace('host');
    const outside = lab.namespace('outside');
    createVeth(host.netlink, { name: 'eth0' }, { name: 'eth0', netns: outside.descriptor });
    outside.configure('eth0', { address: '198.19.0.2' });
    host.configure('eth0', { address: '198.19.0.1', gateway: '198.19.0.2' });
    leases = join(lab.folder, 'leases');
    daemon = await TestDaemon.start(lab, host);
  }, SLOW);
  beforeEach(() => {
    a = lab.namespace(`a${++containers}`);
  });
  afterAll(async () => {
    await daemon?.close();
    await lab?.close();
  }, SLOW);

  /** A network of the tests; each has a subnet of its own. */
  function config(more: object = {}): Record<string, unknown> {
    const ranges = [[{ subnet: '10.77.0.0/24', gateway: '10.77.0.1' }]];
    const ipam = { type: 'host-local', dataDir: leases, ranges, routes: [{ dst: '0.0.0.0/0' }] };
    return { cniVersion: '1.0.0', name: 'tapnet', type: 'tapbridge', socket: daemon.socket, state: daemon.state, ipam, ...more };
  }

  function run(verb: string, input: object, env: Record<string, string> = {}): Promise<PluginResult> {
    return runPluginIn(lab, host, environment(verb, env), JSON.stringify(input));
  }

  function environment(verb: string, env: Record<string, string>): Record<string, string> {
    const own = {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: `c${containers}`,
      CNI_NETNS: a.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: PLUGINS,
    };
    return { ...own, ...env };
  }

  async function ask(verb: string, input: object, env: Record<string, string> = {}): Promise<Record<string, unknown>> {
    const { status, stdout, stderr } = await run(verb, input, env);
    if (status !== 0) throw new Error(`${verb}: ${stdout}${stderr}`);
    return stdout === '' ? {} : JSON.parse(stdout);
  }

  async function errorOf(verb: string, input: object, env: Record<string, string> = {}) {
    const { status, stdout } = await run(verb, input, env);
    expect(status).toBe(1);
    return JSON.parse(stdout) as { code: number; msg: string; details: string };
  }

  async function ports(bridge = 'tb-tapnet'): Promise<string[]> {
    const all = await daemon.client.listPorts(bridge);
    return all.filter(({ kind }) => kind !== 'host').map(({ name }) => name);
  }

  function leased(network = 'tapnet'): string[] {
    const folder = join(leases, network);
    return existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9.]+$/.test(name)) : [];
  }

  function addressesOf(namespace: LabNamespace, name = 'eth0'): string[] {
    const { index } = getLink(namespace.netlink, name);
    const all = listAddresses(namespace.netlink, index);
    return all.filter(({ address }) => !address.startsWith('fe80')).map(({ address, prefix }) => `${address}/${prefix}`);
  }

  test('ADD, CHECK, DEL, DEL', async () => {
    const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }], mac: '02:00:00:00:00:01' };
    const result = await ask('ADD', config({ runtimeConfig }));
    expect(result).toMatchObject({
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: a.path }],
      ips: [{ gateway: '10.77.0.1', interface: 0 }],
      routes: [{ dst: '0.0.0.0/0' }],
    });
    expect(addressesOf(a)).toEqual([(result['ips'] as { address: string }[])[0].address]);
    expect(listRoutes(a.netlink)).toContainEqual(expect.objectContaining({ destination: '0.0.0.0', gateway: '10.77.0.1' }));
    await ask('CHECK', config({ runtimeConfig, prevResult: result }));
    expect(leased()).toHaveLength(1);
    await ask('DEL', config({ runtimeConfig, prevResult: result }));
    expect(a.interfaces().map(({ name }) => name)).toEqual(['lo']);
    expect([await ports(), leased(), await daemon.client.listPublishes('tb-tapnet')]).toEqual([[], [], []]);
    expect(await run('DEL', config({ runtimeConfig }))).toMatchObject({ status: 0, stdout: '' });
  });

  test.each(VERSIONS)('cniVersion %s', async (cniVersion) => {
    const ipam = cniVersion === '1.1.0' ? { type: 'tapbridge', subnet: '10.78.0.0/24' } : config()['ipam'];
    const network = config({ cniVersion, ipam, name: cniVersion === '1.1.0' ? 'newest' : 'tapnet' });
    const result = await ask('ADD', network);
    expect(result['cniVersion']).toBe(cniVersion);
    const [ip] = result['ips'] as Record<string, unknown>[];
    expect(ip['version']).toBe(cniVersion.startsWith('0.') ? '4' : undefined);
    expect((result['interfaces'] as Record<string, unknown>[])[0]['mtu']).toBe(cniVersion === '1.1.0' ? 1500 : undefined);
    if (!cniVersion.startsWith('0.3')) await ask('CHECK', { ...network, prevResult: result });
    await ask('DEL', network);
  });

  test('IPv6 beside IPv4: configured, with its routes', async () => {
    const ranges = [[{ subnet: '10.79.0.0/24', gateway: '10.79.0.1' }], [{ subnet: 'fd00:77::/64', gateway: 'fd00:77::1' }]];
    const network = config({
      name: 'dual',
      ipam: { type: 'host-local', dataDir: leases, ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] },
    });
    const result = await ask('ADD', network);
    expect(addressesOf(a)).toEqual(['10.79.0.2/24', 'fd00:77::2/64']);
    await ask('CHECK', { ...network, prevResult: result });
    await ask('DEL', network);
  });

  test('layer 2 only', async () => {
    expect(await ask('ADD', config({ name: 'plain', ipam: undefined }))).not.toHaveProperty('ips');
    expect(addressesOf(a)).toEqual([]);
    expect(getLink(a.netlink, 'eth0').up).toBe(true);
    await ask('DEL', config({ name: 'plain', ipam: undefined }));
  });

  test('CHECK sees what is not as it was', async () => {
    const runtimeConfig = { portMappings: [{ hostPort: 8090, containerPort: 80 }] };
    const result = await ask('ADD', config({ runtimeConfig }));
    const check = { ...config({ runtimeConfig }), prevResult: result };
    await ask('CHECK', check);
    expect((await errorOf('CHECK', config())).code).toBe(7);
    await daemon.client.unpublish('tb-tapnet', { hostPort: 8090 });
    expect((await errorOf('CHECK', check)).msg).toBe('port 8090/tcp is not published');
    const { index } = getLink(a.netlink, 'eth0');
    const [{ address, prefix }] = listAddresses(a.netlink, index);
    removeAddress(a.netlink, index, address, prefix);
    expect((await errorOf('CHECK', check)).msg).toMatch(/has lost its address/);
    await ask('DEL', config());
    expect(await errorOf('CHECK', check)).toMatchObject({ code: 105, msg: 'interface eth0 is gone' });
  });

  test('an interface of that name is there: error 102, untouched, and no lease stays', async () => {
    createVeth(a.netlink, { name: 'eth0' }, { name: 'peer' });
    const { index } = getLink(a.netlink, 'eth0');
    expect((await errorOf('ADD', config())).code).toBe(102);
    expect(getLink(a.netlink, 'eth0').index).toBe(index);
    expect([await ports(), leased()]).toEqual([[], []]);
  });

  test('ADD twice: the second is refused, and the first is as it was', async () => {
    await ask('ADD', config());
    const before = addressesOf(a);
    expect((await errorOf('ADD', config())).code).toBe(102);
    expect(addressesOf(a)).toEqual(before);
    expect(leased()).toHaveLength(1);
    await ask('DEL', config());
  });

  test('ADD in a new namespace, the old one gone without DEL: replaced', async () => {
    await ask('ADD', config());
    a.close();
    a = lab.namespace(`again${containers}`);
    const result = await ask('ADD', config());
    expect(addressesOf(a)).toHaveLength(1);
    expect(result).toMatchObject({ interfaces: [{ sandbox: a.path }] });
    expect([await ports(), leased()]).toMatchObject([{ length: 1 }, { length: 1 }]);
    await ask('DEL', config());
  });

  test('a port of the host that is taken, an address, a MAC', async () => {
    const publish = { portMappings: [{ hostPort: 8091, containerPort: 80 }] };
    await ask('ADD', config({ runtimeConfig: { ...publish, mac: '02:00:00:00:00:09' } }));
    const other = lab.namespace(`b${containers}`);
    const env = { CNI_CONTAINERID: 'other', CNI_NETNS: other.path };
    expect((await errorOf('ADD', config({ runtimeConfig: publish }), env)).code).toBe(100);
    expect((await errorOf('ADD', config({ runtimeConfig: { mac: '02:00:00:00:00:09' } }), env)).code).toBe(104);
    const own = (runtimeConfig: object) => config({ ipam: { type: 'tapbridge' }, runtimeConfig });
    const [taken] = addressesOf(a);
    expect((await errorOf('ADD', own({ ips: [taken] }), env)).code).toBe(104);
    expect((await errorOf('ADD', own({ ips: ['10.99.0.1/24'] }), env)).code).toBe(7);
    expect(other.interfaces().map(({ name }) => name)).toEqual(['lo']);
    expect([await ports(), leased()]).toMatchObject([{ length: 1 }, { length: 1 }]);
    await ask('DEL', config());
  });

  test('our own pool runs dry: error 101, STATUS 50', async () => {
    const small = config({ cniVersion: '1.1.0', name: 'small', ipam: { type: 'tapbridge', subnet: '10.80.0.0/30' } });
    await ask('STATUS', small);
    await ask('ADD', small);
    expect((await errorOf('ADD', small, { CNI_IFNAME: 'eth1' })).code).toBe(101);
    expect((await errorOf('STATUS', small)).code).toBe(50);
    await ask('DEL', small);
    await ask('STATUS', small);
  });

  test('DEL: no namespace, a stale one, a plain file', async () => {
    for (const [ifname, netns] of [
      ['e1', ''],
      ['e2', '/run/netns/never'],
      ['e3', '/etc/hosts'],
    ]) {
      await ask('ADD', config(), { CNI_IFNAME: ifname });
      await ask('DEL', config(), { CNI_IFNAME: ifname, CNI_NETNS: netns });
    }
    expect([await ports(), leased()]).toEqual([[], []]);
  });

  test('ADD killed half way, then DEL', async () => {
    for (const millis of [60, 90, 120]) {
      const plugin = startPluginIn(lab, host, environment('ADD', {}));
      plugin.stdin?.end(JSON.stringify(config()));
      await sleep(millis);
      plugin.kill('SIGKILL');
      // What the daemon and the IPAM plugin were asked for they finish. One DEL has to do: runtimes do not repeat it.
      await sleep(1000);
      await ask('DEL', config());
      expect([await ports(), leased(), a.interfaces().length]).toEqual([[], [], 1]);
    }
  });

  test('GC: one of two attachments is known', async () => {
    const network = config({ cniVersion: '1.1.0', name: 'swept', ipam: { type: 'tapbridge', subnet: '10.81.0.0/24' } });
    await ask('ADD', network);
    await ask('ADD', network, { CNI_IFNAME: 'eth1' });
    await ask('GC', network);
    expect(await ports('tb-swept')).toHaveLength(2);
    const valid = [{ containerID: `c${containers}`, ifname: 'eth1' }];
    await ask('GC', { ...network, 'cni.dev/valid-attachments': valid });
    expect(a.interfaces().map(({ name }) => name)).toEqual(['lo', 'eth1']);
    await ask('GC', { ...network, 'cni.dev/valid-attachments': [] });
    expect(await ports('tb-swept')).toEqual([]);
  });

  test('chained with tuning, which finds the interface by its sandbox', async () => {
    const result = await ask('ADD', config());
    const plugin = {
      cniVersion: '1.0.0',
      name: 'tapnet',
      type: 'tuning',
      mac: '02:00:00:00:00:33',
      mtu: 1300,
      prevResult: result,
    };
    const { default: child } = await import('node:child_process');
    const tuned = host.inside(() =>
      child.spawnSync(join(PLUGINS, 'tuning'), { input: JSON.stringify(plugin), env: environment('ADD', {}), encoding: 'utf8' }),
    );
    expect(tuned.status, tuned.stdout).toBe(0);
    await ask('CHECK', config({ prevResult: JSON.parse(tuned.stdout) }));
    expect(getLink(a.netlink, 'eth0')).toMatchObject({ mac: '02:00:00:00:00:33', mtu: 1300 });
    await ask('DEL', config());
  });

  test(
    '50 ADDs at a time, each address once; 50 DELs, and nothing is left',
    async () => {
      const before = host.interfaces().map(({ name }) => name);
      const namespaces = Array.from({ length: 50 }, (_, index) => lab.namespace(`many${index}`));
      const env = (index: number) => ({ CNI_CONTAINERID: `many${index}`, CNI_NETNS: namespaces[index].path });
      const results = await Promise.all(namespaces.map((_, index) => ask('ADD', config(), env(index))));
      const addresses = results.map(({ ips }) => (ips as { address: string }[])[0].address);
      expect(new Set(addresses).size).toBe(50);
      expect(namespaces.map((each) => addressesOf(each)[0])).toEqual(addresses);
      await Promise.all(namespaces.map((_, index) => ask('DEL', config(), env(index))));
      expect([await ports(), leased()]).toEqual([[], []]);
      expect(host.interfaces().map(({ name }) => name)).toEqual(before);
      for (const each of namespaces) expect(each.interfaces().map(({ name }) => name)).toEqual(['lo']);
    },
    SLOW,
  );

  test(
    '50 ADDs at a time from a range of our own pool',
    async () => {
      const network = config({
        name: 'ranged',
        ipam: { type: 'tapbridge', subnet: '10.82.0.0/24', rangeStart: '10.82.0.100', rangeEnd: '10.82.0.180' },
      });
      const adds = Array.from({ length: 50 }, (_, index) => ask('ADD', network, { CNI_IFNAME: `r${index}` }));
      const addresses = (await Promise.all(adds)).map(({ ips }) => (ips as { address: string }[])[0].address);
      expect(new Set(addresses).size).toBe(50);
      expect(addresses.every((address) => /^10\.82\.0\.1[0-8][0-9]\/24$/.test(address))).toBe(true);
      await ask('GC', { ...network, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] });
      await daemon.client.removeBridge('tb-ranged');
    },
    SLOW,
  );

  test('the daemon is killed and started between ADD and DEL', async () => {
    const result = await ask('ADD', config());
    const before = [addressesOf(a), getLink(a.netlink, 'eth0').index];
    await daemon.end('SIGKILL');
    expect((await errorOf('ADD', config(), { CNI_IFNAME: 'eth1' })).code).toBe(11);
    expect((await errorOf('STATUS', config({ cniVersion: '1.1.0', ipam: undefined }))).code).toBe(51);
    await daemon.start();
    expect([addressesOf(a), getLink(a.netlink, 'eth0').index]).toEqual(before);
    await ask('CHECK', config({ prevResult: result }));
    await ask('DEL', config());
    expect([await ports(), leased(), a.interfaces().length]).toEqual([[], [], 1]);
  });

  test('DEL while the daemon is down: it does it when it starts, and drops a note it cannot read', async () => {
    await ask('ADD', config());
    await daemon.end('SIGKILL');
    await ask('DEL', config());
    expect(leased()).toEqual([]);
    const notes = join(daemon.state, 'cni-pending');
    expect(readdirSync(notes)).toHaveLength(1);
    mkdirSync(join(notes, 'folder.json'));
    await daemon.start();
    expect(await eventually(async () => (await ports()).length === 0)).toBe(true);
    expect(a.interfaces().map(({ name }) => name)).toEqual(['lo']);
    expect(daemon.log).toContain('cannot carry out what a note asks for');
    rmSync(notes, { recursive: true, force: true });
  });

  test('STATUS of a daemon that was stopped in order', async () => {
    await daemon.end('SIGTERM');
    expect((await errorOf('STATUS', config({ cniVersion: '1.1.0', ipam: undefined }))).code).toBe(50);
    await daemon.start();
  });

  test('an interface that was moved or set down is not ours to mend: CHECK says so', async () => {
    const result = await ask('ADD', config());
    setLink(a.netlink, getLink(a.netlink, 'eth0').index, { up: false });
    expect((await errorOf('CHECK', config({ prevResult: result }))).code).toBe(105);
    await ask('DEL', config());
  });
});
