/** What the doctor says of machines that are not well. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkCni } from '../../src/cli/doctor/cni-wiring.js';
import { askDaemon } from '../../src/cli/doctor/daemon-health.js';
import { checkDocker, type DockerHost, type DockerPlaces } from '../../src/cli/doctor/docker-wiring.js';
import type { Finding } from '../../src/cli/doctor/finding.js';
import { idleCores } from '../../src/cli/doctor/kernel.js';
import { checkInterfaces, checkState } from '../../src/cli/doctor/leftovers.js';
import { checkSubnets } from '../../src/cli/doctor/networks.js';
import { checkCapabilities, checkNode, checkTun } from '../../src/cli/doctor/program.js';
import { checkSysctls } from '../../src/cli/doctor/sysctls.js';
import { report } from '../../src/cli/doctor-command.js';
import { Client } from '../../src/client/client.js';
import { RouteType } from '../../src/netlink/constants.js';
import type { Link } from '../../src/netlink/link.js';
import type { Route } from '../../src/netlink/route.js';
import { FakeDocker, idOf } from '../docker/fake-docker.js';
import { FakeControl } from '../helpers/fake-control.js';
import { FakeServer } from '../helpers/fake-server.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-doctor-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function put(path: string, text: string, mode = 0o644): string {
  const place = join(folder, path);
  mkdirSync(join(place, '..'), { recursive: true });
  writeFileSync(place, text);
  chmodSync(place, mode);
  return place;
}

const states = (findings: readonly Finding[]) => findings.map(({ status }) => status);

/** Whatever is not well says what it means and what to do. */
function expectHelp(findings: readonly Finding[]): void {
  for (const { status, found, meaning, remedy } of findings) {
    if (status === 'ok') continue;
    expect(meaning, found).toBeTruthy();
    expect(remedy, found).toBeTruthy();
  }
}

describe('idle cores', () => {
  const reason = "EACCES: permission denied, open '/dev/cpu_dma_latency'";

  test.each([
    [true, null, 'ok', /can be kept awake/],
    [true, reason, 'warn', /cannot be kept awake while there is traffic: EACCES/],
    [false, reason, 'ok', /cannot be kept awake/],
  ] as const)('virtual: %s, refusal: %s', (virtual, refusal, status, found) => {
    const finding = idleCores({ cores: 2, virtual, refusal: () => refusal });
    expect(finding.status).toBe(status);
    expect(finding.found).toMatch(found);
  });
});

describe('program', () => {
  test.each([
    ['20.19.0', 'ok'],
    ['22.1.0', 'ok'],
    ['20.18.9', 'fail'],
    ['18.20.0', 'fail'],
  ])('Node %s: %s', (version, status) => {
    const finding = checkNode(version);
    expect(finding.status).toBe(status);
    expectHelp([finding]);
  });

  test('capabilities that are missing are named', () => {
    expect(checkCapabilities('CapEff:\t000001ffffffffff\n').status).toBe('ok');
    const finding = checkCapabilities('CapEff:\t0000000000003000\n');
    expect(finding).toMatchObject({ status: 'warn' });
    expect(finding.found).toBe('this shell lacks CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE, CAP_SYS_ADMIN');
  });

  test('a machine without /dev/net/tun', () => {
    expect(checkTun(join(folder, 'tun'))).toMatchObject({ status: 'fail', remedy: expect.stringContaining('modprobe tun') });
  });
});

describe('sysctls', () => {
  const sysctls = (range: string, ranges: [number, number][] | null = null) => {
    put('net/ipv4/ip_local_port_range', `${range}\n`);
    return checkSysctls(folder, ranges);
  };

  test('what the kernel has by default', () => {
    expect(states(sysctls('32768\t60999'))).toEqual(['ok', 'ok', 'ok', 'ok']);
  });

  test('nearly all ports are the host’s own', () => {
    const [finding] = sysctls('1024 65535');
    expect(finding).toMatchObject({ status: 'warn' });
    expect(finding.found).toContain('leaves 424 of 65535 ports');
    expectHelp([finding]);
  });

  test('configured ranges that are the host’s, too', () => {
    const [finding] = sysctls('32768 60999', [[30_000, 40_000]]);
    expect(finding).toMatchObject({ status: 'fail', found: expect.stringContaining('nat.ranges has 30000-40000') });
    expectHelp([finding]);
  });
});

