/** Which container a name on the command line means, with one engine, both, or none of them. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findContainer, type NamedContainer } from '../../src/cli/named-container.js';
import { FakeDocker, idOf } from '../docker/fake-docker.js';

const WEB = idOf('4f1c2b7d90aa');
const OTHER = idOf('b00c');

let docker: FakeDocker;
let podman: FakeDocker;
let folder: string;

beforeEach(async () => {
  [docker, podman] = await Promise.all([FakeDocker.start(), FakeDocker.start()]);
  podman.component = 'Podman Engine';
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-path-'));
});

afterEach(async () => {
  await Promise.all([docker.close(), podman.close()]);
  rmSync(folder, { recursive: true });
});

function find(name: string, environment: NodeJS.ProcessEnv = {}): Promise<NamedContainer> {
  const sockets = { DOCKER_HOST: `unix://${docker.socket}`, CONTAINER_HOST: `unix://${podman.socket}` };
  return findContainer(name, { ...sockets, ...environment });
}

/** A `podman` of its own in PATH. */
function program(script: string): NodeJS.ProcessEnv {
  const path = join(folder, 'podman');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { CONTAINER_HOST: undefined, PATH: folder };
}

describe('both engines are here', () => {
  test('one of them has it', async () => {
    docker.containers.push({ id: WEB, name: 'web', pid: 77 });
    podman.containers.push({ id: OTHER, name: 'db', pid: 78 });
    expect(await find('web')).toEqual({ pid: 77, container: { engine: 'docker', id: WEB, name: 'web' } });
    expect(await find('db')).toEqual({ pid: 78, container: { engine: 'podman', id: OTHER, name: 'db' } });
    expect(await find('4f1c2b')).toMatchObject({ container: { id: WEB, name: 'web' } });
  });

  test('both have it: whose is meant must be said', async () => {
    docker.containers.push({ id: WEB, name: 'web', pid: 77 });
    podman.containers.push({ id: OTHER, name: 'web', pid: 78 });
    await expect(find('web')).rejects.toMatchObject({
      message: 'both docker and podman have a container web',
      hint: 'write docker:web or podman:web',
    });
    expect(await find('docker:web')).toMatchObject({ pid: 77 });
    expect(await find('podman:web')).toMatchObject({ pid: 78 });
  });

  test('they are one: Docker’s socket is podman’s', async () => {
    podman.containers.push({ id: WEB, name: 'web', pid: 77 });
    const found = await find('web', { DOCKER_HOST: `unix://${podman.socket}` });
    expect(found).toEqual({ pid: 77, container: { engine: 'podman', id: WEB, name: 'web' } });
  });

  test('neither has it', async () => {
    await expect(find('web')).rejects.toMatchObject({
      message: 'there is no container web in docker or podman',
      hint: 'see docker ps -a and podman ps -a',
    });
  });
});

describe('a container that cannot be attached', () => {
  test('one that does not run', async () => {
    docker.containers.push({ id: WEB, name: 'web', running: false });
    await expect(find('web')).rejects.toMatchObject({
      message: 'container web of docker is not running',
      hint: 'start it: docker start web',
    });
  });

  test('one in the network of the host', async () => {
    podman.containers.push({ id: WEB, name: 'web', networkMode: 'host' });
    await expect(find('web')).rejects.toThrow("container web of podman uses the host's own network");
  });

  test.each(['', '-rm', 'docker:', 'podman:--help', '../x', 'a b', 'x'.repeat(300)])('a name that is none: %j', async (name) => {
    await expect(find(name)).rejects.toThrow(/cannot name a container/);
    expect([...docker.asked, ...podman.asked]).toEqual([]);
  });
});

describe('an engine that does not answer', () => {
  test('does not matter when the other one has the container', async () => {
    podman.containers.push({ id: WEB, name: 'web', pid: 77 });
    expect(await find('web', { DOCKER_HOST: 'tcp://192.0.2.1:2375' })).toMatchObject({ pid: 77 });
  });

  test('else it is what went wrong', async () => {
    await expect(find('web', { DOCKER_HOST: 'tcp://192.0.2.1:2375' })).rejects.toMatchObject({
      message: 'DOCKER_HOST is "tcp://192.0.2.1:2375": only a unix socket of this machine can be asked',
    });
    await expect(find('docker:web', { DOCKER_HOST: 'unix:///nonexistent/docker.sock' })).rejects.toThrow(
      /^the container engine at \/nonexistent\/docker\.sock: .*ENOENT/,
    );
  });
});

describe('the program podman', () => {
  const inspected = JSON.stringify([
    {
      Id: WEB,
      Name: 'web',
      State: { Running: true, Pid: 99, Status: 'running' },
      HostConfig: { NetworkMode: 'none' },
      Mounts: [],
    },
  ]);

  test('is asked without a socket', async () => {
    const environment = program(`[ "$*" = "container inspect web" ] && echo '${inspected}'`);
    expect(await find('podman:web', environment)).toEqual({ pid: 99, container: { engine: 'podman', id: WEB, name: 'web' } });
  });

  test('knows no such container', async () => {
    const environment = program('echo "Error: no such container web" >&2; exit 125');
    await expect(find('podman:web', environment)).rejects.toThrow('there is no container web in podman');
  });

  test('fails, or prints something else', async () => {
    await expect(find('podman:web', program('echo "Error: database is locked" >&2; exit 125'))).rejects.toThrow(
      'podman container inspect web: Error: database is locked',
    );
    await expect(find('podman:web', program('echo hello'))).rejects.toThrow(/printed what is not understood/);
  });

  test('is not there', async () => {
    await expect(find('podman:web', { CONTAINER_HOST: undefined, PATH: folder })).rejects.toMatchObject({
      message: 'podman is not here to ask for web',
      hint: 'start it, or name a process with --pid',
    });
  });
});
