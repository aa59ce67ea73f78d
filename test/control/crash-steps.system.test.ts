/**
 * The daemon is killed at each single step of its work, and the next one puts everything in order; and what becomes of lent interfaces. A step is a call
 * of the addon or a writing of the record: after the fatal one nothing this daemon does has any effect, and its descriptors are closed as the kernel closes them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Control } from '../../src/control/control.js';
import { SILENT } from '../../src/control/log.js';
import { StateStore } from '../../src/control/state-store.js';
import type { Binding } from '../../src/native/binding.js';
import { addAddress } from '../../src/netlink/address.js';
import { deleteLink, getLink, listLinks, moveLink } from '../../src/netlink/link.js';
import type { Netlink } from '../../src/netlink/netlink.js';
import { Netns } from '../../src/netlink/netns.js';
import { describeSystem } from '../helpers/requirements.js';
import { binding } from '../native/lab.js';
import { FakeEngine } from './fake-engine.js';
import { HereAndThere } from './here-and-there.js';

/** Calls of the addon that return a descriptor. */
const OPENING = new Set(['openTap', 'openNetns', 'createNetns', 'openNetlink', 'tapNetns']);
const CLOSING = new Set(['closeDescriptor', 'closeInBackground']);

/** One run of the daemon that can be killed. */
class Run {
  readonly store: StateStore;
  steps = 0;
  private readonly folder: string;
  private readonly open = new Set<number>();
  private readonly fatal: number;
  private dead = false;

  /** @param fatal the step it does not survive, from 1 on */
  constructor(folder: string, fatal = Number.POSITIVE_INFINITY) {
    this.folder = folder;
    this.fatal = fatal;
    this.store = StateStore.open(join(folder, 'state'));
    const save = this.store.save.bind(this.store);
    this.store.save = (...args) => {
      this.step();
      save(...args);
    };
  }

  start(): Promise<Control> {
    return Control.start({ binding: this.binding(), engine: new FakeEngine(), store: this.store, log: SILENT });
  }

  /** What the end of a process does. */
  kill(): void {
    this.dead = true;
    for (const each of this.open) binding.closeDescriptor(each);
    this.open.clear();
    rmSync(join(this.folder, 'state', 'daemon.lock'), { force: true });
  }

  private step(): void {
    if (this.dead || ++this.steps >= this.fatal) {
      this.dead = true;
      throw new Error('killed');
    }
  }

  private binding(): Binding {
    return new Proxy(binding, {
      get: (target, name: keyof Binding) => {
        const call = target[name];
        if (typeof call !== 'function' || name === 'BurstIo') return call;
        return (...args: unknown[]) => {
          this.step();
          const result = Reflect.apply(call as (...all: unknown[]) => unknown, target, args);
          if (OPENING.has(name) && (result as number) >= 0) this.open.add(result as number);
          if (CLOSING.has(name)) this.open.delete(args[0] as number);
          return result;
        };
      },
    });
  }
}