describe('networks', () => {
  const link = (index: number, name: string) => ({ index, name }) as Link;
  const route = (destination: string, prefix: number, index: number) =>
    ({ destination, prefix, index, type: RouteType.unicast }) as Route;
  const links = [link(1, 'lo'), link(2, 'eth0'), link(3, 'tb0'), link(4, 'tb1')];
  const bridges = [
    { name: 'tb0', subnet: '10.1.0.0/24' },
    { name: 'l2', subnet: null },
  ];

  test('a bridge’s own route and the default route are none of it', () => {
    const routes = [route('0.0.0.0', 0, 2), route('10.1.0.0', 24, 3), route('192.0.2.0', 24, 2)];
    expect(states(checkSubnets(bridges, { links, routes }))).toEqual(['ok']);
  });

  test('a route of the host into the same addresses', () => {
    const findings = checkSubnets(bridges, { links, routes: [route('10.0.0.0', 8, 2)] });
    expect(states(findings)).toEqual(['warn']);
    expect(findings[0].found).toBe("10.1.0.0/24 of bridge tb0 overlaps the host's route to 10.0.0.0/8 by eth0");
    expectHelp(findings);
  });

  test('two bridges, told once', () => {
    const both = [...bridges, { name: 'tb1', subnet: '10.1.0.128/25' }];
    const findings = checkSubnets(both, { links, routes: [route('10.1.0.0', 24, 3), route('10.1.0.128', 25, 4)] });
    expect(findings.map(({ found }) => found)).toContain('10.1.0.0/24 of bridge tb0 overlaps 10.1.0.128/25 of bridge tb1');
    expectHelp(findings);
  });
});

describe('leftovers', () => {
  const state = (holder?: number) => ({ directory: '/var/lib/tapbridge', instance: '0a1b2c3d', holder });
  const link = (name: string, alias: string, lowerUp = false) => ({ name, alias, lowerUp });

  test('interfaces of a daemon that runs, and of others, are none', () => {
    const links = [link('tb0', 'tapbridge:0a1b2c3d/tb0/tb0', true), link('tb1', 'tapbridge:0a1b2c3d/tb1/tb1'), link('eth0', '')];
    expect(checkInterfaces(links, state(42))).toEqual([]);
  });

  test('those that wait for the next daemon', () => {
    const findings = checkInterfaces([link('tb0', 'tapbridge:0a1b2c3d/tb0/tb0')], state());
    expect(states(findings)).toEqual(['warn']);
    expect(findings[0].found).toBe('1 interfaces (tb0) wait for the next start of the daemon on /var/lib/tapbridge');
    expectHelp(findings);
  });

  test.each(['state.json', 'docker.json'])('%s the daemon would refuse', (name) => {
    const path = join(folder, name);
    const facts = { directory: folder, instance: '0a1b2c3d', holder: undefined };
    chmodSync(folder, 0o700);
    writeFileSync(path, '{}');
    expect(checkState(facts)).toEqual([]);
    chmodSync(path, 0o666);
    const [finding] = checkState(facts);
    expect(finding).toMatchObject({ status: 'fail', remedy: `"chmod go-w ${path}"` });
  });

  test('those nobody knows any more', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const findings = checkInterfaces(
      names.map((name) => link(name, `tapbridge:ffffffff/${name}/${name}`)),
      state(42),
    );
    expect(states(findings)).toEqual(['warn']);
    expect(findings[0].found).toContain('6 interfaces (a, b, c, d, e, ...)');
    expect(findings[0].remedy).toContain('ip link del f');
  });
});

