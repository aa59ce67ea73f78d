/** The verbs against a daemon that is made up; IPAM plugins are shell scripts. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { add } from '../../src/cni/add.js';
import type { Call } from '../../src/cni/call.js';
import { del } from '../../src/cni/del.js';
import { gc } from '../../src/cni/gc.js';
import { portNameOf } from '../../src/cni/names.js';
import { status } from '../../src/cni/status.js';
import { ControlError } from '../../src/control/control-error.js';
import { NOTES } from '../../src/control/detach-note.js';
import { FakeDaemon, NETNS } from './fake-daemon.js';

const OWN = { ipam: { type: 'tapbridge', subnet: '10.77.0.0/24' } };
const OLD_NETNS = '/nonexistent/netns';

let daemon: FakeDaemon;
let folder: string;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-cni-'));
});
afterEach(async () => {
  await daemon.server.close();
  rmSync(folder, { recursive: true });
});

/** An IPAM plugin that writes down what it is asked, and says the same each time. */
function ipam(answer: object | string, exit = 0): { config: object; env: Record<string, string>; asked(): string[] } {
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
  const log = join(folder, 'asked');
  const script = `#!/bin/sh\ncat >"${folder}/stdin"\necho "$CNI_COMMAND $CNI_CONTAINERID" >>"${log}"\nif [ "$CNI_COMMAND" = ADD ]; then echo '${text}'; exit ${exit}; fi\n`;
  writeFileSync(join(folder, 'made-up'), script, { mode: 0o755 });
  return {
    config: { ipam: { type: 'made-up', any: 'thing' } },
    env: { CNI_PATH: `/nonexistent:${folder}` },
    asked: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []),
  };
}

