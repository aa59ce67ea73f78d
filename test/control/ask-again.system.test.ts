/** What containers and the host asked for while their interfaces came back is asked anew at once. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import { StateStore } from '../../src/control/state-store.js';
import { Family, NeighborState } from '../../src/netlink/constants.js';
import { getLink } from '../../src/netlink/link.js';
import { listNeighbors, setPermanentNeighbor } from '../../src/netlink/neighbor.js';
import type { Netlink } from '../../src/netlink/netlink.js';
import type { Netns } from '../../src/netlink/netns.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';
import { HereAndThere } from './here-and-there.js';

describeSystem('a start', ['root', 'tap', 'tool:nsenter'], () => {
  let both: HereAndThere;
  let folder: string;
  let store: StateStore;
  let control: Control;

  beforeEach(async () => {
    both = new HereAndThere();
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-ask-'));
    await start(new FakeEngine());
    await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24' });
    await control.attach('tb0', { port: 'web', netns: pathOf(both.there), ip: '10.88.0.5', addresses: ['fd00::5/64'] });
  });
  afterEach(async () => {
    await control.close();
    store.close();
    both.close();
    rmSync(folder, { recursive: true });
  });

  async function start(engine: FakeEngine): Promise<void> {
    store = StateStore.open(folder);
    control = await Control.start({ binding, engine, store });
  }

  const pathOf = ({ descriptor }: Netns) => `/proc/${process.pid}/fd/${descriptor}`;

  function send(from: Netns, address: string): void {
    const { stderr } = spawnSync('nsenter', [`--net=${pathOf(from)}`, 'bash', '-c', `echo > /dev/udp/${address}/9`], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
  }

  /** Addresses whose MAC is asked for, and those whose MAC is known. */
  function neighbors(netlink: Netlink, name: string) {
    const all = listNeighbors(netlink, getLink(netlink, name).index, Family.unspecified);
    const having = (state: number) => all.filter((each) => (each.state & state) !== 0).map(({ address }) => address);
    return { asked: having(NeighborState.incomplete), known: having(NeighborState.permanent) };
  }

  test('forgets what waits for an answer, of both families, and nothing else', async () => {
    await control.close({ keep: true });
    store.close();
    const engine = new FakeEngine();
    engine.answers.release = () => {
      send(both.there, '10.88.0.7');
      send(both.there, 'fd00::7');
      send(both.here, '10.88.0.8');
      setPermanentNeighbor(both.inside, getLink(both.inside, 'eth0').index, '10.88.0.9', '02:00:00:00:00:09');
      expect(neighbors(both.inside, 'eth0').asked.sort()).toEqual(['10.88.0.7', 'fd00::7']);
      expect(neighbors(both.netlink, 'tb0').asked).toEqual(['10.88.0.8']);
      return { failed: [] };
    };
    await start(engine);
    expect(neighbors(both.inside, 'eth0')).toEqual({ asked: [], known: ['10.88.0.9'] });
    expect(neighbors(both.netlink, 'tb0').asked).toEqual([]);
  });
});
