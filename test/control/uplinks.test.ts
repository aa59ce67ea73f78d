/** The engine's numbers of uplinks, kept for what the record says until all of it is made again; and uplinks whose engine refuses a change. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { ControlContext } from '../../src/control/context.js';
import type { UplinkGuard } from '../../src/control/guard.js';
import type { Network } from '../../src/control/network.js';
import { Numbers } from '../../src/control/numbers.js';
import { Uplinks } from '../../src/control/uplinks.js';
import type { UplinkSettings } from '../../src/engine/protocol.js';
import type { Link } from '../../src/netlink/link.js';
import { FakeEngine } from './fake-engine.js';

const makeUplinks = () => new Uplinks({} as ControlContext, () => ({}) as UplinkGuard);

test('numbers of the record stay in the record until they are given up', () => {
  const uplinks = makeUplinks();
  const saved = [
    { interface: 'eth0', number: 3 },
    { interface: 'eth1', number: 0 },
  ];
  uplinks.restore(saved);
  expect(uplinks.saved()).toEqual(saved);
  uplinks.restored();
  expect(uplinks.saved()).toEqual([]);
});

test('a number two have, or nobody can have, is given to the first, or to nobody', () => {
  const uplinks = makeUplinks();
  uplinks.restore([
    { interface: 'eth0', number: 3 },
    { interface: 'eth1', number: 3 },
    { interface: 'eth2', number: 16 },
  ]);
  expect(uplinks.saved()).toEqual([{ interface: 'eth0', number: 3 }]);
});

describe('an engine that refuses a change', () => {
  const WANTED = new Set(['eth0']);
  let engine: FakeEngine;
  let uplinks: Uplinks;
  /** Descriptors that are open, and names that are guarded. */
  let descriptors: Set<number>;
  let guarded: Set<string>;
  let log: string[];
  let ports: Numbers;
  /** What the engine has, by number. */
  let had: Map<number, Partial<UplinkSettings>>;

  beforeEach(async () => {
    engine = new FakeEngine();
    had = new Map();
    engine.answers['add-uplink'] = ({ uplink, settings }) => {
      had.set(uplink, settings);
      return null;
    };
    engine.answers['remove-uplink'] = ({ uplink }) => {
      had.delete(uplink);
      return null;
    };
    engine.answers['set-uplink'] = ({ uplink, settings }) => {
      if (!had.has(uplink)) throw new RangeError(`engine: there is no uplink ${uplink}`);
      had.set(uplink, { ...had.get(uplink), ...settings });
      return null;
    };
    descriptors = new Set();
    guarded = new Set();
    log = [];
    ports = new Numbers(64);
    let next = 100;
    const binding = {
      openPacket: () => {
        descriptors.add(next);
        return next++;
      },
      closeDescriptor: (descriptor: number) => void descriptors.delete(descriptor),
    };
    const guard = {
      attach: (name: string) => {
        guarded.add(name);
        return 'ebpf';
      },
      release: (name: string) => void guarded.delete(name),
    };
    const line = (_: object, message: string) => void log.push(message);
    const context = {
      engine,
      binding,
      portNumbers: ports,
      ports: new Map(),
      changes: { inherits: () => false },
      log: { debug: line, info: line, warn: line, error: line },
    };
    uplinks = new Uplinks(context as unknown as ControlContext, () => guard as unknown as UplinkGuard);
    await uplinks.follow(network(), WANTED);
    expect(uplinks.size).toBe(1);
    log.length = 0;
  });

  function network(fields: Partial<Link> = {}): Network {
    const link = { index: 2, name: 'eth0', mtu: 1500, mac: '02:00:00:00:00:01', flags: 0, up: true, lowerUp: true, master: -1 };
    return { links: [{ ...link, ...fields } as Link], addresses: [], routes: [] };
  }

  function fail(): void {
    for (const uplink of uplinks.values()) uplink.failed = true;
  }

  /** Control and engine have the same one uplink, and nothing else is held. */
  function expectOpen(mtu: number): void {
    const [uplink] = [...uplinks.values()];
    expect([...had.keys()]).toEqual([uplink.number]);
    expect(had.get(uplink.number)?.mtu).toBe(mtu);
    expect([...descriptors]).toEqual([uplink.descriptor]);
    expect([...guarded]).toEqual(['eth0']);
    expect(uplinks.incomplete).toBe(false);
  }

  test('it cannot be added again: it is closed, the reason is there, and the next look opens it', async () => {
    fail();
    engine.refusals['add-uplink'] = 'cannot duplicate the descriptor (EMFILE)';
    await uplinks.follow(network(), WANTED);
    expect(uplinks.size).toBe(0);
    expect(had.size).toBe(0);
    expect(descriptors.size).toBe(0);
    expect(guarded.size).toBe(0);
    expect(uplinks.incomplete).toBe(true);
    expect(uplinks.problemOf('eth0')).toBe('cannot duplicate the descriptor (EMFILE)');
    expect(log).toEqual(['cannot use eth0 as an uplink']);
    delete engine.refusals['add-uplink'];
    await uplinks.follow(network({ mtu: 1400 }), WANTED);
    expectOpen(1400);
    await uplinks.follow(network({ mtu: 1300 }), WANTED);
    expectOpen(1300);
  });

  test('it cannot be set: it is opened anew with what there is', async () => {
    engine.refusals['set-uplink'] = 'no';
    await uplinks.follow(network({ mtu: 1400 }), WANTED);
    expectOpen(1400);
  });

  test('nor can it be removed: nothing of it stays here', async () => {
    fail();
    engine.refusals['add-uplink'] = 'no';
    engine.refusals['remove-uplink'] = 'not now';
    await uplinks.follow(network(), WANTED);
    expect(uplinks.size).toBe(0);
    expect(descriptors.size).toBe(0);
    expect(guarded.size).toBe(0);
    expect(log).toContain('uplink eth0 is closed, but something of it may be left: not now');
    const free = new Set<number>();
    for (let port = ports.take(); port >= 0; port = ports.take()) free.add(port);
    expect(free.size).toBe(64);
  });

  test('one that nobody wants goes, even when the engine does not let go of it', async () => {
    engine.refusals['remove-uplink'] = 'not now';
    await uplinks.follow(network(), new Set());
    expect(uplinks.size).toBe(0);
    expect(descriptors.size).toBe(0);
  });
});
