/** A publish that is undone, with a fake engine and a real socket of the loopback. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { beforeEach, expect, test, vi } from 'vitest';
import type { ControlContext } from '../../src/control/context.js';
import { SILENT } from '../../src/control/log.js';
import { Numbers } from '../../src/control/numbers.js';
import { Publishes } from '../../src/control/publishes.js';
import type { BridgeRecord, PortRecord } from '../../src/control/records.js';
import { Undo } from '../../src/control/undo.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { FakeEngine } from './fake-engine.js';

let engine: FakeEngine;
let bridge: BridgeRecord;
let publishes: Publishes;
/** How many publishes there were each time the classic guard was told. */
let told: number[];
let undo: Undo;
let problems: unknown[];

beforeEach(() => {
  engine = new FakeEngine();
  const port = { name: 'web', number: 7, ip: { address: parseIpv4('127.0.0.1'), prefix: 8 }, container: null };
  const routing = { uplink: 'auto', internal: false };
  bridge = {
    name: 'tb0',
    number: 0,
    pool: {},
    routing,
    host: {},
    network: null,
    publishes: [],
    ports: new Map([['web', port as PortRecord]]),
  } as unknown as BridgeRecord;
  told = [];
  const gateway = { sendRules: () => void told.push(bridge.publishes.length) };
  const bridges = new Map([['tb0', bridge]]);
  publishes = new Publishes({ engine, bridges, gateway, log: SILENT } as unknown as ControlContext);
  problems = [];
  undo = new Undo((error) => problems.push(error));
});

async function request() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: hostPort } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { portName: 'web', hostAddress: '127.0.0.1', hostPort, port: 80 };
}

test('undone after it succeeded: the classic guard hears of it last', async () => {
  await publishes.add(bridge, await request(), false, undo);
  expect(told).toEqual([1]);
  await undo.run();
  expect(told).toEqual([1, 0]);
  expect(engine.said('remove-publish')).toHaveLength(1);
  expect(problems).toEqual([]);
});

test('a guard that refuses the rules: the publish is undone, and the guard is told so', async () => {
  const gateway = (publishes as unknown as { context: ControlContext }).context.gateway;
  const { sendRules } = gateway;
  gateway.sendRules = () => {
    sendRules();
    if (bridge.publishes.length > 0) throw new Error('too many ranges');
  };
  await expect(publishes.add(bridge, await request(), false, undo)).rejects.toThrow('too many ranges');
  await undo.run();
  expect(told).toEqual([1, 0]);
  expect(problems).toEqual([]);
});

test('one more than the table of the engine holds: refused, and nothing is left', async () => {
  const full = vi.spyOn(Numbers.prototype, 'take').mockReturnValue(-1);
  await expect(publishes.add(bridge, await request(), false, undo)).rejects.toThrow('there are 4096 publishes');
  full.mockRestore();
  await undo.run();
  expect([bridge.publishes, engine.calls, problems]).toEqual([[], [], []]);
});
