/** Questions to an engine: answered, unanswered, never piled up. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ControlContext } from '../../src/control/context.js';
import { checkHealth, worstOf } from '../../src/control/health.js';
import type { GatewayInfo } from '../../src/control/model.js';
import { ANSWER_MILLIS, TelemetryReader } from '../../src/control/telemetry.js';
import { LOOP } from '../../src/core/counters.js';
import { FakeEngine } from './fake-engine.js';

const INFO = { flows: 0 } as GatewayInfo;
const NOW = 60_000_000;

let engine: FakeEngine;
let context: ControlContext;
let reader: TelemetryReader;

beforeEach(() => {
  vi.useFakeTimers();
  engine = new FakeEngine();
  engine.answers['table-use'] = () => [{ bridge: 0, fdb: 1, neighbors: 1 }];
  engine.loop.add(0, LOOP.turned_micros, NOW - 500_000);
  const gateway = { info: async () => INFO, trouble: () => null, isOpen: false };
  const binding = { monotonicMicros: () => NOW };
  context = { engine, gateway, binding, store: null, bridges: new Map(), ports: new Map() } as unknown as ControlContext;
  reader = new TelemetryReader(context);
});

afterEach(() => vi.useRealTimers());

const engineCheck = async () => (await checkHealth(context, reader)).find(({ name }) => name === 'engine');

/** An engine that takes commands and never answers. */
function hang(): { calls: number; answer(): void } {
  const hung = { calls: 0, answer: () => {} };
  engine.call = () => {
    hung.calls++;
    return new Promise((resolve) => {
      hung.answer = () => resolve([] as never);
    });
  };
  return hung;
}

test('an engine that answers', async () => {
  expect(await reader.ask()).toEqual({ tables: [{ bridge: 0, fdb: 1, neighbors: 1 }], gateway: INFO });
  expect(await engineCheck()).toEqual({ name: 'engine', status: 'ok', message: 'it turns' });
});

test('one that does not: who asks waits no longer than said, and it is asked once until it answers', async () => {
  const hung = hang();
  const asked = Promise.all([reader.ask(), reader.ask(), reader.ask()]);
  await vi.advanceTimersByTimeAsync(ANSWER_MILLIS);
  expect(await asked).toEqual([null, null, null]);
  const check = engineCheck();
  await vi.advanceTimersByTimeAsync(ANSWER_MILLIS);
  expect(await check).toMatchObject({ status: 'fail', message: 'the engine does not answer within 2 s' });
  expect(hung.calls).toBe(1);
  hung.answer();
  await vi.advanceTimersByTimeAsync(0);
  const again = reader.ask();
  expect(hung.calls).toBe(2);
  hung.answer();
  expect(await again).not.toBeNull();
});

test('one that dies while it is asked', async () => {
  engine.refusals['table-use'] = 'the engine died';
  expect(await reader.ask()).toBeNull();
  expect((await engineCheck())?.status).toBe('fail');
});

test('a thread that does not turn', async () => {
  engine.loop.add(0, LOOP.turned_micros, -2_000_000);
  expect(await engineCheck()).toMatchObject({ status: 'fail', message: 'engine thread 0 has not turned for 2.5 s' });
});

test('what the gateway lacks is worth a look, no failure', async () => {
  Object.assign(context.gateway, { trouble: () => 'bridge tb0 has no way out: eth0 is down or missing' });
  const checks = await checkHealth(context, reader);
  expect(checks.map(({ name, status }) => `${name} ${status}`)).toEqual(['engine ok', 'state ok', 'gateway warn']);
  expect(worstOf(checks)).toBe('warn');
  expect(worstOf([])).toBe('ok');
});