describe('Docker', () => {
  let server: Server | undefined;
  const places = (): DockerPlaces => ({
    api: join(folder, 'docker.sock'),
    sockets: join(folder, 'run'),
    specs: join(folder, 'etc/plugins'),
    settings: join(folder, 'etc/daemon.json'),
  });
  const look = (links: string[] = [], more: Partial<DockerHost> = {}) =>
    checkDocker(places(), 'tb', { links, bridges: [], ...more });

  async function serve(path: string, body: string, status = 200): Promise<void> {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    server = createServer((_request, response) => response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server?.listen(join(folder, path), resolve));
  }

  afterEach(async () => {
    server?.closeAllConnections();
    if (server !== undefined) await new Promise((resolve) => server?.close(resolve));
    server = undefined;
  });

  test('none on the machine', async () => {
    expect(await look()).toEqual([{ area: 'docker', status: 'ok', found: 'no Docker here' }]);
  });

  test('there, without the driver', async () => {
    put('etc/daemon.json', '{}');
    const findings = await look();
    expect(states(findings)).toEqual(['warn', 'warn']);
    expect(findings[1].remedy).toBe('tapbridge docker install');
    expectHelp(findings);
  });

  test('a driver that answers', async () => {
    await serve('run/tb.sock', '{"Scope":"local","ConnectivityScope":"local"}');
    put('etc/plugins/tb.spec', `unix://${join(folder, 'run/tb.sock')}\n`);
    expect(states(await look())).toEqual(['ok', 'ok']);
    put('etc/plugins/tb.spec', 'unix:///elsewhere.sock\n');
    const findings = await look();
    expect(states(findings)).toEqual(['ok', 'ok', 'warn']);
    expectHelp(findings);
  });

  test('a socket nobody answers at, and one with something else behind it', async () => {
    put('run/tb.sock', '');
    const findings = await look();
    expect(states(findings)).toEqual(['ok', 'fail']);
    expectHelp(findings);
    rmSync(join(folder, 'run/tb.sock'));
    await serve('run/tb.sock', '{"Err":"no"}', 404);
    expect((await look())[1]).toMatchObject({ status: 'fail', found: expect.stringContaining('status 404') });
  });

  test('a spec without a daemon', async () => {
    put('etc/plugins/tb.spec', 'unix:///run/docker/plugins/tb.sock\n');
    const findings = await look();
    expect(states(findings)).toEqual(['ok', 'fail']);
    expectHelp(findings);
  });

  test('docker_gwbridge, docker0, and settings that are not understood', async () => {
    const findings = await look(['docker_gwbridge', 'docker0']);
    expect(states(findings)).toEqual(['ok', 'warn', 'ok']);
    expectHelp(findings);
    put('etc/daemon.json', '{ "bridge": "none" }');
    expect((await look()).at(-1)?.found).toContain('"bridge": "none"');
    put('etc/daemon.json', '{ bridge');
    expect((await look()).at(-1)?.status).toBe('fail');
  });

  test('networks it removed while the driver was away; those of others are none of its', async () => {
    const docker = await FakeDocker.start();
    try {
      docker.networks.push({ id: idOf('aa'), name: 'known', endpoints: [] });
      const bridge = (name: string, id: string, named: string | null, engine: 'docker' | 'cni' = 'docker') => ({
        name,
        network: { engine, id: idOf(id), name: named },
      });
      const bridges = [
        bridge('tb-aa', 'aa', 'known'),
        bridge('leak1', 'bb', 'gone'),
        bridge('tb-cc', 'cc', null),
        bridge('pods', 'dd', 'pods', 'cni'),
        { name: 'hand', network: null },
      ];
      const ask = () => checkDocker({ ...places(), api: docker.socket }, 'tb', { links: [], bridges });
      const findings = (await ask()).slice(2);
      expect(findings.map(({ status, found, remedy }) => [status, found, remedy])).toEqual([
        ['warn', 'Docker has no network gone any more; its bridge leak1 stays', 'tapbridge rm leak1'],
        ['warn', `Docker has no network ${idOf('cc')} any more; its bridge tb-cc stays`, 'tapbridge rm tb-cc'],
      ]);
      expectHelp(findings);
      docker.component = 'Podman Engine';
      expect((await ask()).slice(2)).toEqual([]);
      docker.answer = { status: 500, text: '{"message":"no"}' };
      expect((await ask()).slice(2)).toEqual([]);
      expect(await look([], { bridges })).toEqual([{ area: 'docker', status: 'ok', found: 'no Docker here' }]);
    } finally {
      await docker.close();
    }
  });
});

