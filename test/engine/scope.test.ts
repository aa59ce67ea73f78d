import { describe, expect, test } from 'vitest';
import { DEFAULT_BRIDGE_SETTINGS, DEFAULT_PORT_FLAGS, type PortSettings } from '../../src/engine/protocol.js';
import { Distribution } from '../../src/engine/scope.js';

const SETTINGS: PortSettings = {
  bridge: 0,
  spec: { kind: 'tap', descriptor: 10, queues: [11, 12], vnetHeader: true, udpSegmentation: true },
  flags: DEFAULT_PORT_FLAGS,
  mtu: 1500,
  macLimit: 0,
  address: null,
  local: false,
  faults: null,
};

function threadsOf(orders: { thread: number }[]): number[] {
  return orders.map(({ thread }) => thread);
}

describe('three threads', () => {
  test('tables are the keeper’s; a port is forgotten by the others first', () => {
    const distribution = new Distribution(3, 64);
    expect(threadsOf(distribution.orders('list-fdb', { bridge: 0 }))).toEqual([0]);
    expect(threadsOf(distribution.orders('remove-port', { port: 1 }))).toEqual([1, 2, 0]);
    expect(threadsOf(distribution.orders('add-port', { port: 1, settings: SETTINGS }))).toEqual([0, 1, 2]);
  });

  test('each thread gets a descriptor of its own; too few are refused', () => {
    const distribution = new Distribution(3, 64);
    const orders = distribution.orders('add-port', { port: 1, settings: SETTINGS });
    expect(orders.map(({ args }) => (args as { settings: PortSettings }).settings.spec)).toMatchObject([
      { descriptor: 10 },
      { descriptor: 11 },
      { descriptor: 12 },
    ]);
    const settings = { ...SETTINGS, spec: { ...SETTINGS.spec, queues: [] } } as PortSettings;
    expect(() => distribution.orders('add-port', { port: 1, settings })).toThrow('port 1 has 1 queues, 3 threads need one each');
  });

  test('a bridge has one memory for all; a limit beyond it brings a larger one, to the keeper first', () => {
    const distribution = new Distribution(3, 64);
    const added = distribution.orders('add-bridge', { bridge: 0, settings: DEFAULT_BRIDGE_SETTINGS });
    expect(new Set(added.map(({ args }) => (args as { memory?: unknown }).memory)).size).toBe(1);
    const memoryAt = (fdbLimit: number) =>
      distribution
        .orders('set-bridge', { bridge: 0, settings: { fdbLimit } })
        .filter(({ args }) => (args as { memory?: unknown }).memory !== undefined);
    expect(threadsOf(memoryAt(100))).toEqual([]);
    expect(threadsOf(memoryAt(100_000))).toEqual([0, 1, 2]);
    expect(threadsOf(memoryAt(100_000))).toEqual([]);
  });
});

test('one thread gets the command as it is', () => {
  const args = { port: 1, settings: SETTINGS };
  expect(new Distribution(1, 64).orders('add-port', args)).toEqual([{ thread: 0, name: 'add-port', args }]);
});
