import { expect, test } from 'vitest';
import { SILENT } from '../../src/control/log.js';
import { Docker } from '../../src/docker/docker.js';
import { recordedBinding } from '../netlink/recorded-binding.js';
import { FakeDockerControl, MemoryRecord } from './fake-docker-control.js';

const NETWORK = { engine: 'docker', id: 'c3'.repeat(32), name: null } as const;

const start = (control: FakeDockerControl, record: MemoryRecord) =>
  Docker.start({ binding: recordedBinding([]).binding, control, record, log: SILENT });

test('the record is lost, and the daemon killed before it has taken what control has: the next start takes it', async () => {
  const control = new FakeDockerControl();
  const record = new MemoryRecord();
  await control.createBridge({ name: 'tb-c3c3c3c3c3c3', subnet: '172.30.0.0/24', network: NETWORK });
  const listBridges = control.listBridges.bind(control);
  control.listBridges = () => {
    throw new Error('killed');
  };
  await expect(start(control, record)).rejects.toThrow('killed');
  control.listBridges = listBridges;
  const docker = await start(control, record);
  expect([...control.bridges.keys()]).toEqual(['tb-c3c3c3c3c3c3']);
  expect(record.saved.networks).toMatchObject([{ id: NETWORK.id, subnets: ['172.30.0.0/24'] }]);
  await docker.close();
});

test('from the first start on a bridge without record is one that was interrupted', async () => {
  const control = new FakeDockerControl();
  const record = new MemoryRecord();
  await start(control, record);
  expect(record.saves).toBe(1);
  await control.createBridge({ name: 'tb-c3c3c3c3c3c3', network: NETWORK });
  const docker = await start(control, record);
  expect([...control.bridges.keys()]).toEqual([]);
  await docker.close();
  expect(record.text).toBeNull();
});

test('a network Docker has forgotten is removed with its pools; those of other networks stay', async () => {
  const control = new FakeDockerControl();
  const record = new MemoryRecord();
  const pool = (subnet: string) => ({ id: `tblocal/${subnet}`, subnet, range: null, leases: [], last: null, since: 1 });
  const network = (id: string, subnets: string[]) => ({
    id,
    bridge: { name: `tb-${id.slice(0, 12)}`, subnet: subnets[0] },
    gateway: null,
    internal: false,
    interfacePrefix: 'eth',
    hostBinding: null,
    subnets,
    endpoints: [],
  });
  const other = 'd4'.repeat(32);
  record.save({
    version: 1,
    networks: [
      network(NETWORK.id, ['10.80.0.0/24', 'fd80::/64', '10.82.0.0/24']),
      network(other, ['10.81.0.0/24', '10.82.0.0/24']),
    ],
    pools: ['10.80.0.0/24', 'fd80::/64', '10.81.0.0/24', '10.82.0.0/24'].map(pool),
  });
  const docker = await start(control, record);
  control.before = (step) => {
    if (step === 'removeBridge') throw new Error('busy');
  };
  await expect(docker.removeNetwork(NETWORK.id)).rejects.toThrow('busy');
  control.before = undefined;
  await docker.removeNetwork(NETWORK.id);
  expect([...control.bridges.keys()]).toEqual(['tb-d4d4d4d4d4d4']);
  expect(record.saved.networks.map(({ id }) => id)).toEqual([other]);
  expect(record.saved.pools.map(({ subnet }) => subnet)).toEqual(['10.81.0.0/24', '10.82.0.0/24']);
  await docker.close();
});
