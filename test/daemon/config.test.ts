import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig, parseConfig } from '../../src/daemon/config.js';
import { readable } from '../../src/daemon/log.js';
import { claimSocket, groupId, listen } from '../../src/daemon/socket.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapbridge-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('configuration', () => {
  test.each([
    'docker: true',
    'docker: tb',
    'docker: { name: tb, api: /run/docker.sock, pools: [{ base: 10.0.0.0/8, size: 24 }] }',
  ])('%s', async (text) => {
    expect((await parseConfig(text, 'x.yaml')).docker).toBeDefined();
  });

  test.each(['docker: 5', 'docker: { nmae: tb }', 'docker: { pools: [] }', 'docker: { pools: [{ base: 10.0.0.0/8 }] }'])(
    '%s is refused',
    async (text) => {
      await expect(parseConfig(text, 'x.yaml')).rejects.toThrow('x.yaml: docker');
    },
  );

  test('onStop: remove or keep, nothing else', async () => {
    expect((await parseConfig('onStop: keep', 'x.yaml')).onStop).toBe('keep');
    await expect(parseConfig('onStop: never', 'x.yaml')).rejects.toThrow('x.yaml: onStop');
  });

  test.each(['auto', 'on', 'off'])('keepAwake: %s', async (when) => {
    expect((await parseConfig(`keepAwake: ${when}`, 'x.yaml')).keepAwake).toBe(when);
  });

  test('keepAwake: anything else is refused', async () => {
    await expect(parseConfig('keepAwake: true', 'x.yaml')).rejects.toThrow('x.yaml: keepAwake');
  });

  test('all there is', async () => {
    const text = `
socket: /run/x.sock
state: /var/lib/x
group: docker
logLevel: debug
nat: { flowLimit: 1000, ranges: [[20000, 29999]], timeouts: { udpStream: 180 }, guard: classic }
bridges:
  - name: tb0
    subnet: 10.1.0.0/24
    arpProxy: false
    ports:
      - { port: web, netns: web, ip: auto, flags: { isolated: true } }
    publishes:
      - { hostPort: 8080, port: 80, portName: web }
`;
    expect(await parseConfig(text, 'x.yaml')).toEqual({
      socket: '/run/x.sock',
      state: '/var/lib/x',
      group: 'docker',
      logLevel: 'debug',
      nat: { flowLimit: 1000, ranges: [[20_000, 29_999]], timeouts: { udpStream: 180 }, guard: 'classic' },
      bridges: [
        {
          name: 'tb0',
          subnet: '10.1.0.0/24',
          arpProxy: false,
          ports: [{ port: 'web', netns: 'web', ip: 'auto', flags: { isolated: true } }],
          publishes: [{ hostPort: 8080, port: 80, portName: 'web' }],
        },
      ],
    });
    expect(await parseConfig('# nothing yet\n', 'x.yaml')).toEqual({});
  });

  test.each([
    ['sokcet: /run/x.sock', /x\.yaml: Unrecognized key: "sokcet"/],
    ['bridges:\n  - subnet: 10.0.0.0/8', /x\.yaml: bridges\.0\.name: /],
    ['bridges:\n  - { name: tb0, mtu: many }', /x\.yaml: bridges\.0\.mtu must be a whole number from 68 to 65521, not a string$/],
    ['bridges:\n  - { name: tb0, mtu: 10 }', /x\.yaml: bridges\.0\.mtu must be a whole number from 68 to 65521, not 10$/],
    ['bridges:\n  - { name: tb0, mtu: 70000 }', /bridges\.0\.mtu must be a whole number from 68 to 65521, not 70000$/],
    ['bridges:\n  - { name: tb0, mtu: 99.5 }', /bridges\.0\.mtu must be a whole number from 68 to 65521, not 99\.5$/],
    ['bridges:\n  - { name: tb0, ports: [{ port: a, pid: 0 }] }', /ports\.0\.pid must be a whole number of 1 or more, not 0$/],
    ['logLevel: loud', /x\.yaml: logLevel: /],
    ['socket: [', /x\.yaml: .*line 1/],
    ['a: 1\na: 2', /x\.yaml: Map keys must be unique/],
    ['just text', /x\.yaml: /],
  ])('%j is refused', async (text, why) => {
    await expect(parseConfig(text, 'x.yaml')).rejects.toThrow(why);
  });

  test('a file that is not there', async () => {
    await expect(loadConfig(join(folder, 'none.yaml'))).rejects.toThrow('cannot read the configuration: ENOENT');
  });
});

describe('socket', () => {
  test('one that somebody answers on is refused, one that is left over is removed', async () => {
    const path = join(folder, 'new', 'daemon.sock');
    expect(await claimSocket(path)).toEqual([join(folder, 'new')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(claimSocket(path)).rejects.toThrow(`a daemon runs already at ${path}`);
    await new Promise((resolve) => server.close(resolve));
    expect(await claimSocket(path)).toEqual([]);
  });

  test.each([
    ['', 'is no path of a socket'],
    ['a\0b', 'is no path of a socket'],
    [`/${'ü'.repeat(60)}`, 'has 121 bytes, the kernel allows 107'],
  ])('%j is refused', async (path, why) => {
    await expect(claimSocket(path)).rejects.toThrow(why);
  });

  test('an ordinary file is not touched', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'precious');
    await expect(claimSocket(path)).rejects.toThrow('exists and is not a socket');
  });

  test('a group the socket cannot be given to is an error like any other', async () => {
    const server = createServer();
    const path = join(folder, 'grouped.sock');
    await expect(listen(server, path, 2 ** 40)).rejects.toThrow(`cannot give ${path} to group ${2 ** 40}`);
    await new Promise((resolve) => server.close(resolve));
  });

  test('groups by name and number', () => {
    const database = join(folder, 'group');
    writeFileSync(database, 'root:x:0:\ntap:x:117:alice,bob\n');
    expect([groupId('tap', database), groupId('42', database)]).toEqual([117, 42]);
    expect(() => groupId('none', database)).toThrow('there is no group none');
  });
});

test('log lines for people', () => {
  const line = {
    level: 40,
    time: Date.UTC(2020, 0, 1),
    msg: 'port web removed',
    bridge: 'tb0',
    netns: null,
    change: { kind: 'x' },
  };
  expect(readable(JSON.stringify(line), false)).toMatch(
    /^[0-9]{2}:00:00 warn {2}port web removed {2}bridge=tb0 change=\{"kind":"x"\}\n$/,
  );
});
