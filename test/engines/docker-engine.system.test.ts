/** The engine of the suites itself, with its own bridge: what the others compare with. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, OUTSIDE_ADDRESS, WEB_SERVER } from './docker-world.js';

describeSystem('docker engine: docker0', ['bpf', 'tap', 'docker'], () => {
  let world: DockerWorld | undefined;
  afterEach(() => world?.close());

  test('a container serves, another asks; a published port shows the client; closing leaves nothing', async () => {
    world = await DockerWorld.open({ tapbridge: false });
    const { engine } = world;
    await world.run('web', 'bridge', ['--publish', '8080:80'], WEB_SERVER);
    await world.run('other', 'bridge', [], WEB_SERVER);
    const address = await world.addressOf('web', 'bridge');
    expect(await world.fetch('other', `http://${address}/`)).toBe('hello');
    expect(await world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:8080/cgi-bin/who`)).toBe(OUTSIDE_ADDRESS);
    const { folder } = engine;
    await world.close();
    expect(existsSync(folder)).toBe(false);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(folder);
    expect(readdirSync('/sys/fs/cgroup').filter((name) => folder.endsWith(name))).toEqual([]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`tbdocker-${process.pid}-`))).toEqual([]);
  });
});
