/** What engines call bridges and containers stands where people look for it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { PortInfo } from '../../src/control/model.js';
import { FakeControl, madeFlow } from '../helpers/fake-control.js';
import { FakeServer } from '../helpers/fake-server.js';
import { type Result, runCommand } from './cli-run.js';

const ID = '4f1c2b7d90aabbccddee';

const FDB = { mac: '02:42:0a:01:00:02', port: 'ac267a6e0001', vlan: 0, kind: 'static', age: 0 };

class NamedControl extends FakeControl {
  override async *listFlows() {
    yield [{ ...madeFlow(0), port: 'ac267a6e0001' }];
  }

  override async listFdb(): Promise<never[]> {
    return [FDB] as never[];
  }

  override listPorts(): never[] {
    const port = { kind: 'tap', state: 'up', interface: 'eth0', netns: null, pid: 4711, file: null, mac: '02:42:0a:01:00:02' };
    const counts = { ip: '10.1.0.2/24', rxFrames: 3, txFrames: 2, drops: 0 };
    const ports = [
      { name: 'tb0', container: null },
      { name: 'ac267a6e0001', container: { engine: 'docker', id: ID, name: 'web' } },
      { name: 'ac267a6e0002', container: { engine: 'docker', id: ID, name: null } },
    ];
    return ports.map((each) => ({ ...port, ...counts, ...each })) as Partial<PortInfo>[] as never[];
  }
}

let control: NamedControl;
let server: FakeServer;

beforeEach(async () => {
  control = new NamedControl();
  control.bridge = { ...control.bridge, network: { engine: 'docker', id: ID, name: 'mynet' } };
  server = await FakeServer.start(control);
});

afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await server.close();
});

function cli(...args: string[]): Promise<Result> {
  return runCommand(server.path, args);
}

test('ls: the network; its id until the name is known', async () => {
  expect((await cli('ls')).out).toMatch(/^BRIDGE +NETWORK +SUBNET/);
  expect((await cli('ls')).out).toMatch(/^tb0 +docker:mynet +10\.1\.0\.0\/24 /m);
  control.bridge = { ...control.bridge, network: { engine: 'docker', id: ID, name: null } };
  expect((await cli('ls')).out).toMatch(/^tb0 +docker:4f1c2b7d90aa /m);
});

test('show ports: the container behind each', async () => {
  const { out } = await cli('show', 'tb0', 'ports');
  const containers = out
    .trim()
    .split('\n')
    .map((line) => line.split(/ {2,}/)[5]);
  expect(containers).toEqual(['CONTAINER', '-', 'docker:web', 'docker:4f1c2b7d90aa']);
});

test('show: the bridge and its network in the title', async () => {
  expect((await cli('show', 'tb0')).out).toMatch(/^bridge tb0, network docker:mynet\n/);
});

test('tables: the container stands for its port where an engine named it', async () => {
  await cli('publish', 'tb0', '8080:80', 'ac267a6e0001');
  const tables = async () => [
    (await cli('show', 'tb0', 'publishes')).out.split('\n')[1],
    (await cli('show', 'tb0', 'fdb')).out.split('\n')[1],
    (await cli('show', 'tb0', 'flows')).out.trim(),
  ];
  expect(await tables()).toEqual([
    expect.stringMatching(/ web +yes$/),
    expect.stringMatching(/ web +- +static/),
    expect.stringMatching(/ port=web$/),
  ]);
  expect(JSON.parse((await cli('show', 'tb0', 'fdb', '--json')).out)).toEqual([FDB]);
  // A port a person named stays what it is.
  control.bridge = { ...control.bridge, network: null };
  expect((await tables()).every((line) => line.includes('ac267a6e0001'))).toBe(true);
});

test('publishes: of all bridges, by container and network', async () => {
  const container = { engine: 'docker', id: ID, name: 'web' } as const;
  await cli('publish', 'tb0', '8080:80', 'web');
  await cli('publish', 'tb0', '127.0.0.1:53:53/udp', 'dns');
  control.publishes[0] = { ...control.publishes[0], container };
  expect((await cli('publishes')).out).toBe(
    [
      'HOST              CONTAINER   ADDRESS      NETWORK       LISTENER',
      '8080/tcp          docker:web  10.1.0.2:80  docker:mynet  yes',
      '127.0.0.1:53/udp  dns         10.1.0.2:53  docker:mynet  yes',
      '',
    ].join('\n'),
  );
  expect(JSON.parse((await cli('publishes', 'tb0', '--json')).out)).toEqual(control.publishes);
  expect((await cli('publishes', 'lan')).err).toBe('tapbridge: publishes: no such bridge: lan\n');
});

test('completion offers both names', async () => {
  expect((await cli('complete', 'bridges')).out).toBe('tb0\nmynet\n');
  expect((await cli('complete', 'ports', 'tb0')).out).toBe('tb0\nac267a6e0001\nweb\nac267a6e0002\n');
});

test('attach: exactly one source, --container among them', async () => {
  const { err, status } = await cli('attach', 'tb0', 'web', '--container', 'web', '--pid', '1');
  expect(status).toBe(2);
  expect(err).toContain('exactly one of --container, --netns, --pid, --iface, --capture and --replay must be given');
});
