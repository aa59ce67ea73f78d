/** The command line against a running daemon: bad input is one line and leaves nothing, captures are readable elsewhere. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compiledModule } from '../../src/lab/compiled.js';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { readPcap } from '../../src/port/pcap-reader.js';
import { describe as describeFrame } from '../../src/wire/describe.js';
import { eventually, runCli, TestDaemon } from '../helpers/daemon.js';
import { describeSystem, needs } from '../helpers/requirements.js';

describeSystem('command line: bad input', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;

  beforeAll(async () => {
    lab = Lab.create('tbcli');
    [daemon, a] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: '198.18.0.5', mac: '02:00:00:00:00:05' });
  });
  afterAll(async () => {
    await daemon.close();
    await lab.close();
  });

  const netns = () => ['--netns', a.netnsPath, '--ifname', 'eth1'];

  // What is typed, and what the one line must say.
  const REFUSED: [string, () => string[], RegExp, number?][] = [
    ['an unknown bridge', () => ['show', 'tb9'], /show tb9: no such bridge: tb9; there are: tb0/],
    ['an unknown port', () => ['detach', 'tb0', 'x'], /bridge tb0 has no port x; there are: tb0, a/],
    ['the host port', () => ['detach', 'tb0', 'tb0'], /tb0 is the host port and stays with its bridge/],
    ['a bridge that exists', () => ['create', 'tb0'], /bridge tb0 exists/],
    ['a name too long for an interface', () => ['create', 'a-name-of-17-bytes'], /it has 18 bytes, the kernel allows 15/],
    ['a name with a slash', () => ['create', 'a/b'], /cannot name a bridge: it contains "\/"/],
    ['a subnet with host bits', () => ['create', 'tb1', '--subnet', '198.18.9.5/24'], /not a subnet; write 198\.18\.9\.0\/24/],
    [
      'a subnet that is taken',
      () => ['create', 'tb1', '--subnet', '198.18.0.128/25'],
      /overlaps 198\.18\.0\.0\/24 of bridge tb0/,
    ],
    ['a gateway outside', () => ['create', 'tb1', '--subnet', '198.18.9.0/24', '--gateway', '198.18.8.1'], /no host address/],
    ['an MTU', () => ['create', 'tb1', '--mtu', '20'], /mtu must be a whole number from 68 to 65521, not 20\n/],
    ['an MTU that is no number', () => ['create', 'tb1', '--mtu', 'big'], /--mtu must be a whole number/, 2],
    ['an unknown namespace', () => ['attach', 'tb0', 'x', '--netns', 'no-such-ns'], /no such network namespace: no-such-ns/],
    [
      'a path that is no namespace',
      () => ['attach', 'tb0', 'x', '--netns', '/etc/passwd'],
      /\/etc\/passwd is not a network namespace/,
    ],
    [
      "the daemon's own namespace",
      () => ['attach', 'tb0', 'x', '--netns', daemon.namespace.path],
      /is the daemon's own network namespace/,
    ],
    ["the host port's MTU", () => ['set', 'tb0', 'tb0', 'mtu=1400'], /is the bridge's; set it: tapbridge set tb0 mtu=1400/],
    ['an unknown process', () => ['attach', 'tb0', 'x', '--pid', '4194303'], /no such process: 4194303/],
    [
      'an unknown interface',
      () => ['attach', 'tb0', 'x', '--iface', 'nope'],
      /the host has no interface nope; there are: lo, tb0/,
    ],
    ['the loopback', () => ['attach', 'tb0', 'x', '--iface', 'lo'], /lo is the loopback/],
    ['the host port as an interface', () => ['attach', 'tb0', 'x', '--iface', 'tb0'], /tb0 is the host port of bridge tb0/],
    [
      'no source',
      () => ['attach', 'tb0', 'x'],
      /exactly one of --container, --netns, --pid, --iface, --capture and --replay must be given/,
      2,
    ],
    [
      'two sources',
      () => ['attach', 'tb0', 'x', '--pid', '1', '--iface', 'lo'],
      /exactly one of --container, --netns, --pid, --iface, --capture and --replay must be given/,
      2,
    ],
    ['a port that exists', () => ['attach', 'tb0', 'a', ...netns()], /bridge tb0 has a port a/],
    ['an interface that exists', () => ['attach', 'tb0', 'x', '--netns', a.netnsPath], /interface eth0 exists in namespace/],
    [
      'an address outside',
      () => ['attach', 'tb0', 'x', ...netns(), '--ip', '10.0.0.1'],
      /10\.0\.0\.1 is outside of the bridge's subnet/,
    ],
    [
      'an address that is taken',
      () => ['attach', 'tb0', 'x', ...netns(), '--ip', '198.18.0.5'],
      /198\.18\.0\.5 is taken by port a/,
    ],
    ['the gateway', () => ['attach', 'tb0', 'x', ...netns(), '--ip', '198.18.0.1/24'], /the bridge's own address, the gateway/],
    ['the network address', () => ['attach', 'tb0', 'x', ...netns(), '--ip', '198.18.0.0'], /is the network address/],
    ['the broadcast address', () => ['attach', 'tb0', 'x', ...netns(), '--ip', '198.18.0.255'], /is the broadcast address/],
    [
      'another prefix',
      () => ['attach', 'tb0', 'x', ...netns(), '--ip', '198.18.0.9/16'],
      /another prefix than the bridge's subnet/,
    ],
    ['no address at all', () => ['attach', 'tb0', 'x', ...netns(), '--ip', 'here'], /"here" is not an IPv4 address/],
    ['a group MAC', () => ['attach', 'tb0', 'x', ...netns(), '--mac', '01:00:5e:00:00:01'], /is a group address/],
    ['a MAC that is taken', () => ['attach', 'tb0', 'x', ...netns(), '--mac', '02:00:00:00:00:05'], /is the MAC of port a/],
    [
      'an interface name',
      () => ['attach', 'tb0', 'x', '--netns', a.netnsPath, '--ifname', 'a-name-of-17-bytes'],
      /the kernel allows 15/,
    ],
    ['a neighbor outside', () => ['neighbor', 'add', 'tb0', '10.0.0.1', '02:00:00:00:00:07'], /outside of the bridge's subnet/],
    [
      'an FDB entry that is not there',
      () => ['fdb', 'del', 'tb0', '02:00:00:00:00:77'],
      /the FDB of tb0 has no 02:00:00:00:00:77/,
    ],
    ["a port's own FDB entry", () => ['fdb', 'del', 'tb0', '02:00:00:00:00:05'], /is the address of port a and stays with it/],
    ['an unknown setting', () => ['set', 'tb0', 'colour=red'], /a bridge has no setting colour; there are: mtu/, 2],
    [
      'an unknown part',
      () => ['show', 'tb0', 'rules'],
      /: 'rules' is invalid for argument 'part'\. Allowed choices are ports, fdb, neighbors, publishes, flows, gateway, counters; see/,
      2,
    ],
    ['an unknown command', () => ['sow', 'tb0'], /unknown command 'sow' \(did you mean show\?\); see tapbridge --help/, 2],
    ['an unknown option', () => ['ls', '--jsn'], /unknown option '--jsn'/, 2],
    ['a publish without a container port', () => ['publish', 'tb0', '8080', 'a'], /write \[HOSTIP:\]HOSTPORT\[-END\]:PORT/, 2],
    ['a publish of no container', () => ['publish', 'tb0', '8080:80', 'x'], /bridge tb0 has no port x; there are: tb0, a/],
    ['a publish of the host port', () => ['publish', 'tb0', '8080:80', 'tb0'], /tb0 is the host port/],
    ['a publish that is not there', () => ['unpublish', 'tb0', '8080'], /bridge tb0 publishes no port 8080\/tcp/],
    ['flows of no state', () => ['show', 'tb0', 'flows', '--state', 'open'], /no flow is "open"; the states are: /],
    ['flows of an unknown port', () => ['flows', 'flush', 'tb0', '--container', 'x'], /bridge tb0 has no port x/],
    ['flows of no network', () => ['flows', 'watch', 'tb0', '--address', '1.2.3'], /"1\.2\.3" is not an IPv4 address/],
    ['an uplink that is not there', () => ['set', 'tb0', 'uplink=nope'], /nope/],
    [
      'an address to translate to that is not there',
      () => ['set', 'tb0', 'egress=192.0.2.7'],
      /no address 192\.0\.2\.7 to translate to/,
    ],
    ['ports of a rule without protocol', () => ['policy', 'tb0', 'add', 'deny', '--ports', '80'], /only TCP and UDP have ports/],
    ['a rule of an unknown port', () => ['policy', 'tb0', 'add', 'deny', '--container', 'x'], /about port x/],
    ['a socket path that is too long', () => ['ls', '--socket', `/tmp/${'x'.repeat(120)}`], /125 bytes, the kernel allows 107/],
    [
      'a daemon that does not run',
      () => ['ls', '--socket', '/tmp/none.sock'],
      /the daemon is not running at \/tmp\/none\.sock; start it with/,
    ],
    ['a capture of no bridge', () => ['capture', 'tb9', '-w', '-'], /no such bridge: tb9/],
    [
      'a capture into no folder',
      () => ['capture', 'tb0', '-w', '/nowhere/x'],
      /cannot write \/nowhere\/x: .*; name another file/,
    ],
    ['a capture port of a file that exists', () => ['attach', 'tb0', 'x', '--capture', '/etc/passwd'], /\/etc\/passwd exists/],
    ['a replay of no file', () => ['attach', 'tb0', 'x', '--replay', '/tmp/none.pcap'], /cannot replay \/tmp\/none\.pcap/],
    ['a replay of no capture', () => ['attach', 'tb0', 'x', '--replay', '/etc/passwd'], /cannot replay \/etc\/passwd/],
    ['a file with an address', () => ['attach', 'tb0', 'x', '--replay', '/etc/passwd', '--ip', 'auto'], /a file has no address/],
    ['a speed without a replay', () => ['attach', 'tb0', 'x', '--pid', '1', '--speed', '2'], /are of a replay; add --replay/, 2],
    ['a capture of no port', () => ['capture', 'tb0', '--port', 'x'], /bridge tb0 has no port x/],
  ];

  test('each is one line on stderr, a status, and nothing half made', async () => {
    const settled = async () => ({
      bridges: await daemon.client.listBridges(),
      ports: (await daemon.client.listPorts('tb0')).map(({ name }) => name),
      here: daemon.namespace.interfaces().map(({ name }) => name),
      there: a.namespace.interfaces().map(({ name }) => name),
      record: readFileSync(join(daemon.state, 'state.json'), 'utf8'),
    });
    const before = await settled();
    for (const [what, args, says, status = 1] of REFUSED) {
      const result = await daemon.cli(...args());
      expect(result, what).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(/^tapbridge: [^\n]+\n$/) });
      expect(result.stderr, what).toMatch(says);
    }
    expect(await settled()).toEqual(before);
  }, 60_000);

  test('a daemon without rights, without a usable socket or with a bad configuration: one line, status 1', async () => {
    const config = join(daemon.folder, 'bad.yaml');
    writeFileSync(config, 'bridges:\n  - nam: tb0\n');
    const paths = ['--state', join(daemon.folder, 'other'), '--socket', join(daemon.folder, 'other.sock')];
    for (const [args, says] of [
      [['--socket', `/tmp/${'x'.repeat(120)}`, '--state', paths[1]], /the socket path has 125 bytes/],
      [['--socket', config, '--state', paths[1]], /exists and is not a socket/],
      [['--config', join(daemon.folder, 'none.yaml'), ...paths], /cannot read the configuration/],
      [['--config', config, ...paths], /bad\.yaml: bridges\.0\.name/],
      [['--group', 'no-such-group', ...paths], /there is no group no-such-group/],
    ] as const) {
      const result = await runCli(['daemon', ...args]);
      expect(result).toMatchObject({ status: 1, stderr: expect.stringMatching(/^tapbridge: daemon: [^\n]+\n$/) });
      expect(result.stderr).toMatch(says);
    }
    expect(existsSync(join(daemon.folder, 'other.sock'))).toBe(false);
    if (!needs('setpriv')) return;
    const main = compiledModule('../cli/main.js');
    const plain = spawnSync('setpriv', ['--bounding-set=-all', '--inh-caps=-all', process.execPath, main, 'daemon', ...paths], {
      encoding: 'utf8',
    });
    expect(plain).toMatchObject({ status: 1 });
    expect(plain.stderr).toMatch(/^tapbridge: daemon: the daemon makes interfaces and needs CAP_NET_ADMIN; run it as root.*\n$/);
  });
});

describeSystem('command line: capture', ['root', 'tap'], () => {
  let lab: Lab;
  let daemon: TestDaemon;
  let a: LabHost;

  beforeAll(async () => {
    lab = Lab.create('tbcap');
    [daemon, a] = await Promise.all([TestDaemon.start(lab, lab.namespace('host')), lab.host('a')]);
    await daemon.client.createBridge({ name: 'tb0', subnet: '198.18.0.0/24' });
    await daemon.client.attach('tb0', { port: 'a', netns: a.netnsPath, ip: '198.18.0.5' });
  });
  afterAll(async () => {
    await daemon.close();
    await lab.close();
  });

  /** Starts a capture, pings until it ends by itself or `enough` says so, then interrupts it. */
  async function capture(args: string[], enough: (out: Buffer) => boolean) {
    const program = spawn(process.execPath, [compiledModule('../cli/main.js'), 'capture', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TAPBRIDGE_SOCKET: daemon.socket },
    });
    const result = { out: Buffer.alloc(0), err: '', status: undefined as number | null | undefined };
    program.stdout.on('data', (chunk) => {
      result.out = Buffer.concat([result.out, chunk]);
    });
    program.stderr.on('data', (chunk) => (result.err += chunk));
    program.on('close', (status) => {
      result.status = status;
    });
    let interrupted = false;
    await eventually(async () => {
      if (result.status !== undefined) return true;
      await a.ping({ address: '198.18.0.1', count: 1 });
      if (!interrupted && enough(result.out)) interrupted = program.kill('SIGINT');
      return false;
    });
    return result;
  }

  test('lines like tcpdump, with the port and direction; -c ends it', async () => {
    const { out, err, status } = await capture(['tb0', '-c', '8'], () => false);
    expect(status).toBe(0);
    expect(err).toBe('8 frames captured, 0 lost\n');
    const lines = out.toString().trimEnd().split('\n');
    expect(lines).toHaveLength(8);
    expect(lines.filter((line) => / a > .*198\.18\.0\.5 > 198\.18\.0\.1: ICMP echo request/.test(line)).length).toBeGreaterThan(
      0,
    );
    expect(lines.filter((line) => / tb0 > .*198\.18\.0\.1 > 198\.18\.0\.5: ICMP echo reply/.test(line)).length).toBeGreaterThan(
      0,
    );
  });

  test('SIGINT ends it in order, with the summary', async () => {
    const { out, err, status } = await capture(['tb0', '--port', 'a'], (text) => text.includes('echo reply'));
    expect(status).toBe(0);
    expect(err).toMatch(/^[0-9]+ frames captured, 0 lost\n$/);
    expect(out.toString()).toMatch(/ a < .* ICMP echo reply/);
  });

  test('-w FILE is private and complete', async () => {
    const file = join(daemon.folder, 'out.pcapng');
    expect(await capture(['tb0', '-w', file, '-c', '4', '--snaplen', '60'], () => false)).toMatchObject({
      status: 0,
      err: '4 frames captured, 0 lost\n',
    });
    const bytes = readFileSync(file);
    expect(bytes.readUInt32LE(0)).toBe(0x0a0d0d0a);
    if (needs('tcpdump')) {
      const read = spawnSync('tcpdump', ['-nr', file], { encoding: 'utf8' });
      expect(read.stdout).toContain('ICMP echo request');
    }
  });

  test('attach --replay sends a file into the bridge, attach --capture writes what floods', async () => {
    const tape = fileURLToPath(new URL('../fixtures/arp-icmp.pcap', import.meta.url));
    const file = join(daemon.folder, 'log.pcap');
    expect(await daemon.cli('attach', 'tb0', 'log', '--capture', file)).toMatchObject({
      status: 0,
      stdout: `log attached to tb0: written to ${file}\n`,
    });
    expect(await daemon.cli('attach', 'tb0', 'tape', '--replay', tape, '--speed', '0')).toMatchObject({
      status: 0,
      stdout: `tape attached to tb0: replayed from ${tape}\n`,
    });
    const ended = async () => (await daemon.client.getPort('tb0', 'tape')).state === 'ended';
    expect(await eventually(ended)).toBe(true);
    expect(await daemon.cli('detach', 'tb0', 'tape')).toMatchObject({ status: 0 });
    expect(await daemon.cli('detach', 'tb0', 'log')).toMatchObject({ status: 0 });
    const heard: string[] = [];
    for await (const { bytes } of readPcap(file)) heard.push(describeFrame(bytes, 0, bytes.length));
    expect(heard).toContainEqual(expect.stringContaining('Request who-has 10.9.0.2 tell 10.9.0.1'));
  });

  test('-w - feeds tcpdump, whose leaving is no error', async () => {
    if (!needs('tcpdump')) return;
    const main = compiledModule('../cli/main.js');
    const script = `"${process.execPath}" "${main}" capture tb0 -w - | tcpdump -nr - -c 3; echo "status \${PIPESTATUS[0]}"`;
    const program = spawn('bash', ['-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TAPBRIDGE_SOCKET: daemon.socket },
    });
    let out = '';
    let ended = false;
    program.stdout.on('data', (chunk) => (out += chunk));
    program.on('close', () => {
      ended = true;
    });
    await eventually(async () => {
      await a.ping({ address: '198.18.0.1', count: 1 });
      return ended;
    });
    expect(out).toMatch(/198\.18\.0\.5 > 198\.18\.0\.1: ICMP echo request/);
    expect(out).toContain('status 0');
  });
});