const GIVEN = {
  cniVersion: '1.1.0',
  ips: [{ address: '10.88.0.7/16', gateway: '10.88.0.1' }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: { domain: 'x.test' },
};

async function refused(call: Promise<unknown>): Promise<{ code: number; message: string; details: string }> {
  return call.then(
    () => {
      throw new Error('it was not refused');
    },
    (error) => error,
  );
}

test('ADD with addresses of our own: bridge, port, publishes, result', async () => {
  const runtimeConfig = {
    mac: '02:00:00:00:00:07',
    portMappings: [{ hostPort: 8080, containerPort: 80 }],
    bandwidth: { ingressRate: 1e6, ingressBurst: 1e7 },
    dns: { servers: ['192.0.2.53'] },
  };
  const call = daemon.call(
    'ADD',
    { ...OWN, mtu: 1400, hairpinMode: true, runtimeConfig },
    { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=q1' },
  );
  expect(await add(call)).toEqual({
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:07', mtu: 1400, sandbox: NETNS }],
    ips: [{ address: '10.77.0.2/24', gateway: '10.77.0.1', interface: 0 }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['192.0.2.53'] },
  });
  const network = { engine: 'cni', id: 'tapnet', name: 'tapnet' };
  expect(daemon.created).toEqual([{ name: 'tb-tapnet', subnet: '10.77.0.0/24', mtu: 1400, network }]);
  expect(daemon.onlyPort().asked).toMatchObject({
    port: portNameOf('tapnet', 'c1', 'eth0'),
    netns: NETNS,
    ifname: 'eth0',
    ip: 'auto',
    mac: '02:00:00:00:00:07',
    flags: { hairpin: true, isolated: false, locked: false },
    rates: { in: { bitsPerSecond: 1_000_000, burstBytes: 1_250_000 }, out: null },
    container: { engine: 'cni', id: 'c1', name: 'q1' },
  });
  // The daemon's own choice: the default route by the gateway.
  expect(daemon.onlyPort().asked.routes).toBeUndefined();
  expect(daemon.published).toMatchObject([
    { protocol: 'tcp', hostPort: 8080, hostPortEnd: 8080, port: 80, reservation: 'daemon' },
  ]);
});

test('ADD with another plugin’s addresses: the same input, its routes, its DNS', async () => {
  const made = ipam({
    ...GIVEN,
    ips: [...GIVEN.ips, { address: 'fd00::7/64' }],
    routes: [...GIVEN.routes, { dst: '10.9.0.0/16', gw: '10.88.0.9' }],
  });
  const call = daemon.call('ADD', made.config, made.env);
  expect(await add(call)).toMatchObject({
    ips: [
      { address: '10.88.0.7/16', gateway: '10.88.0.1', interface: 0 },
      { address: 'fd00::7/64', interface: 0 },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '10.9.0.0/16', gw: '10.88.0.9' }],
    dns: { domain: 'x.test' },
  });
  expect(readFileSync(join(folder, 'stdin'), 'utf8')).toBe(call.network.text);
  expect(daemon.created).toMatchObject([{ subnet: '10.88.0.0/16', gateway: '10.88.0.1' }]);
  expect(daemon.onlyPort().asked).toMatchObject({
    ip: '10.88.0.7/16',
    addresses: ['fd00::7/64'],
    routes: [
      { destination: '0.0.0.0/0', gateway: '10.88.0.1' },
      { destination: '10.9.0.0/16', gateway: '10.88.0.9' },
    ],
  });
});

test('without ipam: layer 2 only', async () => {
  expect(await add(daemon.call('ADD', {}))).toEqual({
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', mac: '02:42:0a:4d:00:02', mtu: 1500, sandbox: NETNS }],
    dns: {},
  });
  expect(daemon.created).toEqual([{ name: 'tb-tapnet', network: { engine: 'cni', id: 'tapnet', name: 'tapnet' } }]);
  expect(daemon.onlyPort().asked.ip).toBeUndefined();
  expect((await refused(add(daemon.call('ADD', { runtimeConfig: { ips: ['10.0.0.2/24'] } }, { CNI_IFNAME: 'eth1' })))).code).toBe(
    7,
  );
});

test.each([
  [{ isGateway: false }, { subnet: undefined }],
  [{ isGateway: true }, { subnet: '10.88.0.0/16', gateway: '10.88.0.1', uplink: undefined }],
  [{ ipMasq: false }, { subnet: '10.88.0.0/16', uplink: 'none' }],
  [{ internal: true }, { internal: true }],
  [{ uplink: 'eth7' }, { uplink: 'eth7' }],
])('%j: the bridge is %j', async (settings, bridge) => {
  const made = ipam(GIVEN);
  await add(daemon.call('ADD', { ...made.config, ...settings }, made.env));
  const [created] = daemon.created;
  for (const [key, value] of Object.entries(bridge)) expect(created[key as keyof typeof created]).toEqual(value);
});

test('isDefaultGateway adds the default route, once', async () => {
  const made = ipam({ ...GIVEN, routes: [] });
  expect(await add(daemon.call('ADD', { ...made.config, isDefaultGateway: true }, made.env))).toMatchObject({
    routes: [{ dst: '0.0.0.0/0' }],
  });
  expect(daemon.onlyPort().asked.routes).toEqual([{ destination: '0.0.0.0/0', gateway: '10.88.0.1' }]);
});

test('ports need the gateway', async () => {
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 80 }] };
  for (const settings of [{ ipMasq: false }, { internal: true }]) {
    const error = await refused(add(daemon.call('ADD', { ...OWN, ...settings, runtimeConfig })));
    expect(error).toMatchObject({ code: 7, message: expect.stringContaining(Object.keys(settings)[0]) });
  }
  expect(daemon.created).toEqual([]);
});

test('a prevResult: tapbridge is the first of a list', async () => {
  expect((await refused(add(daemon.call('ADD', { ...OWN, prevResult: {} })))).code).toBe(7);
});

test('a fixed address of our own pool; one that is taken, a full pool, a range', async () => {
  const ask = (ifname: string, ipamKeys: object, runtimeConfig: object = {}) =>
    add(daemon.call('ADD', { ipam: { ...OWN.ipam, ...ipamKeys }, runtimeConfig }, { CNI_IFNAME: ifname }));
  expect(await ask('e0', {}, { ips: ['10.77.0.50/24'] })).toMatchObject({ ips: [{ address: '10.77.0.50/24' }] });
  expect((await refused(ask('e1', {}, { ips: ['10.77.0.50'] }))).code).toBe(104);
  const range = { rangeStart: '10.77.0.50', rangeEnd: '10.77.0.51' };
  expect(await ask('e2', range)).toMatchObject({ ips: [{ address: '10.77.0.51/24' }] });
  expect((await refused(ask('e3', range))).code).toBe(101);
  const ranges = [[{ subnet: '10.77.0.0/24', rangeStart: '10.77.0.60', rangeEnd: '10.77.0.60' }]];
  expect(await ask('e4', {}, { ipRanges: ranges })).toMatchObject({ ips: [{ address: '10.77.0.60/24' }] });
  daemon.refusals.set('attach', new ControlError('conflict', 'no address of 10.77.0.0/24 is free'));
  expect((await refused(ask('e5', {}))).code).toBe(101);
});

