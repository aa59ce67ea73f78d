/** Docker is asked for a name only when nobody here knows it. */
import { beforeEach, expect, test } from 'vitest';
import { ControlError } from '../../src/control/control-error.js';
import { SILENT } from '../../src/control/log.js';
import { createApp } from '../../src/daemon/app.js';
import { FakeControl } from '../helpers/fake-control.js';

let asked: number;
let known: string[];
/** What Docker says of its network, and what its driver was told to forget. */
let gone = false;
const forgotten: string[] = [];

class NamedControl extends FakeControl {
  gone: string[] = [];

  override getBridge(bridge: string) {
    if (!known.includes(bridge)) throw new ControlError('not-found', `no such bridge: ${bridge}`);
    return this.bridge;
  }

  async removeBridge(bridge: string): Promise<void> {
    this.gone.push(bridge);
  }

  getPort(_bridge: string, port: string): void {
    if (port === 'db') return;
    throw new ControlError('not-found', `bridge tb0 has no port ${port}`);
  }
}

const control = new NamedControl();
const app = createApp(control.asControl(), SILENT, {
  lookUp: async () => {
    asked++;
    known.push('my net');
  },
  isGone: async () => gone,
  removeNetwork: async (id) => void forgotten.push(id),
});

beforeEach(() => {
  asked = 0;
  known = ['tb0'];
});

test('a name that is known', async () => {
  expect((await app.request('/v1/bridges/tb0')).status).toBe(200);
  expect((await app.request('/v1/bridges/tb0/publishes')).status).toBe(200);
  expect((await app.request('/v1/bridges')).status).toBe(200);
  expect(asked).toBe(0);
});

test('a name that is learned', async () => {
  expect((await app.request('/v1/bridges/my%20net')).status).toBe(200);
  expect(asked).toBe(1);
});

test('a name that nobody has', async () => {
  expect((await app.request('/v1/bridges/lan')).status).toBe(404);
  expect((await app.request('/v1/bridges/tb0/ports/web')).status).toBe(404);
  expect(asked).toBe(2);
});

test('a port whose flows are asked for', async () => {
  await app.request('/v1/bridges/tb0/flows?portName=my%20web');
  await app.request('/v1/bridges/tb0/flows?portName=my%20web', { method: 'DELETE' });
  expect(asked).toBe(2);
  await app.request('/v1/bridges/tb0/flows?portName=db');
  await app.request('/v1/bridges/tb0/flows?protocol=tcp');
  expect(asked).toBe(2);
});

test('a network of Docker is removed there, not here', async () => {
  const { bridge } = control;
  control.bridge = { ...bridge, network: { engine: 'docker', id: '4f1c2b7d90aa', name: 'mynet' } };
  const refused = await app.request('/v1/bridges/tb0', { method: 'DELETE' });
  expect(await refused.json()).toEqual({
    error: {
      code: 'conflict',
      message: 'bridge tb0 is the network mynet of Docker',
      hint: 'remove it there: docker network rm mynet',
    },
  });
  // It was removed there while the driver was away.
  gone = true;
  expect((await app.request('/v1/bridges/tb0', { method: 'DELETE' })).status).toBe(204);
  expect(forgotten).toEqual(['4f1c2b7d90aa']);
  control.bridge = bridge;
  expect((await app.request('/v1/bridges/tb0', { method: 'DELETE' })).status).toBe(204);
  expect(control.gone).toEqual(['tb0']);
});

test('a path that cannot be read is not asked for', async () => {
  expect((await app.request('/v1/bridges/%E0%A4%A')).status).not.toBe(200);
  expect(asked).toBe(0);
});
