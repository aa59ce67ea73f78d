import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FlowEvents } from '../../src/conntrack/flow-events.js';
import { FLOW, Removal, Status } from '../../src/conntrack/flow-layout.js';
import type { FlowTable } from '../../src/conntrack/flow-table.js';
import { kindOf } from '../../src/conntrack/kind.js';
import { TcpState } from '../../src/conntrack/tcp-states.js';
import { TimeoutClass } from '../../src/conntrack/timeouts.js';
import type { ControlContext } from '../../src/control/context.js';
import { checkState, FlowWatch, flowFilter, flushFlows, listFlows, matches } from '../../src/control/flows.js';
import type { FlowEvent, FlowInfo } from '../../src/control/model.js';
import type { BridgeRecord } from '../../src/control/records.js';
import type { FlowFilter, FlowRow } from '../../src/engine/protocol.js';
import { parseIpv4 } from '../../src/wire/ipv4-address.js';
import { FakeEngine } from './fake-engine.js';

const [INSIDE, OUTER, SERVER] = ['10.88.0.2', '192.0.2.2', '198.51.100.10'].map(parseIpv4);
const bridge = {
  name: 'tb0',
  number: 3,
  host: { name: 'tb0' },
  ports: new Map([['web', { name: 'web', number: 7, container: null }]]),
};
const record = bridge as unknown as BridgeRecord;
const ROW: FlowRow = {
  protocol: 6,
  state: 'established',
  assured: true,
  original: { source: INSIDE, destination: SERVER, sourcePort: 40_000, destinationPort: 80 },
  reply: { source: SERVER, destination: OUTER, sourcePort: 80, destinationPort: 20_000 },
  bridge: 3,
  owner: 7,
  timeout: 100,
  age: 5,
  packets: [3, 2],
  bytes: [300, 200],
};

function contextWith(engine: FakeEngine): ControlContext {
  const ports = new Map([[7, { bridge, port: bridge.ports.get('web') }]]);
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const context = { engine, log, ports, bridges: new Map([['tb0', bridge]]), gateway: { isOpen: true } };
  return context as unknown as ControlContext;
}

describe('queries', () => {
  test('become what the engine compares', () => {
    const query = { address: '10.88.0.9/24', port: 80, protocol: 'tcp', state: 'established', portName: 'web' };
    const network = parseIpv4('10.88.0.0');
    expect(flowFilter(record, query)).toEqual({
      bridge: 3,
      address: network,
      prefix: 24,
      port: 80,
      protocol: 6,
      state: 'established',
      owner: 7,
    });
    expect(() => flowFilter(record, { portName: 'db' })).toThrow('bridge tb0 has no port db');
    expect(() => flowFilter(record, { port: 65_536 })).toThrow('the port must be');
    expect(() => checkState('open')).toThrow('no flow is "open"');
    expect(() => checkState('replied')).not.toThrow();
  });

  test.each([
    [{ bridge: 3 }, true],
    [{ bridge: 2 }, false],
    [{ address: OUTER }, true],
    [{ address: parseIpv4('198.51.100.0'), prefix: 24 }, true],
    [{ address: parseIpv4('198.51.101.0'), prefix: 24 }, false],
    [{ address: 0, prefix: 0 }, true],
    [{ port: 20_000 }, true],
    [{ port: 20_001 }, false],
    [{ protocol: 17 }, false],
    [{ state: 'close' }, false],
    [{ owner: 8 }, false],
  ] as [FlowFilter, boolean][])('%j: %s', (filter, expected) => {
    expect(matches(filter, ROW)).toBe(expected);
  });

  test('pages follow each other until the engine says that it is the end, empty ones are passed over', async () => {
    const engine = new FakeEngine();
    const pages = new Map([
      [0, { flows: [ROW], next: 4096 }],
      [4096, { flows: [], next: 8192 }],
      [8192, { flows: [{ ...ROW, owner: -1, protocol: 47 }], next: -1 }],
    ]);
    engine.answers['list-flows'] = ({ from }) => pages.get(from) ?? { flows: [], next: -1 };
    const seen: FlowInfo[][] = [];
    for await (const page of listFlows(contextWith(engine), {})) seen.push(page);
    expect(seen.map((page) => page.map(({ protocol, port, bridge }) => [protocol, port, bridge]))).toEqual([
      [['tcp', 'web', 'tb0']],
      [['47', null, 'tb0']],
    ]);
    expect(seen[0][0].original).toEqual({
      source: '10.88.0.2',
      destination: '198.51.100.10',
      sourcePort: 40_000,
      destinationPort: 80,
    });
    expect(seen[1][0].reply).toMatchObject({ sourcePort: null, destinationPort: null });
    engine.answers['flush-flows'] = ({ from }) => ({ ended: 2, next: from === 0 ? 4096 : -1 });
    expect(await flushFlows(contextWith(engine), {})).toBe(4);
  });
});

describe('watching', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** One TCP flow of web's. */
  function tableOf(seen: number) {
    const words = new Int32Array(16);
    words.set([INSIDE, SERVER, (40_000 << 16) | 80, SERVER, OUTER, (80 << 16) | 20_000, kindOf(6)]);
    words[FLOW.status] = TcpState.established | (TimeoutClass.tcpEstablished << Status.classShift) | Status.assured;
    words[FLOW.seen] = seen;
    words[FLOW.zones] = 256 | (3 << 16);
    words[FLOW.owner] = 7;
    const cold = new Int32Array(18);
    return { words, cold, bytesOf: (_flow: number, direction: number) => 100 + direction } as unknown as FlowTable;
  }

  test('one ring for all, a filter for each; lost ones are told; the end of the last ends it', () => {
    const engine = new FakeEngine();
    const watch = new FlowWatch(contextWith(engine), () => ({ tcpEstablished: 1000 }));
    const seen: FlowEvent[][] = [[], []];
    const first = watch.add({ bridge: 3 }, (events) => seen[0].push(...events));
    const second = watch.add({ protocol: 17 }, (events) => seen[1].push(...events));
    const { ring } = engine.last('watch-flows') as { ring: SharedArrayBuffer };
    expect(engine.said('watch-flows')).toHaveLength(1);
    const producer = new FlowEvents(ring);
    expect(producer.watching).toBe(true);
    producer.emit(0, 0, tableOf(50), 0, 50);
    producer.emit(2, Removal.owner_closed, tableOf(50), 0, 60);
    vi.advanceTimersByTime(60);
    expect(seen[0].map(({ event, reason, flow }) => [event, reason, flow?.state, flow?.timeout, flow?.port])).toEqual([
      ['new', undefined, 'established', 1000, 'web'],
      ['destroy', 'owner-closed', 'established', 0, 'web'],
    ]);
    expect(seen[1]).toEqual([]);
    for (let count = 0; count < 16_385; count++) producer.emit(1, 0, tableOf(50), 0, 50);
    vi.advanceTimersByTime(60);
    expect(seen[1]).toEqual([{ event: 'lost', lost: 1 }]);
    first.close();
    expect(producer.watching).toBe(true);
    second.close();
    expect(producer.watching).toBe(false);
    expect(engine.last('watch-flows')).toEqual({ ring: null });
    expect(vi.getTimerCount()).toBe(0);
  });
});