test.each([
  [new ControlError('conflict', 'interface eth0 exists in namespace /run/netns/a'), 102],
  [new ControlError('conflict', '02:00:00:00:00:07 is the MAC of port x'), 104],
  [new ControlError('failed', 'the kernel refuses'), 103],
  [new ControlError('not-found', 'no such namespace'), 4],
  [new ControlError('invalid', '10.88.0.7 is outside of the subnet'), 7],
  [new Error('a defect'), 103],
])('attach refused (%s): error %i, and the addresses go back', async (refusal, code) => {
  const made = ipam(GIVEN);
  daemon.refusals.set('attach', refusal);
  expect((await refused(add(daemon.call('ADD', made.config, made.env)))).code).toBe(code);
  expect(made.asked()).toEqual(['ADD c1', 'DEL c1']);
});

test('a port of the host that is taken: error 100, port and addresses go back', async () => {
  const made = ipam(GIVEN);
  daemon.refusals.set(
    'publish',
    new ControlError('conflict', 'port 80/tcp of the host is taken by nginx (process 7)', 'choose another host port'),
  );
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 80 }] };
  const error = await refused(add(daemon.call('ADD', { ...made.config, runtimeConfig }, made.env)));
  expect(error).toMatchObject({ code: 100, message: expect.stringContaining('nginx'), details: 'choose another host port' });
  expect(daemon.ports.size).toBe(0);
  expect(made.asked()).toEqual(['ADD c1', 'DEL c1']);
});

test('the IPAM’s error goes on as it is, after what an earlier attachment may have left was given back', async () => {
  const made = ipam({ cniVersion: '1.1.0', code: 77, msg: 'no more', details: 'really' }, 1);
  expect(await refused(add(daemon.call('ADD', made.config, made.env)))).toMatchObject({
    code: 77,
    message: 'no more',
    details: 'really',
  });
  expect(made.asked()).toEqual(['ADD c1', 'DEL c1', 'ADD c1']);
  expect((await refused(add(daemon.call('ADD', { ipam: { type: 'nobody' } }, made.env)))).code).toBe(7);
  const mute = ipam('', 3);
  expect(await refused(add(daemon.call('ADD', mute.config, mute.env)))).toMatchObject({
    code: 999,
    message: expect.stringContaining('status 3'),
  });
  const garbled = ipam('{', 0);
  expect((await refused(add(daemon.call('ADD', garbled.config, garbled.env)))).code).toBe(6);
});

test('routes of our own pool without gw go by the bridge’s gateway', async () => {
  const ask = (ifname: string, subnet: object, routes: object[], settings: object = {}) =>
    add(daemon.call('ADD', { ipam: { ...OWN.ipam, ...subnet, routes }, ...settings }, { CNI_IFNAME: ifname }));
  const asked = (ifname: string) => daemon.ports.get(`tb-tapnet/${portNameOf('tapnet', 'c1', ifname)}`)?.asked.routes;
  await ask('e0', {}, [{ dst: '0.0.0.0/0' }, { dst: '10.9.0.0/16', gw: '10.77.0.9' }]);
  expect(asked('e0')).toEqual([
    { destination: '0.0.0.0/0', gateway: '10.77.0.1' },
    { destination: '10.9.0.0/16', gateway: '10.77.0.9' },
  ]);
  // The bridge is there, so ipam need not name its subnet.
  await ask('e1', { subnet: undefined }, [{ dst: '10.9.0.0/16' }], { isDefaultGateway: true });
  expect(asked('e1')).toEqual([
    { destination: '10.9.0.0/16', gateway: '10.77.0.1' },
    { destination: '0.0.0.0/0', gateway: '10.77.0.1' },
  ]);
});

test.each(['10.88.0.0/24', '10.77.0.0/25'])('a subnet of our own pool that is not the bridge’s, %s: error 7', async (subnet) => {
  await add(daemon.call('ADD', OWN));
  const other = daemon.call('ADD', { ipam: { type: 'tapbridge', subnet } }, { CNI_IFNAME: 'eth1' });
  expect(await refused(add(other))).toMatchObject({
    code: 7,
    message: `bridge tb-tapnet has the subnet 10.77.0.0/24, ipam says ${subnet}`,
  });
  expect(daemon.ports.size).toBe(1);
});

