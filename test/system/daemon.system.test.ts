/** The daemon's whole life in a namespace of its own: bridges and ports come, carry frames, and leave nothing behind. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Client } from '../../src/client/client.js';
import { PcapngReader } from '../../src/client/pcapng-reader.js';
import { DROP_REASONS } from '../../src/core/counters.js';
import { compiledModule } from '../../src/lab/compiled.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { createVeth, deleteLink, type Link, setLink } from '../../src/netlink/link.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { THREADS } from '../helpers/threads.js';

describeSystem('daemon: containers on a bridge', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;
  let b: LabHost;

  beforeEach(async () => {
    lab = Lab.create('tbdaemon');
    [daemon, a, b] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a'), lab.host('b')]);
  });
  afterEach(async () => {
    await daemon.close();
    await lab.close();
  });

  async function bridgeWithTwo(): Promise<void> {
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: 'auto' });
    await daemon.client.attach('tb0', { port: 'b', pid: b.pid, ip: '198.18.0.9' });
  }

  const linksOf = (host: { namespace: { interfaces(): { name: string }[] } }) =>
    host.namespace.interfaces().map(({ name }) => name);

  test('create, attach, ping, show, detach, rm by the command line', async () => {
    expect(await daemon.cli('create', 'tb0', '--subnet', '198.18.0.0/24')).toMatchObject({ status: 0, stderr: '' });
    expect(await daemon.cli('attach', 'tb0', 'a', '--netns', a.netnsPath, '--ip', 'auto')).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(await daemon.cli('attach', 'tb0', 'b', '--pid', String(b.pid), '--ip', '198.18.0.9')).toMatchObject({ status: 0 });

    expect((await a.ping({ address: '198.18.0.9', count: 3 })).received).toBe(3);
    expect((await b.ping({ address: '198.18.0.2', count: 3 })).received).toBe(3);
    expect((await a.ping({ address: '198.18.0.1', count: 3 })).received).toBe(3);

    expect(JSON.parse((await daemon.cli('ls', '--json')).stdout)).toMatchObject([
      { name: 'tb0', subnet: '198.18.0.0/24', gateway: '198.18.0.1', mtu: 1500, ports: 2 },
    ]);
    const ports = JSON.parse((await daemon.cli('show', 'tb0', 'ports', '--json')).stdout);
    expect(ports).toMatchObject([
      { name: 'tb0', kind: 'host', interface: 'tb0', ip: '198.18.0.1/24' },
      { name: 'a', kind: 'tap', interface: 'eth0', netns: a.netnsPath, pid: null, ip: '198.18.0.2/24', drops: 0 },
      { name: 'b', kind: 'tap', interface: 'eth0', netns: null, pid: b.pid, ip: '198.18.0.9/24', drops: 0 },
    ]);
    expect(a.namespace.interfaces()).toContainEqual(
      expect.objectContaining({ name: 'eth0', mac: ports[1].mac, up: true, mtu: 1500 }),
    );

    const fdb = JSON.parse((await daemon.cli('show', 'tb0', 'fdb', '--json')).stdout);
    expect(fdb).toContainEqual({ mac: ports[1].mac, port: 'a', vlan: 0, kind: 'static', age: 0 });
    const text = (await daemon.cli('show', 'tb0')).stdout;
    expect(text).toContain('bridge tb0');
    expect(text).toMatch(/198\.18\.0\.9 +.* b +static/);

    expect(await daemon.cli('detach', 'tb0', 'a')).toMatchObject({ status: 0 });
    expect(linksOf(a)).toEqual(['lo']);
    expect((await b.ping({ address: '198.18.0.1', count: 1 })).received).toBe(1);
    expect(await daemon.cli('rm', 'tb0')).toMatchObject({ status: 0 });
    expect(linksOf(b)).toEqual(['lo']);
    expect(linksOf(daemon)).toEqual(['lo']);
  });

  test('SIGTERM: status 0, no interface, no socket, an empty record', async () => {
    await bridgeWithTwo();
    await daemon.end('SIGKILL');
    // The second daemon finds the directory; the first would take it along.
    await daemon.start();
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect([linksOf(daemon), linksOf(a), linksOf(b)]).toEqual([['lo'], ['lo'], ['lo']]);
    expect(() => statSync(daemon.socket)).toThrow('ENOENT');
    expect(() => statSync(join(daemon.state, 'daemon.lock'))).toThrow('ENOENT');
    expect(daemon.record()).toEqual({ version: 1, bridges: [], changes: [], uplinks: [] });
  });

  test('SIGTERM: directories it made go, those that were there or are in use stay', async () => {
    await daemon.end('SIGTERM');
    expect(readdirSync(daemon.folder)).toEqual([]);
    const [socket, state] = [join(daemon.folder, 'run/a/b/tb.sock'), join(daemon.folder, 'lib/c')];
    mkdirSync(join(daemon.folder, 'lib'));
    const another = async () => {
      const args = ['daemon', '--socket', socket, '--state', state];
      const program = lab.run(daemon.namespace, compiledModule('../cli/main.js'), args, { stdio: 'ignore' });
      const status = new Promise((resolve) => program.once('close', resolve));
      const answers = () => new Client(socket).version().then(Boolean, () => false);
      expect(await eventually(answers)).toBe(true);
      return async () => {
        program.kill('SIGTERM');
        return status;
      };
    };
    const first = await another();
    await new Client(socket).createBridge({ name: 'tb0' });
    expect(await first()).toBe(0);
    expect(readdirSync(daemon.folder, { recursive: true })).toEqual(['lib']);

    const second = await another();
    writeFileSync(join(daemon.folder, 'run/a/mine'), '');
    expect(await second()).toBe(0);
    expect(readdirSync(daemon.folder, { recursive: true }).sort()).toEqual(['lib', 'run', 'run/a', 'run/a/mine']);
  });

  test('SIGKILL and a new start: the same bridge, ports, addresses and pinned entries', async () => {
    await bridgeWithTwo();
    await daemon.client.changePort('tb0', 'b', { flags: { isolated: true } });
    await daemon.client.addFdb('tb0', { mac: '02:00:00:00:00:99', port: 'a' });
    await daemon.client.addNeighbor('tb0', { ip: '198.18.0.99', mac: '02:00:00:00:00:99' });
    const traffic = /^(rx|tx|drops)/;
    const portsNow = async () =>
      (await daemon.client.listPorts('tb0')).map((port) =>
        Object.fromEntries(Object.entries(port).filter(([name]) => !traffic.test(name))),
      );
    const before = { bridge: await daemon.client.getBridge('tb0'), ports: await portsNow() };
    expect(await daemon.end('SIGKILL')).toBeNull();

    await daemon.start();
    expect({ bridge: await daemon.client.getBridge('tb0'), ports: await portsNow() }).toEqual(before);
    expect(await daemon.client.listFdb('tb0')).toContainEqual(
      expect.objectContaining({ mac: '02:00:00:00:00:99', port: 'a', kind: 'static' }),
    );
    expect(await daemon.client.listNeighbors('tb0')).toContainEqual(
      expect.objectContaining({ ip: '198.18.0.99', mac: '02:00:00:00:00:99' }),
    );
    expect((await a.ping({ address: '198.18.0.9', count: 2 })).received).toBe(2);
  });

  test('a crash, and a namespace that ended meanwhile: its port is dropped, the rest is restored', async () => {
    await bridgeWithTwo();
    await daemon.end('SIGKILL');
    await b.close();
    await daemon.start();
    expect((await daemon.client.listPorts('tb0')).map(({ name }) => name)).toEqual(['tb0', 'a']);
    expect(daemon.log).toContain('cannot restore port b');
    expect(daemon.record().bridges[0].ports.map(({ name }) => name)).toEqual(['a']);
  });

  test('the end of a namespace removes its port, FDB entry and neighbor', async () => {
    await bridgeWithTwo();
    await b.close();
    expect(await eventually(async () => (await daemon.client.listPorts('tb0')).length === 2)).toBe(true);
    expect((await daemon.client.listFdb('tb0')).map(({ port }) => port).sort()).toEqual(['a', 'tb0']);
    expect((await daemon.client.listNeighbors('tb0')).map(({ ip }) => ip)).toEqual(['198.18.0.1', '198.18.0.2']);
    expect(daemon.record().bridges[0].ports.map(({ name }) => name)).toEqual(['a']);
  });

  test('a host port that somebody deletes is made again', async () => {
    await bridgeWithTwo();
    // More than what a new interface says by itself.
    expect((await a.ping({ address: '198.18.0.1', count: 30 })).received).toBe(30);
    const before = await daemon.client.getPort('tb0', 'tb0');
    const host = daemon.namespace.interfaces().find(({ name }) => name === 'tb0');
    deleteLink(daemon.namespace.netlink, host?.index ?? -1);
    expect(
      await eventually(() => daemon.namespace.interfaces().some(({ name, index }) => name === 'tb0' && index !== host?.index)),
    ).toBe(true);
    expect(
      await eventually(async () => (await a.ping({ address: '198.18.0.1', count: 1, timeoutMillis: 200 })).received === 1),
    ).toBe(true);
    // The same port to those who watch it: it counts on.
    const after = await daemon.client.getPort('tb0', 'tb0');
    expect(after).toMatchObject({ state: 'up', mac: before.mac });
    expect(after.rxFrames).toBeGreaterThan(before.rxFrames);
  });

  test('what a TAP drops because the engine is stuck is counted at its port', async () => {
    await bridgeWithTwo();
    expect((await a.ping({ address: '198.18.0.9', count: 1 })).received).toBe(1);
    const queueDrops = async () => {
      const { ports, drops } = await daemon.client.counters('tb0');
      return [...ports.map(({ counters }) => counters.queue_drops), drops.queue_drops];
    };
    expect(await queueDrops()).toEqual([0, 0, 0, 0]);
    const flood = { address: '198.18.0.9', port: 9, flows: 1, payloadBytes: 100, burst: 32, durationMillis: 5000 };
    process.kill(daemon.pid, 'SIGSTOP');
    await a.request('traffic-udp-send', { ...flood, frames: 6400, framesPerSecond: 0 });
    process.kill(daemon.pid, 'SIGCONT');
    const [, ofA, ofB, all] = await queueDrops();
    // The ring of a TAP holds as many frames as its txqueuelen, 4096; what the host says by itself (IPv6) may be among them.
    expect(ofA).toBeGreaterThanOrEqual(2200);
    expect([ofB, all]).toEqual([0, ofA]);
    const [, portA] = await daemon.client.listPorts('tb0');
    expect(portA.drops).toBeGreaterThanOrEqual(ofA);
    expect((await daemon.cli('show', 'tb0', 'counters')).stdout).toMatch(
      /queue_drops +[0-9]+ +a +dropped by the interface's own queue/,
    );
  });

  test('TAPs their owners set down are down, renamed or not; a listing outlives the namespace', async () => {
    await bridgeWithTwo();
    const states = async () => (await daemon.client.listPorts('tb0')).map(({ state }) => state);
    const indexOf = (namespace: { interfaces(): { name: string; index: number }[] }, name: string) =>
      namespace.interfaces().find((link) => link.name === name)?.index ?? -1;
    expect(await states()).toEqual(['up', 'up', 'up']);
    const eth0 = indexOf(a.namespace, 'eth0');
    setLink(a.namespace.netlink, eth0, { up: false });
    setLink(a.namespace.netlink, eth0, { name: 'lan0' });
    expect(await states()).toEqual(['up', 'down', 'up']);
    const tb0 = indexOf(daemon.namespace, 'tb0');
    setLink(daemon.namespace.netlink, tb0, { up: false });
    expect(await states()).toEqual(['down', 'down', 'up']);
    setLink(a.namespace.netlink, eth0, { up: true });
    setLink(daemon.namespace.netlink, tb0, { up: true });
    expect(await states()).toEqual(['up', 'up', 'up']);
    // Stopped, so that the listing comes before the daemon hears of the end.
    process.kill(daemon.pid, 'SIGSTOP');
    await b.close();
    const listed = daemon.client.listPorts('tb0');
    process.kill(daemon.pid, 'SIGCONT');
    expect((await listed).map(({ name }) => name)).toEqual(expect.arrayContaining(['tb0', 'a']));
  });

  test('an interface of the host as a port: brought up, silent towards ARP, followed down and up, put back', async () => {
    const host = daemon.namespace;
    createVeth(host.netlink, { name: 'wire' }, { name: 'eth0', netns: a.namespace.descriptor });
    a.namespace.configure('eth0', { address: '198.18.0.7', prefix: 24 });
    const wire = () => host.interfaces().find(({ name }) => name === 'wire') as Link;
    const stateOf = async () => (await daemon.client.getPort('tb0', 'wire')).state;
    const { mac } = await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    expect(wire().up).toBe(false);

    const port = await daemon.client.attach('tb0', { port: 'wire', iface: 'wire' });
    expect(port).toMatchObject({ kind: 'packet', interface: 'wire', state: 'up', mac: wire().mac });
    expect(wire().up).toBe(true);
    expect(daemon.record().changes).toEqual([
      { kind: 'arp-ignore', interface: 'wire', was: '0' },
      { kind: 'link-up', interface: 'wire' },
    ]);
    expect((await a.ping({ address: '198.18.0.1', count: 2 })).received).toBe(2);
    // The gateway's address has one MAC: that of the bridge's host port, not that of the interface.
    expect(a.namespace.neighbors('eth0')).toMatchObject([{ address: '198.18.0.1', mac }]);

    // More than what an interface says by itself when it comes up.
    expect((await a.ping({ address: '198.18.0.1', count: 30 })).received).toBe(30);
    const framesBefore = (await daemon.client.getPort('tb0', 'wire')).rxFrames;
    setLink(host.netlink, wire().index, { up: false });
    expect(await eventually(async () => (await stateOf()) === 'down')).toBe(true);
    setLink(host.netlink, wire().index, { up: true });
    expect(await eventually(async () => (await stateOf()) === 'up')).toBe(true);
    expect((await a.ping({ address: '198.18.0.1', count: 2 })).received).toBe(2);
    // It counted on.
    expect((await daemon.client.getPort('tb0', 'wire')).rxFrames).toBeGreaterThanOrEqual(framesBefore + 2);

    await daemon.end('SIGKILL');
    await daemon.start();
    expect(await stateOf()).toBe('up');
    expect((await a.ping({ address: '198.18.0.1', count: 2 })).received).toBe(2);
    // What there was before the first daemon is still known to the second.
    expect(daemon.record().changes).toEqual([
      { kind: 'arp-ignore', interface: 'wire', was: '0' },
      { kind: 'link-up', interface: 'wire' },
    ]);
    await daemon.client.detach('tb0', 'wire');
    expect(wire().up).toBe(false);
    expect(daemon.record().changes).toEqual([]);

    await daemon.client.attach('tb0', { port: 'wire', iface: 'wire' });
    deleteLink(host.netlink, wire().index);
    expect(await eventually(async () => (await daemon.client.listPorts('tb0')).length === 1)).toBe(true);
  });

  test('the socket is for its owner only', async () => {
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o600);
    expect(statSync(daemon.state).mode & 0o777).toBe(0o700);
    await daemon.end('SIGTERM');
    await daemon.start('--group', '12345');
    expect(statSync(daemon.socket)).toMatchObject({ gid: 12345 });
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o660);
  });

  test('a second daemon is refused, on the socket and on the state directory', async () => {
    const onSocket = await daemon.startSecond();
    expect(onSocket.status).toBe(1);
    expect(onSocket.stderr).toBe(
      `tapbridge: daemon: a daemon runs already at ${daemon.socket}; stop it, or choose another socket with --socket\n`,
    );
    const onState = await daemon.startSecond('--socket', `${daemon.socket}2`);
    expect(onState.status).toBe(1);
    expect(onState.stderr).toMatch(/^tapbridge: daemon: the state directory .* is in use by process [0-9]+; .*\n$/);
    expect(await daemon.client.listBridges()).toEqual([]);
  });

  test('bridges of the configuration are there at start; a port whose namespace is missing is only a warning', async () => {
    await daemon.end('SIGTERM');
    const config = join(daemon.folder, 'config.yaml');
    writeFileSync(
      config,
      `bridges:
  - name: tb7
    subnet: 198.18.7.0/24
    ports:
      - { port: a, netns: ${a.netnsPath}, ip: auto }
      - { port: ghost, netns: no-such-namespace }
`,
    );
    await daemon.start('--config', config);
    expect((await daemon.client.listPorts('tb7')).map(({ name, ip }) => [name, ip])).toEqual([
      ['tb7', '198.18.7.1/24'],
      ['a', '198.18.7.2/24'],
    ]);
    expect(daemon.log).toContain('cannot attach port ghost of the configuration');
  });

  test('the end of the engine thread: status 1, the host as it was', async () => {
    const [socket, state] = [join(daemon.folder, 'dying.sock'), join(daemon.folder, 'dying')];
    const host = lab.namespace('dying');
    createVeth(host.netlink, { name: 'wire' }, { name: 'eth1', netns: a.namespace.descriptor });
    const script = fileURLToPath(new URL('../helpers/dying-engine.mjs', import.meta.url));
    const dist = dirname(dirname(compiledModule('lab.js')));
    const program = lab.run(host, script, [dist, socket, state, String(THREADS)], { stdio: 'pipe' });
    let log = '';
    program.stderr?.on('data', (chunk) => (log += chunk));
    const ended = new Promise((resolve) => program.once('close', resolve));
    const client = new Client(socket);
    await eventually(() =>
      client.version().then(
        () => true,
        () => false,
      ),
    );
    await client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    await client.attach('tb0', { port: 'a', netns: a.netnsPath });
    await client.attach('tb0', { port: 'wire', iface: 'wire' });
    program.kill('SIGUSR2');
    expect(await ended).toBe(1);
    expect(log).toContain('the engine died: cleaning up');
    expect(host.interfaces().map(({ name, up }) => [name, up])).toEqual([
      ['lo', true],
      ['wire', false],
    ]);
    expect(linksOf(a)).toEqual(['lo', 'eth1']);
    // It had made the directory, and has put everything back.
    expect(() => statSync(state)).toThrow('ENOENT');
  });

  test('settings: MTUs reach the interfaces, isolation and faults reach the engine', async () => {
    await bridgeWithTwo();
    const mtuOf = (host: { namespace: { interfaces(): { name: string; mtu: number }[] } }, name: string) =>
      host.namespace.interfaces().find((link) => link.name === name)?.mtu;
    expect(await daemon.cli('set', 'tb0', 'mtu=1400', 'ageing=60')).toMatchObject({ status: 0 });
    expect(await daemon.cli('set', 'tb0', 'a', 'mtu=1300')).toMatchObject({ status: 0 });
    expect([mtuOf(daemon, 'tb0'), mtuOf(a, 'eth0'), mtuOf(b, 'eth0')]).toEqual([1400, 1300, 1500]);
    expect(await daemon.client.getBridge('tb0')).toMatchObject({ mtu: 1400, ageingSeconds: 60 });

    const reaches = async (address: string, timeoutMillis = 3000) =>
      (await a.ping({ address, count: 1, timeoutMillis })).received === 1;
    const unreachable = async (address: string) => !(await reaches(address, 300));
    expect([await reaches('198.18.0.9'), await reaches('198.18.0.1')]).toEqual([true, true]);
    for (const port of ['a', 'b']) expect(await daemon.cli('set', 'tb0', port, 'isolated=on')).toMatchObject({ status: 0 });
    expect([await unreachable('198.18.0.9'), await reaches('198.18.0.1')]).toEqual([true, true]);
    expect(await daemon.cli('set', 'tb0', 'a', 'isolated=off', 'loss=100%')).toMatchObject({ status: 0 });
    expect(await unreachable('198.18.0.9')).toBe(true);
    expect((await daemon.client.counters('tb0')).drops.rx_fault).toBeGreaterThan(0);
    expect(await daemon.cli('set', 'tb0', 'a', 'faults=off')).toMatchObject({ status: 0 });
    expect(await reaches('198.18.0.9')).toBe(true);
    const text = (await daemon.cli('show', 'tb0', 'counters')).stdout;
    expect(text).toMatch(/rx_fault +[1-9][0-9]* +a +lost by the fault injector/);
    for (const reason of Object.keys(DROP_REASONS)) expect(text).toContain(reason);
  });

  test('files as ports: a recording is replayed into a capture', async () => {
    await daemon.client.createBridge({ name: 'tb0' });
    const file = join(daemon.folder, 'out.pcapng');
    const replay = { path: fileURLToPath(new URL('../fixtures/tcp.pcap', import.meta.url)), speed: 0, loop: false };
    await daemon.client.attach('tb0', { port: 'tap', capture: { path: file, format: 'pcapng' } });
    // The recorded stations are behind one port: once learned, what they say to each other would go nowhere.
    await daemon.client.changeBridge('tb0', { ageingSeconds: 0 });
    await daemon.client.attach('tb0', { port: 'recording', replay });
    expect(await eventually(async () => (await daemon.client.getPort('tb0', 'recording')).state === 'ended')).toBe(true);
    const { rxFrames } = await daemon.client.getPort('tb0', 'recording');
    expect(rxFrames).toBeGreaterThan(0);
    await daemon.client.detach('tb0', 'tap');
    const frames = [...new PcapngReader().push(readFileSync(file))].filter(({ kind }) => kind === 'frame');
    expect(frames.length).toBeGreaterThanOrEqual(rxFrames);
    await expect(daemon.client.attach('tb0', { port: 'again', capture: { path: file, format: 'pcapng' } })).rejects.toThrow(
      'exists',
    );
    await expect(daemon.client.attach('tb0', { port: 'bad', replay: { ...replay, path: file } })).rejects.toThrow('pcapng');
    await expect(daemon.client.attach('tb0', { port: 'none', replay: { ...replay, path: '/none.pcap' } })).rejects.toThrow(
      'ENOENT',
    );
  });
});
