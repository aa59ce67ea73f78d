/** A start that fails over what has nothing to do with the one bridge or port it happened at: the containers keep their interfaces, the next start has all of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import { type Log, SILENT } from '../../src/control/log.js';
import { StateStore } from '../../src/control/state-store.js';
import type { CommandAnswer, CommandArguments, CommandName } from '../../src/engine/protocol.js';
import type { Binding } from '../../src/native/binding.js';
import { addAddress } from '../../src/netlink/address.js';
import { createVeth, getLink, listLinks, setLink } from '../../src/netlink/link.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';
import { HereAndThere } from './here-and-there.js';

const EMFILE = -24;
const ENODEV = -19;
const EBUSY = -16;
const PUBLISHED = 8080;
const UPLINK = 'up0';

/** Dies when the second container is added, behind both host ports and the first one. */
class DyingEngine extends FakeEngine {
  alive = true;
  private added = 0;

  override async call<Name extends CommandName>(name: Name, args: CommandArguments<Name>): Promise<CommandAnswer<Name>> {
    if (name === 'add-port' && ++this.added === 4) this.alive = false;
    if (!this.alive) throw new Error('the engine thread ended by itself');
    return super.call(name, args);
  }
}

describeSystem('a start that fails', ['root', 'tap', 'bpf'], () => {
  let both: HereAndThere;
  let folder: string;
  let interfaces: number[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-failed-'));
    both = new HereAndThere();
    outside();
    const store = StateStore.open(folder);
    const control = await start(store);
    for (const [bridge, port, ifname] of [
      ['tb0', 'web', 'eth0'],
      ['tb1', 'db', 'eth1'],
    ]) {
      const routed = { subnet: '10.88.0.0/24', uplink: UPLINK };
      await control.createBridge({ name: bridge, ...(bridge === 'tb0' ? routed : { uplink: 'none' }) });
      const ip = bridge === 'tb0' ? { ip: '10.88.0.5' } : {};
      await control.attach(bridge, { port, netns: `/proc/${process.pid}/fd/${both.there.descriptor}`, ifname, ...ip });
    }
    await control.publish('tb0', { protocol: 'tcp', hostPort: PUBLISHED, port: 80, portName: 'web' });
    interfaces = indices();
    await control.close({ keep: true });
    store.close();
  });
  afterEach(() => {
    both.close();
    rmSync(folder, { recursive: true });
  });

  function outside(): void {
    const { netlink } = both;
    createVeth(netlink, { name: UPLINK }, { name: 'far' });
    for (const name of [UPLINK, 'far']) setLink(netlink, getLink(netlink, name).index, { up: true });
    addAddress(netlink, getLink(netlink, UPLINK).index, '192.0.2.2', 24);
  }

  const indices = () => listLinks(both.inside).map(({ index }) => index);

  function start(store: StateStore, options: { engine?: FakeEngine; binding?: Binding; log?: Log } = {}): Promise<Control> {
    return Control.start({ binding, engine: new FakeEngine(), store, log: SILENT, ...options });
  }

  /** An addon that cannot open eth1. */
  function refusing(result: number): Binding {
    return new Proxy(binding, {
      get: (target, name: keyof Binding) =>
        name === 'openTap'
          ? (...args: Parameters<Binding['openTap']>) => (args[0].name === 'eth1' ? result : target.openTap(...args))
          : target[name],
    });
  }

  /** Nothing of the failed start is in the way: not of its own port, not of the next start. */
  async function nothingLost(): Promise<void> {
    expect(indices()).toEqual(interfaces);
    const server = createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(PUBLISHED, '0.0.0.0', resolve));
    await new Promise((resolve) => server.close(resolve));
    const store = StateStore.open(folder);
    const control = await start(store);
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0', 'web']);
    expect(control.listPorts('tb1').map(({ name }) => name)).toEqual(['tb1', 'db']);
    expect(control.listPublishes('tb0')).toMatchObject([{ hostPort: PUBLISHED }]);
    expect(indices()).toEqual(interfaces);
    await control.close();
    store.close();
  }

  test('no descriptors at the second of two bridges', async () => {
    const store = StateStore.open(folder);
    await expect(start(store, { binding: refusing(EMFILE) })).rejects.toMatchObject({ code: 'EMFILE' });
    store.close();
    await nothingLost();
  });

  test('the engine dies meanwhile', async () => {
    const store = StateStore.open(folder);
    await expect(start(store, { engine: new DyingEngine() })).rejects.toThrow('ended by itself');
    store.close();
    await nothingLost();
  });

  test('no room on the disk for the record', async () => {
    const store = StateStore.open(folder);
    store.save = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    };
    await expect(start(store)).rejects.toMatchObject({ code: 'ENOSPC' });
    store.close();
    await nothingLost();
  });

  test.each([
    ['is not to be had again', ENODEV],
    ['somebody in the container holds', EBUSY],
  ])('but an interface that %s costs its port only', async (_, errno) => {
    const store = StateStore.open(folder);
    const control = await start(store, { binding: refusing(errno) });
    expect(control.listPorts('tb1').map(({ name }) => name)).toEqual(['tb1']);
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0', 'web']);
    await control.close();
    store.close();
  });

  test('but an entry of a table that the engine refuses costs itself only, and is tried again at the next start', async () => {
    const store = StateStore.open(folder);
    const change = await start(store);
    await change.addFdb('tb0', { mac: '02:00:00:00:00:99', port: 'web' });
    await change.addNeighbor('tb0', { ip: '10.88.0.9', mac: '02:00:00:00:00:99' });
    await change.close({ keep: true });
    const engine = new FakeEngine();
    engine.refusals['add-fdb'] = 'the table is full';
    const said: string[] = [];
    const warn = (_fields: object, message: string) => void said.push(message);
    const refused = await start(store, { engine, log: { ...SILENT, warn } });
    expect(said).toEqual(['cannot enter 02:00:00:00:00:99 again']);
    expect(engine.said('add-neighbor')).toHaveLength(1);
    expect(refused.listPorts('tb1').map(({ name }) => name)).toEqual(['tb1', 'db']);
    await refused.close({ keep: true });
    const next = new FakeEngine();
    const control = await start(store, { engine: next });
    expect(next.said('add-fdb')).toHaveLength(1);
    await control.close();
    store.close();
  });
});
