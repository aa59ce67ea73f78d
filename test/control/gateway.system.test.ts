/**
 * The control plane of the gateway against the kernel: a namespace with two interfaces, and an engine that only remembers. The tests' thread is inside
 * of the namespace while they run.
 */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control, type ControlOptions } from '../../src/control/control.js';
import type { Log } from '../../src/control/log.js';
import { StateStore } from '../../src/control/state-store.js';
import { MAX_UPLINKS } from '../../src/engine/protocol.js';
import { check } from '../../src/native/system-error.js';
import { addAddress, removeAddress } from '../../src/netlink/address.js';
import { createVeth, deleteLink, getLink, setLink } from '../../src/netlink/link.js';
import { Netlink } from '../../src/netlink/netlink.js';
import { Netns } from '../../src/netlink/netns.js';
import { addRoute, removeRoute } from '../../src/netlink/route.js';
import { formatIpv4 } from '../../src/wire/ipv4-address.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';

const ENETDOWN = 100;
const SUBNET = '10.88.0.0/24';

describeSystem('the control plane of the gateway', ['root', 'tap', 'bpf'], () => {
  let home: number;
  let here: Netns;
  let netlink: Netlink;
  let engine: FakeEngine;
  let control: Control | undefined;
  let said: string[];
  let folder: string;
  const containers: Netns[] = [];

  beforeEach(() => {
    home = check(binding.openNetns('/proc/thread-self/ns/net'), 'openNetns', 'home');
    here = Netns.create(binding, null);
    check(binding.enterNetns(here.descriptor), 'enterNetns', 'here');
    netlink = Netlink.open(binding);
    setLink(netlink, getLink(netlink, 'lo').index, { up: true });
    interfaceWith('eth0', '192.0.2.2', '192.0.2.1', 100);
    engine = new FakeEngine();
    said = [];
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-control-'));
  });
  afterEach(async () => {
    await control?.close();
    control = undefined;
    netlink.close();
    for (const container of containers.splice(0)) container.close();
    check(binding.enterNetns(home), 'enterNetns', 'home');
    binding.closeDescriptor(home);
    here.close();
    rmSync(folder, { recursive: true });
  });

  function interfaceWith(name: string, address: string, gateway: string | null, metric: number): number {
    createVeth(netlink, { name }, { name: `${name}-far` });
    const { index } = getLink(netlink, name);
    addAddress(netlink, index, address, 24);
    for (const each of [name, `${name}-far`]) setLink(netlink, getLink(netlink, each).index, { up: true });
    if (gateway !== null) addRoute(netlink, { destination: 'default', gateway, index, metric });
    return index;
  }

  async function start(options: Partial<ControlOptions> = {}): Promise<Control> {
    const say = (_fields: object, message: string): void => void said.push(message);
    const log: Log = { debug() {}, info: say, warn: say, error: say };
    control = await Control.start({ binding, engine, log, ...options });
    return control;
  }

  async function container(control: Control, name: string): Promise<void> {
    const netns = Netns.create(binding, null);
    containers.push(netns);
    await control.attach('tb0', { port: name, netns: `/proc/self/fd/${netns.descriptor}`, ip: 'auto' });
  }

  const uplinks = (control: Control) => control.listUplinks().map(({ interface: name, state }) => `${name} ${state}`);

  test('a plain bridge opens no gateway, and has no use for one', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0' });
    expect(control.getBridge('tb0')).toMatchObject({ uplink: 'none', internal: false, icc: true, rules: [] });
    expect(engine.said('open-gateway')).toEqual([]);
    await expect(control.createBridge({ name: 'tb1', uplink: 'auto' })).rejects.toThrow('an uplink needs a gateway');
    expect(await control.gatewayInfo()).toMatchObject({ flows: 0, flowLimit: 262_144, filter: 'apdf' });
  });

  test('auto: the interface of the default route, the routes, the addresses, the bridge', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    const { flowLimit, flowShare, guard, settings } = engine.last('open-gateway') ?? ({} as never);
    expect([flowLimit, flowShare, guard >= 0, settings.filter]).toEqual([262_144, 65_536, true, 'apdf']);
    const uplink = engine.last('add-uplink');
    expect(uplink).toMatchObject({ uplink: 0, settings: { mtu: 1500, addresses: [], up: true, spec: { kind: 'packet' } } });
    expect(formatIpv4(uplink?.settings.address ?? 0)).toBe('192.0.2.2');
    const { routes, locals, broadcasts } = engine.last('set-routes') ?? ({} as never);
    expect(
      routes.map(({ network, prefix, gateway, uplink }) => [formatIpv4(network), prefix, formatIpv4(gateway), uplink]),
    ).toEqual([
      ['0.0.0.0', 0, '192.0.2.1', 0],
      ['192.0.2.0', 24, '0.0.0.0', 0],
    ]);
    expect([...locals].map(formatIpv4).sort()).toEqual(['10.88.0.1', '192.0.2.2']);
    expect([...broadcasts].map(formatIpv4).sort()).toEqual(['10.88.0.255', '192.0.2.255']);
    expect(engine.last('set-gateway')).toMatchObject({
      bridge: 0,
      settings: { prefix: 24, uplink: -1, internal: false, rules: [] },
    });
    expect(control.listUplinks()).toMatchObject([
      { interface: 'eth0', state: 'up', mtu: 1500, addresses: ['192.0.2.2'], guard: 'ebpf', bridges: ['tb0'] },
    ]);
  });

  test('followed live: address, MTU, another default route, link down and up, deleted and back', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    const index = getLink(netlink, 'eth0').index;
    addAddress(netlink, index, '192.0.2.3', 24);
    await expect.poll(() => engine.said('set-uplink').length).toBe(1);
    expect(engine.last('set-uplink')?.settings.addresses?.map(formatIpv4)).toEqual(['192.0.2.3']);
    removeAddress(netlink, index, '192.0.2.3', 24);
    await expect.poll(() => engine.said('set-uplink').length).toBe(2);
    setLink(netlink, index, { mtu: 1400 });
    await expect.poll(() => engine.last('set-uplink')?.settings.mtu).toBe(1400);

    interfaceWith('eth1', '198.51.100.2', '198.51.100.1', 50);
    await expect.poll(() => control.listUplinks().length).toBe(2);
    const best = () =>
      engine
        .last('set-routes')
        ?.routes.filter(({ prefix }) => prefix === 0)
        .map(({ uplink }) => uplink);
    await expect.poll(() => best()?.length).toBe(2);
    expect(engine.last('set-routes')?.routes.find(({ metric }) => metric === 50)?.uplink).toBe(1);
    removeRoute(netlink, { destination: 'default', metric: 50 });
    await expect.poll(() => control.listUplinks().length).toBe(1);

    setLink(netlink, index, { up: false });
    await expect.poll(() => engine.said('remove-uplink').length).toBe(2);
    expect(uplinks(control)).toEqual([]);
    setLink(netlink, index, { up: true });
    addRoute(netlink, { destination: 'default', gateway: '192.0.2.1', index, metric: 100 });
    await expect.poll(() => uplinks(control)[0]).toBe('eth0 up');

    deleteLink(netlink, index);
    await expect.poll(() => control.listUplinks().length).toBe(0);
    interfaceWith('eth0', '192.0.2.2', '192.0.2.1', 100);
    await expect.poll(() => uplinks(control)[0]).toBe('eth0 up');
  });

  test('a named one: down, given up by the engine, up again', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'eth0' });
    expect(engine.last('set-gateway')?.settings?.uplink).toBe(0);
    const { port } = engine.last('add-uplink') ?? ({} as never);
    const { index } = getLink(netlink, 'eth0');
    setLink(netlink, index, { up: false });
    engine.tell({ event: 'port-failed', port, errno: ENETDOWN });
    await expect.poll(() => uplinks(control)[0]).toBe('eth0 down');
    expect(engine.last('set-uplink')?.settings.up).toBe(false);
    setLink(netlink, index, { up: true });
    await expect.poll(() => uplinks(control)[0]).toBe('eth0 up');
    expect(engine.said('remove-uplink')).toHaveLength(1);
    expect(engine.said('add-uplink').map(({ port }) => port)).toEqual([port, port]);
    deleteLink(netlink, index);
    await expect.poll(() => control.listUplinks().length).toBe(0);
    await expect.poll(() => engine.last('set-gateway')?.settings?.uplink).toBe(MAX_UPLINKS);
    interfaceWith('eth0', '192.0.2.2', null, 0);
    await expect.poll(() => engine.last('set-gateway')?.settings?.uplink !== MAX_UPLINKS).toBe(true);
    expect(uplinks(control)).toEqual(['eth0 up']);
  });

  test('what cannot be an uplink: nothing is left of the bridge that asked for it', async () => {
    const control = await start();
    await expect(control.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'eth7' })).rejects.toMatchObject({
      code: 'not-found',
      message: 'the host has no interface eth7',
      hint: 'there are: lo, eth0-far, eth0',
    });
    await expect(control.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'lo' })).rejects.toThrow('lo is the loopback');
    await control.createBridge({ name: 'tb1', subnet: '10.89.0.0/24' });
    await expect(control.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'tb1' })).rejects.toThrow(
      'the host port of bridge tb1',
    );
    await expect(control.attach('tb1', { port: 'wan', iface: 'eth0' })).rejects.toThrow('eth0 is the uplink of tb1');
    expect(control.listBridges().map(({ name }) => name)).toEqual(['tb1']);
    await expect(control.changeBridge('tb1', { uplink: 'eth7' })).rejects.toThrow('the host has no interface eth7');
    await expect(control.changeBridge('tb1', { egressAddress: '192.0.2.9' })).rejects.toThrow(
      'the host has no address 192.0.2.9',
    );
    expect(control.getBridge('tb1')).toMatchObject({ uplink: 'auto', egressAddress: null });
  });

  test('an address of a bridge of ours is none to translate to: it is refused, and not among those there are', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    const hint = 'there are: 192.0.2.2';
    const own = {
      code: 'invalid',
      message: '10.88.0.1 is the address of bridge tb0: flows to the outside cannot be translated to it',
      hint,
    };
    const asked = { name: 'tb1', subnet: '10.89.0.0/24' };
    await expect(control.createBridge({ ...asked, egressAddress: '10.88.0.1' })).rejects.toMatchObject(own);
    await expect(control.createBridge({ ...asked, egressAddress: '192.0.2.9' })).rejects.toMatchObject({
      code: 'not-found',
      hint,
    });
    await expect(control.changeBridge('tb0', { egressAddress: '10.88.0.1' })).rejects.toMatchObject(own);
    await container(control, 'web');
    await expect(control.changePort('tb0', 'web', { egressAddress: '10.88.0.1' })).rejects.toMatchObject(own);
    expect(control.listBridges().map(({ name }) => name)).toEqual(['tb0']);
    await control.createBridge({ ...asked, egressAddress: '192.0.2.2' });
    expect(control.getBridge('tb1').egressAddress).toBe('192.0.2.2');
  });

  test('the engine refuses an uplink that was named: the change is undone', async () => {
    const control = await start();
    engine.refusals['add-uplink'] = 'engine: no';
    await expect(control.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'eth0' })).rejects.toThrow(
      'eth0 cannot be the uplink',
    );
    expect(control.listBridges()).toEqual([]);
    // One that was found by itself is tried again.
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    expect(control.listUplinks()).toEqual([]);
    delete engine.refusals['add-uplink'];
    await expect.poll(() => control.listUplinks().length).toBe(1);
  });

  test('an uplink is shared, goes with the last bridge, and comes again', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    await control.createBridge({ name: 'tb1', subnet: '10.89.0.0/24', uplink: 'eth0' });
    expect(control.listUplinks().map(({ bridges }) => bridges)).toEqual([['tb0', 'tb1']]);
    await control.removeBridge('tb0');
    expect(uplinks(control)).toEqual(['eth0 up']);
    await control.changeBridge('tb1', { internal: true });
    expect(engine.last('set-gateway')?.settings?.internal).toBe(true);
    expect(control.listUplinks()).toEqual([]);
    await control.changeBridge('tb1', { internal: false, uplink: 'none' });
    expect(engine.last('set-gateway')?.settings).toBe(null);
    await control.changeBridge('tb1', { uplink: 'auto', mssClamp: 'on' });
    expect(engine.last('set-gateway')?.settings?.mssClamp).toBe('on');
    expect(engine.said('open-gateway')).toHaveLength(1);
    await control.removeBridge('tb1');
    expect(control.listUplinks()).toEqual([]);
  });

  test('N25: an uplink renumbered into the subnet of a bridge is told of once', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    const { index } = getLink(netlink, 'eth0');
    addAddress(netlink, index, '10.88.0.77', 16);
    const told = () => said.filter((message) => message.includes('overlaps'));
    await expect.poll(() => told().length > 0).toBe(true);
    setLink(netlink, index, { mtu: 1400 });
    await expect.poll(() => engine.last('set-uplink')?.settings.mtu).toBe(1400);
    expect(told()).toEqual([
      '10.88.0.77/16 of uplink eth0 overlaps 10.88.0.0/24 of bridge tb0: the containers stay reachable, hosts of the same addresses outside are not',
    ]);
  });

  test('icc off isolates each container, on again only those that are', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET, icc: false });
    await container(control, 'web');
    expect(engine.said('add-port').map(({ settings }) => settings.flags.isolated)).toEqual([false, true]);
    expect(control.getPort('tb0', 'web').flags.isolated).toBe(true);
    await control.changeBridge('tb0', { icc: true });
    expect(engine.last('set-port')?.flags?.isolated).toBe(false);
    await control.changePort('tb0', 'web', { flags: { isolated: true } });
    await control.changeBridge('tb0', { icc: false });
    await control.changeBridge('tb0', { icc: true });
    expect(engine.last('set-port')?.flags?.isolated).toBe(true);
  });

  test('rules: by name until the port goes', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET, rules: [{ action: 'deny', port: 'web' }, { action: 'allow' }] });
    const ports = () => engine.last('set-gateway')?.settings?.rules.map(({ port }) => port);
    expect(ports()).toEqual([-1]);
    await container(control, 'web');
    const { port } = engine.last('add-port') ?? ({} as never);
    expect(ports()).toEqual([port, -1]);
    await expect(control.changeBridge('tb0', { rules: [{ action: 'deny', port: 'db' }] })).rejects.toThrow(
      'port db, which bridge tb0',
    );
    await control.detach('tb0', 'web');
    expect(ports()).toEqual([-1]);
    expect(control.getBridge('tb0').rules).toEqual([{ action: 'allow' }]);
  });

  test('an address to translate to, for one container', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    await container(control, 'web');
    await control.changePort('tb0', 'web', { egressAddress: '192.0.2.2' });
    const { port } = engine.last('add-port') ?? ({} as never);
    expect(engine.last('set-egress')).toMatchObject({ port });
    expect(control.getPort('tb0', 'web').egressAddress).toBe('192.0.2.2');
    await expect(control.changePort('tb0', 'web', { egressAddress: '192.0.2.9' })).rejects.toThrow(
      'the host has no address 192.0.2.9',
    );
    await control.changePort('tb0', 'web', { egressAddress: null });
    expect(engine.last('set-egress')?.address).toBe(0);
  });

  test('publish: told, reserved, refused to others, ended by unpublish and by detach', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    await container(control, 'web');
    await container(control, 'db');
    const request = { hostPort: 8080, hostPortEnd: 8089, port: 80, portName: 'web' };
    expect(await control.publish('tb0', request)).toEqual({
      protocol: 'tcp',
      container: null,
      hostAddress: null,
      hostPort: 8080,
      hostPortEnd: 8089,
      port: 80,
      bridge: 'tb0',
      portName: 'web',
      address: '10.88.0.2',
      listening: true,
    });
    expect(engine.last('add-publish')?.settings).toMatchObject({ id: 0, protocol: 'tcp', hostPort: 8080, count: 10, port: 80 });
    await expect(control.publish('tb0', { ...request, hostPort: 8085, hostPortEnd: 8085, portName: 'db' })).rejects.toThrow(
      '8085/tcp is taken by publish 8080-8089/tcp of bridge tb0, port web',
    );
    await control.publish('tb0', { ...request, protocol: 'udp' });
    await expect(createListener(8085)).rejects.toThrow('EADDRINUSE');
    await expect(control.publish('tb0', { ...request, portName: 'tb0' })).rejects.toThrow('tb0 is the host port');
    await expect(control.publish('tb0', { ...request, hostPort: 90, hostPortEnd: 80 })).rejects.toThrow('ends before it begins');
    await expect(control.unpublish('tb0', { hostPort: 81 })).rejects.toThrow('publishes no port 81/tcp');
    await control.unpublish('tb0', { hostPort: 8080 });
    expect(control.listPublishes().map(({ protocol }) => protocol)).toEqual(['udp']);
    (await createListener(8085)).close();
    await control.detach('tb0', 'web');
    expect(control.listPublishes('tb0')).toEqual([]);
    expect(engine.said('remove-publish')).toHaveLength(2);
  });

  test('publish: what the engine refuses leaves no listener, what the host has is refused with its name', async () => {
    const control = await start();
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    await container(control, 'web');
    engine.refusals['add-publish'] = 'engine: no';
    await expect(control.publish('tb0', { hostPort: 8080, port: 80, portName: 'web' })).rejects.toThrow('engine: no');
    delete engine.refusals['add-publish'];
    const server = await createListener(8080);
    await expect(control.publish('tb0', { hostPort: 8080, port: 80, portName: 'web' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/^port 8080\/tcp of the host is taken by .+ \(process [0-9]+\)$/),
    });
    expect(engine.said('add-publish')).toEqual([]);
    server.close();
    expect(control.listPublishes()).toEqual([]);
    await control.changeBridge('tb0', { internal: true });
    await expect(control.publish('tb0', { hostPort: 8080, port: 80, portName: 'web' })).rejects.toThrow('bridge tb0 is internal');
  });

  test('what the host listens on is reserved, also later', async () => {
    const control = await start();
    const server = await createListener(17_000);
    await control.createBridge({ name: 'tb0', subnet: SUBNET });
    const tcp = () => engine.said('set-reserved').findLast(({ protocol }) => protocol === 'tcp')?.ports;
    expect(tcp()).toContain(17_000);
    server.close();
    await expect.poll(() => tcp()?.includes(17_000)).toBe(false);
  });

  test('restored: settings, publishes; a host port that is taken meanwhile is a warning, and taken when it is free', async () => {
    const options = {
      rules: [{ action: 'deny' as const, protocol: 'udp' }],
      mssClamp: 'on' as const,
      egressAddress: '192.0.2.2',
    };
    const path = join(folder, 'state');
    const store = StateStore.open(path);
    const first = await start({ store });
    await first.createBridge({ name: 'tb0', subnet: SUBNET, uplink: 'eth0', ...options });
    await container(first, 'web');
    await first.publish('tb0', { hostPort: 8080, port: 80, portName: 'web' });
    await first.publish('tb0', { hostPort: 8081, port: 81, portName: 'web' });
    const saved = store.load({ debug() {}, info() {}, warn() {}, error() {} });
    // As after a crash: the record is there, what the daemon had open is not.
    await first.close();
    const server = await createListener(8080);
    const again: StateStore = Object.assign(Object.create(StateStore.prototype), { load: () => saved, save() {} });
    const control = await start({ store: again });
    expect(control.getBridge('tb0')).toMatchObject({ uplink: 'eth0', ...options });
    expect(control.listPublishes().map(({ hostPort, listening }) => [hostPort, listening])).toEqual([
      [8080, false],
      [8081, true],
    ]);
    expect(said.some((message) => message.startsWith('publish 8080/tcp has no listener'))).toBe(true);
    server.close();
    await expect.poll(() => control.listPublishes().every(({ listening }) => listening)).toBe(true);
    store.close();
  });

  test('tables that fill up are told of', async () => {
    await start();
    const full = { event: 'gateway-pressure', table: 'flows', address: 0, used: 85, size: 100, relieved: false } as const;
    engine.tell(full);
    engine.tell({ ...full, used: 60, relieved: true });
    expect(said).toEqual(['the flow table is 85 % full', 'the flow table has room again: 60 % in use']);
  });
});

async function createListener(port: number) {
  const server = createServer().listen(port, '0.0.0.0');
  await once(server, 'listening');
  return server;
}
