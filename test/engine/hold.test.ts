/** hold and release: what is added meanwhile is read from the release on. */
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { ManualClock } from '../../src/core/clock.js';
import { burstIoOptions } from '../../src/engine/burst-io-options.js';
import { execute } from '../../src/engine/commands.js';
import { Engine } from '../../src/engine/engine.js';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS } from '../../src/engine/protocol.js';
import { SimulatedIo } from '../../src/engine/simulated-io.js';

const OPTIONS = burstIoOptions(8);

/** Notes which descriptors are read, and refuses those of `gone`. */
class NotingIo extends SimulatedIo {
  readonly read = new Map<number, number>();
  readonly gone = new Set<number>();

  override add(port = -1, descriptor = -1): number {
    if (this.gone.has(descriptor)) return -constants.errno.EBADF;
    this.read.set(port, descriptor);
    return 0;
  }

  override remove(port = -1): number {
    return this.read.delete(port) ? 0 : -constants.errno.ENODEV;
  }
}

function held() {
  const io = new NotingIo(OPTIONS, new ManualClock());
  const engine = new Engine({ io, ioOptions: OPTIONS });
  execute(engine, 'add-bridge', { bridge: 0, settings: DEFAULT_BRIDGE_SETTINGS });
  const add = (port: number, descriptor: number) => {
    const spec = { kind: 'tap', descriptor, queues: [], vnetHeader: true, udpSegmentation: true } as const;
    const rest = { bridge: 0, flags: DEFAULT_PORT_FLAGS, mtu: 1500, macLimit: 0, address: null, local: false, faults: null };
    execute(engine, 'add-port', { port, settings: { ...rest, spec } });
  };
  execute(engine, 'hold', {});
  return { io, engine, add };
}

test('ports added meanwhile are read together, at the release, and later ones at once', () => {
  const { io, engine, add } = held();
  add(1, 11);
  add(2, 12);
  expect([...io.read]).toEqual([]);
  expect(execute(engine, 'release', {})).toEqual({ failed: [] });
  expect([...io.read]).toEqual([
    [1, 11],
    [2, 12],
  ]);
  add(3, 13);
  expect(io.read.get(3)).toBe(13);
});

test('a port removed meanwhile is never read', () => {
  const { io, engine, add } = held();
  add(1, 11);
  execute(engine, 'remove-port', { port: 1 });
  add(2, 12);
  execute(engine, 'release', {});
  expect([...io.read]).toEqual([[2, 12]]);
});

test('an interface that went meanwhile is told of, the others are read', () => {
  const { io, engine, add } = held();
  add(1, 11);
  add(2, 12);
  io.gone.add(11);
  expect(execute(engine, 'release', {})).toEqual({ failed: [{ port: 1, errno: constants.errno.EBADF }] });
  expect([...io.read]).toEqual([[2, 12]]);
});
