/** Interfaces made for an engine to move, and what is configured on those that are moved here; the engine threads are stood in for. */
import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import type { Binding } from '../../src/native/binding.js';
import type { SystemError } from '../../src/native/system-error.js';
import { listAddresses } from '../../src/netlink/address.js';
import { createVeth, deleteLink, findLink, getLink, moveLink, setLink } from '../../src/netlink/link.js';
import { NetworkMonitor } from '../../src/netlink/monitor.js';
import type { Netlink } from '../../src/netlink/netlink.js';
import type { Netns } from '../../src/netlink/netns.js';
import { listRoutes } from '../../src/netlink/route.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';
import { HereAndThere } from './here-and-there.js';

const MAC = '02:00:00:00:00:07';
const { EPERM } = constants.errno;

describeSystem('interfaces in containers', ['root', 'tap'], () => {
  let both: HereAndThere;
  let here: Netns;
  let there: Netns;
  let netlink: Netlink;
  let inside: Netlink;
  let control: Control;

  beforeEach(async () => {
    both = new HereAndThere();
    ({ here, there, netlink, inside } = both);
    control = await Control.start({ binding, engine: new FakeEngine() });
    await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
  });
  afterEach(async () => {
    await control.close();
    both.close();
  });

  const sandbox = () => `/proc/self/fd/${there.descriptor}`;
  const lend = () => control.attach('tb0', { port: 'web', lent: 'tb00000001', ip: '10.88.0.5', mac: MAC, mtu: 1400 });
  const move = () => moveLink(netlink, getLink(netlink, 'tb00000001').index, there.descriptor, 'eth3');

  test('lent: made at home under its name, down, without addresses, with MAC, MTU and alias', async () => {
    expect(await lend()).toMatchObject({ kind: 'tap', interface: 'tb00000001', netns: null, mac: MAC, ip: '10.88.0.5/24' });
    const link = getLink(netlink, 'tb00000001');
    expect(link).toMatchObject({ kind: 'tun', up: false, mac: MAC, mtu: 1400, txQueueLength: 4096 });
    expect(link.alias).toMatch(/^tapbridge:[0-9a-f]{8}\/tb0\/web$/);
    expect(listAddresses(netlink, link.index)).toEqual([]);
    expect(control.getPort('tb0', 'web').state).toBe('down');
  });

  test('lent, placed: shown as the engine calls it; its MTU changes where it is; detached there', async () => {
    await lend();
    await control.place('tb0', 'web', sandbox());
    expect(control.getPort('tb0', 'web')).toMatchObject({ netns: sandbox(), interface: 'tb00000001' });
    move();
    setLink(inside, getLink(inside, 'eth3').index, { up: true });
    expect(control.getPort('tb0', 'web')).toMatchObject({ netns: sandbox(), interface: 'eth3', state: 'up' });
    await control.changePort('tb0', 'web', { mtu: 1300 });
    expect(getLink(inside, 'eth3').mtu).toBe(1300);
    await control.detach('tb0', 'web');
    expect(findLink(inside, 'eth3')).toBeUndefined();
  });

  test('lent, placed, back at home: shown there, and lent again', async () => {
    await lend();
    await control.place('tb0', 'web', sandbox());
    move();
    moveLink(inside, getLink(inside, 'eth3').index, here.descriptor, 'tb00000001');
    await control.place('tb0', 'web', null);
    expect(control.getPort('tb0', 'web')).toMatchObject({ netns: null, interface: 'tb00000001', state: 'down' });
    await control.detach('tb0', 'web');
    expect(findLink(netlink, 'tb00000001')).toBeUndefined();
  });

  test('lent: a name that is taken, no name, a second source, a name inside are refused, and nothing is made', async () => {
    const refused = (request: object) =>
      expect(control.attach('tb0', { port: 'web', ...request })).rejects.toMatchObject({ name: 'ControlError' });
    await refused({ lent: 'tb0' });
    await refused({ lent: 'a/b' });
    await refused({ lent: 'tb00000001', netns: sandbox() });
    await refused({ lent: 'tb00000001', ifname: 'eth0' });
    await refused({ lent: 'tb00000001', routes: [{ destination: '0.0.0.0/0' }] });
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0']);
    expect(findLink(netlink, 'tb00000001')).toBeUndefined();
  });

  test('place: only what is lent, only absolute paths', async () => {
    await lend();
    await expect(control.place('tb0', 'web', 'sandbox')).rejects.toThrow('no absolute path');
    await control.attach('tb0', { port: 'db', netns: sandbox() });
    await expect(control.place('tb0', 'db', '/run/x')).rejects.toThrow('not lent');
    await expect(control.place('tb0', 'nobody', null)).rejects.toMatchObject({ code: 'not-found' });
  });

  test('names learned later: of the container, of the network', async () => {
    await lend();
    const container = { engine: 'docker', id: 'f00d', name: 'web' } as const;
    await control.setContainer('tb0', 'web', container);
    expect(control.getPort('tb0', 'web').container).toEqual(container);
    const network = { engine: 'docker', id: 'cafe', name: 'mynet' } as const;
    await control.setNetwork('tb0', network);
    expect(control.getBridge('tb0').network).toEqual(network);
  });

  test("moved: the host hears nothing of it, and may have an interface of the container's name", async () => {
    createVeth(netlink, { name: 'eth0' }, { name: 'eth0peer' });
    const monitor = NetworkMonitor.open(binding);
    try {
      await control.attach('tb0', { port: 'web', netns: sandbox(), ip: 'auto', mac: MAC });
      // The bridge's own interface came up a moment ago, and may be heard of still.
      const heard = monitor.drain().flatMap((event) => ('link' in event ? [event.link.name] : []));
      expect(heard.filter((name) => name !== 'tb0')).toEqual([]);
    } finally {
      monitor.close();
    }
    expect(getLink(inside, 'eth0')).toMatchObject({ kind: 'tun', up: true, mac: MAC, txQueueLength: 4096 });
    expect(getLink(netlink, 'eth0').kind).toBe('veth');
  });

  test('moved: refused by the kernel at any request on the way, nothing is left, and the same name works the next time', async () => {
    const request = { port: 'web', netns: sandbox(), ip: 'auto' };
    let left = 0;
    const refusing = new Proxy(binding, {
      get: (target, name: keyof Binding) =>
        name === 'netlinkRequest' && left > 0
          ? (...args: Parameters<Binding['netlinkRequest']>) => (--left === 0 ? -EPERM : target.netlinkRequest(...args))
          : target[name],
    });
    const other = await Control.start({ binding: refusing, engine: new FakeEngine() });
    try {
      await other.createBridge({ name: 'tb1', subnet: '10.89.0.0/24', uplink: 'none' });
      for (let fatal = 1; ; fatal++) {
        left = fatal;
        const attached = await other.attach('tb1', request).catch((error: SystemError) => error);
        const refused = left === 0;
        left = 0;
        if (!refused) {
          expect(attached).toMatchObject({ interface: 'eth0' });
          // Set up, moved, addressed, brought up: each was refused once.
          expect(fatal).toBeGreaterThan(7);
          break;
        }
        expect(attached).toMatchObject({ name: 'SystemError' });
        expect(findLink(inside, 'eth0')).toBeUndefined();
      }
      expect(getLink(inside, 'eth0').up).toBe(true);
    } finally {
      await other.close();
    }
  });

  test('further addresses of both families and exactly the routes asked for', async () => {
    await control.attach('tb0', {
      port: 'web',
      netns: sandbox(),
      ip: '10.88.0.5',
      addresses: ['10.89.0.5/24', '2001:db8::5/64'],
      routes: [
        { destination: '10.90.0.0/16', gateway: '10.88.0.1' },
        { destination: '10.91.0.0/16' },
        { destination: '2001:db8:1::/48', gateway: '2001:db8::1' },
      ],
    });
    const { index } = getLink(inside, 'eth0');
    const addresses = listAddresses(inside, index).map(({ address, prefix }) => `${address}/${prefix}`);
    expect(addresses).toEqual(expect.arrayContaining(['10.88.0.5/24', '10.89.0.5/24', '2001:db8::5/64']));
    const routes = listRoutes(inside).map(({ destination, prefix, gateway }) => `${destination}/${prefix} ${gateway}`);
    expect(routes).toEqual(expect.arrayContaining(['10.90.0.0/16 10.88.0.1', '10.91.0.0/16 ']));
    expect(routes.filter((route) => route.startsWith('0.0.0.0/0'))).toEqual([]);
  });

  test.each([
    ['an address without its prefix', { addresses: ['10.89.0.5'] }],
    ['a prefix that is too long', { addresses: ['10.89.0.5/33'] }],
    ['no address', { addresses: ['nonsense/24'] }],
    ['a zone', { addresses: ['fe80::1%eth0/64'] }],
    ['a gateway of the other family', { routes: [{ destination: '::/0', gateway: '10.88.0.1' }] }],
    ['a gateway that is none', { routes: [{ destination: '0.0.0.0/0', gateway: 'gw' }] }],
    ['a gateway that is on no link', { routes: [{ destination: '0.0.0.0/0', gateway: '192.0.2.1' }] }],
    ['more routes than a port has', { routes: Array.from({ length: 257 }, () => ({ destination: '0.0.0.0/0' })) }],
  ])('%s: refused, and nothing stays', async (_what, request) => {
    await expect(control.attach('tb0', { port: 'web', netns: sandbox(), ip: '10.88.0.5', ...request })).rejects.toThrow();
    expect(findLink(inside, 'eth0')).toBeUndefined();
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0']);
  });

  test('an interface somebody deleted in the container: the port is still removed in order', async () => {
    await lend();
    move();
    deleteLink(inside, getLink(inside, 'eth3').index);
    await control.detach('tb0', 'web');
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0']);
  });
});
