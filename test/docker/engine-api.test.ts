/** What is asked of an engine's API, and what becomes of answers nobody should rely on. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EngineApi, engineSocket } from '../../src/docker/engine-api.js';
import { FakeDocker, idOf } from './fake-docker.js';

let docker: FakeDocker;
let api: EngineApi;

beforeEach(async () => {
  docker = await FakeDocker.start();
  api = new EngineApi(docker.socket, 500);
});

afterEach(() => docker.close());

test('a container by its name, and by the beginning of its id', async () => {
  docker.containers.push({ id: idOf('4f1c2b7d90aa'), name: 'web', pid: 77, networkMode: 'host' });
  const web = { id: idOf('4f1c2b7d90aa'), name: 'web', running: true, pid: 77, networkMode: 'host' };
  expect(await api.container('web')).toEqual(web);
  expect(await api.container('4f1c')).toEqual(web);
});

test('one that has ended has no process, whatever is said of it', async () => {
  docker.containers.push({ id: idOf('4f1c2b7d90aa'), name: 'web', running: true, pid: 0 });
  expect(await api.container('web')).toMatchObject({ running: false, pid: 0 });
});

test('what there is not', async () => {
  expect(await api.container('web')).toBeNull();
  expect(await api.network(idOf('9a'))).toBeNull();
});

test('a network with its containers; what has none yet is left out', async () => {
  const endpoints = [
    { id: idOf('e1'), container: idOf('c1'), name: 'web' },
    { id: idOf('e2'), container: `ep-${idOf('e2')}`, name: '' },
  ];
  docker.networks.push({ id: idOf('9a'), name: 'mynet', endpoints });
  expect(await api.network(idOf('9a'))).toEqual({
    id: idOf('9a'),
    name: 'mynet',
    endpoints: [{ id: idOf('e1'), container: { id: idOf('c1'), name: 'web' } }],
  });
  expect(await api.networks()).toEqual([{ id: idOf('9a'), name: 'mynet' }]);
});

test('podman speaks the same and says who it is', async () => {
  expect(await api.engine()).toBe('docker');
  docker.component = 'Podman Engine';
  expect(await api.engine()).toBe('podman');
});

describe('answers that are refused', () => {
  test.each([
    ['no JSON', '<html>'],
    ['another form', '[]'],
    ['an id that is none', JSON.stringify({ Id: '../../etc', Name: 'web', State: { Running: true, Pid: 1 } })],
    ['a process that cannot be', JSON.stringify({ Id: idOf('c1'), Name: 'web', State: { Running: true, Pid: -1 } })],
    ['nothing', ''],
  ])('%s', async (_, text) => {
    docker.answer = { status: 200, text };
    await expect(api.container('web')).rejects.toThrow(/an answer that is not understood/);
  });

  test('one without end', async () => {
    docker.answer = { status: 200, text: `"${'x'.repeat(9 << 20)}"` };
    await expect(api.container('web')).rejects.toThrow(/an answer of more than 8388608 bytes/);
  });

  test('an error of the engine is told in its words', async () => {
    docker.answer = { status: 400, text: JSON.stringify({ message: 'multiple IDs found with provided prefix: 4f' }) };
    await expect(api.container('4f')).rejects.toThrow(/multiple IDs found with provided prefix: 4f/);
  });

  test('none at all', async () => {
    docker.silent = true;
    await expect(api.container('web')).rejects.toThrow(/no answer within 0.5 s/);
    await expect(new EngineApi('/nonexistent/docker.sock').networks()).rejects.toThrow(/ENOENT/);
  });
});

test('a name cannot leave its place in the path', async () => {
  await api.container('../networks/x?a=b');
  expect(docker.asked).toEqual(['/containers/../networks/x?a=b/json']);
});

describe('where an engine is', () => {
  test('a unix socket', () => {
    expect(engineSocket('DOCKER_HOST', 'unix:///run/docker.sock')).toBe('/run/docker.sock');
  });

  test.each(['tcp://192.0.2.1:2375', 'ssh://root@db', 'unix://relative.sock', '/run/docker.sock', `unix:///${'x'.repeat(200)}`])(
    'not %s',
    (address) => {
      expect(() => engineSocket('DOCKER_HOST', address)).toThrow(/^DOCKER_HOST is /);
    },
  );
});
