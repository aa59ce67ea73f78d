/** What the main thread hears of several threads: the threads are stood in for. */
import { constants } from 'node:os';
import { afterEach, expect, test, vi } from 'vitest';
import { BRIDGE_COUNTERS, Counters, GATEWAY_COUNTERS, LOOP_COUNTERS, PORT_COUNTERS } from '../../src/core/counters.js';
import { EngineGroup } from '../../src/engine/engine-group.js';
import { EngineThread } from '../../src/engine/engine-thread.js';
import type { Binding } from '../../src/native/binding.js';
import { EBADFD } from '../../src/native/system-error.js';

const { EMFILE } = constants.errno;

afterEach(() => vi.restoreAllMocks());

/** A group of as many threads as there are lists; each refuses these ports at `release`. */
async function groupRefusing(...refused: { port: number; errno: number }[][]): Promise<EngineGroup> {
  vi.spyOn(EngineThread, 'start').mockImplementation(async (_, options) => {
    const index = options?.place?.index ?? 0;
    const member = {
      portCounters: new Counters(PORT_COUNTERS, 8),
      bridgeCounters: new Counters(BRIDGE_COUNTERS, 1),
      gatewayCounters: new Counters(GATEWAY_COUNTERS, 1),
      loop: new Counters(LOOP_COUNTERS, refused.length),
      failed: new Promise(() => {}),
      call: async (name: string) => (name === 'release' ? { failed: refused[index] } : index),
    };
    return member as unknown as EngineThread;
  });
  return EngineGroup.start({} as Binding, { threads: refused.length, maxPorts: 8 });
}

test('release: what any thread could not read is told, once for each port', async () => {
  const group = await groupRefusing(
    [{ port: 3, errno: EBADFD }],
    [
      { port: 3, errno: EMFILE },
      { port: 5, errno: EMFILE },
    ],
    [{ port: 5, errno: EMFILE }],
  );
  expect(await group.call('release', {})).toEqual({
    failed: [
      { port: 3, errno: EBADFD },
      { port: 5, errno: EMFILE },
    ],
  });
});

test('release: nothing was refused', async () => {
  expect(await (await groupRefusing([], [])).call('release', {})).toEqual({ failed: [] });
});

test('all else is answered by the keeper', async () => {
  const group = await groupRefusing([], []);
  expect(await group.call('stop-capture', { capture: 0 })).toBe(0);
  expect(await group.call('flush-fdb', { bridge: 0 })).toBe(0);
});
