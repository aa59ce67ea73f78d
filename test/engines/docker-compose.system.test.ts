/** A compose file whose networks are tapbridge's, and an engine without docker0. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeSystem } from '../helpers/requirements.js';
import { DockerWorld, HOST_ADDRESS, IMAGE, OUTSIDE_ADDRESS } from './docker-world.js';

const HTTPD = '["httpd", "-f", "-p", "80", "-h", "/var/www"]';

describeSystem('docker without docker0', ['bpf', 'tap', 'docker', 'compose'], () => {
  let world: DockerWorld;
  beforeAll(async () => {
    world = await DockerWorld.open({ dockerd: { settings: { bridge: 'none' } } });
    await world.serve(world.outside.namespace, 80);
  });
  afterAll(() => world?.close());

  const fromOutside = (port: number) => world.fetchFrom(world.outside.namespace, `http://${HOST_ADDRESS}:${port}/cgi-bin/who`);

  test('no kernel bridge on the host, published ports without a rule of Docker', async () => {
    await world.network('mynet', '--subnet', '10.66.1.0/24');
    await world.run('web', 'mynet', ['--publish', '8080:80'], ['httpd', '-f', '-p', '80', '-h', '/var/www']);
    expect(world.host.interfaces().filter(({ kind }) => kind === 'bridge')).toEqual([]);
    expect(await fromOutside(8080)).toBe(OUTSIDE_ADDRESS);
    await world.removeContainers();
    await world.engine.ask('network', 'rm', 'mynet');
  });

  test('up: services find each other by name, one is published, one has no way out; down: nothing stays', async () => {
    const project = join(world.lab.folder, 'shop');
    mkdirSync(project);
    writeFileSync(
      join(project, 'docker-compose.yml'),
      `version: "2.4"
services:
  web:
    image: ${IMAGE}
    command: ${HTTPD}
    ports: ["8080:80"]
    networks: [front, back]
  store:
    image: ${IMAGE}
    command: ${HTTPD}
    networks:
      back: { aliases: [database], ipv4_address: 10.66.12.50 }
networks:
  front:
    driver: ${world.driver}
    ipam: { config: [{ subnet: 10.66.11.0/24, gateway: 10.66.11.254 }] }
  back:
    driver: ${world.driver}
    internal: true
    ipam: { driver: ${world.driver}, config: [{ subnet: 10.66.12.0/24 }] }
`,
    );
    const before = (await world.daemon.client.listBridges()).length;
    await compose(project, 'up', '--detach');
    const [web, store] = (await world.engine.ask('ps', '--format', '{{.Names}}')).split('\n').sort().reverse();
    expect(await fromOutside(8080)).toBe(OUTSIDE_ADDRESS);
    expect(await world.fetch(web, 'http://database/')).toBe('hello');
    expect(await world.fetch(store, 'http://web/')).toBe('hello');
    expect(await world.fetch(web, `http://${OUTSIDE_ADDRESS}/cgi-bin/who`)).toBe(HOST_ADDRESS);
    expect(await world.exec(store, 'ip', 'route')).not.toContain('default');
    expect(await world.exec(store, 'ip', '-o', 'addr')).toContain('10.66.12.50/24');
    await compose(project, 'restart', '--timeout', '1', 'web');
    expect(await fromOutside(8080)).toBe(OUTSIDE_ADDRESS);
    await compose(project, 'down', '--timeout', '1');
    expect(await world.daemon.client.listBridges()).toHaveLength(before);
    expect(await fromOutside(8080)).toBe('');
  });

  async function compose(project: string, ...args: string[]): Promise<void> {
    const program = world.startClient(
      'docker-compose',
      '--project-directory',
      project,
      '--file',
      `${project}/docker-compose.yml`,
      ...args,
    );
    expect(await program.ended, program.stderr).toBe(0);
  }
});