test('a bridge of that name: another’s is refused unless it is named; another gateway always', async () => {
  await daemon.createBridge({ name: 'tb-tapnet', subnet: '10.77.0.0/24', gateway: '10.77.0.9' });
  expect((await refused(add(daemon.call('ADD', OWN)))).code).toBe(7);
  expect(await add(daemon.call('ADD', { ...OWN, bridge: 'tb-tapnet' }))).toMatchObject({ ips: [{ gateway: '10.77.0.9' }] });
  const made = ipam({ ...GIVEN, ips: [{ address: '10.77.0.7/24', gateway: '10.77.0.1' }] });
  const other = await refused(
    add(daemon.call('ADD', { ...made.config, bridge: 'tb-tapnet' }, { ...made.env, CNI_IFNAME: 'eth1' })),
  );
  expect(other).toMatchObject({ code: 7, message: expect.stringContaining('10.77.0.9') });
});

test('a parallel ADD made the bridge: it is used', async () => {
  const parallel = daemon.call('ADD', OWN, { CNI_CONTAINERID: 'c2' });
  await Promise.all([add(daemon.call('ADD', OWN)), add(parallel)]);
  expect(daemon.created).toHaveLength(1);
  expect(daemon.ports.size).toBe(2);
});

test('ADD again: refused where the container has its interface, replaced where its namespace is gone', async () => {
  await add(daemon.call('ADD', OWN));
  expect(await refused(add(daemon.call('ADD', OWN)))).toMatchObject({ code: 102, details: 'call DEL first' });
  daemon.onlyPort().netns = OLD_NETNS;
  const made = ipam(GIVEN);
  daemon.bridges.get('tb-tapnet')!.gateway = '10.88.0.1';
  daemon.refusals.clear();
  const call = daemon.call('ADD', { ...made.config, isGateway: false }, made.env);
  await refused(add(call));
  // What the old attachment had went back before new addresses were asked for.
  expect(made.asked().slice(0, 2)).toEqual(['DEL c1', 'ADD c1']);
});

test('the daemon is down: error 11', async () => {
  await daemon.server.close();
  expect((await refused(add(daemon.call('ADD', OWN)))).code).toBe(11);
  daemon = await FakeDaemon.start();
});

test('DEL: of what is there, twice, of what never was, without a namespace', async () => {
  const made = ipam(GIVEN);
  await add(daemon.call('ADD', made.config, made.env));
  const again = daemon.call('DEL', { ...made.config, colour: 'red' }, { ...made.env, CNI_NETNS: '' });
  await del(again);
  expect(daemon.ports.size).toBe(0);
  await del(again);
  await del(daemon.call('DEL', { name: 'never', ...made.config }, made.env));
  expect(made.asked()).toEqual(['ADD c1', 'DEL c1', 'DEL c1', 'DEL c1']);
});

test('DEL: an IPAM that fails is no error', async () => {
  await del(daemon.call('DEL', { ipam: { type: 'nobody' } }));
});

test('DEL while the daemon is down: a note, if there is a state directory', async () => {
  const made = ipam(GIVEN);
  const down = (state: string): Call =>
    daemon.call('DEL', { ...made.config, socket: join(folder, 'none.sock'), state }, made.env);
  await del(down(folder));
  const port = portNameOf('tapnet', 'c1', 'eth0');
  const notes = join(folder, NOTES);
  expect(readdirSync(notes)).toEqual([`${port}.json`]);
  expect(JSON.parse(readFileSync(join(notes, `${port}.json`), 'utf8'))).toEqual({
    version: 1,
    bridge: 'tb-tapnet',
    port,
    container: 'c1',
  });
  await del(down('/nonexistent'));
  writeFileSync(join(folder, 'plain'), '');
  expect((await refused(del(down(join(folder, 'plain'))))).code).toBe(11);
  expect(made.asked()).toHaveLength(3);
});

test('DEL: the daemon answers at the last attempt, so no note stays', async () => {
  await add(daemon.call('ADD', OWN));
  daemon.refusals.set('detach', new Error('for a moment'));
  await del(daemon.call('DEL', { ...OWN, state: folder }));
  expect(daemon.ports.size).toBe(0);
  expect(readdirSync(join(folder, NOTES))).toEqual([]);
});

