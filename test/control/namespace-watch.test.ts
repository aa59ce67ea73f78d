/** Containers whose end is looked for, and a daemon that ends meanwhile. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ControlContext } from '../../src/control/context.js';
import { SILENT } from '../../src/control/log.js';
import { NamespaceWatch } from '../../src/control/namespace-watch.js';
import type { BridgeRecord, PortRecord } from '../../src/control/records.js';
import { Serial } from '../../src/control/serial.js';
import { FakeEngine } from './fake-engine.js';

/** Of a namespace that is nowhere any more. */
const ENDED = { number: 1, name: 'web', kind: 'tap', held: true, netns: '/nowhere', identity: '0:0', descriptor: -1, queues: [] };

let saves: number;
let ports: ControlContext['ports'];
let serial: Serial;
let watch: NamespaceWatch;

beforeEach(() => {
  vi.useFakeTimers();
  saves = 0;
  const port = { ...ENDED, pid: null, lent: false, ip: null, mac: null, writer: null } as unknown as PortRecord;
  const host = { ...port, name: 'tb0', kind: 'host', held: false };
  const bridge = { name: 'tb0', host, ports: new Map([[port.name, port]]), fdb: [], neighbors: [] } as unknown as BridgeRecord;
  ports = new Map([[port.number, { bridge, port }]]);
  const context = {
    engine: new FakeEngine(),
    log: SILENT,
    ports,
    bridges: new Map(),
    captures: new Map(),
    portNumbers: { free: () => {} },
    changes: { list: [] },
    gateway: { portLeaves: async () => {}, savedUplinks: () => [] },
    store: { save: () => saves++ },
    restoring: null,
  } as unknown as ControlContext;
  serial = new Serial();
  watch = new NamespaceWatch(context, serial);
  watch.start();
});

afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

test('a container that ended: its port is removed, and the record says so', async () => {
  await vi.advanceTimersByTimeAsync(1000);
  expect([...ports.keys()]).toEqual([]);
  expect(saves).toBe(1);
});

test('a look that was waiting when the daemon ended changes nothing', async () => {
  void serial.run(async () => {
    await vi.advanceTimersByTimeAsync(1000);
    watch.close();
  });
  await serial.run(async () => {});
  await vi.advanceTimersByTimeAsync(5000);
  expect([...ports.keys()]).toEqual([1]);
  expect(saves).toBe(0);
});