describe('CNI', () => {
  const places = () => ({ configurations: join(folder, 'net.d'), programs: [join(folder, 'bin'), join(folder, 'more')] });
  const conflist = (type: string) => JSON.stringify({ cniVersion: '1.0.0', name: 'n', plugins: [{ type }, { type: 'portmap' }] });

  test('no network of ours', () => {
    put('net.d/10-other.conflist', conflist('bridge'));
    put('net.d/20-broken.conflist', '{');
    expect(states(checkCni(places()))).toEqual(['ok']);
  });

  test('the plugin is missing, does not run, runs', () => {
    put('net.d/10-tb.conflist', conflist('tapbridge'));
    put('net.d/20-tb.conf', JSON.stringify({ cniVersion: '1.0.0', name: 'm', type: 'tapbridge-cni' }));
    put('bin/tapbridge', '#!/bin/sh\necho "no such file: node" >&2; exit 127\n', 0o755);
    const findings = checkCni(places());
    expect(states(findings)).toEqual(['fail', 'fail']);
    expect(findings[0].found).toContain('no such file: node');
    expect(findings[1].found).toContain('which is in none of');
    expectHelp(findings);
    put('more/tapbridge-cni', '#!/bin/sh\nread x; echo "{\\"supportedVersions\\":[\\"1.0.0\\"]}"\n', 0o755);
    put('bin/tapbridge', '#!/bin/sh\n[ "$CNI_COMMAND" = VERSION ] && echo "{\\"supportedVersions\\":[\\"1.0.0\\"]}"\n', 0o755);
    expect(states(checkCni(places()))).toEqual(['ok', 'ok']);
  });
});

describe('daemon', () => {
  test('one that does not run is to be started', async () => {
    const { findings, bridges } = await askDaemon(new Client(join(folder, 'none.sock')));
    expect(states(findings)).toEqual(['warn']);
    expect(bridges).toEqual([]);
    expectHelp(findings);
  });

  test('its own checks, failing ones among them', async () => {
    const control = new FakeControl();
    const checks = [
      { name: 'engine', status: 'ok' as const, message: 'it turns' },
      { name: 'state', status: 'fail' as const, message: 'changes cannot be recorded: EROFS' },
    ];
    Object.assign(control, { health: async () => checks });
    const server = await FakeServer.start(control);
    try {
      const { findings, bridges } = await askDaemon(new Client(server.path));
      expect(findings.map(({ status, found }) => `${status} ${found}`).slice(1)).toEqual([
        'ok engine: it turns',
        'fail state: changes cannot be recorded: EROFS',
      ]);
      expect(bridges.map(({ name }) => name)).toEqual(['tb0']);
      expectHelp(findings);
    } finally {
      await server.close();
    }
  });
});

test('the report: a line each, what is not well with what mends it, and the sum', () => {
  const findings: Finding[] = [
    { area: 'kernel', status: 'ok', found: 'Linux 6.18' },
    { area: 'docker', status: 'fail', found: 'no driver', meaning: 'nothing works', remedy: 'do this' },
  ];
  expect(report(findings, false)).toBe(
    'ok    kernel     Linux 6.18\nfail  docker     no driver\n                 nothing works\n                 mend: do this\n\n1 ok, 0 to look at, 1 failed\n',
  );
  expect(report(findings, true)).toContain('\x1b[31mfail \x1b[0m');
});