describeSystem('a daemon that is killed', ['root', 'tap'], () => {
  let both: HereAndThere;
  let here: Netns;
  let there: Netns;
  let netlink: Netlink;
  let inside: Netlink;
  let folder: string;

  beforeEach(begin);
  afterEach(end);

  function begin(): void {
    folder = mkdtempSync(join(tmpdir(), 'tapbridge-steps-'));
    both = new HereAndThere();
    ({ here, there, netlink, inside } = both);
  }

  function end(): void {
    both.close();
    rmSync(folder, { recursive: true });
  }

  const sandbox = () => `/proc/${process.pid}/fd/${there.descriptor}`;
  const names = (conversation: Netlink) => listLinks(conversation).map(({ name }) => name);
  const taps = (conversation: Netlink) => names(conversation).filter((name) => name !== 'lo');
  const lend = (control: Control) => control.attach('tb0', { port: 'lent', lent: 'tb00000002', ip: '10.88.0.6' });
  const nothingLeft = () => expect([taps(netlink), taps(inside)]).toEqual([[], []]);

  async function life(control: Control): Promise<void> {
    await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
    await control.attach('tb0', { port: 'web', netns: sandbox(), ip: '10.88.0.5' });
    await lend(control);
    await control.place('tb0', 'lent', sandbox());
    await control.detach('tb0', 'web');
    await control.removeBridge('tb0');
  }

  async function lifeOf(run: Run): Promise<void> {
    await run.start().then(life);
  }

  test('at each step of its life: the next one takes over all there is, and leaves nothing behind', async () => {
    const whole = new Run(folder);
    await lifeOf(whole);
    whole.kill();
    expect(whole.steps).toBeGreaterThan(30);
    for (let fatal = 1; fatal <= whole.steps; fatal++) {
      end();
      begin();
      const run = new Run(folder, fatal);
      await expect(lifeOf(run), `step ${fatal}`).rejects.toThrow();
      run.kill();
      const control = await new Run(folder).start();
      const ports = control.listBridges().flatMap(({ name }) => control.listPorts(name));
      const there = [...names(netlink), ...names(inside)];
      for (const { interface: name } of ports) expect(there, `step ${fatal}`).toContain(name);
      expect(there.length - 2, `step ${fatal}: ${there}`).toBe(ports.length);
      await control.close();
      nothingLeft();
    }
  }, 120_000);

  test('at each step of a restoring: nothing is forgotten', async () => {
    const fill = async () => {
      const run = new Run(folder);
      const control = await run.start();
      await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
      await control.attach('tb0', { port: 'web', netns: sandbox(), ip: '10.88.0.5' });
      await lend(control);
      run.kill();
    };
    await fill();
    const whole = new Run(folder);
    await whole.start();
    whole.kill();
    for (let fatal = 1; fatal < whole.steps; fatal++) {
      end();
      begin();
      await fill();
      const { index } = getLink(inside, 'eth0');
      const run = new Run(folder, fatal);
      await run.start().catch(() => undefined);
      run.kill();
      const control = await new Run(folder).start();
      expect(
        control.listPorts('tb0').map(({ name }) => name),
        `step ${fatal}`,
      ).toEqual(['tb0', 'web', 'lent']);
      expect(getLink(inside, 'eth0').index, `step ${fatal}`).toBe(index);
      await control.close();
      nothingLeft();
    }
  }, 120_000);

  test('an interface that is gone, and another port’s with its MAC beside it: made anew, and the other one goes on', async () => {
    const mac = '02:00:00:00:00:01';
    const run = new Run(folder);
    const before = await run.start();
    for (const [bridge, ifname] of [
      ['tb0', 'eth0'],
      ['tb1', 'eth1'],
    ]) {
      await before.createBridge({ name: bridge, uplink: 'none' });
      await before.attach(bridge, { port: 'web', netns: sandbox(), ifname, mac });
    }
    run.kill();
    deleteLink(inside, getLink(inside, 'eth1').index);
    const { index } = getLink(inside, 'eth0');
    const control = await new Run(folder).start();
    expect(taps(inside)).toEqual(['eth0', 'eth1']);
    expect(getLink(inside, 'eth0').index).toBe(index);
    expect(control.getPort('tb1', 'web').interface).toBe('eth1');
    await control.close();
    nothingLeft();
  });

  test('an address of the host that came meanwhile lies in the subnet: the bridge and its containers go on', async () => {
    const run = new Run(folder);
    const before = await run.start();
    await before.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
    await before.attach('tb0', { port: 'web', netns: sandbox(), ip: '10.88.0.5' });
    run.kill();
    addAddress(netlink, getLink(netlink, 'lo').index, '10.88.0.77', 16);
    const next = new Run(folder);
    const control = await next.start();
    expect(control.listPorts('tb0').map(({ name }) => name)).toEqual(['tb0', 'web']);
    await control.close();
    next.kill();
    await expect(lifeOf(new Run(folder))).rejects.toThrow('overlaps 10.88.0.77/16');
    nothingLeft();
  });

  describeLent();

  function describeLent(): void {
    const killedAfter = async (work: (control: Control) => Promise<void>) => {
      const run = new Run(folder);
      const control = await run.start();
      await control.createBridge({ name: 'tb0', subnet: '10.88.0.0/24', uplink: 'none' });
      await lend(control);
      await work(control);
      run.kill();
      return new Run(folder).start();
    };
    const moveAway = () => moveLink(netlink, getLink(netlink, 'tb00000002').index, there.descriptor, 'eth0');
    const moveBack = () => moveLink(inside, getLink(inside, 'eth0').index, here.descriptor, 'tb00000002');
    const portsOf = (control: Control) => control.listPorts('tb0').map(({ name }) => name);

    test('lent, still at home: goes on there', async () => {
      const control = await killedAfter(async () => {});
      expect(control.getPort('tb0', 'lent')).toMatchObject({ interface: 'tb00000002', netns: null, ip: '10.88.0.6/24' });
      moveAway();
      await control.place('tb0', 'lent', sandbox());
      expect(control.getPort('tb0', 'lent').interface).toBe('eth0');
      await control.close();
      nothingLeft();
    });

    test('lent, in its sandbox: found there under its new name', async () => {
      const control = await killedAfter(async (before) => {
        await before.place('tb0', 'lent', sandbox());
        moveAway();
      });
      expect(control.getPort('tb0', 'lent')).toMatchObject({ interface: 'eth0', netns: sandbox(), ip: '10.88.0.6/24' });
      moveBack();
      await control.place('tb0', 'lent', null);
      expect(control.getPort('tb0', 'lent').interface).toBe('tb00000002');
      await control.close();
      nothingLeft();
    });

    test('lent, told to be in a sandbox and not moved yet, or moved back meanwhile: found at home', async () => {
      const control = await killedAfter((before) => before.place('tb0', 'lent', sandbox()));
      expect(control.getPort('tb0', 'lent')).toMatchObject({ interface: 'tb00000002', netns: sandbox() });
      moveAway();
      expect(control.getPort('tb0', 'lent').interface).toBe('eth0');
      await control.close();
      nothingLeft();
    });

    test('lent, taken over in its sandbox, then moved to another: looked for in that one', async () => {
      const control = await killedAfter(async (before) => {
        await before.place('tb0', 'lent', sandbox());
        moveAway();
      });
      moveBack();
      await control.place('tb0', 'lent', null);
      const other = Netns.create(binding, null);
      const path = `/proc/${process.pid}/fd/${other.descriptor}`;
      moveLink(netlink, getLink(netlink, 'tb00000002').index, other.descriptor, 'eth0');
      await control.place('tb0', 'lent', path);
      await sleep(1500);
      expect(control.getPort('tb0', 'lent')).toMatchObject({ interface: 'eth0', netns: path });
      other.close();
      await expect.poll(() => portsOf(control)).toEqual(['tb0']);
      await control.close();
      nothingLeft();
    });

    test('lent, deleted by its engine: dropped, not made anew', async () => {
      const control = await killedAfter(async (before) => {
        await before.place('tb0', 'lent', sandbox());
        moveAway();
        deleteLink(inside, getLink(inside, 'eth0').index);
      });
      expect(portsOf(control)).toEqual(['tb0']);
      await control.close();
      nothingLeft();
    });

    test('lent, its sandbox gone and the interface brought home: dropped, and the interface with it', async () => {
      const control = await killedAfter((before) => before.place('tb0', 'lent', `${folder}/gone`));
      expect(portsOf(control)).toEqual(['tb0']);
      await control.close();
      nothingLeft();
    });
  }
});
