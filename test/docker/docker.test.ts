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
