/** The daemon as a plugin, with interfaces that are there: dockerd's part is played by what was recorded of it, and by what it does to the TAP. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.js';
import type { LabHost } from '../../src/lab/lab-host.js';
import { findLink, getLink, moveLink, setLink } from '../../src/netlink/link.js';
import { eventually, TestDaemon } from '../helpers/daemon.js';
import { describeSystem } from '../helpers/requirements.js';
import { BRIDGE, createEndpoint, createNetwork, ENDPOINT, ENDPOINT_CALL, NETWORK, postTo, program } from './plugin-world.js';

const SOURCE = 'tbe1e1e1e1';
const OTHER = 'f2'.repeat(32);
const HTTP = { Proto: 6, IP: '', Port: 80, HostIP: '127.0.0.1', HostPort: 8080, HostPortEnd: 8080 };

let drivers = 0;

describeSystem("Docker's plugin", ['root', 'tap', 'named-netns'], () => {
  let lab: Lab;
  let driver: string;
  let daemon: TestDaemon;
  let one: LabHost;
  let two: LabHost;

  beforeEach(async () => {
    lab = Lab.create('tbplug');
    driver = `tbplug${process.pid}n${++drivers}`;
    [daemon, one, two] = await Promise.all([
      TestDaemon.start(lab, lab.namespace('host'), '--docker', driver),
      lab.host('one'),
      lab.host('two'),
    ]);
  });
  afterEach(async () => {
    await daemon.close();
    await lab.close();
    rmSync(socket(), { force: true });
  });

  const socket = () => `/run/docker/plugins/${driver}.sock`;
  const call = async (name: string, body: object) => {
    const { body: answer } = await postTo(socket(), `/${name}`, JSON.stringify(body));
    if ('Err' in answer) throw new Error(String(answer['Err']));
    return answer;
  };
  const network = (method: string, body: object) => call(`NetworkDriver.${method}`, body);
  const home = () => daemon.namespace.netlink;
  const record = () => JSON.parse(readFileSync(join(daemon.state, 'docker.json'), 'utf8'));

  /** CreateEndpoint, Join, and what dockerd does with the TAP then. */
  async function run(host: LabHost, id: string, address: string): Promise<void> {
    const ids = { NetworkID: NETWORK, EndpointID: id };
    await network('CreateEndpoint', createEndpoint({ ...ids, Interface: { Address: `${address}/24` } }));
    const joined = await network('Join', { ...ids, SandboxKey: host.netnsPath, Options: {} });
    const { SrcName } = joined['InterfaceName'] as { SrcName: string };
    moveLink(home(), getLink(home(), SrcName).index, host.namespace.descriptor, 'eth0');
    host.namespace.configure('eth0', { address, gateway: String(joined['Gateway']) });
  }

  /** What dockerd does between Leave and DeleteEndpoint. */
  function bringHome(host: LabHost, source: string): void {
    const { index } = getLink(host.namespace.netlink, 'eth0');
    setLink(host.namespace.netlink, index, { up: false });
    moveLink(host.namespace.netlink, index, daemon.namespace.descriptor, source, home());
  }

  /** Another daemon beside this one. */
  const other = (...args: string[]) =>
    daemon.startSecond('--socket', join(daemon.folder, 'x.sock'), '--state', join(daemon.folder, 'x'), ...args);

  const reaches = async (from: LabHost, address: string) => (await from.ping({ address, count: 1 })).received === 1;

  test('a life: made, lent, moved, joined, published, left, brought home, gone', async () => {
    expect(statSync(socket()).mode & 0o777).toBe(0o600);
    await network('CreateNetwork', createNetwork({}, { 'com.docker.network.driver.mtu': '1400' }));
    await network('CreateEndpoint', createEndpoint());
    expect(getLink(home(), SOURCE)).toMatchObject({ up: false, mtu: 1400, mac: '02:42:ac:1e:00:02' });
    await network('DeleteEndpoint', ENDPOINT_CALL);
    expect(findLink(home(), SOURCE)).toBeUndefined();

    await run(one, ENDPOINT, '172.30.0.2');
    await run(two, OTHER, '172.30.0.3');
    expect(getLink(one.namespace.netlink, 'eth0')).toMatchObject({ mtu: 1400, mac: '02:42:ac:1e:00:02' });
    expect(await reaches(one, '172.30.0.3')).toBe(true);
    expect(await reaches(one, '172.30.0.1')).toBe(true);
    await network('ProgramExternalConnectivity', program(HTTP));
    expect(await daemon.client.listPublishes(BRIDGE)).toMatchObject([{ hostPort: 8080, address: '172.30.0.2', listening: true }]);

    await network('RevokeExternalConnectivity', ENDPOINT_CALL);
    await network('Leave', ENDPOINT_CALL);
    bringHome(one, SOURCE);
    await network('DeleteEndpoint', ENDPOINT_CALL);
    expect(findLink(home(), SOURCE)).toBeUndefined();
    expect(await daemon.client.listPublishes(BRIDGE)).toEqual([]);
    expect((await daemon.client.listPorts(BRIDGE)).map(({ name }) => name)).toEqual([BRIDGE, OTHER.slice(0, 12)]);
    await network('DeleteNetwork', { NetworkID: NETWORK });
    expect(findLink(home(), BRIDGE)).toBeUndefined();
    expect(findLink(two.namespace.netlink, 'eth0')).toBeUndefined();
  });

  test('kill -9: the next daemon answers at the same place, containers go on, calls for them are understood', async () => {
    await network('CreateNetwork', createNetwork());
    await run(one, ENDPOINT, '172.30.0.2');
    await run(two, OTHER, '172.30.0.3');
    await network('ProgramExternalConnectivity', program(HTTP));
    await daemon.end('SIGKILL');
    await daemon.start('--docker', driver);
    expect(await eventually(() => reaches(one, '172.30.0.3'))).toBe(true);
    expect(await daemon.client.listPublishes(BRIDGE)).toMatchObject([{ hostPort: 8080 }]);
    await network('Leave', ENDPOINT_CALL);
    bringHome(one, SOURCE);
    await network('DeleteEndpoint', ENDPOINT_CALL);
    expect(findLink(home(), SOURCE)).toBeUndefined();
    await run(one, ENDPOINT, '172.30.0.2');
    expect(await reaches(one, '172.30.0.3')).toBe(true);
  });

  test('kill -9 between CreateEndpoint and Join: dockerd goes on where it was', async () => {
    await network('CreateNetwork', createNetwork());
    await network('CreateEndpoint', createEndpoint());
    await daemon.end('SIGKILL');
    await daemon.start('--docker', driver);
    expect(getLink(home(), SOURCE)).toMatchObject({ mac: '02:42:ac:1e:00:02' });
    await network('Join', { ...ENDPOINT_CALL, SandboxKey: one.netnsPath, Options: {} });
    moveLink(home(), getLink(home(), SOURCE).index, one.namespace.descriptor, 'eth0');
    one.namespace.configure('eth0', { address: '172.30.0.2', gateway: '172.30.0.1' });
    expect(await reaches(one, '172.30.0.1')).toBe(true);
  });

  test("after a reboot: Docker's networks are there again from their own record, without containers", async () => {
    await network('CreateNetwork', createNetwork());
    await run(one, ENDPOINT, '172.30.0.2');
    await daemon.end('SIGTERM');
    // A reboot takes the interfaces and, at worst, control's record with them.
    rmSync(join(daemon.state, 'state.json'));
    setLink(one.namespace.netlink, getLink(one.namespace.netlink, 'eth0').index, { up: false });
    await lab.close();
    lab = Lab.create('tbplug');
    const { state } = daemon;
    const again = await TestDaemon.start(lab, lab.namespace('host'), '--docker', driver, '--state', state);
    try {
      expect(await again.client.getBridge(BRIDGE)).toMatchObject({ subnet: '172.30.0.0/24', gateway: '172.30.0.1', ports: 0 });
      expect(record().networks[0].endpoints).toEqual([]);
    } finally {
      await again.close();
    }
  });

  test('--on-stop remove takes interfaces and socket along, networks stay on disk', async () => {
    await daemon.end('SIGTERM');
    await daemon.start('--docker', driver, '--on-stop', 'remove');
    await network('CreateNetwork', createNetwork());
    await daemon.end('SIGTERM');
    expect(existsSync(socket())).toBe(false);
    expect(findLink(home(), BRIDGE)).toBeUndefined();
    expect(record().networks).toMatchObject([{ id: NETWORK }]);
    await daemon.start('--docker', driver);
    expect(await daemon.client.getBridge(BRIDGE)).toMatchObject({ network: { id: NETWORK } });
  });

  test('without networks nothing of it stays', async () => {
    await network('CreateNetwork', createNetwork());
    await network('DeleteNetwork', { NetworkID: NETWORK });
    await daemon.end('SIGTERM');
    expect(existsSync(socket())).toBe(false);
    expect(existsSync(daemon.state) ? readdirSync(daemon.state) : []).toEqual([]);
  });

  test('a second daemon of that name is refused, and says what to do; a socket that was left over is no hindrance', async () => {
    const { status, stderr } = await other('--docker', driver);
    expect([status, stderr]).toEqual([1, expect.stringContaining('choose another name with --docker NAME')]);
    await daemon.end('SIGKILL');
    expect(existsSync(socket())).toBe(true);
    await daemon.start('--docker', driver);
    expect(await call('Plugin.Activate', {})).toMatchObject({ Implements: ['NetworkDriver', 'IpamDriver'] });
  });

  test('the configuration says name and pools; the command line another name', async () => {
    await daemon.end('SIGTERM');
    const config = join(daemon.folder, 'tapbridge.yaml');
    writeFileSync(config, `docker: { name: ${driver}, pools: [{ base: 10.99.0.0/16, size: 24 }] }\n`, { mode: 0o600 });
    const pool = async () => {
      const asked = { AddressSpace: 'tblocal', Pool: '', SubPool: '', Options: null, V6: false };
      const { PoolID, Pool } = await call('IpamDriver.RequestPool', asked);
      await call('IpamDriver.ReleasePool', { PoolID });
      return Pool;
    };
    await daemon.start('--config', config);
    expect(await pool()).toBe('10.99.0.0/24');
    await daemon.end('SIGTERM');
    driver = `${driver}x`;
    await daemon.start('--config', config, '--docker', driver);
    expect(await pool()).toBe('10.99.0.0/24');
    writeFileSync(config, 'docker: { pools: [{ base: 10.99.0.0/24, size: 16 }] }\n', { mode: 0o600 });
    const { status, stderr } = await other('--config', config);
    expect([status, stderr]).toEqual([1, expect.stringContaining('the pool 10.99.0.0/24 cannot be cut')]);
  });

  test('a name no driver can have is refused', async () => {
    const { status, stderr } = await other('--docker', '../x');
    expect([status, stderr]).toEqual([1, expect.stringContaining('cannot name a driver')]);
  });
});