test('DEL while the daemon hangs: a note, and the addresses go back', async () => {
  const made = ipam(GIVEN);
  await add(daemon.call('ADD', made.config, made.env));
  daemon.detach = () => new Promise(() => {});
  await del(daemon.call('DEL', { ...made.config, state: folder }, made.env), { first: 100, last: 100 });
  expect(readdirSync(join(folder, NOTES))).toEqual([`${portNameOf('tapnet', 'c1', 'eth0')}.json`]);
  expect(made.asked()).toEqual(['ADD c1', 'DEL c1']);
});

test('STATUS while the daemon hangs: error 51', async () => {
  daemon.health = () => new Promise(() => {});
  expect(await refused(status(daemon.call('STATUS', OWN), 100))).toMatchObject({
    code: 51,
    message: `the daemon at ${daemon.server.path} does not answer within 0.1 s`,
  });
});

test('ADD removes a note about its attachment', async () => {
  const file = join(folder, NOTES, `${portNameOf('tapnet', 'c1', 'eth0')}.json`);
  mkdirSync(join(folder, NOTES));
  writeFileSync(file, '{}');
  await add(daemon.call('ADD', { ...OWN, state: folder }));
  expect(existsSync(file)).toBe(false);
});

test('GC: this network’s attachments that are not in the list', async () => {
  const made = ipam(GIVEN);
  const config = { ...made.config, bridge: 'shared', isGateway: false };
  for (const id of ['c1', 'c2', 'c3']) {
    const address = { ...GIVEN, ips: [{ address: `10.88.0.${id[1]}/16` }] };
    ipam(address);
    await add(daemon.call('ADD', config, { ...made.env, CNI_CONTAINERID: id }));
  }
  await daemon.attach('shared', { port: 'by-hand', netns: 'x' });
  ipam({ ...GIVEN, ips: [{ address: '10.88.0.9/16' }] });
  await add(daemon.call('ADD', { ...config, name: 'other' }, made.env));
  const before = made.asked().length;
  await gc(daemon.call('GC', config, made.env));
  expect(daemon.ports.size).toBe(5);
  daemon.refusals.set('detach', new Error('for a moment'));
  const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }] };
  const error = await refused(gc(daemon.call('GC', { ...config, ...valid }, made.env)));
  expect(error).toMatchObject({ code: 999, details: expect.stringContaining('detach c1-eth0') });
  await gc(daemon.call('GC', { ...config, ...valid }, made.env));
  const left = [...daemon.ports.values()].map(({ name }) => name);
  expect(left).toEqual([portNameOf('tapnet', 'c2', 'eth0'), 'by-hand', portNameOf('other', 'c1', 'eth0')]);
  expect(made.asked().slice(before)).toEqual(['DEL c1', 'DEL c3', 'GC c1', 'DEL c1', 'GC c1']);
  expect((await refused(gc(daemon.call('GC', { ...config, 'cni.dev/valid-attachments': {} }, made.env)))).code).toBe(7);
});

test('GC: attachments whose interface the container renamed', async () => {
  const made = ipam(GIVEN);
  await add(daemon.call('ADD', made.config, made.env));
  daemon.onlyPort().interface = 'renamed';
  const keep = { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] };
  await gc(daemon.call('GC', { ...made.config, ...keep }, made.env));
  expect(daemon.ports.size).toBe(1);
  await gc(daemon.call('GC', { ...made.config, 'cni.dev/valid-attachments': [] }, made.env));
  expect(daemon.ports.size).toBe(0);
});

test('STATUS: well, full, down, and down with containers that suffer', async () => {
  await status(daemon.call('STATUS', OWN));
  const small = { ipam: { type: 'tapbridge', subnet: '10.77.0.0/30' } };
  await add(daemon.call('ADD', small));
  expect((await refused(status(daemon.call('STATUS', small)))).code).toBe(50);
  const down = { ...OWN, socket: join(folder, 'none.sock') };
  expect((await refused(status(daemon.call('STATUS', down)))).code).toBe(50);
  writeFileSync(join(folder, 'state.json'), JSON.stringify({ bridges: [{ ports: [{}] }] }));
  expect((await refused(status(daemon.call('STATUS', { ...down, state: folder })))).code).toBe(51);
  expect((await refused(status(daemon.call('STATUS', { ...OWN, colour: 'red' })))).code).toBe(2);
});

test('STATUS asks the IPAM, too', async () => {
  const made = ipam(GIVEN);
  await status(daemon.call('STATUS', made.config, made.env));
  expect(made.asked()).toEqual(['STATUS c1']);
});
