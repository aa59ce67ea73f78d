/** Ports the engine can no longer read, in a kernel of their own: what is made again, tried again, and left alone. The engine threads are stood in for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import { type Log, SILENT } from '../../src/control/log.js';
import { StateStore } from '../../src/control/state-store.js';
import { EBADFD } from '../../src/native/system-error.js';
import { listAddresses } from '../../src/netlink/address.js';
import { createVeth, deleteLink, findLink, getLink } from '../../src/netlink/link.js';
import type { Netlink } from '../../src/netlink/netlink.js';
import type { Netns } from '../../src/netlink/netns.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';
import { HereAndThere } from './here-and-there.js';

const { EMFILE } = constants.errno;
const HOST_PORT = 0;
const CONTAINER_PORT = 1;

describeSystem('ports the engine gave up', ['root', 'tap'], () => {
  let both: HereAndThere;
  let there: Netns;
  let netlink: Netlink;
  let folder: string;
  let store: StateStore;
  let engine: FakeEngine;
  let control: Control;
  let said: string[];

  beforeEach(async () => {
    both = new HereAndThere();
    ({ there, netlink } = both);
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-watch-'));
    await start();
    await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
    await control.attach('tb0', { port: 'web', netns: `/proc/self/fd/${there.descriptor}`, ip: '10.88.0.5' });
  });
  afterEach(async () => {
    await control.close();
    store.close();
    both.close();
    rmSync(folder, { recursive: true });
  });

  async function start(): Promise<void> {
    store = StateStore.open(join(folder, 'state'));
    engine = new FakeEngine();
    said = [];
    const say = (_: object, text: string) => void said.push(text);
    const log = { ...SILENT, info: say, warn: say, error: say } as Log;
    control = await Control.start({ binding, engine, store, log });
  }

  const portsOnDisk = () => store.load(SILENT).bridges.flatMap(({ ports }) => ports.map(({ name }) => name));
  const fail = (port: number, errno = EBADFD) => engine.tell({ event: 'port-failed', port, errno });
  const hostState = () => control.getPort('tb0', 'tb0').state;
  const deleteHostPort = () => deleteLink(netlink, getLink(netlink, 'tb0').index);
  const addresses = () => listAddresses(netlink, getLink(netlink, 'tb0').index).map(({ address }) => address);

  test('a host port that was deleted is made again at once', async () => {
    deleteHostPort();
    fail(HOST_PORT);
    await expect.poll(() => findLink(netlink, 'tb0')?.up).toBe(true);
    expect(hostState()).toBe('up');
    expect(addresses()).toContain('10.88.0.1');
  });

  test('a host port that could not be made again is tried again every second, and the reason said once', async () => {
    deleteHostPort();
    createVeth(netlink, { name: 'tb0' }, { name: 'other' });
    fail(HOST_PORT);
    await expect.poll(() => hostState()).toBe('down');
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(hostState()).toBe('down');
    expect(findLink(netlink, 'tb0')?.kind).toBe('veth');
    expect(said.filter((text) => text.includes('cannot'))).toEqual(['cannot clean up after port tb0']);
    deleteHostPort();
    await expect.poll(() => hostState()).toBe('up');
    expect(getLink(netlink, 'tb0')).toMatchObject({ kind: 'tun', up: true });
    expect(addresses()).toContain('10.88.0.1');
    expect(engine.last('add-port')).toMatchObject({ port: HOST_PORT, keepCounters: true });
    expect(said.at(-1)).toBe('the host port tb0 is there again');
    const told = engine.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(engine.calls.length).toBe(told);
  });

  test('a host port that the engine refuses is tried again, and nothing of the attempts is left', async () => {
    deleteHostPort();
    engine.refusals['add-port'] = 'no descriptors';
    fail(HOST_PORT);
    await expect.poll(() => said.at(-1)).toBe('cannot clean up after port tb0');
    expect(findLink(netlink, 'tb0')).toBeUndefined();
    delete engine.refusals['add-port'];
    await expect.poll(() => hostState()).toBe('up');
    expect(getLink(netlink, 'tb0').up).toBe(true);
  });

  test('a bridge is removed while its host port is waited for', async () => {
    deleteHostPort();
    createVeth(netlink, { name: 'tb0' }, { name: 'other' });
    fail(HOST_PORT);
    await expect.poll(() => hostState()).toBe('down');
    await control.removeBridge('tb0');
    deleteHostPort();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(findLink(netlink, 'tb0')).toBeUndefined();
  });

  test('a TAP that is there and could not be read is added again', async () => {
    fail(CONTAINER_PORT, EMFILE);
    await expect.poll(() => said.at(-1)).toBe('port web: it is read again');
    expect(engine.last('add-port')).toMatchObject({ port: CONTAINER_PORT, keepCounters: true });
    expect(control.getPort('tb0', 'web').state).toBe('up');
  });

  test('what is told while the daemon leaves its bridges to the next one changes nothing', async () => {
    const left = control.close({ keep: true });
    fail(CONTAINER_PORT);
    fail(HOST_PORT);
    await left;
    // Behind all that was told.
    await control.close();
    expect(portsOnDisk()).toEqual(['web']);
    store.close();
    await start();
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0', 'web']);
  });
});
