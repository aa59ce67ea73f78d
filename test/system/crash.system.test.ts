/** Daemons are killed, or end and leave everything to the next one: containers keep their interface, and what is over is found out. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { check } from '../../src/native/system-error.js';
import { addAddress, listAddresses } from '../../src/netlink/address.js';
import { Scope } from '../../src/netlink/constants.js';
import { deleteLink, getLink, setLink } from '../../src/netlink/link.js';
import { Netns } from '../../src/netlink/netns.js';
import { addRoute, listRoutes } from '../../src/netlink/route.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';

const STREAM_BYTES = 1_500_000_000;
const LONG = { timeout: 60_000 };

describeSystem('containers outlive the daemon', ['root', 'tap', 'named-netns'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;
  let b: LabHost;

  beforeEach(async () => {
    lab = Lab.create('tbcrash');
    [daemon, a, b] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a'), lab.host('b')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24', uplink: 'none' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: '198.18.0.2' });
    await daemon.client.attach('tb0', { port: 'b', pid: b.pid, ip: '198.18.0.3' });
  });
  afterEach(async () => {
    await daemon.close();
    await lab.close();
  });

  /** What a container has, as far as it must not change. */
  const factsOf = ({ namespace }: LabHost) => {
    const links = namespace.interfaces().filter(({ kind }) => kind === 'tun');
    const facts = links.map(({ index, name, mac, mtu, up, alias }) => ({ index, name, mac, mtu, up, alias }));
    // Those the kernel chooses by itself come and go with the carrier.
    const addresses = listAddresses(namespace.netlink).filter(({ scope }) => scope !== Scope.link);
    return { facts, addresses, routes: listRoutes(namespace.netlink) };
  };
  const linksOf = (host: { namespace: { interfaces(): { name: string }[] } }) =>
    host.namespace.interfaces().map(({ name }) => name);
  const reaches = async (from: LabHost, address: string) => (await from.ping({ address, count: 1 })).received === 1;
  const portNames = async () => (await daemon.client.listPorts('tb0')).map(({ name }) => name);

  test('kill -9 in the middle of a TCP stream: it goes on; interface, index, MAC, addresses and routes stay', LONG, async () => {
    addRoute(a.namespace.netlink, { destination: '203.0.113.0/24', gateway: '198.18.0.3' });
    const before = [factsOf(a), factsOf(b)];
    const host = getLink(daemon.namespace.netlink, 'tb0');
    const served = await b.tcpServe(5000);
    let over = false;
    const sent = a.tcpSend({ address: '198.18.0.3', port: 5000, bytes: STREAM_BYTES }).then(() => (over = true));
    await sleep(300);
    await daemon.end('SIGKILL');
    expect(over).toBe(false);
    expect([linksOf(a), linksOf(b)]).toEqual([
      ['lo', 'eth0'],
      ['lo', 'eth0'],
    ]);
    expect(getLink(a.namespace.netlink, 'eth0').lowerUp).toBe(false);
    await daemon.start();
    await sent;
    expect(await served.result()).toMatchObject({ bytes: STREAM_BYTES, intact: true });
    expect([factsOf(a), factsOf(b)]).toEqual(before);
    expect(getLink(daemon.namespace.netlink, 'tb0')).toMatchObject({ index: host.index, mac: host.mac, up: true });
    expect(await reaches(a, '198.18.0.1')).toBe(true);
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect([linksOf(daemon), linksOf(a), linksOf(b)]).toEqual([['lo'], ['lo'], ['lo']]);
  });

  test('twice in a row, and the numbers of bridges and ports stay', async () => {
    const numbers = () => JSON.parse(readFileSync(join(daemon.state, 'state.json'), 'utf8')).bridges.map(numbersOf);
    const numbersOf = (bridge: { number: number; hostNumber: number; ports: { number: number }[] }) => [
      bridge.number,
      bridge.hostNumber,
      bridge.ports.map(({ number }) => number),
    ];
    await daemon.client.detach('tb0', 'a');
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: '198.18.0.2' });
    const before = numbers();
    for (let time = 0; time < 2; time++) {
      await daemon.end('SIGKILL');
      await daemon.start();
      expect(await reaches(a, '198.18.0.3')).toBe(true);
    }
    expect(numbers()).toEqual(before);
  });

  test('its interface renamed, addressed anew and set to another MTU by the container: taken as it is', async () => {
    await daemon.end('SIGKILL');
    const { netlink } = a.namespace;
    const { index } = getLink(netlink, 'eth0');
    setLink(netlink, index, { up: false });
    setLink(netlink, index, { name: 'net7', mtu: 1400, up: true });
    addAddress(netlink, index, '192.0.2.7', 24);
    const facts = factsOf(a);
    await daemon.start();
    expect(factsOf(a)).toEqual(facts);
    expect(await daemon.client.getPort('tb0', 'a')).toMatchObject({ interface: 'net7', state: 'up' });
    expect(await reaches(a, '198.18.0.3')).toBe(true);
    await daemon.client.detach('tb0', 'a');
    expect(linksOf(a)).toEqual(['lo']);
  });

  test('its interface deleted by the container: made anew with its address and route', async () => {
    await daemon.end('SIGKILL');
    deleteLink(a.namespace.netlink, getLink(a.namespace.netlink, 'eth0').index);
    await daemon.start();
    expect(await reaches(a, '198.18.0.3')).toBe(true);
    expect(listRoutes(a.namespace.netlink).some(({ prefix, gateway }) => prefix === 0 && gateway === '198.18.0.1')).toBe(true);
  });

  test('the host port deleted meanwhile: made anew', async () => {
    await daemon.end('SIGKILL');
    deleteLink(daemon.namespace.netlink, getLink(daemon.namespace.netlink, 'tb0').index);
    await daemon.start();
    expect(await reaches(a, '198.18.0.1')).toBe(true);
  });

  test('another namespace of the same name: the port is dropped and nothing is made in the new one', async () => {
    const name = `tbcrash-${process.pid}-named`;
    const first = Netns.create(binding, name);
    await daemon.client.attach('tb0', { port: 'c', netns: name, ip: 'auto' });
    await daemon.end('SIGKILL');
    Netns.remove(binding, name);
    const second = Netns.create(binding, name);
    try {
      await daemon.start();
      expect(await portNames()).toEqual(['tb0', 'a', 'b']);
      expect(daemon.log).toContain('cannot restore port c');
    } finally {
      Netns.remove(binding, name);
      second.close();
      first.close();
    }
  });

  test.each([
    ['1', '2'],
    ['2', '1'],
  ])('made for %s engine threads, taken over by %s: addresses and routes stay', async (first, second) => {
    await daemon.end('SIGKILL');
    await daemon.start('--threads', first);
    addRoute(a.namespace.netlink, { destination: '203.0.113.0/24', gateway: '198.18.0.3' });
    const { addresses, routes } = factsOf(a);
    await daemon.end('SIGKILL');
    await daemon.start('--threads', second);
    expect(await reaches(a, '198.18.0.3')).toBe(true);
    expect(await reaches(b, '198.18.0.1')).toBe(true);
    const after = factsOf(a);
    const v4 = (list: typeof addresses) => list.filter(({ family }) => family === 'ipv4').map(({ address }) => address);
    expect(v4(after.addresses)).toEqual(v4(addresses));
    const ways = (list: typeof routes) => list.map(({ destination, prefix, gateway }) => `${destination}/${prefix} ${gateway}`);
    expect(ways(after.routes).sort()).toEqual(ways(routes).sort());
  });

  test('a namespace that ends after it was opened again: its port goes, found by the path and by the process', async () => {
    const name = `tbcrash-${process.pid}-ends`;
    Netns.create(binding, name).close();
    await daemon.client.attach('tb0', { port: 'c', netns: name, ip: 'auto' });
    await daemon.end('SIGKILL');
    await daemon.start();
    expect(await portNames()).toEqual(['tb0', 'a', 'b', 'c']);
    Netns.remove(binding, name);
    await b.close();
    expect(await eventually(async () => (await portNames()).join() === 'tb0,a')).toBe(true);
    expect(daemon.record().bridges[0].ports.map((port) => port.name)).toEqual(['a']);
    expect(await reaches(a, '198.18.0.1')).toBe(true);
  });

  test('a name that is gone, while the process is in its namespace: the port stays', async () => {
    await daemon.client.detach('tb0', 'a');
    const name = `tbcrash-${process.pid}-gone`;
    const other = Netns.create(binding, name);
    const c = await lab.host('c', `/run/netns/${name}`);
    await daemon.client.attach('tb0', { port: 'c', netns: name, ip: 'auto' });
    await daemon.end('SIGKILL');
    Netns.remove(binding, name);
    await daemon.start();
    await sleep(2200);
    expect(await portNames()).toEqual(['tb0', 'b', 'c']);
    expect(await reaches(c, '198.18.0.3')).toBe(true);
    other.close();
    await c.close();
    expect(await eventually(async () => (await portNames()).join() === 'tb0,b')).toBe(true);
  });

  test('on-stop keep: SIGTERM leaves it all, the next daemon goes on, and with remove nothing is left', async () => {
    await daemon.end('SIGTERM');
    await daemon.start('--on-stop', 'keep');
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24', uplink: 'none' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: '198.18.0.2' });
    await daemon.client.attach('tb0', { port: 'b', pid: b.pid, ip: '198.18.0.3' });
    const before = [factsOf(a), factsOf(b)];
    const ports = await portNames();
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(readdirSync(daemon.folder)).toEqual(['state']);
    expect([linksOf(daemon), linksOf(a), linksOf(b)]).toEqual([
      ['lo', 'tb0'],
      ['lo', 'eth0'],
      ['lo', 'eth0'],
    ]);
    await daemon.start();
    expect(await portNames()).toEqual(ports);
    expect([factsOf(a), factsOf(b)]).toEqual(before);
    expect(await reaches(a, '198.18.0.3')).toBe(true);
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect([linksOf(daemon), linksOf(a), linksOf(b)]).toEqual([['lo'], ['lo'], ['lo']]);
  });

  test.each([
    ['half of it', (text: string) => text.slice(0, text.length / 2), 'is damaged'],
    [
      'a newer version',
      (text: string) => text.replace('"version": 1', '"version": 7'),
      'is of version 7, this daemon reads versions up to 1',
    ],
  ])('a record that is %s: set aside and said so; what it made at home goes', async (_what, change, reason) => {
    await daemon.end('SIGKILL');
    const path = join(daemon.state, 'state.json');
    writeFileSync(path, change(readFileSync(path, 'utf8')));
    await daemon.start();
    expect(daemon.log).toContain(reason);
    expect(daemon.log).toContain(`set aside as ${path}.broken-1`);
    expect(await daemon.client.listBridges()).toEqual([]);
    expect(linksOf(daemon)).toEqual(['lo']);
    expect(linksOf(a)).toEqual(['lo', 'eth0']);
  });

  test('a start that fails by a mistake in the configuration takes nothing from containers', async () => {
    await daemon.end('SIGKILL');
    const config = join(daemon.folder, 'wrong.yaml');
    writeFileSync(config, 'bridges: [{ name: tb1, subnet: 198.18.0.0/25 }]\n');
    await expect(daemon.start('--config', config)).rejects.toThrow('overlaps');
    expect([linksOf(a), linksOf(b)]).toEqual([
      ['lo', 'eth0'],
      ['lo', 'eth0'],
    ]);
    await daemon.start();
    expect(await reaches(a, '198.18.0.3')).toBe(true);
  });

  test('an interface of ours that no record knows is removed, one of another daemon is not', async () => {
    await daemon.end('SIGKILL');
    const instance = readFileSync(join(daemon.state, 'instance'), 'latin1').trim();
    const leave = (name: string, alias: string) => {
      const tap = check(
        binding.openTap({
          name,
          netns: daemon.namespace.descriptor,
          vnetHeader: true,
          offloads: 0,
          persistent: true,
          mode: 'create',
        }),
        'openTap',
        name,
      );
      setLink(daemon.namespace.netlink, getLink(daemon.namespace.netlink, name).index, { alias });
      binding.closeDescriptor(tap);
    };
    leave('tbours', `tapbridge:${instance}/tb0/nobody`);
    leave('tbother', `tapbridge:${instance === '00000000' ? '1' : '0'}0000000/tb0/nobody`);
    await daemon.start();
    expect(linksOf(daemon).sort()).toEqual(['lo', 'tb0', 'tbother']);
  });
});
