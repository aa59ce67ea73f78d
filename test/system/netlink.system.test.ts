import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadBinding } from '../../src/native/binding.js';
import { addAddress, flushAddresses, listAddresses, removeAddress } from '../../src/netlink/address.js';
import { NeighborState } from '../../src/netlink/constants.js';
import { createBridge, createVeth, deleteLink, findLink, getLink, listLinks, moveLink, setLink } from '../../src/netlink/link.js';
import { NetworkMonitor } from '../../src/netlink/monitor.js';
import { listNeighbors, removeNeighbor, setPermanentNeighbor } from '../../src/netlink/neighbor.js';
import { Netlink } from '../../src/netlink/netlink.js';
import { Netns } from '../../src/netlink/netns.js';
import { addRoute, listRoutes, lookUpRoute, removeRoute, replaceRoute } from '../../src/netlink/route.js';
import { readSysctl, writeSysctl } from '../../src/netlink/sysctl.js';
import { describeSystem, needs } from '../helpers/requirements.js';

describeSystem('netlink in namespaces', ['root'], () => {
  const binding = loadBinding();
  let left: Netns;
  let right: Netns;
  let netlink: Netlink;
  let far: Netlink;
  let open: { close(): void }[] = [];

  /** Closed after the test, the last opened first. */
  function closing<T extends { close(): void }>(resource: T): T {
    open.push(resource);
    return resource;
  }

  /** Runs `body` with this thread, and the processes it starts, in the namespace. */
  function inside<T>(netns: Netns, body: () => T): T {
    const home = Netns.current(binding);
    binding.enterNetns(netns.descriptor);
    try {
      return body();
    } finally {
      binding.enterNetns(home.descriptor);
      home.close();
    }
  }

  /** The outside oracle: what iproute2 says about the namespace. */
  function ip(netns: Netns, ...words: string[]): Record<string, unknown>[] {
    const { stdout, stderr, status } = inside(netns, () => spawnSync('ip', ['-j', ...words], { encoding: 'utf8' }));
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return stdout.trim() === '' ? [] : JSON.parse(stdout);
  }

  /** left: a0 10.7.0.1/24, right: eth0 10.7.0.2/24, both up. */
  function connect(): { a: number; b: number } {
    createVeth(
      netlink,
      { name: 'a0', mac: '02:00:00:00:07:01' },
      { name: 'eth0', mac: '02:00:00:00:07:02', netns: right.descriptor },
    );
    const a = getLink(netlink, 'a0').index;
    const b = getLink(far, 'eth0').index;
    addAddress(netlink, a, '10.7.0.1', 24);
    addAddress(far, b, '10.7.0.2', 24);
    setLink(netlink, a, { up: true });
    setLink(far, b, { up: true });
    return { a, b };
  }

  /** One interface to work on, with a peer beside it that plays no part: a veth, which every kernel has that runs containers. */
  function createInterface(where: Netlink, name: string): number {
    createVeth(where, { name }, { name: `${name}-peer` });
    return getLink(where, name).index;
  }

  beforeEach(() => {
    left = closing(Netns.create(binding, null));
    right = closing(Netns.create(binding, null));
    netlink = closing(Netlink.open(binding, left.descriptor));
    far = closing(Netlink.open(binding, right.descriptor));
  });

  afterEach(() => {
    for (const resource of open.reverse()) resource.close();
    open = [];
  });

  describe('links', () => {
    test('a new namespace has a loopback that is down; it can be brought up', () => {
      expect(listLinks(netlink)).toMatchObject([
        { index: 1, name: 'lo', up: false, mac: '00:00:00:00:00:00', kind: '', mtu: 65536 },
      ]);
      setLink(netlink, 1, { up: true });
      expect(getLink(netlink, 1).up).toBe(true);
    });

    test('veth pair: both ends at once in their namespaces, with names, MACs and MTU', () => {
      createVeth(
        netlink,
        { name: 'a0', mac: '02:00:00:00:07:01', mtu: 1400 },
        { name: 'eth0', mac: '02:00:00:00:07:02', mtu: 1300, netns: right.descriptor },
      );
      const end = getLink(netlink, 'a0');
      const peer = getLink(far, 'eth0');
      expect(end).toMatchObject({ mac: '02:00:00:00:07:01', mtu: 1400, kind: 'veth', up: false, peer: peer.index });
      expect(peer).toMatchObject({ mac: '02:00:00:00:07:02', mtu: 1300, kind: 'veth', up: false, peer: end.index });
      expect(findLink(netlink, 'eth0')).toBeUndefined();
    });

    test('a carrier is there when both ends are up', () => {
      const { a } = connect();
      expect(getLink(netlink, a)).toMatchObject({ up: true, lowerUp: true, operState: 'up' });
      deleteLink(far, getLink(far, 'eth0').index);
      expect(findLink(netlink, a)).toBeUndefined();
    });

    test('set: mtu, mac, name, queue length, up, in one message', () => {
      const index = createInterface(netlink, 'd0');
      const change = { mtu: 1280, mac: '02:00:00:00:07:aa', name: 'd1', txQueueLength: 77, up: true };
      setLink(netlink, index, change);
      expect(getLink(netlink, index)).toMatchObject(change);
      setLink(netlink, index, { up: false });
      expect(getLink(netlink, index)).toMatchObject({ up: false, mtu: 1280, name: 'd1' });
    });

    test('bridge: ports join and leave', () => {
      createBridge(netlink, 'br0');
      createInterface(netlink, 'd0');
      const bridge = getLink(netlink, 'br0');
      const port = getLink(netlink, 'd0');
      expect(bridge.kind).toBe('bridge');
      setLink(netlink, port.index, { master: bridge.index });
      expect(getLink(netlink, 'd0').master).toBe(bridge.index);
      setLink(netlink, port.index, { master: -1 });
      expect(getLink(netlink, 'd0').master).toBe(-1);
    });

    test('move and rename in one message; it arrives down', () => {
      const index = createInterface(netlink, 'tmp0');
      setLink(netlink, index, { up: true });
      moveLink(netlink, index, right.descriptor, 'eth0');
      expect(findLink(netlink, 'tmp0')).toBeUndefined();
      expect(findLink(netlink, 'eth0')).toBeUndefined();
      expect(findLink(far, 'tmp0')).toBeUndefined();
      expect(getLink(far, 'eth0')).toMatchObject({ kind: 'veth', up: false });
    });

    test('move under a name that is taken there: refused, nothing has moved', () => {
      createInterface(far, 'eth0');
      const index = createInterface(netlink, 'tmp0');
      expect(() => moveLink(netlink, index, right.descriptor, 'eth0')).toThrow('exists already');
      expect(findLink(netlink, 'tmp0')?.index).toBe(index);
      expect(findLink(far, 'tmp0')).toBeUndefined();
    });

    test('errors say what was attempted and why', () => {
      createInterface(netlink, 'd0');
      expect(() => createBridge(netlink, 'd0')).toThrow('cannot create the bridge interface d0');
      expect(() => createBridge(netlink, 'd0')).toThrow('exists already');
      expect(() => getLink(netlink, 'nope')).toThrow('there is no such interface');
      expect(() => deleteLink(netlink, 4711)).toThrow('there is no such interface');
      expect(() => createVeth(netlink, { name: 'a0' }, { name: 'd0' })).toThrow('exists already');
      expect(findLink(netlink, 'a0')).toBeUndefined();
      expect(() => setLink(netlink, getLink(netlink, 'd0').index, { mac: '01:00:00:00:00:01' })).toThrow(
        'cannot change interface',
      );
    });

    test('a table longer than one datagram and longer than the first buffer: 201 interfaces', () => {
      const pairs = Array.from({ length: 100 }, (_, at) => `d${at}`);
      for (const name of pairs) createInterface(netlink, name);
      expect(
        listLinks(netlink)
          .map(({ name }) => name)
          .sort(),
      ).toEqual(['lo', ...pairs, ...pairs.map((name) => `${name}-peer`)].sort());
    });
  });

  describe('addresses', () => {
    test('add, list, remove, of both families', () => {
      const { a } = connect();
      addAddress(netlink, a, 'fd00::1', 64);
      expect(listAddresses(netlink, a).filter(({ address }) => !address.startsWith('fe80'))).toMatchObject([
        { family: 'ipv4', index: a, address: '10.7.0.1', prefix: 24, broadcast: '10.7.0.255', label: 'a0' },
        { family: 'ipv6', index: a, address: 'fd00::1', prefix: 64 },
      ]);
      expect(() => addAddress(netlink, a, '10.7.0.1', 24)).toThrow('exists already');
      removeAddress(netlink, a, '10.7.0.1', 24);
      removeAddress(netlink, a, 'fd00::1', 64);
      expect(listAddresses(netlink, a).filter(({ address }) => !address.startsWith('fe80'))).toEqual([]);
      expect(() => removeAddress(netlink, a, '10.7.0.1', 24)).toThrow('cannot remove address 10.7.0.1/24');
    });

    test('flush takes secondary addresses along', () => {
      const { a } = connect();
      addAddress(netlink, a, '10.7.0.9', 24);
      addAddress(netlink, a, '10.8.0.1', 16);
      flushAddresses(netlink, a);
      expect(listAddresses(netlink, a).filter(({ family }) => family === 'ipv4')).toEqual([]);
      flushAddresses(netlink, a, { ipv6: true });
      expect(listAddresses(netlink, a)).toEqual([]);
    });
  });

  describe('routes', () => {
    test('the default route by a gateway, and the way it leads', () => {
      const { b } = connect();
      expect(lookUpRoute(far, '192.0.2.1')).toBeUndefined();
      addRoute(far, { destination: 'default', gateway: '10.7.0.1' });
      expect(listRoutes(far)).toMatchObject([
        { destination: '0.0.0.0', prefix: 0, gateway: '10.7.0.1', index: b },
        { destination: '10.7.0.0', prefix: 24, gateway: '', index: b, preferredSource: '10.7.0.2' },
      ]);
      expect(lookUpRoute(far, '192.0.2.1')).toMatchObject({ gateway: '10.7.0.1', index: b, preferredSource: '10.7.0.2' });
      expect(lookUpRoute(far, '10.7.0.9')).toMatchObject({ gateway: '', index: b });
    });

    test('add, replace, remove', () => {
      const { b } = connect();
      const destination = '10.20.0.0/16';
      addRoute(far, { destination, index: b, metric: 10 });
      expect(() => addRoute(far, { destination, index: b, metric: 10 })).toThrow('exists already');
      replaceRoute(far, { destination, gateway: '10.7.0.1', metric: 10 });
      expect(listRoutes(far).filter((route) => route.prefix === 16)).toMatchObject([
        { destination: '10.20.0.0', gateway: '10.7.0.1', metric: 10 },
      ]);
      removeRoute(far, { destination });
      expect(listRoutes(far).filter((route) => route.prefix === 16)).toEqual([]);
      expect(() => removeRoute(far, { destination })).toThrow('cannot remove the route to 10.20.0.0/16');
    });

    test('a gateway on no link is refused', () => {
      connect();
      expect(() => addRoute(far, { destination: 'default', gateway: '10.99.0.1' })).toThrow(
        'cannot add the route to default by 10.99.0.1',
      );
    });
  });

  test('neighbors: permanent entries, removal, flush', () => {
    const { a } = connect();
    setPermanentNeighbor(netlink, a, '10.7.0.2', '02:00:00:00:07:02');
    setPermanentNeighbor(netlink, a, '10.7.0.3', '02:00:00:00:07:03');
    setPermanentNeighbor(netlink, a, '10.7.0.3', '02:00:00:00:07:04');
    expect(listNeighbors(netlink, a).sort((x, y) => (x.address < y.address ? -1 : 1))).toEqual([
      { family: 'ipv4', index: a, address: '10.7.0.2', mac: '02:00:00:00:07:02', state: NeighborState.permanent },
      { family: 'ipv4', index: a, address: '10.7.0.3', mac: '02:00:00:00:07:04', state: NeighborState.permanent },
    ]);
    removeNeighbor(netlink, a, '10.7.0.3');
    expect(() => removeNeighbor(netlink, a, '10.7.0.3')).toThrow('there is no such entry');
    removeNeighbor(netlink, a, '10.7.0.2');
    expect(listNeighbors(netlink, a)).toEqual([]);
  });

  test('neighbors: the kernel resolves the other end when it is pinged', () => {
    const { a } = connect();
    expect(inside(left, () => binding.icmpEcho('10.7.0.2', 1, 56, 5000))).toBeGreaterThan(0);
    expect(listNeighbors(netlink, a)).toMatchObject([{ address: '10.7.0.2', mac: '02:00:00:00:07:02' }]);
  });

  test('monitor: what happened, in order', () => {
    const monitor = closing(NetworkMonitor.open(binding, right.descriptor));
    expect(monitor.drain()).toEqual([]);
    const { b } = connect();
    addRoute(far, { destination: 'default', gateway: '10.7.0.1' });
    removeAddress(far, b, '10.7.0.2', 24);
    deleteLink(far, b);
    const events = monitor.drain();
    const kinds = events.map((event) => {
      if ('link' in event) return `${event.kind} ${event.link.name}`;
      if ('address' in event) return `${event.kind} ${event.address.address}`;
      if ('route' in event) return `${event.kind} ${event.route.destination}/${event.route.prefix}`;
      return event.kind;
    });
    const order = [
      'link eth0',
      'address 10.7.0.2',
      'route 10.7.0.0/24',
      'route 0.0.0.0/0',
      'address-removed 10.7.0.2',
      'link-removed eth0',
    ].map((kind) => kinds.indexOf(kind));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((x, y) => x - y));
    expect(monitor.drain()).toEqual([]);
  });

  test('monitor: more changes than the socket holds are reported as lost', () => {
    const monitor = closing(NetworkMonitor.open(binding, left.descriptor));
    const index = createInterface(netlink, 'd0');
    for (let mtu = 1000; mtu < 4000; mtu++) setLink(netlink, index, { mtu });
    expect(monitor.drain()).toContainEqual({ kind: 'lost' });
    setLink(netlink, index, { mtu: 900 });
    expect(monitor.drain()).toMatchObject([{ kind: 'link', link: { mtu: 900 } }]);
  });

  test('sysctls are those of the namespace the thread is in', () => {
    const path = 'net/ipv4/ip_forward';
    inside(left, () => writeSysctl(path, 1));
    inside(right, () => writeSysctl(path, 0));
    expect(inside(left, () => readSysctl(path))).toBe('1');
    expect(inside(right, () => readSysctl(path))).toBe('0');
    expect(() => inside(left, () => writeSysctl('net/ipv4/ip_default_ttl', 'many'))).toThrow('does not accept the value "many"');
  });

  test('a closed conversation leaves no descriptor open', () => {
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const netns = Netns.create(binding, null);
    const conversation = Netlink.open(binding, netns.descriptor);
    const monitor = NetworkMonitor.open(binding, netns.descriptor);
    expect(descriptors()).toBe(before + 3);
    for (const resource of [netns, conversation, monitor]) resource.close();
    expect(descriptors()).toBe(before);
  });

  describeSystem('named namespaces', ['named-netns'], () => {
    const name = `tbnetlink-${process.pid}-x`;
    const path = `/run/netns/${name}`;

    test('named: made, listed, opened, the same as seen by a process in it, removed', () => {
      const made = closing(Netns.create(binding, name));
      try {
        expect(Netns.list()).toContain(name);
        const byName = closing(Netns.open(binding, name));
        const byPath = closing(Netns.open(binding, path));
        expect(byName.same(made) && byPath.same(made)).toBe(true);
        expect(byName.same(left)).toBe(false);
        expect(inside(made, () => closing(Netns.ofProcess(binding, process.pid))).same(made)).toBe(true);
        expect(() => Netns.create(binding, name)).toThrow(`a network namespace named ${name} exists`);
      } finally {
        Netns.remove(binding, name);
      }
      expect(Netns.list()).not.toContain(name);
      expect(() => Netns.open(binding, name)).toThrow(`no such network namespace: ${name}`);
      expect(() => Netns.remove(binding, name)).toThrow(`no such network namespace: ${name}`);
    });

    test('one that does not exist: the error names those that do', () => {
      closing(Netns.create(binding, name));
      try {
        expect(() => Netns.open(binding, 'tbnetlink-none')).toThrow(/^no such network namespace: tbnetlink-none \(there are: /);
      } finally {
        Netns.remove(binding, name);
      }
    });

    test('a name whose namespace is gone', () => {
      closing(Netns.create(binding, name));
      Netns.remove(binding, name);
      writeFileSync(path, '');
      try {
        expect(() => Netns.open(binding, name)).toThrow('is gone, only its name is left');
      } finally {
        Netns.remove(binding, name);
      }
    });
  });

  describe('namespaces', () => {
    test('what is no namespace', () => {
      expect(() => Netns.open(binding, '/proc/self/ns/mnt')).toThrow('/proc/self/ns/mnt is not a network namespace');
      expect(() => Netns.open(binding, '/dev/null')).toThrow('/dev/null is not a network namespace');
      expect(() => Netns.open(binding, '/no/such')).toThrow('/no/such does not exist');
      expect(() => Netns.ofProcess(binding, constants.errno.EBADF * 1e9)).toThrow('no such process');
      expect(() => Netns.ofProcess(binding, -1)).toThrow('-1 is not a process id');
      expect(() => Netns.create(binding, '../x')).toThrow('it contains "/"');
    });

    test('current is where this thread is', () => {
      const home = closing(Netns.current(binding));
      const moved = inside(left, () => closing(Netns.current(binding)));
      expect(moved.same(left)).toBe(true);
      expect(home.same(left)).toBe(false);
    });
  });

  if (needs('ip')) {
    describe('compared with iproute2', () => {
      test('links, addresses, routes and neighbors read as ip(8) shows them', () => {
        const { b } = connect();
        addRoute(far, { destination: 'default', gateway: '10.7.0.1' });
        addRoute(far, { destination: '10.30.0.0/16', gateway: '10.7.0.1', metric: 7, preferredSource: '10.7.0.2' });
        setPermanentNeighbor(far, b, '10.7.0.1', '02:00:00:00:07:01');
        const links = ip(right, '-d', 'link').map((link) => ({
          index: link['ifindex'],
          name: link['ifname'],
          mtu: link['mtu'],
          mac: link['address'],
          operState: String(link['operstate']).toLowerCase(),
          kind: (link['linkinfo'] as { info_kind: string } | undefined)?.info_kind ?? '',
          txQueueLength: link['txqlen'],
        }));
        expect(listLinks(far)).toMatchObject(links);
        expect(ip(right, 'addr', 'show', 'dev', 'eth0')[0]['addr_info']).toMatchObject(
          listAddresses(far, b).map(({ address, prefix, family, broadcast }) => ({
            family: family === 'ipv4' ? 'inet' : 'inet6',
            local: address,
            prefixlen: prefix,
            ...(broadcast === '' ? {} : { broadcast }),
          })),
        );
        expect(ip(right, 'route')).toMatchObject([
          { dst: 'default', gateway: '10.7.0.1', dev: 'eth0', protocol: 'static' },
          { dst: '10.7.0.0/24', dev: 'eth0', scope: 'link', prefsrc: '10.7.0.2' },
          { dst: '10.30.0.0/16', gateway: '10.7.0.1', dev: 'eth0', prefsrc: '10.7.0.2', metric: 7 },
        ]);
        expect(ip(right, 'neigh')).toMatchObject([
          { dst: '10.7.0.1', dev: 'eth0', lladdr: '02:00:00:00:07:01', state: ['PERMANENT'] },
        ]);
      });

      test('what ip(8) sets is read', () => {
        ip(left, 'link', 'add', 'b0', 'type', 'bridge');
        ip(left, 'link', 'add', 'd0', 'mtu', '1234', 'address', '02:00:00:00:07:dd', 'type', 'veth');
        ip(left, 'link', 'set', 'd0', 'master', 'b0', 'up');
        ip(left, 'addr', 'add', '10.9.0.1/20', 'brd', '+', 'dev', 'b0');
        const bridge = getLink(netlink, 'b0');
        expect(getLink(netlink, 'd0')).toMatchObject({ mtu: 1234, mac: '02:00:00:00:07:dd', master: bridge.index, up: true });
        expect(listAddresses(netlink, bridge.index)).toMatchObject([
          { address: '10.9.0.1', prefix: 20, broadcast: '10.9.15.255' },
        ]);
      });
    });
  }
});
