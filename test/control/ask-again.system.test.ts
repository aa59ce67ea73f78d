/** What containers and the host asked for while their interfaces came back is asked anew at once. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import { StateStore } from '../../src/control/state-store.js';
import { VNET_BYTES } from '../../src/core/batch.js';
import { formatIp } from '../../src/netlink/address-text.js';
import { Family, NeighborState } from '../../src/netlink/constants.js';
import { getLink } from '../../src/netlink/link.js';
import { listNeighbors, setPermanentNeighbor } from '../../src/netlink/neighbor.js';
import type { Netlink } from '../../src/netlink/netlink.js';
import type { Netns } from '../../src/netlink/netns.js';
import { EtherType } from '../../src/wire/ethernet.js';
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

  /** Addresses whose MAC the kernel asks for, and those it waits for. */
  const waiting = (netlink: Netlink, name: string) =>
    listNeighbors(netlink, getLink(netlink, name).index, Family.unspecified)
      .filter(({ state }) => (state & NeighborState.incomplete) !== 0)
      .map(({ address }) => address)
      .sort();

  test('the kernels ask anew for what they still wait for, and what is queued for it goes on waiting', async () => {
    await control.close({ keep: true });
    store.close();
    const engine = new FakeEngine();
    let connection: ChildProcess | undefined;
    engine.answers.release = () => {
      send(both.there, '10.88.0.7');
      send(both.there, 'fd00::7');
      send(both.here, '10.88.0.8');
      connection = spawn('nsenter', [`--net=${pathOf(both.there)}`, 'bash', '-c', 'echo > /dev/tcp/10.88.0.9/9']);
      setPermanentNeighbor(both.inside, getLink(both.inside, 'eth0').index, '10.88.0.6', '02:00:00:00:00:06');
      for (const until = Date.now() + 5000; !waiting(both.inside, 'eth0').includes('10.88.0.9') && Date.now() < until; );
      expect(waiting(both.inside, 'eth0')).toEqual(['10.88.0.7', '10.88.0.9', 'fd00::7']);
      expect(waiting(both.netlink, 'tb0')).toEqual(['10.88.0.8']);
      // Lost: nobody answers.
      askedFor(engine);
      return { failed: [] };
    };
    await start(engine);
    expect(askedFor(engine)).toEqual(['10.88.0.7', '10.88.0.8', '10.88.0.9', 'fd00::7']);
    expect(waiting(both.inside, 'eth0')).toEqual(['10.88.0.7', '10.88.0.9', 'fd00::7']);
    expect(listNeighbors(both.inside)).toContainEqual(
      expect.objectContaining({ address: '10.88.0.6', state: NeighborState.permanent }),
    );
    expect(connection).toMatchObject({ exitCode: null, signalCode: null });
    connection?.kill('SIGKILL');
  });
});

/** Reads what the kernels have sent to the ports of an engine. @returns the addresses they ask for */
function askedFor(engine: FakeEngine): string[] {
  const found = new Set<string>();
  const frame = Buffer.alloc(2048);
  for (const { name, args } of engine.calls) {
    if (name !== 'add-port') continue;
    const { descriptor } = args.settings.spec as { descriptor: number };
    for (;;) {
      try {
        readSync(descriptor, frame);
      } catch (error) {
        expect(error).toMatchObject({ code: 'EAGAIN' });
        break;
      }
      const at = VNET_BYTES;
      const type = frame.readUInt16BE(at + 12);
      if (type === EtherType.arp) found.add([...frame.subarray(at + 38, at + 42)].join('.'));
      // ICMPv6 type 135 is a neighbor solicitation (RFC 4861, section 4.3), the target lies behind 8 bytes.
      if (type === EtherType.ipv6 && frame[at + 54] === 135) found.add(formatIp(frame.subarray(at + 62, at + 78)));
    }
  }
  return [...found].sort();
}
